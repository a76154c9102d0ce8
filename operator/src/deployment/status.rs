//! Conditions, from facts that were decided elsewhere. Nothing here changes with time alone, so an unchanged world is never written (I8).
//!
//! `Ready` says that the stable revision serves. A rollout that waits for a person is not `Reconciling`: `helm --wait` and GitOps tools
//! would hang for days. `Promoted` says whether the spec's model has all of the traffic.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use plimsoll_crds::ModelDeployment;
use plimsoll_crds::condition::{self, ConditionType, Fact};
use plimsoll_crds::model_deployment::{CheckSpec, ModelDeploymentStatus};

use super::observed::Readiness;
use super::rollout::{Phase, Transition, Wait, Wish};
use super::rules::Rules;
use super::troubles::Trouble;
use super::wanted::{Problem, Wanted};

/// What conditions are made of.
#[derive(Clone, Debug)]
pub struct Situation<'a> {
    /// The status without its conditions, after the transition.
    pub status: &'a ModelDeploymentStatus,
    /// The spec.
    pub rules: &'a Rules,
    /// What it asks for.
    pub wanted: &'a Wanted,
    /// The wish, after the transition.
    pub wish: Wish,
    /// What was decided.
    pub transition: &'a Transition,
    /// Why pods are not ready.
    pub troubles: Troubles,
    /// The stable revision's pods.
    pub stable: Readiness,
    /// Ready routers.
    pub routers: usize,
    /// The evaluator's pod, and why it is not ready; where outcomes are asked for.
    pub evaluator: Option<(Readiness, Option<Trouble>)>,
    /// Why the API server's keys cannot be read, where outcomes are asked for and they cannot.
    pub keys: Option<KeysTrouble>,
}

/// The API server's keys cannot be read.
#[derive(Clone, Debug)]
pub struct KeysTrouble {
    /// Why.
    pub why: String,
    /// Whether the evaluator has those that were read last.
    pub has_older: bool,
}

/// Why pods are not ready, where they are not.
#[derive(Clone, Debug, Default)]
pub struct Troubles {
    /// The candidate's.
    pub candidate: Option<Trouble>,
    /// The stable revision's.
    pub stable: Option<Trouble>,
}

/// Every condition of a ModelDeployment.
pub fn facts(situation: &Situation<'_>) -> Vec<Fact> {
    let stalled = stalled(situation);
    let mut facts = vec![
        available(situation),
        progressing(situation),
        paused(situation),
        awaiting_approval(situation),
        traffic_verified(situation),
        drift_detected(situation),
        rolled_back(situation),
        promoted(situation),
        ready(situation),
        reconciling(situation, stalled.is_some()),
        stalled.unwrap_or_else(|| Fact::new(ConditionType::Stalled, false, "Fine", "")),
    ];
    facts.extend(outcomes_collected(situation));
    facts
}

/// Said only where outcomes are asked for. It is no part of `Ready`: a model serves whether or not somebody keeps its predictions.
fn outcomes_collected(situation: &Situation<'_>) -> Option<Fact> {
    let kind = ConditionType::OutcomesCollected;
    let (evaluator, trouble) = situation.evaluator.as_ref()?;
    Some(match trouble {
        _ if situation.rules.outcomes.is_none() => Fact::new(kind, false, "BadSpec", situation.rules.problems.join("; ")),
        _ if evaluator.ready > 0 => {
            let older = |keys: &KeysTrouble| format!("; the keys that tokens are checked with cannot be read ({}), and those read last stay in use", keys.why);
            let keys = situation.keys.as_ref().map(older).unwrap_or_default();
            Fact::new(kind, true, "EvaluatorReady", format!("predictions are kept and outcomes are taken{keys}"))
        }
        _ if let Some(keys) = situation.keys.as_ref().filter(|keys| !keys.has_older) => Fact::new(
            kind,
            false,
            "KeysNotRead",
            format!("the evaluator waits for the keys with which it knows routers and model servers, and they cannot be read: {}", keys.why),
        ),
        Some(trouble) => Fact::new(kind, false, trouble.reason, trouble.message.clone()),
        None => Fact::new(
            kind,
            false,
            "EvaluatorNotReady",
            "the evaluator is being started; predictions wait in the model servers, outcomes are refused and can be sent again",
        ),
    })
}

fn wait<'a>(situation: &Situation<'a>) -> Option<&'a Wait> {
    match situation.transition {
        Transition::Stay(wait) => Some(wait),
        Transition::Start
        | Transition::Enter(_)
        | Transition::Promote
        | Transition::Decide { .. }
        | Transition::Reconsider
        | Transition::RollBack(_)
        | Transition::Drop(_)
        | Transition::Return(_)
        | Transition::FinishBake => None,
    }
}

fn available(situation: &Situation<'_>) -> Fact {
    let kind = ConditionType::Available;
    match &situation.status.stable {
        None => Fact::new(kind, false, "NothingStable", "no version has been promoted yet"),
        Some(stable) if situation.stable.ready > 0 => Fact::new(kind, true, "PodsReady", format!("{} has ready pods", stable.reference.model_version)),
        Some(stable) => {
            let look = || format!("look at the pods with plimsoll.dev/revision={}", stable.reference.revision);
            let why = situation.troubles.stable.as_ref().map_or_else(look, |trouble| trouble.message.clone());
            Fact::new(kind, false, "PodsNotReady", format!("no pod of the stable revision is ready: {why}"))
        }
    }
}

fn progressing(situation: &Situation<'_>) -> Fact {
    let kind = ConditionType::Progressing;
    let status = situation.status;
    let Some(candidate) = &status.candidate else {
        return match &status.previous {
            Some(previous) if wait(situation) == Some(&Wait::Home) => {
                let message = format!("traffic goes back to {} as soon as a pod of it is ready", previous.reference.model_version);
                Fact::new(kind, true, "NobodyElseReady", message)
            }
            Some(previous) => {
                let message = format!("{} stays warm until the bake is over; another version waits for that", previous.reference.model_version);
                Fact::new(kind, true, "Baking", message)
            }
            None => match &status.test {
                Some(test) => Fact::new(kind, false, "Testing", format!("the ABTest {} has this deployment: nothing is rolled out until it ends", test.name)),
                None => Fact::new(kind, false, "NoRollout", "nothing is being rolled out"),
            },
        };
    };
    let what = format!("{} in step {} at {} %", candidate.reference.model_version, candidate.step, candidate.weight / 100);
    match wait(situation) {
        Some(Wait::Pods) if let Some(trouble) = &situation.troubles.candidate => Fact::new(kind, true, trouble.reason, format!("{what}: {}", trouble.message)),
        Some(Wait::Pods) => {
            let selector = format!("plimsoll.dev/revision={}", candidate.reference.revision);
            Fact::new(kind, true, "PodsNotReady", format!("{what}: waits until every pod is ready; look at the pods with {selector}"))
        }
        Some(Wait::Routers) => Fact::new(kind, true, "RoutersBehind", format!("{what}: waits until routers report the weights")),
        Some(Wait::Until(_)) => Fact::new(kind, true, "Pausing", format!("{what}: pauses")),
        Some(Wait::Person) => Fact::new(kind, true, "WaitingForPerson", format!("{what}: waits for a person")),
        Some(Wait::Approval(_)) => Fact::new(kind, true, "WaitingForApproval", format!("{what}: waits for the gatekeeper")),
        Some(Wait::Look | Wait::Verdicts(_)) => checking(kind, &what, status),
        Some(Wait::Home) => Fact::new(kind, true, "NobodyElseReady", format!("{what}: goes back as soon as a pod of the stable revision is ready")),
        Some(Wait::Spec) => Fact::new(kind, true, "SpecProblem", format!("{what}: held, because the spec cannot be followed")),
        Some(Wait::Nothing | Wait::Blocked | Wait::Rejected | Wait::Bake | Wait::NextPass | Wait::Test(_)) | None => Fact::new(kind, true, "Advancing", what),
    }
}

/// From the verdicts in status, not from this pass's look: passes with and without one say the same.
fn checking(kind: ConditionType, what: &str, status: &ModelDeploymentStatus) -> Fact {
    let open: Vec<String> = status.checks.iter().filter(|check| check.verdict != "Pass").map(|check| format!("{} is {}", check.name, check.verdict)).collect();
    if open.is_empty() {
        Fact::new(kind, true, "Checking", format!("{what}: waits for the next look at the checks"))
    } else {
        Fact::new(kind, true, "Held", format!("{what}: held until every check passes: {}", open.join(", ")))
    }
}

fn paused(situation: &Situation<'_>) -> Fact {
    let kind = ConditionType::Paused;
    match (wait(situation), &situation.status.candidate) {
        (Some(Wait::Until(end)), _) => Fact::new(kind, true, "Timed", format!("until {end}")),
        (Some(Wait::Person), Some(candidate)) => {
            let token = format!("{}/{}/<any new word>", candidate.reference.revision, candidate.step);
            Fact::new(kind, true, "ForPerson", format!("go on with: kubectl annotate --overwrite modeldeployment <name> plimsoll.dev/resume={token}"))
        }
        _ => Fact::new(kind, false, "NotPaused", ""),
    }
}

fn awaiting_approval(situation: &Situation<'_>) -> Fact {
    let kind = ConditionType::AwaitingApproval;
    match (wait(situation), &situation.wanted.problem, &situation.wanted.rejected) {
        (Some(Wait::Approval(why)), _, _) => Fact::new(kind, true, "NoApproval", why.clone()),
        (_, Some(Problem::NoApprovedVersion), _) => Fact::new(kind, true, "NoApprovedVersion", "no version of this model is approved yet"),
        (_, _, Some(why)) => Fact::new(kind, true, "Rejected", format!("{why}; name another version, or delete the rejection")),
        (_, _, None) => Fact::new(kind, false, "NotNeeded", ""),
    }
}

fn traffic_verified(situation: &Situation<'_>) -> Fact {
    let kind = ConditionType::TrafficVerified;
    match &situation.status.routes {
        None => Fact::new(kind, false, "NoRoutes", "nothing is routed yet"),
        Some(routes) if routes.verified => Fact::new(kind, true, "RoutersAgree", format!("every ready router runs routes version {}", routes.version)),
        Some(_) if situation.routers == 0 => Fact::new(kind, false, "NoRouterReady", "no router is ready"),
        Some(routes) => Fact::new(kind, false, "RoutersBehind", format!("not every ready router reports routes version {}", routes.version)),
    }
}

fn drift_detected(situation: &Situation<'_>) -> Fact {
    let kind = ConditionType::DriftDetected;
    let is_drift = |name: &str| situation.rules.checks.iter().any(|check| check.name == name && matches!(check.spec(), Some(CheckSpec::Drift(_))));
    let mut drift = situation.status.checks.iter().filter(|check| is_drift(&check.name)).peekable();
    if drift.peek().is_none() {
        return Fact { kind, holds: None, reason: "NotLooked", message: String::new() };
    }
    match drift.find(|check| check.verdict == "Fail") {
        Some(failed) => Fact::new(kind, true, "CheckFails", format!("{}: {}", failed.name, failed.message)),
        None => Fact::new(kind, false, "NoCheckFails", ""),
    }
}

/// The newest decision about going forth or back tells.
fn rolled_back(situation: &Situation<'_>) -> Fact {
    let kind = ConditionType::RolledBack;
    let newest =
        situation.status.decisions.iter().find(|decision| ["RolledBack", "RolloutStarted", "Promoted", "Superseded"].contains(&decision.what.as_str()));
    match newest.filter(|decision| decision.what == "RolledBack") {
        Some(decision) => Fact::new(kind, true, "RolledBack", format!("{}: {}", decision.model_version, decision.why)),
        None => Fact::new(kind, false, "NotRolledBack", ""),
    }
}

fn promoted(situation: &Situation<'_>) -> Fact {
    let kind = ConditionType::Promoted;
    match situation.wish {
        Wish::Stable => Fact::new(kind, true, "Promoted", "what the spec asks for has all of the traffic"),
        Wish::Candidate => Fact::new(kind, false, "InProgress", "what the spec asks for is being rolled out"),
        Wish::New | Wish::Previous => Fact::new(kind, false, "Pending", "what the spec asks for comes next"),
        Wish::Blocked => Fact::new(
            kind,
            false,
            "Blocked",
            "what the spec asks for failed here: change the model, the runtime or the check, or set the annotation plimsoll.dev/retry to a new word",
        ),
        Wish::Rejected => Fact::new(kind, false, "Rejected", "what the spec asks for was rejected by a gatekeeper"),
        Wish::Unresolved => Fact::new(kind, false, "Unresolved", "what the spec asks for cannot be started"),
    }
}

fn ready(situation: &Situation<'_>) -> Fact {
    let kind = ConditionType::Ready;
    match &situation.status.stable {
        None => {
            let why = stalled(situation).map(|fact| fact.message).or_else(|| situation.troubles.candidate.as_ref().map(|trouble| trouble.message.clone()));
            Fact::new(kind, false, "NothingStable", ["no version has been promoted yet".to_owned()].into_iter().chain(why).collect::<Vec<_>>().join(": "))
        }
        Some(_) if situation.stable.ready == 0 => Fact { kind, ..available(situation) },
        Some(_) if situation.routers == 0 => Fact::new(kind, false, "NoRouterReady", "no router is ready"),
        Some(stable) => Fact::new(kind, true, "Serving", format!("{} serves", stable.reference.model_version)),
    }
}

fn reconciling(situation: &Situation<'_>, stalled: bool) -> Fact {
    let on_the_way = situation.status.candidate.is_some() || situation.wish == Wish::New || matches!(situation.transition, Transition::Drop(_));
    let for_person = matches!(wait(situation), Some(Wait::Person | Wait::Approval(_) | Wait::Test(_)));
    let starting = situation.status.stable.is_some() && (situation.stable.ready == 0 || situation.routers == 0);
    let baking = Phase::of(situation.status) == Phase::Baking;
    let holds = !stalled && ((on_the_way && !for_person && !baking) || starting);
    Fact::new(ConditionType::Reconciling, holds, "Working", "see Progressing and Available")
}

/// What a person has to do something about: the spec first, then pods that will not become ready by themselves.
fn stalled(situation: &Situation<'_>) -> Option<Fact> {
    let kind = ConditionType::Stalled;
    let problem = match &situation.wanted.problem {
        Some(Problem::UnknownRuntime { .. }) if situation.wish != Wish::Unresolved => None,
        Some(Problem::NoApprovedVersion) | None => None,
        Some(problem) => Some((problem.reason(), problem.to_string())),
    };
    let bad_spec = || (!situation.rules.problems.is_empty()).then(|| ("BadSpec", situation.rules.problems.join("; ")));
    let waits_for_pods = matches!(wait(situation), Some(Wait::Pods));
    let candidate = situation.troubles.candidate.as_ref().filter(|_| waits_for_pods);
    let stable = situation.troubles.stable.as_ref().filter(|_| situation.stable.ready == 0);
    let pods = || stable.or(candidate).filter(|trouble| trouble.lasting).map(|trouble| (trouble.reason, trouble.message.clone()));
    problem.or_else(bad_spec).or_else(pods).map(|(reason, message)| Fact::new(kind, true, reason, message))
}

/// This memory, which also says that a write failed. The condition is compared with the old one's, so that the same failure again is no news.
pub fn with_failure(deployment: &ModelDeployment, mut status: ModelDeploymentStatus, error: &str, now: Timestamp) -> ModelDeploymentStatus {
    let generation = deployment.metadata.generation.unwrap_or(0);
    let fact = Fact::new(ConditionType::Reconciling, true, "WriteFailed", error);
    let known = deployment.status.as_ref().map_or(&[][..], |old| &old.conditions);
    let failure = condition::merge(known, &[fact], generation, &Time(now));
    status.conditions.retain(|condition| condition.type_ != ConditionType::Reconciling.as_str());
    status.conditions.extend(failure);
    status
}
