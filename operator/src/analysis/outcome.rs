//! The check `outcome`: whether a revision tells more about what came true than the base rate does, as its evaluator counted.
//!
//! All of the revision's predictions count that no ABTest chose it for, whenever they were made: the same revision is the same model, and
//! what it said in an earlier rollout was said by it. This module must not know how it is asked.

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::Client;
use plimsoll_crds::model_deployment::{OutcomeCheck, SkillMetric};
use plimsoll_stats::{Loss, Scored, Skill, SkillRule, Verdict, skill};
use serde::Deserialize;

use super::Look;
use super::source::SourceError;
use crate::evaluator::{QUALITY, ask};

/// Asks the evaluator, and judges.
pub async fn look(client: &Client, look: &Look, check: &OutcomeCheck) -> Result<(Verdict, String), SourceError> {
    let answer = ask(client, &look.namespace, &look.deployment, QUALITY).await.map_err(|why| SourceError::Evaluator { why })?;
    judge(&answer, look, check)
}

/// The answer of `GET /v1/quality`, as far as the check needs it.
#[derive(Debug, Deserialize)]
struct Answer {
    arms: Vec<Arm>,
}

/// One revision, by itself or as a variant of an ABTest.
#[derive(Debug, Deserialize)]
struct Arm {
    revision: String,
    #[serde(default)]
    variant: String,
    quality: Counted,
    /// An evaluator of a release that had none for revisions leaves them out.
    #[serde(default)]
    buckets: Vec<Sums>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Counted {
    /// Predictions whose window has closed.
    mature: u64,
    /// The share of positive outcomes, or the mean outcome.
    base_rate: Option<f64>,
    /// A classification has one.
    log_loss: Option<f64>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sums {
    count: u64,
    log_loss: f64,
    squared: f64,
    #[serde(default)]
    truth: f64,
    #[serde(default)]
    truth_squared: f64,
}

fn judge(answer: &Answer, look: &Look, check: &OutcomeCheck) -> Result<(Verdict, String), SourceError> {
    let revision = &look.of.candidate.revision;
    let arm = answer.arms.iter().find(|arm| arm.revision == *revision && arm.variant.is_empty()).filter(|arm| arm.quality.mature > 0);
    let Some(arm) = arm else { return Ok((Verdict::NoData, format!("no prediction of {revision} counts yet{}", first_at(look)))) };
    if arm.quality.base_rate.is_none() {
        let mature = arm.quality.mature;
        return Ok((Verdict::NoData, format!("{mature} predictions of {revision} count, and nobody reported an outcome of any in time")));
    }
    if arm.buckets.is_empty() {
        let why =
            "the evaluator is of a release that keeps no sums by bucket for revisions; a change of spec.outcomes.resources starts the present one".to_owned();
        return Err(SourceError::Evaluator { why });
    }
    if check.metric != SkillMetric::MeanSquaredError && arm.quality.log_loss.is_none() {
        return Ok((
            Verdict::NoData,
            format!("{} is for models that answer with a probability, and outcomes here are numbers: ask for meanSquaredError", check.metric.name()),
        ));
    }
    let buckets: Vec<Scored> = arm.buckets.iter().map(|sums| sums.of(check.metric)).collect();
    let rule = SkillRule {
        loss: loss(check.metric),
        minimum: check.minimum_skill,
        outcomes: u64::try_from(check.minimum_outcomes()).unwrap_or(0),
        alpha: check.alpha(),
    };
    let found = skill(&buckets, rule);
    Ok((found.verdict, sentence(&found, rule, check.metric)))
}

/// When outcomes begin to count: until then nobody needs to look for a mistake.
fn first_at(look: &Look) -> String {
    let window = look.maturity.and_then(|maturity| SignedDuration::try_from(maturity).ok());
    let first = window.and_then(|window| look.of.candidate.since.checked_add(window).ok()).and_then(whole_seconds);
    first.map_or_else(String::new, |first| format!(": each does when its outcome may come no longer, the first ones of this step from {first} on"))
}

fn whole_seconds(time: Timestamp) -> Option<Timestamp> {
    Timestamp::from_second(time.as_second()).ok()
}

fn sentence(found: &Skill, rule: SkillRule, metric: SkillMetric) -> String {
    let rate = found.base_rate.map_or_else(String::new, |rate| format!(", base rate {rate:.3}"));
    let value = found.value.map_or_else(|| "not defined".to_owned(), |value| format!("{value:.3}"));
    let between = match found.bounds {
        Some(bounds) => format!("between {:.3} and {:.3} at alpha {}", bounds.lower, bounds.upper, rule.alpha),
        None if found.outcomes < rule.outcomes => format!("not judged before {} outcomes", rule.outcomes),
        None => "not judged yet: outcomes of both kinds and of several users are too few".to_owned(),
    };
    format!("skill by {} is {value} ({} outcomes{rate}), {between}; asked for is {}", metric.name(), found.outcomes, rule.minimum)
}

fn loss(metric: SkillMetric) -> Loss {
    match metric {
        SkillMetric::LogLoss => Loss::Logarithm,
        SkillMetric::Brier => Loss::Brier,
        SkillMetric::MeanSquaredError => Loss::Square,
    }
}

impl Sums {
    fn of(&self, metric: SkillMetric) -> Scored {
        let loss = match metric {
            SkillMetric::LogLoss => self.log_loss,
            SkillMetric::Brier | SkillMetric::MeanSquaredError => self.squared,
        };
        Scored { count: self.count, loss, truth: self.truth, truth_squared: self.truth_squared }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::analysis::{Comparison, Window};

    fn at(time: &str) -> Timestamp {
        time.parse().unwrap()
    }

    fn about(revision: &str) -> Look {
        let window = |revision: &str| Window { revision: revision.into(), since: at("2026-01-01T01:00:00.5Z") };
        Look {
            namespace: "n".into(),
            deployment: "d".into(),
            of: Comparison { candidate: window(revision), stable: window("old") },
            began: at("2026-01-01T00:30:00Z"),
            number: 1,
            maturity: Some(std::time::Duration::from_secs(21_600)),
            checks: vec![],
        }
    }

    /// 64 buckets of ten, three of them positive; losses differ a little.
    fn arm(revision: &str, variant: &str, log_loss: f64, squared: f64) -> Value {
        let bucket = |place: u32| {
            let around = 1.0 + 0.02 * (f64::from(place % 5) - 2.0);
            json!({"count": 10, "logLoss": 10.0 * log_loss * around, "squared": 10.0 * squared * around, "absolute": 4.0, "wrong": 2, "truth": 3.0, "truthSquared": 3.0})
        };
        json!({"revision": revision, "variant": variant, "predictions": 900, "units": 0, "labelledUnits": 0, "history": [],
            "quality": {"mature": 700, "contradicted": 0, "baseRate": 0.3, "logLoss": log_loss}, "buckets": (0..64).map(bucket).collect::<Vec<_>>()})
    }

    fn said(arms: &[Value], check: &Value) -> Result<(Verdict, String), SourceError> {
        let answer = serde_json::from_value(json!({"countedUntilUnixMs": 7, "counts": {}, "arms": arms})).unwrap();
        judge(&answer, &about("new"), &serde_json::from_value(check.clone()).unwrap())
    }

    #[test]
    fn a_revision_that_tells_less_than_is_asked_fails() {
        let asked = |metric: &str| json!({"metric": metric, "versus": "BaseRate", "minimumSkill": 0.05});
        let others = || [arm("old", "", 0.1, 0.01), arm("new", "t.1.a", 0.1, 0.01)];
        let with = |of: Value| [others().as_slice(), &[of]].concat();
        let changed = |pointer: &str, value: Value| {
            let mut arm = arm("new", "", 0.4, 0.1);
            *arm.pointer_mut(pointer).unwrap() = value;
            arm
        };
        let table = [
            ("good", arm("new", "", 0.4, 0.12), asked("logLoss"), Verdict::Pass, "skill by logLoss is 0.346 (640 outcomes, base rate 0.300), between 0.3"),
            ("bad", arm("new", "", 0.7, 0.12), asked("logLoss"), Verdict::Fail, "asked for is 0.05"),
            ("at the edge", arm("new", "", 0.5804, 0.12), asked("logLoss"), Verdict::TooLittle, "between 0.0"),
            ("good by another metric", arm("new", "", 0.7, 0.12), asked("brier"), Verdict::Pass, "skill by brier is 0.429"),
            ("squared errors", arm("new", "", 0.7, 0.12), asked("meanSquaredError"), Verdict::Pass, "skill by meanSquaredError is 0.429"),
            ("only others", arm("newer", "", 0.4, 0.12), asked("logLoss"), Verdict::NoData, "no prediction of new counts yet: "),
            ("no outcome", changed("/quality/baseRate", Value::Null), asked("logLoss"), Verdict::NoData, "700 predictions of new count, and nobody reported"),
            ("no window closed", changed("/quality/mature", json!(0)), asked("logLoss"), Verdict::NoData, "from 2026-01-01T07:00:00Z on"),
            ("numbers", changed("/quality/logLoss", Value::Null), asked("logLoss"), Verdict::NoData, "ask for meanSquaredError"),
        ];
        for (name, arm, check, verdict, words) in table {
            let found = said(&with(arm), &check).unwrap();
            assert!(found.0 == verdict && found.1.contains(words), "{name}: {found:?}");
        }
        let more = json!({"metric": "logLoss", "versus": "BaseRate", "minimumSkill": 0.05, "minimumOutcomes": 641});
        let found = said(&with(arm("new", "", 0.4, 0.12)), &more).unwrap();
        assert!(found.0 == Verdict::TooLittle && found.1.contains("not judged before 641 outcomes"), "{found:?}");
    }

    #[test]
    fn an_evaluator_that_keeps_nothing_of_revisions_is_no_verdict() {
        let mut old = arm("new", "", 0.7, 0.3);
        old.as_object_mut().unwrap().remove("buckets");
        let error = said(&[old], &json!({"metric": "logLoss", "versus": "BaseRate", "minimumSkill": 0.05})).unwrap_err().to_string();
        assert!(error.contains("outcomes cannot be judged: the evaluator is of a release"), "{error}");
    }
}
