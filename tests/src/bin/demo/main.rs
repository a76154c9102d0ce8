//! The whole story on a real cluster, with real flights. Every line is read from the API server's objects, the callers'
//! answers or the audit log, never from what this program believes.

#![expect(clippy::indexing_slicing, reason = "a JSON value that lacks a field is null; it does not panic")]

mod chapters;
mod experiments;
mod record;
mod table;

use std::time::Instant;

use anyhow::Context;
use clap::Parser;
use plimsoll_tests::outcomes::Reporters;
use plimsoll_tests::stage::Stage;
use plimsoll_tests::team::Team;
use plimsoll_tests::traffic::Traffic;
use record::Recorder;

/// The namespace of the story.
const NAMESPACE: &str = "flights";
/// Calls a second.
const RATE: u32 = 300;

/// Runs the demo on the local cluster `demo`, which is running. PLIMSOLL_CLUSTER names another one, PLIMSOLL_KUBECONFIG any cluster; `--until a` installs the charts only.
#[derive(Parser)]
struct Arguments {
    /// How long Prometheus is away in chapter i.
    #[arg(long, default_value_t = 180)]
    outage_seconds: u64,
    /// The last chapter that is told.
    #[arg(long, default_value = "i")]
    until: String,
}

type Chapter = fn(&mut Demo) -> anyhow::Result<String>;

/// Everybody and everything in the story.
struct Demo {
    arguments: Arguments,
    stage: Stage,
    /// Its people, once the namespace is there.
    team: Option<Team>,
    traffic: Option<Traffic>,
    /// From the first ModelDeployment on.
    recorder: Option<Recorder>,
    /// From chapter e to f: the people who call the tested deployments.
    callers: Vec<Reporters>,
    /// The revision with the faulty runtime, once it is known.
    faulty: String,
    rows: Vec<String>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let until = arguments.until.clone();
    let mut demo = Demo::new(arguments)?;
    let chapters: [(&str, Chapter); 9] = [
        ("a", Demo::prepare),
        ("b", Demo::train_first),
        ("c", Demo::approve_first),
        ("d", Demo::serve),
        ("e", Demo::canary),
        ("f", Demo::experiments),
        ("g", Demo::drift),
        ("h", Demo::faulty_runtime),
        ("i", Demo::outage),
    ];
    for (letter, chapter) in chapters.into_iter().filter(|(letter, _)| *letter <= until.as_str()) {
        demo.tell(letter, chapter);
    }
    if demo.traffic.is_some() {
        demo.tell("j", Demo::finish);
    }
    table::goodbye(&demo.stage, NAMESPACE);
    Ok(())
}

impl Demo {
    fn new(arguments: Arguments) -> anyhow::Result<Self> {
        Ok(Self {
            arguments,
            stage: Stage::of_journeys()?,
            team: None,
            traffic: None,
            recorder: None,
            callers: Vec::new(),
            faulty: String::new(),
            rows: Vec::new(),
        })
    }

    fn team(&self) -> anyhow::Result<&Team> {
        self.team.as_ref().context("chapter a makes the namespace")
    }

    /// Tells a chapter; one that fails ends the story.
    fn tell(&mut self, letter: &str, chapter: Chapter) {
        let start = Instant::now();
        match chapter(self) {
            Ok(what) => {
                let seconds = start.elapsed().as_secs();
                println!("ok {letter} {what} {seconds}");
                self.rows.push(format!("| {letter} | {what} | {seconds} |"));
            }
            Err(error) => {
                println!("FAILED {letter} {error:#}");
                std::process::exit(1);
            }
        }
    }

    /// j: the tables, and who failed.
    fn finish(&mut self) -> anyhow::Result<String> {
        let (mut traffic, recorder) =
            (self.traffic.take().context("chapter d starts the traffic")?, self.recorder.take().context("chapter d begins to record")?);
        traffic.stop()?;
        let team = self.team()?;
        println!("\n| chapter | what | seconds |\n|---|---|---|\n{}", self.rows.join("\n"));
        println!("\n{}\n{}\n{}", table::versions(team)?, table::over_time(&recorder), table::decisions(&team.get("modeldeployment/flight-delay")?));
        println!("{}", table::calls(team, &traffic.counts(), &self.faulty)?);
        Ok("no call failed except those that the faulty runtime answered; callers and routers counted the same".to_owned())
    }
}
