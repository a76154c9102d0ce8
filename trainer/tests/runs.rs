//! Whole runs on a small table: what comes out, that it comes out again, and what is said when it cannot.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests fail like tests")]

use std::fmt::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use plimsoll_crds::training_job::result::TrainingResult;
use plimsoll_trainer::job::{Job, Places};
use plimsoll_trainer::progress::Progress;
use plimsoll_trainer::{Error, flow};
use serde_json::{Value, json};

/// One row an hour for 60 days; late when x is large or the colour is red. `strange` changes rows of the last ten days only.
fn table(strange: bool) -> String {
    let mut text = "id,at,x,colour,late\n".to_owned();
    for hour in 0..1_440 {
        let x = (hour * 37) % 101;
        let colour = ["red", "green", "blue"][hour % 3];
        let late = u8::from(x + (hour * 13) % 40 > 75 || (colour == "red" && x > 50));
        let after = hour >= 1_200;
        let (x, colour) = if strange && after { (x + 100_000, "ultraviolet") } else { (x, colour) };
        let x = if hour % 50 == 0 { "NA".to_owned() } else { x.to_string() };
        let (day, time) = (hour / 24, hour % 24);
        let (month, day) = if day < 31 { (1, day + 1) } else { (2, day - 30) };
        let (month, day) = if month == 2 && day > 28 { (3, day - 28) } else { (month, day) };
        writeln!(text, "{hour},2013-{month:02}-{day:02}T{time:02}:00:00Z,{x},{colour},{late}").unwrap();
    }
    text
}

fn job(folder: &Path) -> Value {
    json!({
        "name": "t", "namespace": "n", "uid": "u",
        "spec": {
            "model": "m",
            "data": {
                "sources": [{"name": "rows", "uri": folder.join("rows.csv"), "format": "Csv"}],
                "query": "SELECT * FROM rows", "rowKey": ["id"], "timeColumn": "at", "window": {"from": "2013-01-01", "to": "2013-03-02"},
                "split": {"byTime": {"validation": "10d", "test": "10d"}}
            },
            "task": {"binaryClassification": {"label": "late", "positive": "1", "threshold": {"maximize": "f1"}}},
            "features": [{"name": "x", "type": "Numeric"}, {"name": "colour", "type": "Categorical", "minimumCount": 5}],
            "architecture": {"mlp": {"hidden": [8], "dropout": 0.1}},
            "optimization": {"optimizer": {"adamW": {"learningRate": 0.02}}, "batchSize": 64, "epochs": 8, "seed": 3, "earlyStopping": {"metric": "logLoss", "patience": 3}},
            "calibration": "Temperature",
            "evaluation": {"slices": ["colour"], "gates": [{"metric": "auc", "minimum": 0.8}, {"metric": "logLoss", "betterThan": "Dummy"}]},
            "output": {"uri": folder.join("out")}
        }
    })
}

fn run_with(text: &str, change: impl Fn(&mut Value)) -> (tempfile::TempDir, Result<TrainingResult, Error>) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rows.csv"), text).unwrap();
    let mut value = job(folder.path());
    change(&mut value);
    let result = run(folder.path(), value);
    (folder, result)
}

/// libtorch has one random generator for the process: runs beside each other would disturb each other.
static ALONE: Mutex<()> = Mutex::new(());

fn run(folder: &Path, value: Value) -> Result<TrainingResult, Error> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let job: Job = serde_json::from_value(value).unwrap();
    let places = Places { scratch: folder.join("scratch"), ..Places::default() };
    std::fs::create_dir_all(&places.scratch).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(flow::run(&job, &places, &Progress::new(&job).unwrap()))
}

fn pipeline(folder: &Path, result: &TrainingResult) -> Vec<u8> {
    std::fs::read(folder.join("out").join(result.digest.trim_start_matches("sha256:")).join("pipeline.json")).unwrap()
}

#[test]
fn a_run_learns_and_the_same_run_is_the_same_model() {
    let (folder, first) = run_with(&table(false), |_| {});
    let first = first.unwrap();
    assert!(first.gates_passed, "{:?}", first.gates);
    assert_eq!((first.rows.train, first.rows.validation, first.rows.test), (960, 240, 240));
    let (_, second) = run_with(&table(false), |value| value["uid"] = json!("another"));
    assert_eq!(first.content_digest, second.unwrap().content_digest);
    // The attempt after one that wrote its result hands that over: nothing is trained, however the data looks by now.
    std::fs::write(folder.path().join("rows.csv"), "").unwrap();
    assert_eq!(run(folder.path(), job(folder.path())).unwrap(), first);
    let report = folder.path().join("out/reports").join(first.report.digest.trim_start_matches("sha256:"));
    let page = std::fs::read_to_string(report.join("report.html")).unwrap();
    assert!(page.contains("asked for at least 0.8") && !page.contains("http"), "the page needs nothing from outside");
}

#[test]
fn i13_transforms_never_see_a_row_outside_train() {
    // A dummy has no threshold to fit: everything in pipeline.json but calibration comes from the train rows.
    let plain = |value: &mut Value| {
        value["spec"]["calibration"] = json!("None");
        value["spec"]["task"]["binaryClassification"].as_object_mut().unwrap().remove("threshold");
        value["spec"]["evaluation"]["gates"] = json!([]);
        // Train rows end before the strange ones begin.
        value["spec"]["data"]["split"] = json!({"byTime": {"validation": "5d", "test": "5d"}});
    };
    let (one, first) = run_with(&table(false), plain);
    let (other, second) = run_with(&table(true), plain);
    assert_eq!(pipeline(one.path(), &first.unwrap()), pipeline(other.path(), &second.unwrap()));
}

#[test]
fn a_run_that_asks_for_a_device_uses_it_or_says_why_it_cannot() {
    let (_folder, result) = run_with(&table(false), |value| value["spec"]["workers"] = json!({"accelerator": {"resource": "nvidia.com/gpu", "count": 1}}));
    match (result, plimsoll_networks::cuda()) {
        (Ok(result), Ok(_)) => assert_eq!(result.device, "Cuda(0)"),
        (Err(error), Err(why)) => {
            assert_eq!((error.reason(), error.exit_code()), ("NoAccelerator", 66));
            assert!(error.to_string().contains("1 x nvidia.com/gpu") && error.to_string().contains(&why.to_string()), "{error}");
        }
        (result, device) => panic!("{device:?}, but the run ended with {result:?}"),
    }
}

#[test]
fn what_cannot_be_trained_says_what_and_where() {
    type Change = fn(&mut Value);
    let table_text = table(false);
    let cases: [(&str, Change, &str, i32, &str); 8] = [
        ("broken SQL", |v| v["spec"]["data"]["query"] = json!("SELECT 1\nFORM rows"), "BadData", 65, "data.query, line 2, column 6: Parser Error"),
        ("a missing column", |v| v["spec"]["features"][0]["name"] = json!("y"), "BadData", 65, "\"y\" (feature); it returns: id, at, x, colour, late"),
        (
            "one class",
            |v| v["spec"]["data"]["query"] = json!("SELECT * REPLACE (0 AS late) FROM rows"),
            "BadData",
            65,
            "label \"late\": every train row has \"0\"",
        ),
        ("keys twice", |v| v["spec"]["data"]["rowKey"] = json!(["colour"]), "BadData", 65, "480 times"),
        ("another file", |v| v["spec"]["data"]["sources"][0]["digest"] = json!(format!("sha256:{}", "0".repeat(64))), "BadData", 65, "the file has changed"),
        (
            "no file",
            |v| v["spec"]["data"]["sources"][0]["uri"] = json!("/nowhere/rows.csv"),
            "ObjectNotFound",
            65,
            "source \"rows\": /nowhere/rows.csv does not exist",
        ),
        ("another's file", |v| v["spec"]["data"]["query"] = json!("SELECT * FROM read_text('/etc/passwd')"), "BadData", 65, "/etc/passwd"),
        (
            "nothing to train on",
            |v| v["spec"]["data"]["split"] = json!({"byTime": {"validation": "50d", "test": "10d"}}),
            "BadSpec",
            64,
            "no time for train rows",
        ),
    ];
    for (what, change, reason, code, named) in cases {
        let (_folder, result) = run_with(&table_text, change);
        let error = result.expect_err(what);
        assert_eq!((error.reason(), error.exit_code()), (reason, code), "{what}: {error}");
        assert!(error.to_string().contains(named), "{what}: {error}");
    }
}

/// Every write to this device fails as on a full disk.
const FULL: &str = "/dev/full";

#[test]
fn a_full_disk_names_the_field_that_gives_more() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rows.csv"), table(false)).unwrap();
    let staged = folder.path().join("scratch/data");
    std::fs::create_dir_all(&staged).unwrap();
    std::os::unix::fs::symlink(FULL, staged.join("rows.csv")).unwrap();
    let mut value = job(folder.path());
    value["spec"]["workers"] = json!({"scratch": {"size": "1Mi"}});
    let error = run(folder.path(), value).unwrap_err();
    assert_eq!((error.reason(), error.exit_code()), ("DiskFull", 80));
    let text = error.to_string();
    assert!(text.starts_with("source \"rows\": ") && text.ends_with("raise workers.scratch.size, which is 1Mi"), "{text}");
}
