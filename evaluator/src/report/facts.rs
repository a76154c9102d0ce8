//! Everything that a report shows, as numbers: the JSON, and all that the page is made from. Pure.

use serde::Serialize;

use super::arms::{Counted, counted};
use super::chance::{self, Now, SampleRatio};
use super::found::{Comparison, Condition, Look, Status, TestPlan};
use super::input::{Design, Direction, Guardrail, Metric, Mode, Test};
use super::slices::Slices;
use super::words::{grouped, part};
use crate::state::State;

/// What is reported.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// The test's name.
    pub name: String,
    /// Where it is.
    pub namespace: String,
    /// Which of that name.
    pub uid: String,
    /// When it was made.
    pub created_at: Option<String>,
    /// When users were assigned first.
    pub started_at: Option<String>,
    /// When it ended.
    pub ended_at: Option<String>,
    /// NotStarted, Running, Paused, Ended; or the verdict.
    pub phase: String,
    /// How it ended.
    pub verdict: Option<String>,
    /// The variant that is better.
    pub winner: Option<String>,
    /// What is known, in a sentence or two.
    pub summary: String,
    /// Whether users are split.
    pub mode: Mode,
    /// What was asked.
    pub question: Question,
    /// How it is judged.
    pub design: Design,
    /// What the test takes, as was said before it began.
    pub plan: Option<TestPlan>,
    /// How long outcomes are waited for.
    pub maturity_seconds: Option<i64>,
    /// The chance of error of each comparison with the control.
    pub alpha_of_a_treatment: f64,
    /// Predictions made until then are in the counts, in milliseconds.
    pub counted_until_unix_ms: i64,
    /// The part of the planned units that is there now.
    pub information: f64,
    /// The control first.
    pub variants: Vec<Variant>,
    /// Each treatment against the control.
    pub treatments: Vec<Treatment>,
    /// What must not get worse.
    pub guardrails: Vec<Guardrail>,
    /// Whether users fell on variants as planned.
    pub sample_ratio: Option<SampleRatio>,
    /// What the operator says.
    pub conditions: Vec<Condition>,
    /// How variants differ for parts of the traffic; absent where records were not read.
    pub slices: Option<Slices>,
}

/// What was asked.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Question {
    /// Whose traffic is split.
    pub deployment: String,
    /// The header that names a user.
    pub header: Option<String>,
    /// What decides.
    pub metric: Metric,
    /// Where better is.
    pub direction: Direction,
    /// The smallest difference that matters.
    pub minimum_effect: f64,
}

/// What was counted of a variant.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Variant {
    /// Its name.
    pub name: String,
    /// What answers.
    pub model_version: String,
    /// Its planned share.
    pub share: f64,
    /// What was counted.
    #[serde(flatten)]
    pub counted: Counted,
}

/// A treatment against the control.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Treatment {
    /// The treatment.
    pub variant: String,
    /// As of now; absent where too little is known.
    pub now: Option<Now>,
    /// At each look that saw it.
    pub looks: Vec<Seen>,
}

/// What one look saw of a treatment.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    /// Which of the planned looks.
    pub number: u32,
    /// When.
    pub at: String,
    /// Predictions made until then were counted.
    pub counted_until_unix_ms: i64,
    /// The part of the planned units that was there.
    pub information: f64,
    /// Users with an outcome: of the control.
    pub control_units: u64,
    /// Of the treatment.
    pub treatment_units: u64,
    /// What was seen.
    #[serde(flatten)]
    pub comparison: Comparison,
}

/// What is reported of a test.
pub fn facts(test: &Test, state: &State) -> Facts {
    let status = test.status.clone().unwrap_or_default();
    let variants: Vec<Variant> = test.spec.variants.iter().zip(chance::shares(test)).map(|(variant, share)| variant_of(test, variant, share, state)).collect();
    let counted: Vec<&Counted> = variants.iter().map(|variant| &variant.counted).collect();
    let known = chance::known(test, &counted);
    let treatments = test.spec.variants.iter().enumerate().skip(1).zip(known.now);
    let treatments = treatments.map(|((place, variant), now)| Treatment { variant: variant.name.clone(), now, looks: looks_of(&status, place, &variant.name) });
    Facts {
        treatments: treatments.collect(),
        phase: phase(test, &status),
        summary: summary(test, &status, known.information),
        sample_ratio: known.sample_ratio,
        name: test.metadata.name.clone(),
        namespace: test.metadata.namespace.clone(),
        uid: test.metadata.uid.clone(),
        created_at: test.metadata.creation_timestamp.clone(),
        question: Question {
            deployment: test.spec.deployment.clone(),
            header: test.spec.unit.as_ref().map(|unit| unit.header.clone()),
            metric: test.spec.primary.metric.outcome,
            direction: test.spec.primary.direction,
            minimum_effect: test.spec.primary.minimum_detectable_effect,
        },
        mode: test.spec.mode,
        design: test.spec.design.clone(),
        plan: status.plan,
        maturity_seconds: status.maturity_seconds,
        alpha_of_a_treatment: chance::design(test).alpha_of_a_treatment(),
        counted_until_unix_ms: state.closed,
        guardrails: test.spec.guardrails.clone().unwrap_or_default(),
        started_at: status.started_at,
        ended_at: status.ended_at,
        verdict: status.verdict,
        winner: status.winner,
        conditions: status.conditions,
        information: known.information,
        variants,
        // Not of what was counted: whoever has records adds them.
        slices: None,
    }
}

fn variant_of(test: &Test, of: &super::input::Variant, share: f64, state: &State) -> Variant {
    Variant { name: of.name.clone(), model_version: of.model_version.clone(), share, counted: counted(test, &of.name, state) }
}

/// A treatment at every look that saw it.
fn looks_of(status: &Status, place: usize, variant: &str) -> Vec<Seen> {
    let seen = |look: &Look| {
        let comparison = look.comparisons.iter().find(|comparison| comparison.variant == variant)?.clone();
        Some(Seen {
            number: look.number,
            at: look.at.clone(),
            counted_until_unix_ms: look.counted_until,
            information: look.information,
            control_units: look.units.first().copied().unwrap_or_default(),
            treatment_units: look.units.get(place).copied().unwrap_or_default(),
            comparison,
        })
    };
    status.looks.iter().filter_map(seen).collect()
}

fn phase(test: &Test, status: &Status) -> String {
    let phase = match (&status.verdict, &status.ended_at, &status.started_at) {
        (Some(verdict), _, _) => verdict,
        (None, Some(_), _) => "Ended",
        (None, None, _) if test.spec.paused => "Paused",
        (None, None, Some(_)) => "Running",
        (None, None, None) => "NotStarted",
    };
    phase.to_owned()
}

/// The verdict in the operator's words; before there is one, how far the test is.
fn summary(test: &Test, status: &Status, information: f64) -> String {
    if let Some(summary) = status.summary.as_ref().filter(|summary| !summary.is_empty()) {
        return summary.clone();
    }
    match status.verdict.as_deref() {
        Some("Winner") => format!("{} wins.", status.winner.as_deref().unwrap_or("A variant")),
        Some("NoDifference") => "No variant differs by as much as matters.".to_owned(),
        Some("Inconclusive") => "The test ended before it could tell.".to_owned(),
        Some("Invalid") => "What was counted cannot be trusted: the test says nothing about its variants.".to_owned(),
        Some(other) => format!("The test ended: {other}."),
        None if status.ended_at.is_some() => "The test ended without a verdict.".to_owned(),
        None if status.started_at.is_none() => "No user has been assigned to a variant yet.".to_owned(),
        None => {
            let look = status.looks.last().map_or(0, |look| look.number);
            let units = test.spec.design.maximum_units_per_variant;
            format!(
                "Not decided yet. Looks so far: {look} of {}. Of the {} users with an outcome for each variant that are planned at most, {} are there.",
                test.spec.design.looks,
                grouped(units),
                part(information)
            )
        }
    }
}
