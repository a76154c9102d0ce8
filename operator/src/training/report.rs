//! The conditions of a TrainingJob.

use plimsoll_crds::condition::{ConditionType, Fact};
use plimsoll_crds::training_job::result::TrainingResult;

/// Where a run stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// The spec cannot be carried out.
    Refused(String),
    /// Held by its author.
    Suspended,
    /// An attempt is under way, or about to be.
    Running {
        /// Which one.
        number: i32,
        /// How it stands.
        message: String,
    },
    /// No attempt is left, or trying again would not help.
    Failed {
        /// A PascalCase word.
        reason: &'static str,
        /// What to do.
        message: String,
    },
    /// There is a result, and its ModelVersion is about to be made.
    Finished(Box<TrainingResult>),
    /// There is a result, and what follows from it has happened.
    Recorded(Box<TrainingResult>),
}

/// The conditions of a stage.
pub fn facts(stage: &Stage) -> Vec<Fact> {
    use ConditionType::{Accepted, Complete, Failed, GatesPassed, Ready, Running, Stalled, Suspended};
    let accepted = Fact::new(Accepted, true, "Valid", "the spec was understood");
    match stage {
        Stage::Refused(why) => vec![
            Fact::new(Accepted, false, "BadSpec", why),
            Fact::new(Ready, false, "BadSpec", why),
            Fact::new(Stalled, true, "BadSpec", why),
        ],
        Stage::Suspended => vec![
            accepted,
            Fact::new(Suspended, true, "Suspended", "spec.run.suspend is true"),
            Fact::new(Ready, false, "Suspended", "set spec.run.suspend to false to go on"),
        ],
        Stage::Running { number, message } => vec![
            accepted,
            Fact::new(Running, true, "Training", format!("attempt {number}: {message}")),
            Fact::new(Ready, false, "Training", format!("attempt {number}: {message}")),
        ],
        Stage::Failed { reason, message } => vec![
            accepted,
            Fact::new(Running, false, "Ended", "no attempt is running"),
            Fact::new(Failed, true, reason, message),
            Fact::new(Ready, false, reason, message),
            Fact::new(Stalled, true, reason, message),
        ],
        Stage::Finished(result) | Stage::Recorded(result) => {
            let recorded = matches!(stage, Stage::Recorded(_));
            let gates = gates(result);
            let ready = match (result.gates_passed, recorded) {
                (true, true) => Fact::new(Ready, true, "ModelVersionCreated", format!("ModelVersion {}", result.model_version)),
                (true, false) => Fact::new(Ready, false, "Recording", "the ModelVersion is being made"),
                (false, _) => Fact::new(Ready, false, "GatesFailed", gates.clone()),
            };
            let mut facts = vec![
                accepted,
                Fact::new(Running, false, "Ended", "no attempt is running"),
                Fact::new(Complete, true, "ResultWritten", format!("artifact {}", result.digest)),
                Fact::new(GatesPassed, result.gates_passed, if result.gates_passed { "Passed" } else { "GatesFailed" }, gates.clone()),
                ready,
            ];
            if !result.gates_passed {
                facts.push(Fact::new(Stalled, true, "GatesFailed", gates));
            }
            facts
        }
    }
}

fn gates(result: &TrainingResult) -> String {
    let word = |passed: bool| if passed { "passed" } else { "failed" };
    if result.gates.is_empty() {
        return "there are no gates".to_owned();
    }
    result.gates.iter().map(|gate| format!("{} {}", word(gate.passed), gate.message)).collect::<Vec<_>>().join("; ")
}
