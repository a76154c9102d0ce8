//! From the reports of a look to what they mean together, and to the list in status.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use plimsoll_crds::model_deployment::{Check, CheckStatus, PendingVerdict};
use plimsoll_stats::Verdict;

use super::facts::Look;
use crate::analysis::CheckReport;
use crate::deployment::rules::Rules;

/// How a failed check stands in status.
pub(super) const FAIL: &str = "Fail";

/// A written verdict is old after this many intervals of looks and this much time: no restart of the operator takes as long.
const FRESH: (u32, Duration) = (2, Duration::from_secs(60));

/// Whether nobody acted on a verdict for so long that its numbers are old.
pub fn is_stale(verdict: &PendingVerdict, rules: &Rules, now: Timestamp) -> bool {
    let fresh = rules.check_interval.saturating_mul(FRESH.0).saturating_add(FRESH.1);
    Duration::try_from(now.duration_since(verdict.at.0)).is_ok_and(|age| age > fresh)
}

/// How a verdict is written in status.
pub fn verdict_name(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "Pass",
        Verdict::Fail => FAIL,
        Verdict::NoData => "NoData",
        Verdict::TooLittle => "TooLittle",
        Verdict::ProviderError => "ProviderError",
    }
}

/// What the reports mean together: one `Fail` is enough to go back, all must `Pass` to go on. A check of the strategy that
/// nobody reported on has no verdict.
pub fn looked(checks: &[Check], reports: Option<&[CheckReport]>) -> Look {
    if checks.is_empty() {
        return Look::Pass("no checks are named in the strategy".to_owned());
    }
    let Some(reports) = reports else { return Look::None };
    let of_strategy = || checks.iter().map(|check| (check, reports.iter().find(|report| report.name == check.name)));
    if let Some(report) = of_strategy().filter_map(|(_, report)| report).find(|report| report.verdict == Verdict::Fail) {
        return Look::Fail { check: report.name.clone(), message: report.message.clone() };
    }
    let undecided: Vec<String> = of_strategy()
        .filter(|(_, report)| report.is_none_or(|report| report.verdict != Verdict::Pass))
        .map(|(check, report)| format!("{} is {}", check.name, report.map_or("NoData", |report| verdict_name(&report.verdict))))
        .collect();
    if !undecided.is_empty() {
        return Look::Undecided(undecided.join(", "));
    }
    Look::Pass(of_strategy().filter_map(|(_, report)| report).map(|report| format!("{}: {}", report.name, report.message)).collect::<Vec<_>>().join("; "))
}

/// The list in status after a look: an entry changes with its verdict only.
pub fn fold(old: &[CheckStatus], checks: &[Check], reports: Option<&[CheckReport]>, now: &Time) -> Vec<CheckStatus> {
    checks
        .iter()
        .filter_map(|check| {
            let known = old.iter().find(|status| status.name == check.name);
            let Some(report) = reports.into_iter().flatten().find(|report| report.name == check.name) else {
                return known.cloned();
            };
            let verdict = verdict_name(&report.verdict);
            if let Some(same) = known.filter(|status| status.verdict == verdict) {
                return Some(same.clone());
            }
            Some(CheckStatus { name: report.name.clone(), verdict: verdict.to_owned(), since: now.clone(), message: report.message.clone() })
        })
        .collect()
}
