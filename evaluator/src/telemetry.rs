//! What Prometheus sees: made anew from what has been counted, so it is right after a restart, too.

use prometheus::{CounterVec, GaugeVec, Opts, Registry, TextEncoder};

use crate::quality::{Quality, real};
use crate::settings::Task;
use crate::state::State;
use crate::tally::Tally;

/// A registry that is filled once.
struct Page(Registry);

impl Page {
    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<CounterVec, prometheus::Error> {
        let counters = CounterVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(counters.clone()))?;
        Ok(counters)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<GaugeVec, prometheus::Error> {
        let gauges = GaugeVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(gauges.clone()))?;
        Ok(gauges)
    }
}

/// Every metric in the text format, labelled with the deployment.
///
/// # Errors
/// Two metrics have one name.
pub fn render(state: &State, task: Task, deployment: (&str, &str), refused: &[(&str, u64)]) -> Result<String, prometheus::Error> {
    let labels = [("namespace", deployment.0), ("deployment", deployment.1)].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let page = Page(Registry::new_custom(None, Some(labels.into()))?);
    records(&page, state)?;
    strangers(&page, refused)?;
    arms(&page, state, task)?;
    metrics(&page, state, task)?;
    TextEncoder::new().encode_to_string(&page.0.gather())
}

fn records(page: &Page, state: &State) -> Result<(), prometheus::Error> {
    let counters = page.counters("plimsoll_evaluator_records_total", "Predictions and outcomes by what became of them.", &["kind", "fate"])?;
    for (kind, fates) in [("prediction", state.counts.predictions), ("outcome", state.counts.outcomes)] {
        for (fate, count) in fates.named().into_iter().filter(|(fate, _)| kind == "outcome" || *fate != "early") {
            counters.with_label_values(&[kind, fate]).inc_by(real(count));
        }
    }
    counters.with_label_values(&["outcome", "unknown"]).inc_by(real(state.counts.unknown));
    counters.with_label_values(&["prediction", "unpaired"]).inc_by(real(state.counts.unpaired));
    let closed = page.gauges("plimsoll_evaluator_counted_until_seconds", "Predictions made until then have been counted, in seconds since 1970.", &[])?;
    #[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "a time")]
    closed.with_label_values::<&str>(&[]).set(state.closed as f64 / 1000.0);
    Ok(())
}

/// Who was not believed, since this process began.
fn strangers(page: &Page, refused: &[(&str, u64)]) -> Result<(), prometheus::Error> {
    let calls =
        page.counters("plimsoll_evaluator_unauthorized_total", "Calls that would hand over records, and did not prove who they are, by reason.", &["reason"])?;
    for (reason, count) in refused {
        calls.with_label_values(&[reason]).inc_by(real(*count));
    }
    Ok(())
}

/// What adds up: `rate()` over any span gives the metric of that span.
fn arms(page: &Page, state: &State, task: Task) -> Result<(), prometheus::Error> {
    let labels = ["revision", "variant"];
    let mature = page.counters(
        "plimsoll_mature_predictions_total",
        "Predictions whose window has closed, by what is known of their outcome.",
        &["revision", "variant", "outcome"],
    )?;
    let log_loss = page.counters("plimsoll_log_loss_total", "Sum of log losses of predictions with an outcome.", &labels)?;
    let squared = page.counters("plimsoll_squared_error_total", "Sum of squared errors (Brier scores) of predictions with an outcome.", &labels)?;
    let wrong = page.counters("plimsoll_wrong_answers_total", "Answers that were not what came true.", &labels)?;
    let positive = page.counters("plimsoll_positive_outcomes_total", "Outcomes of a classification that were positive.", &labels)?;
    let units = page.gauges("plimsoll_units", "Units assigned to a variant of an ABTest.", &labels)?;
    for (arm, counted) in &state.arms {
        let (labels, total) = ([arm.revision.as_str(), arm.variant.as_str()], &counted.total);
        for (known, count) in [("known", total.losses.count), ("missing", total.missing), ("contradicted", total.contradicted)] {
            mature.with_label_values(&[labels[0], labels[1], known]).inc_by(real(count));
        }
        log_loss.with_label_values(&labels).inc_by(total.losses.log_loss.value());
        squared.with_label_values(&labels).inc_by(total.losses.squared.value());
        wrong.with_label_values(&labels).inc_by(real(total.losses.wrong));
        if task == Task::BinaryClassification {
            positive.with_label_values(&labels).inc_by(total.truth.value());
        }
        if !arm.variant.is_empty() {
            units.with_label_values(&labels).set(real(counted.units));
        }
    }
    Ok(())
}

/// What does not add up, over the predictions that are kept.
fn metrics(page: &Page, state: &State, task: Task) -> Result<(), prometheus::Error> {
    let gauges = page.gauges(
        "plimsoll_quality",
        "Metrics of the model over the predictions that are kept and whose window has closed.",
        &["revision", "variant", "metric"],
    )?;
    for (place, (arm, _)) in state.arms.iter().enumerate() {
        let mut kept = Tally::default();
        for (_, tally) in state.cells.range((place, i64::MIN)..=(place, i64::MAX)) {
            kept.merge(tally);
        }
        if let Ok(serde_json::Value::Object(quality)) = serde_json::to_value(Quality::of(&kept, task)) {
            for (metric, value) in quality.iter().filter_map(|(metric, value)| Some((metric, value.as_f64()?))) {
                gauges.with_label_values(&[arm.revision.as_str(), &arm.variant, metric]).set(value);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Arm, Outcome, Prediction};

    #[test]
    fn names_of_metrics_are_api() {
        let mut state = State { closed: 1_500, ..State::default() };
        state.counts.outcomes.late = 3;
        let arm = std::sync::Arc::new(Arm { revision: "r1".into(), variant: "treatment".into() });
        let place = state.arm(&arm);
        let prediction = Prediction { arm, unit: None, value: 0.75, positive: true, weight: 1.0, features: String::new() };
        let mut tally = Tally::default();
        tally.add(&prediction, Some(Outcome { value: 1.0, at: 0 }), Task::BinaryClassification);
        tally.add(&prediction, None, Task::BinaryClassification);
        state.arms[place].1.total = tally.clone();
        state.cells.insert((place, 0), tally);
        let page = render(&state, Task::BinaryClassification, ("flights", "delay"), &[("no_token", 2), ("expired", 0)]).unwrap();
        // The page's labels come in no order.
        let of = "deployment=\"delay\",namespace=\"flights\"";
        let page = page.replace("namespace=\"flights\",deployment=\"delay\"", of);
        let arm = format!("revision=\"r1\",variant=\"treatment\",{of}");
        for line in [
            format!("plimsoll_evaluator_records_total{{fate=\"late\",kind=\"outcome\",{of}}} 3"),
            format!("plimsoll_evaluator_counted_until_seconds{{{of}}} 1.5"),
            format!("plimsoll_evaluator_unauthorized_total{{reason=\"no_token\",{of}}} 2"),
            format!("plimsoll_evaluator_unauthorized_total{{reason=\"expired\",{of}}} 0"),
            format!("plimsoll_mature_predictions_total{{outcome=\"missing\",{arm}}} 1"),
            format!("plimsoll_squared_error_total{{{arm}}} 0.0625"),
            format!("plimsoll_quality{{metric=\"labelCompleteness\",{arm}}} 0.5"),
            format!("plimsoll_quality{{metric=\"brier\",{arm}}} 0.0625"),
        ] {
            assert!(page.contains(&line), "{line} is not in\n{page}");
        }
        assert!(!page.contains("metric=\"auc\""), "what is not defined is not shown");
    }
}
