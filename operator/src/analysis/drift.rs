//! The check `drift`: what callers send, and what is predicted, beside the training data.

use std::collections::BTreeMap;

use plimsoll_crds::model_deployment::{DriftCheck, DriftOf};
use plimsoll_stats::{Arm, DriftBounds, Psi, Verdict, excess, psi_bounds};

use super::source::{Series, Source, SourceError};
use super::{Look, Window};

/// The chance of a false Fail over all features and all looks of a step together.
const ALPHA: f64 = 0.001;
/// The name under which the prediction appears beside features.
pub const PREDICTION: &str = "prediction";

/// One feature's distance from the training data.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureDrift {
    /// The feature, or `prediction`.
    pub feature: String,
    /// The candidate's index.
    pub candidate: Option<Psi>,
    /// The stable revision's index, where there is one.
    pub stable: Option<Option<Psi>>,
}

/// Judges a drift check.
pub async fn look(source: &Source, look: &Look, check: &DriftCheck) -> Result<(Verdict, String), SourceError> {
    let stable = check.versus_stable.then_some(&look.of.stable);
    let measured = measure(source, (&look.namespace, &look.deployment), (&look.of.candidate, stable), spent(look.number)).await?;
    // A feature that the stable model does not have has nothing to be compared with: what the world changed would not cancel out.
    let common = measured.into_iter().filter(|drift| stable.is_none() || drift.stable.is_some());
    let chosen = common.filter(|drift| match check.of {
        DriftOf::Features => drift.feature != PREDICTION && !check.exclude.contains(&drift.feature),
        DriftOf::Predictions => drift.feature == PREDICTION,
    });
    let minimum = u64::try_from(check.minimum_samples).unwrap_or(1);
    let judged: Vec<_> = chosen.map(|drift| (excess(drift.candidate, drift.stable, check.threshold, minimum), drift)).collect();
    Ok(fold(&judged, check.threshold))
}

/// The part of the chance that this look may use up: 1/2, 1/6, 1/12 and so on, which sum to 1 however often is looked.
#[expect(clippy::as_conversions, reason = "looks of one step")]
fn spent(number: u64) -> f64 {
    let number = number.max(1) as f64;
    ALPHA / (number * (number + 1.0))
}

/// Fail if any fails, Pass if all pass; the worst feature is named.
fn fold(judged: &[(DriftBounds, FeatureDrift)], threshold: f64) -> (Verdict, String) {
    let Some((worst, drift)) = judged.iter().max_by(|a, b| a.0.lower.total_cmp(&b.0.lower).then(a.0.upper.total_cmp(&b.0.upper))) else {
        return (Verdict::NoData, "no buckets are counted yet".to_owned());
    };
    let has = |verdict| judged.iter().any(|(bounds, _)| bounds.verdict == verdict);
    let verdict = [Verdict::Fail, Verdict::NoData, Verdict::TooLittle].into_iter().find(|verdict| has(*verdict)).unwrap_or(Verdict::Pass);
    let index = |psi: Option<Psi>| psi.map_or_else(|| "no counts".to_owned(), |psi| format!("PSI {:.3} of {} rows", psi.value, psi.samples));
    let stable = drift.stable.map(|psi| format!(", stable {}", index(psi))).unwrap_or_default();
    let message = format!(
        "worst of {}: {} (candidate {}{stable}): excess between {:.3} and {:.3}, threshold {threshold}",
        judged.len(),
        drift.feature,
        index(drift.candidate),
        worst.lower,
        worst.upper
    );
    (verdict, message)
}

/// Measures every feature and the prediction of the candidate, and of the stable revision where one is given.
///
/// # Errors
/// The source cannot be reached.
pub async fn measure(
    source: &Source,
    scope: (&str, &str),
    (candidate, stable): (&Window, Option<&Window>),
    alpha: f64,
) -> Result<Vec<FeatureDrift>, SourceError> {
    let ours = arms(source, scope, candidate).await?;
    let theirs = match stable {
        Some(stable) => Some(arms(source, scope, stable).await?),
        None => None,
    };
    // Bonferroni over the features, and over the two sides of each.
    #[expect(clippy::as_conversions, reason = "a few hundred features")]
    let alpha = alpha / (2 * ours.len().max(1)) as f64;
    let measured = ours.iter().map(|(feature, arm)| FeatureDrift {
        feature: feature.clone(),
        candidate: psi_bounds(arm, alpha),
        // A feature that the stable model does not have is compared with nothing.
        stable: theirs.as_ref().and_then(|theirs| theirs.get(feature)).map(|arm| psi_bounds(arm, alpha)),
    });
    Ok(measured.collect())
}

/// The counts of one revision, by feature.
async fn arms(source: &Source, scope: (&str, &str), window: &Window) -> Result<BTreeMap<String, Arm>, SourceError> {
    let counts = async |metric| source.series(metric, scope, window).await;
    let reference = async |metric| source.newest(metric, scope, window).await;
    let mut arms = collect(&counts("plimsoll_feature_values_total").await?, &reference("plimsoll_reference_values").await?);
    arms.extend(collect(&counts("plimsoll_predictions_total").await?, &reference("plimsoll_reference_predictions").await?));
    Ok(arms)
}

/// Counts by feature and bucket: traffic is summed over pods, the reference is the same in each.
fn collect(traffic: &[Series], reference: &[Series]) -> BTreeMap<String, Arm> {
    let mut cells: BTreeMap<(String, String), (u64, u64)> = BTreeMap::new();
    let cell = |series: &Series| {
        let feature = series.labels.get("feature").cloned().unwrap_or_else(|| PREDICTION.to_owned());
        (feature, series.label("bucket").to_owned())
    };
    for series in reference {
        cells.entry(cell(series)).or_default().0 = series.last();
    }
    for series in traffic {
        cells.entry(cell(series)).or_default().1 += series.increase();
    }
    let mut arms: BTreeMap<String, Arm> = BTreeMap::new();
    for ((feature, _), (reference, traffic)) in cells {
        let arm = arms.entry(feature).or_default();
        arm.reference.push(reference);
        arm.traffic.push(traffic);
    }
    arms
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_stats::Sample;

    fn series(feature: &str, bucket: &str, pod: &str, values: &[f64]) -> Series {
        let labels = [("revision", "r"), ("feature", feature), ("bucket", bucket), ("pod", pod)];
        Series {
            labels: labels.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
            samples: values.iter().zip(0..).map(|(value, at)| Sample { at, value: *value }).collect(),
        }
    }

    #[test]
    fn pods_are_summed_and_the_reference_is_taken_once() {
        let traffic = [series("a", "0", "p", &[1.0, 5.0]), series("a", "0", "q", &[0.0, 2.0]), series("a", "missing", "p", &[0.0, 1.0])];
        let reference = [series("a", "0", "p", &[9.0]), series("a", "0", "q", &[9.0]), series("a", "missing", "p", &[3.0])];
        let arms = collect(&traffic, &reference);
        assert_eq!(arms["a"], Arm { reference: vec![9, 3], traffic: vec![6, 1] });
    }

    #[test]
    fn looking_often_uses_up_no_more_than_the_stated_chance() {
        let sum: f64 = (1..100_000).map(spent).sum();
        assert!(sum < ALPHA && sum > 0.999 * ALPHA, "{sum}");
        assert_eq!(spent(0), spent(1));
    }

    #[test]
    fn the_worst_feature_decides_and_is_named() {
        let drift = |feature: &str, value: f64| {
            let psi = Some(Psi { value, lower: value, upper: value, samples: 1_000 });
            let drift = FeatureDrift { feature: feature.into(), candidate: psi, stable: None };
            (excess(drift.candidate, None, 0.25, 500), drift)
        };
        let (verdict, message) = fold(&[drift("hour", 0.1), drift("temp", 2.0)], 0.25);
        assert_eq!(verdict, Verdict::Fail);
        assert!(message.contains("temp"), "{message}");
        assert_eq!(fold(&[drift("hour", 0.1)], 0.25).0, Verdict::Pass);
        assert_eq!(fold(&[], 0.25).0, Verdict::NoData);
    }
}
