//! Data that does not fit the spec: found by the trainer, and not tried again.

use plimsoll_tests::cluster::text;
use plimsoll_tests::stage::Stage;
use plimsoll_tests::team::Team;
use serde_json::json;

use super::{fail, job, says};

#[test]
#[ignore = "needs a cluster"]
fn a_missing_column_is_named_with_those_that_are_there() {
    let team = Team::visit(&Stage::of_journeys().unwrap(), "column").unwrap();
    let job = job(&team, "column", |spec| spec["features"][4]["name"] = json!("wind_speed"));
    let ended = fail(&team, &job);
    says(&ended, "Failed", "True", "Permanent", &["BadData", "\"wind_speed\" (feature)", "it returns: carrier, flight, origin, dest"]);
    says(&ended, "Ready", "False", "Permanent", &["\"wind_speed\""]);
    assert_eq!(ended["status"]["attempts"].as_array().unwrap().len(), 1, "the same would happen again");
}

#[test]
#[ignore = "needs a cluster"]
fn a_label_with_one_class_is_named_with_its_value() {
    let team = Team::visit(&Stage::of_journeys().unwrap(), "class").unwrap();
    let job = job(&team, "class", |spec| {
        let query = text(spec, "/data/query").replace("f.arr_delay > 15", "f.arr_delay > 100000");
        spec["data"]["query"] = json!(query);
    });
    says(&fail(&team, &job), "Failed", "True", "Permanent", &["BadData", "label \"late\": every train row has \"0\"", "both classes"]);
}

#[test]
#[ignore = "needs a cluster"]
fn a_query_that_is_no_sql_is_told_by_line_and_column() {
    let team = Team::visit(&Stage::of_journeys().unwrap(), "sql").unwrap();
    let job = job(&team, "sql", |spec| {
        let query = text(spec, "/data/query").replace("FROM flights f", "FORM flights f");
        spec["data"]["query"] = json!(query);
    });
    says(&fail(&team, &job), "Failed", "True", "Permanent", &["BadData", "data.query, line 4, column 1: Parser Error", "\"FORM\""]);
}

#[test]
#[ignore = "needs a cluster"]
fn a_source_that_is_not_the_pinned_file_is_named_with_both_digests() {
    let team = Team::visit(&Stage::of_journeys().unwrap(), "pin").unwrap();
    let pinned = format!("sha256:{}", "0".repeat(64));
    let job = job(&team, "pin", |spec| spec["data"]["sources"][0]["digest"] = json!(pinned));
    says(
        &fail(&team, &job),
        "Failed",
        "True",
        "Permanent",
        &["BadData", "source \"flights\": s3://data/flights.csv has digest sha256:", &format!("the spec pins {pinned}")],
    );
}
