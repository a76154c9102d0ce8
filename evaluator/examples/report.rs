//! Writes the reports of invented A/B tests, to look at: `cargo run -p plimsoll-evaluator --example report -- <folder>`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "an example fails like a test")]

#[path = "../tests/common/story.rs"]
mod story;

use std::path::PathBuf;

use plimsoll_evaluator::report::facts::{Facts, facts};
use plimsoll_evaluator::report::input::Test;
use plimsoll_evaluator::report::page;
use plimsoll_evaluator::report::slices::Slices;
use plimsoll_evaluator::state::State;
use plimsoll_stats::experiment::Method;
use serde_json::json;
use story::Story;

fn main() {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| ".".to_owned()));
    let five = vec![("control", 40, 0.9), ("wider", 15, 0.8), ("deeper-and-much-longer-name-30", 15, 0.9), ("smaller", 15, 1.3), ("cheap", 15, 0.9)];
    let stories = [
        ("winner", Story::sliced_winner()),
        ("running", Story { hours: 30, minimum_effect: 0.01, ..Story::sliced_winner() }),
        ("five", Story { name: "five-variants", variants: five, method: Method::AlwaysValid, looks: 30, ..Story::sliced_winner() }),
        ("invalid", Story { name: "invalid", lost: 0.4, hours: 24, ..Story::winner() }),
    ];
    for (file, story) in stories {
        let (state, mut test, slices) = story.sliced();
        write(&folder, file, &test, &state, slices);
        if file == "winner" {
            test["status"] = json!({});
            write(&folder, "new", &test, &State::default(), Slices::default());
        }
    }
}

fn write(folder: &std::path::Path, file: &str, test: &serde_json::Value, state: &State, slices: Slices) {
    let name = test["metadata"]["name"].as_str().unwrap();
    let facts = Facts { slices: Some(slices), ..facts(&Test::parse(name, test.to_string().as_bytes()).unwrap(), state) };
    std::fs::write(folder.join(format!("{file}.html")), page(&facts)).unwrap();
    std::fs::write(folder.join(format!("{file}.json")), serde_json::to_string_pretty(&facts).unwrap()).unwrap();
    println!("{file}: {}", facts.summary);
}
