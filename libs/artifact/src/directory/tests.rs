use std::collections::BTreeMap;

use plimsoll_features::{CategoricalEncoding, Column, Columns, FeatureSpec, FeatureType, Pipeline};

use super::*;
use crate::{Architecture, Calibration, DataWindow, FileEntry, Provenance, Task, fetch, store, upload};

fn write_model(folder: &Path) -> Digest {
    let specs = [FeatureSpec { name: "a".into(), kind: FeatureType::Categorical { encoding: CategoricalEncoding::OneHot, minimum_count: 1 } }];
    let train = Columns::new([("a".to_owned(), Column::Text(vec![Some("x".into())]))]).unwrap();
    let pipeline = Pipeline::fit(&specs, &train).unwrap();
    let baseline = Baseline { features: Baseline::of_features(&pipeline, &train).unwrap(), predictions: vec![1; 10] };
    let behaviour = Behaviour { pipeline, calibration: Calibration::None, threshold: 0.5, labels: ["0".into(), "1".into()] };
    let files = [(WEIGHTS, b"weights".to_vec()), (PIPELINE, serde_json::to_vec(&behaviour).unwrap()), (BASELINE, serde_json::to_vec(&baseline).unwrap())];
    let entries: Vec<FileEntry> =
        files.iter().map(|(path, bytes)| FileEntry { path: (*path).into(), size: u64::try_from(bytes.len()).unwrap(), sha256: Digest::of(bytes) }).collect();
    let manifest = Manifest {
        format_version: FORMAT_VERSION,
        model: "m".into(),
        task: Task::BinaryClassification { positive: "1".into() },
        architecture: Architecture::Linear {},
        content_digest: Manifest::content_digest_of(&entries[0].sha256, &entries[1].sha256),
        files: entries,
        provenance: Provenance {
            training_job: "t".into(),
            training_job_uid: "u".into(),
            data_digests: BTreeMap::new(),
            window: DataWindow { from: "2013-01-01".into(), to: "2013-07-01".into() },
            software_version: "0".into(),
        },
    };
    write_directory(folder, &manifest, &files.each_ref().map(|(path, bytes)| (*path, bytes.as_slice()))).unwrap()
}

#[test]
fn what_was_written_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    let digest = write_model(&path);
    let model = ModelDirectory::open(&path, Some(&digest)).unwrap();
    assert_eq!(model.weights().unwrap(), b"weights");
    assert_eq!(model.behaviour().unwrap().label(0.7), "1");
    assert_eq!(model.baseline().unwrap().features[0].counts, [1, 0, 0, 0]);
}

#[test]
fn i4_whatever_differs_is_refused_and_named() {
    type Damage = fn(&Path);
    let table: [(&str, Damage, &str); 9] = [
        ("a flipped byte", |p| std::fs::write(p.join(WEIGHTS), b"weighty").unwrap(), WEIGHTS),
        ("a cut file", |p| std::fs::write(p.join(BASELINE), b"").unwrap(), BASELINE),
        ("a missing file", |p| std::fs::remove_file(p.join(PIPELINE)).unwrap(), PIPELINE),
        ("a stranger", |p| std::fs::write(p.join("extra.bin"), b"x").unwrap(), "extra.bin"),
        (
            "a link",
            |p| {
                std::fs::rename(p.join(WEIGHTS), p.with_extension("away")).unwrap();
                std::os::unix::fs::symlink(p.with_extension("away"), p.join(WEIGHTS)).unwrap();
            },
            WEIGHTS,
        ),
        ("whitespace in the manifest", |p| edit(p, |text| format!("{text} ")), "canonical"),
        ("a path that leaves the folder", |p| edit(p, |text| text.replace("\"baseline.json\"", "\"../baseline.json\"")), "../baseline.json"),
        ("another format", |p| edit(p, |text| text.replace("\"formatVersion\":1", "\"formatVersion\":9")), "format version 9"),
        ("an unknown field", |p| edit(p, |text| text.replace("\"formatVersion\":1", "\"code\":\"x\",\"formatVersion\":1")), "code"),
    ];
    for (what, damage, named) in table {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        write_model(&path);
        damage(&path);
        let error = ModelDirectory::open(&path, None).expect_err(what).to_string();
        assert!(error.contains(named), "{what}: {error}");
    }
}

#[test]
fn i4_another_model_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    write_model(&path);
    let other = Digest::of(b"other");
    assert!(matches!(ModelDirectory::open(&path, Some(&other)), Err(Error::WrongDigest { .. })));
}

#[tokio::test]
async fn a_model_travels_through_a_store_and_twice_is_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    let digest = write_model(&path);
    let address = folder.path().join("store").display().to_string();
    let store = store::open(&address, None).unwrap();
    assert_eq!(upload(&path, &store).await.unwrap(), digest);
    assert_eq!(upload(&path, &store).await.unwrap(), digest);
    let place = store::open(&format!("file://{address}/{}", digest.hex()), None).unwrap();
    let fetched = fetch(&place, &digest, &folder.path().join("fetched")).await.unwrap();
    assert_eq!(fetched.digest(), &digest);

    std::fs::write(folder.path().join("store").join(digest.hex()).join(WEIGHTS), b"evil!!!").unwrap();
    assert!(matches!(upload(&path, &store).await, Err(Error::Conflict { .. })));
    assert!(matches!(fetch(&place, &digest, &folder.path().join("again")).await, Err(Error::Content { .. })));
    let nothing = store::open(&folder.path().join("nothing").display().to_string(), None).unwrap();
    assert!(matches!(fetch(&nothing, &digest, &folder.path().join("third")).await, Err(Error::NotFound { .. })));
}

#[test]
fn addresses_that_cannot_be_used_are_named() {
    for (address, named) in [("http://x/y", "http"), ("s3:///key", "bucket")] {
        assert!(store::open(address, None).unwrap_err().to_string().contains(named), "{address}");
    }
    let folder = tempfile::tempdir().unwrap();
    let error = store::open("s3://bucket/x", Some(folder.path())).unwrap_err();
    assert!(error.to_string().contains("AWS_ACCESS_KEY_ID"), "{error}");
}

fn edit(path: &Path, change: impl Fn(String) -> String) {
    let manifest = path.join(MANIFEST);
    let text = std::fs::read_to_string(&manifest).unwrap();
    let changed = change(text.clone());
    assert_ne!(text, changed);
    std::fs::write(manifest, changed).unwrap();
}
