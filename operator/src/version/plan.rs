//! The status that follows from approvals and deployments. Pure and total.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use plimsoll_crds::condition::{ConditionType, Fact, merge};
use plimsoll_crds::{ModelApproval, ModelDeployment, ModelVersion, ModelVersionStatus};

use crate::approval::{Standing, standing};
use crate::reasons::Reason;

/// What was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// The namespace's approvals.
    pub approvals: Vec<ModelApproval>,
    /// The namespace's deployments.
    pub deployments: Vec<ModelDeployment>,
    /// Whether the namespace asks for no approvals.
    pub optional: bool,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The status.
    pub status: ModelVersionStatus,
    /// When to look again although nothing happened: when the approval ends.
    pub wake: Option<Duration>,
}

/// Plans one pass.
pub fn plan(version: &ModelVersion, observed: &Observed, now: Timestamp) -> Plan {
    let standing = standing(version, &observed.approvals, observed.optional, now);
    let generation = version.metadata.generation.unwrap_or_default();
    // The object is what it is from the start; whether it may serve is another question, for which nobody's `--wait` should hang.
    let ready = Fact::new(ConditionType::Ready, true, Reason::Recorded.as_str(), "the model passed its gates");
    let old = version.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let status = ModelVersionStatus {
        observed_generation: Some(generation),
        conditions: merge(old, &[approved(&standing), ready], generation, &Time(now)),
        serving: serving(&version.name_any(), &observed.deployments),
    };
    let until = if let Standing::Approved { until, .. } = standing { until } else { None };
    Plan { status, wake: until.map(|end| Duration::try_from(end.duration_since(now)).unwrap_or_default()) }
}

fn approved(standing: &Standing) -> Fact {
    let fact = |holds, reason: Reason, message: String| Fact::new(ConditionType::Approved, holds, reason.as_str(), message);
    match standing {
        Standing::Approved { by, until } => {
            let until = until.map(|end| format!(" until {end}")).unwrap_or_default();
            fact(true, Reason::Approved, format!("approved by {by}{until}"))
        }
        Standing::NotRequired => fact(true, Reason::ApprovalNotRequired, "the namespace needs no approvals".to_owned()),
        Standing::Rejected { by, why } => fact(false, Reason::Rejected, format!("rejected by {by}: {why}")),
        Standing::Waiting { why } => fact(false, Reason::AwaitingApproval, why.clone()),
    }
}

/// The deployments whose stable or candidate it is.
fn serving(name: &str, deployments: &[ModelDeployment]) -> Vec<String> {
    let serves = |deployment: &&ModelDeployment| {
        deployment.status.as_ref().is_some_and(|status| {
            let stable = status.stable.iter().map(|stable| &stable.reference);
            let candidate = status.candidate.iter().map(|candidate| &candidate.reference);
            stable.chain(candidate).any(|reference| reference.model_version == name)
        })
    };
    let mut serving: Vec<String> = deployments.iter().filter(serves).map(ResourceExt::name_any).collect();
    serving.sort();
    serving
}

#[cfg(test)]
mod tests {
    use plimsoll_crds::condition::{find, is_true};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::approval::tests::fixtures::{approval, version};

    fn pass(version: &mut ModelVersion, observed: &Observed, second: i64) -> Plan {
        let plan = plan(version, observed, Timestamp::from_second(second).unwrap());
        version.status = Some(plan.status.clone());
        plan
    }

    #[test]
    fn the_status_says_who_decided_and_wakes_when_the_decision_ends() {
        let mut version = version();
        let mut observed = Observed::default();
        let reason = |plan: &Plan| find(&plan.status.conditions, ConditionType::Approved).unwrap().reason.clone();
        assert_eq!(reason(&pass(&mut version, &observed, 0)), "AwaitingApproval");
        observed.approvals = vec![approval(json!({"expiresAt": "1970-01-01T00:01:40Z"}))];
        let plan = pass(&mut version, &observed, 10);
        assert_eq!((reason(&plan).as_str(), plan.wake), ("Approved", Some(Duration::from_secs(90))));
        assert_eq!(pass(&mut version, &observed, 20).status, plan.status, "I8: time alone changes nothing");
        assert_eq!(reason(&pass(&mut version, &observed, 100)), "AwaitingApproval");
        observed.approvals = vec![approval(json!({"decision": "Rejected"}))];
        assert_eq!(reason(&pass(&mut version, &observed, 101)), "Rejected");
        let plan = pass(&mut version, &Observed { optional: true, ..Observed::default() }, 102);
        assert_eq!((reason(&plan).as_str(), plan.wake), ("ApprovalNotRequired", None));
        assert!(is_true(&plan.status.conditions, ConditionType::Ready), "nobody's wait hangs on an approval");
    }

    proptest! {
        #[test]
        fn the_second_pass_changes_nothing_until_the_time_it_asked_for(
            words in prop::collection::vec((any::<bool>(), prop::option::of(0..300_u32), "ann|gil|gus"), 0..5),
            passes in prop::collection::vec(0..200_i64, 1..6),
        ) {
            let word = |(yes, end, approver): &(bool, Option<u32>, String)| {
                let decision = if *yes { "Approved" } else { "Rejected" };
                let end = end.map(|end| Timestamp::from_second(end.into()).unwrap());
                approval(json!({"decision": decision, "expiresAt": end, "approver": approver}))
            };
            let observed = Observed { approvals: words.iter().map(word).collect(), ..Observed::default() };
            let (mut version, mut now) = (version(), 0);
            for step in passes {
                now += step;
                let first = pass(&mut version, &observed, now);
                let until = first.wake.map_or(i64::MAX, |wake| now + i64::try_from(wake.as_secs()).unwrap());
                for again in [now, now + 1, until - 1].into_iter().filter(|again| *again >= now && *again < until) {
                    prop_assert_eq!(&plan(&version, &observed, Timestamp::from_second(again.min(10_000)).unwrap()).status, &first.status);
                }
            }
        }
    }

    #[test]
    fn it_tells_which_deployments_serve_it() {
        let reference = |version: &str| json!({"revision": "r", "modelVersion": version, "digest": "d", "contentDigest": "c", "runtimeDigest": "i"});
        let named = |name: &str, status: serde_json::Value| -> ModelDeployment {
            let spec = json!({"model": {"name": "m"}});
            serde_json::from_value(
                json!({"apiVersion": "plimsoll.dev/v1alpha1", "kind": "ModelDeployment", "metadata": {"name": name}, "spec": spec, "status": status}),
            )
            .unwrap()
        };
        let stable = |version: &str| {
            let mut stable = reference(version);
            stable["since"] = "1970-01-01T00:00:00Z".into();
            json!({"stable": stable})
        };
        let deployments =
            [named("z", stable("m-aaaaaaaaaa")), named("b", stable("m-bbbbbbbbbb")), named("a", stable("m-aaaaaaaaaa")), named("new", json!(null))];
        assert_eq!(serving("m-aaaaaaaaaa", &deployments), ["a", "z"]);
    }
}
