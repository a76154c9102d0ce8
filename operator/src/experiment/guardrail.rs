//! Whether a treatment does harm, by the calls of each variant. Pure.

use plimsoll_crds::ABTest;
use plimsoll_crds::ab_test::GuardrailMetric;
use plimsoll_stats::experiment::GUARDRAIL_ALPHA;
use plimsoll_stats::{Calls, Verdict, compare};

/// The first guardrail that a treatment fails, in a sentence. `calls` has the control first; without calls nothing fails.
pub fn breach(test: &ABTest, calls: &[Calls]) -> Option<String> {
    let (control, treatments) = calls.split_first()?;
    test.spec.guardrails.iter().find_map(|guardrail| {
        let GuardrailMetric::ErrorRate = guardrail.metric;
        test.spec.variants.iter().skip(1).zip(treatments).find_map(|(variant, calls)| {
            let result = compare(*calls, *control, guardrail.margin, guardrail.alpha.unwrap_or(GUARDRAIL_ALPHA));
            (result.verdict == Verdict::Fail).then(|| format!("{} fails more calls than the control: {}", variant.name, result.message))
        })
    })
}
