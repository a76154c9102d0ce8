//! Images without a registry and without a builder: OCI archives of one binary each with the libraries that it loads.
//!
//! The same files give the same digest. Libraries that never change lie in a layer of their own, made once per content.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::paths::{COREDNS, KUBERNETES, VERSITYGW, images, program, tree};
use crate::shell::{run, text, write};

/// Whom containers run as.
const USER: &str = "65532:65532";
/// The architecture of images.
const ARCHITECTURE: &str = "amd64";

/// Debian's Alertmanager does not start without its templates.
const TEMPLATES: &str = "/usr/share/prometheus/alertmanager";

/// One image: its name, and the files in it: a name in /usr/bin, or a whole path. The first is what it runs.
struct Recipe {
    name: &'static str,
    programs: Vec<(PathBuf, &'static str)>,
}

/// Plimsoll's own images, and their keys in the chart's values.
const OWN: [(&str, &str); 5] =
    [("operator", "operator"), ("router", "router"), ("model-server", "modelServer"), ("trainer", "trainer"), ("evaluator", "evaluator")];

/// Makes every image, and the values file for Helm. With a `release`, makes Plimsoll's own images once more with that label: the same
/// programs under other digests, as a vendor's next release would be; nothing loads them unasked. Gives the folder with the values file.
pub fn build(release: Option<&str>) -> anyhow::Result<PathBuf> {
    let folder = release.map_or_else(images, |release| images().join("releases").join(release));
    let mut digests = BTreeMap::new();
    for recipe in recipes().iter().filter(|recipe| release.is_none() || OWN.iter().any(|(name, _)| *name == recipe.name)) {
        let digest = make(recipe, &folder, release)?;
        eprintln!("plimsoll.local/{}@{digest}", recipe.name);
        digests.insert(recipe.name, format!("plimsoll.local/{}@{digest}", recipe.name));
    }
    let mut runtimes = BTreeMap::from([("default", digests.get("model-server"))]);
    for (runtime, image) in [("faulty", "faulty-model-server"), ("half-faulty", "half-faulty-model-server")] {
        runtimes.extend(digests.get(image).map(|image| (runtime, Some(image))));
    }
    let own: BTreeMap<&str, Option<&String>> = OWN.iter().map(|(name, key)| (*key, digests.get(name))).collect();
    write(&folder.join("values.json"), json!({"images": own, "runtimes": runtimes}).to_string())?;
    pause()?;
    Ok(folder)
}

fn recipes() -> Vec<Recipe> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| tree().join("target"), PathBuf::from).join("debug");
    let own = |name: &'static str| (target.join(name), name);
    vec![
        Recipe { name: "operator", programs: vec![own("operator")] },
        Recipe { name: "router", programs: vec![own("router")] },
        Recipe { name: "model-server", programs: vec![own("model-server"), own("plimsoll-artifact")] },
        Recipe { name: "faulty-model-server", programs: vec![(target.join("faulty-model-server"), "model-server"), own("plimsoll-artifact")] },
        Recipe {
            name: "half-faulty-model-server",
            programs: vec![(target.join("faulty-model-server"), "model-server"), (target.join("model-server"), "real-model-server"), own("plimsoll-artifact")],
        },
        Recipe { name: "trainer", programs: vec![own("trainer")] },
        Recipe { name: "evaluator", programs: vec![own("evaluator")] },
        Recipe { name: "coredns", programs: vec![(program("coredns", COREDNS), "coredns")] },
        Recipe { name: "versitygw", programs: vec![(program("versitygw", VERSITYGW), "versitygw")] },
        Recipe { name: "prometheus", programs: vec![(PathBuf::from("/usr/bin/prometheus"), "prometheus")] },
        Recipe { name: "targets", programs: vec![(PathBuf::from("/bin/busybox"), "busybox"), (program("kubernetes", KUBERNETES), "kubectl")] },
        Recipe {
            name: "alertmanager",
            programs: vec![
                (PathBuf::from("/usr/bin/prometheus-alertmanager"), "alertmanager"),
                (PathBuf::from(TEMPLATES).join("default.tmpl"), "/usr/share/prometheus/alertmanager/default.tmpl"),
                (PathBuf::from(TEMPLATES).join("email.tmpl"), "/usr/share/prometheus/alertmanager/email.tmpl"),
            ],
        },
    ]
}

/// The image of every pod's sandbox.
pub fn pause() -> anyhow::Result<()> {
    make(&Recipe { name: "pause", programs: vec![(PathBuf::from("/bin/busybox"), "busybox")] }, &images(), None).map(drop)
}

/// Every archive that was made.
pub fn archives() -> anyhow::Result<Vec<PathBuf>> {
    let mut archives: Vec<PathBuf> =
        std::fs::read_dir(images())?.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|extension| extension == "tar")).collect();
    archives.sort();
    Ok(archives)
}

fn make(recipe: &Recipe, folder: &Path, release: Option<&str>) -> anyhow::Result<String> {
    let mut libraries = BTreeMap::new();
    let mut files: BTreeMap<String, PathBuf> = BTreeMap::new();
    for (path, name) in &recipe.programs {
        if !path.is_file() {
            bail!("{} is not there: build it first", path.display());
        }
        libraries.extend(closure(path)?);
        let inside = name.strip_prefix('/').map_or_else(|| format!("usr/bin/{name}"), str::to_owned);
        files.insert(inside, path.clone());
    }
    let base = layer(&libraries, true)?;
    let top = layer(&files, false)?;
    archive(recipe, &[base, top], folder, release)
}

/// The libraries that a program loads, by their place in the image. Those from the cache go where the loader looks by itself.
fn closure(path: &Path) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let Ok(listed) = run("ldd", &[&text(path)]) else { return Ok(BTreeMap::new()) };
    let mut found = BTreeMap::new();
    for line in listed.lines() {
        let (name, place) = match line.trim().split_once(" => ") {
            Some((name, place)) => (name, place.split(" (").next().unwrap_or_default()),
            None => (line.trim().split(" (").next().unwrap_or_default(), line.trim().split(" (").next().unwrap_or_default()),
        };
        if place == "not found" {
            bail!("{} needs {name}, which is not found: run scripts/setup", path.display());
        }
        let Some(file) = name.rsplit('/').next().filter(|_| place.starts_with('/')) else { continue };
        let inside = if file.starts_with("ld-linux") { format!("lib64/{file}") } else { format!("usr/lib/x86_64-linux-gnu/{file}") };
        found.insert(inside, std::fs::canonicalize(place)?);
    }
    Ok(found)
}

/// A layer of these files, stripped; made once for the same files. Gives the archive and its digest.
fn layer(files: &BTreeMap<String, PathBuf>, with_base: bool) -> anyhow::Result<(PathBuf, String)> {
    let mut key = Sha256::new();
    for (inside, path) in files {
        let metadata = std::fs::metadata(path)?;
        let modified = metadata.modified()?.duration_since(std::time::UNIX_EPOCH)?.as_nanos();
        key.update(format!("{inside} {} {} {modified}\n", path.display(), metadata.len()));
    }
    let folder = images().join("layers");
    std::fs::create_dir_all(&folder)?;
    let result = folder.join(format!("{}-{with_base}", hex(key)));
    if !result.is_file() {
        // Two drivers may make the same layer at the same time: the last one to finish replaces it by its equal.
        let unfinished = result.with_extension(format!("unfinished-{}", std::process::id()));
        let mut tar = tar::Builder::new(File::create(&unfinished)?);
        if with_base {
            base(&mut tar)?;
        }
        for (inside, path) in files {
            let stripped = folder.join(format!("strip-{}", std::process::id()));
            if run("strip", &["--strip-unneeded", "-o", &text(&stripped), &text(path)]).is_err() {
                std::fs::copy(path, &stripped)?;
            }
            let mut header = header(0o755, std::fs::metadata(&stripped)?.len());
            tar.append_data(&mut header, inside, File::open(&stripped)?)?;
            std::fs::remove_file(&stripped)?;
        }
        tar.into_inner()?.flush()?;
        std::fs::rename(&unfinished, &result)?;
    }
    let digest = digest_of(&result)?;
    Ok((result, digest))
}

/// What every image has: a user, certificates, a place for temporary files.
fn base(tar: &mut tar::Builder<File>) -> anyhow::Result<()> {
    let files = [
        ("etc/passwd", b"root:x:0:0::/:/none\nnonroot:x:65532:65532::/:/none\n".to_vec()),
        ("etc/group", b"root:x:0:\nnonroot:x:65532:\n".to_vec()),
        ("etc/ssl/certs/ca-certificates.crt", std::fs::read("/etc/ssl/certs/ca-certificates.crt").context("install ca-certificates")?),
    ];
    for (path, content) in files {
        tar.append_data(&mut header(0o644, u64::try_from(content.len())?), path, content.as_slice())?;
    }
    let mut folder = header(0o1777, 0);
    folder.set_entry_type(tar::EntryType::Directory);
    Ok(tar.append_data(&mut folder, "tmp/", std::io::empty())?)
}

fn header(mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header
}

/// The OCI archive of an image; gives the manifest's digest, by which pods ask for it.
fn archive(recipe: &Recipe, layers: &[(PathBuf, String)], folder: &Path, release: Option<&str>) -> anyhow::Result<String> {
    let entrypoint: Vec<String> = match recipe.name {
        "pause" => ["/usr/bin/busybox", "sleep", "2147483647"].map(str::to_owned).to_vec(),
        _ => recipe.programs.first().map(|(_, name)| format!("/usr/bin/{name}")).into_iter().collect(),
    };
    let diff_ids: Vec<&String> = layers.iter().map(|(_, digest)| digest).collect();
    let mut config = json!({"User": USER, "Entrypoint": entrypoint, "Env": ["PATH=/usr/bin", "OMP_NUM_THREADS=1"]});
    if let (Some(release), Some(config)) = (release, config.as_object_mut()) {
        config.insert("Labels".to_owned(), json!({"org.opencontainers.image.version": release}));
    }
    let configuration = blob(&json!({
        "architecture": ARCHITECTURE, "os": "linux", "config": config,
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }));
    let mut described = Vec::new();
    for (path, digest) in layers {
        described.push(json!({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": std::fs::metadata(path)?.len()}));
    }
    let manifest = blob(&json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": configuration.1, "size": configuration.0.len()}, "layers": described,
    }));
    let name = format!("plimsoll.local/{}:dev", recipe.name);
    let index = json!({"schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": manifest.1, "size": manifest.0.len(),
        "annotations": {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": "dev"},
    }]});
    std::fs::create_dir_all(folder)?;
    let path = folder.join(format!("{}.tar", recipe.name));
    let known = std::fs::read_to_string(path.with_extension("digest")).unwrap_or_default();
    if known.trim() == manifest.1 && path.is_file() {
        return Ok(manifest.1);
    }
    let unfinished = path.with_extension(format!("unfinished-{}", std::process::id()));
    let mut tar = tar::Builder::new(File::create(&unfinished)?);
    let place = |digest: &str| format!("blobs/sha256/{}", digest.trim_start_matches("sha256:"));
    for (name, content) in [
        ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
        ("index.json".to_owned(), index.to_string().into_bytes()),
        (place(&manifest.1), manifest.0.clone()),
        (place(&configuration.1), configuration.0),
    ] {
        tar.append_data(&mut header(0o644, u64::try_from(content.len())?), name, content.as_slice())?;
    }
    for (layer, digest) in layers {
        tar.append_data(&mut header(0o644, std::fs::metadata(layer)?.len()), place(digest), File::open(layer)?)?;
    }
    tar.into_inner()?.flush()?;
    // Without its digest an archive does not count: one that is replaced half-way is made again.
    if path.with_extension("digest").exists() {
        std::fs::remove_file(path.with_extension("digest"))?;
    }
    std::fs::rename(&unfinished, &path)?;
    write(&path.with_extension("digest"), &manifest.1)?;
    Ok(manifest.1)
}

fn blob(content: &Value) -> (Vec<u8>, String) {
    let bytes = content.to_string().into_bytes();
    let digest = format!("sha256:{}", hex(Sha256::new_with_prefix(&bytes)));
    (bytes, digest)
}

fn digest_of(path: &Path) -> anyhow::Result<String> {
    let remembered = path.with_extension("digest");
    if let Ok(digest) = std::fs::read_to_string(&remembered) {
        return Ok(digest);
    }
    let digest = format!("sha256:{}", hex(Sha256::new_with_prefix(std::fs::read(path)?)));
    write(&remembered, &digest)?;
    Ok(digest)
}

fn hex(hasher: Sha256) -> String {
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
