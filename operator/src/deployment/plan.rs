//! The plan: from what was read to what is written. Pure and total.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use plimsoll_crds::ModelDeployment;
use plimsoll_crds::condition;
use plimsoll_crds::model_deployment::{Candidate, ModelDeploymentStatus, RevisionReference, RoutesStatus, StableRevision};
use plimsoll_crds::names::{self, ANNOTATION_RESUME, LABEL_COMPONENT, LABEL_REVISION};

use super::children::{EVALUATOR, Owner, kind, model_template, name};
use super::consent::Consent;
use super::fate::serving;
use super::fleet::{Fleet, fates};
use super::looks::{Clock, next_in};
use super::observed::{Observed, Settings, owner};
use super::revision::Record;
use super::rollout::{self, Approval, Facts, Phase, Scene, Signals, StepState, Transition, Wait, Wish};
use super::routes::{self, Ground, Routes, verified};
use super::rules::Rules;
use super::split::{self, Split, split};
use super::status::{KeysTrouble, Situation, Troubles, facts as condition_facts};
use super::troubles::{patience_left, trouble};
use super::wanted::{Wanted, wanted};
use crate::change::Change;
use crate::kube_io::Note;

/// Routers are asked again after this long while they do not report the wanted routes: nothing else tells that they do.
const VERIFY_INTERVAL: Duration = Duration::from_secs(2);

/// What follows from what was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Writes, in order.
    pub changes: Vec<Change>,
    /// The status after them.
    pub status: ModelDeploymentStatus,
    /// Events.
    pub notes: Vec<Note>,
    /// When to plan again, if nothing happens before.
    pub wake: Wake,
}

/// When to plan again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// At once: a step was taken, and another may follow.
    Now,
    /// After this long.
    After(Duration),
    /// When something changes.
    OnChange,
}

/// Everything that a plan rests on.
struct Case<'a> {
    deployment: &'a ModelDeployment,
    observed: &'a Observed,
    settings: &'a Settings,
    owner: Owner,
    rules: Rules,
    records: Vec<Record>,
    wanted: Wanted,
    live: Option<Routes>,
    split: Option<Split>,
    now: Time,
}

/// Writes that belong together, and what is kept when one of them is refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch<'a> {
    /// The writes, in order.
    pub changes: &'a [Change],
    /// The memory after a refusal.
    pub memory: ModelDeploymentStatus,
    /// The events that this memory tells of.
    pub notes: &'a [Note],
}

impl Plan {
    /// The write of the routes, if there is one, then all others. Routers follow the routes at once: when those are refused nothing happened,
    /// and when anything later is, the status must say what happened.
    pub fn batches(&self, deployment: &ModelDeployment) -> [Batch<'_>; 2] {
        let is_first = |change: &&Change| is_routes(change, deployment.metadata.name.as_deref().unwrap_or_default());
        let (routes, others) = self.changes.split_at(self.changes.iter().take_while(is_first).count());
        [
            Batch { changes: routes, memory: deployment.status.clone().unwrap_or_default(), notes: &[] },
            Batch { changes: others, memory: self.status.clone(), notes: &self.notes },
        ]
    }
}

fn is_routes(change: &Change, deployment: &str) -> bool {
    matches!(change, Change::Apply(object) if kind(object) == "ConfigMap" && name(object) == names::routes(deployment))
}

/// Plans one pass.
pub fn plan(deployment: &ModelDeployment, observed: &Observed, settings: &Settings, now: Timestamp) -> Plan {
    let consent = Consent::new(observed, now);
    let owner = owner(deployment);
    let live = observed.routes(&owner.name);
    let mut case = Case {
        split: split(split::Scene { deployment, observed, settings, consent: &consent, live: live.as_ref(), now }),
        live,
        rules: Rules::read(&deployment.spec),
        records: observed.records(),
        wanted: wanted(deployment, observed, settings, &consent),
        now: Time(now),
        deployment,
        observed,
        settings,
        owner,
    };
    let old = deployment.status.clone().unwrap_or_default();
    let mut status = old.clone();
    let resume = resume(deployment);
    let resumed = resumed(&status, resume);
    let scene = Scene { desired: case.wanted.desired.as_ref().map(|desired| &desired.reference), checks: &case.rules.checks, resume, resumed, now: &case.now };
    rollout::retry(&mut status, rollout::retry_token(deployment), &scene);
    status.checks = rollout::fold(&status.checks, &case.rules.checks, observed.reports.as_deref(), &case.now);
    case.split = case.split.take().filter(|split| !case.goes_before(split, &status));
    let approval = status.candidate.as_ref().map_or_else(|| Approval::Missing(String::new()), |candidate| consent.of_candidate(&candidate.reference));
    let facts = case.facts(&old, &status, approval, resumed);
    let transition = rollout::next(Phase::of(&old), &facts);
    rollout::act(&mut status, &transition, &scene);
    case.finish(&old, status, &transition, facts.approval == Approval::Granted)
}

impl Case<'_> {
    /// Whether something is to be rolled out before users of this test are assigned: only a test that runs holds a rollout.
    fn goes_before(&self, split: &Split, status: &ModelDeploymentStatus) -> bool {
        let runs = self.live.as_ref().and_then(Routes::any_test).is_some_and(|test| test.seed == split.progress.uid);
        !runs && self.wanted.wish(status, &self.records, &self.rules) == Wish::New
    }

    /// Facts about `old`, the memory as it was written; `status` has what this pass adds before the transition.
    fn facts(&self, old: &ModelDeploymentStatus, status: &ModelDeploymentStatus, approval: Approval, resumed: bool) -> Facts {
        let now = self.now.0;
        let candidate = old.candidate.as_ref();
        let has_stable = old.stable.is_some();
        let signals = |candidate: &Candidate| Signals { verified: self.is_verified(candidate), resumed, now };
        let bake_ends = rollout::bake_end(old, &self.rules).is_some_and(|end| now >= end);
        let (stable_ready, previous_ready) = (self.has_ready(old.stable.as_ref()), self.has_ready(old.previous.as_ref()));
        let candidate_ready = candidate.is_some_and(|candidate| self.readiness(&candidate.reference.revision).ready > 0);
        let somebody_home = match candidate {
            Some(_) => stable_ready || previous_ready || !candidate_ready || !has_stable,
            None => previous_ready || !stable_ready,
        };
        Facts {
            test: self.split.as_ref().filter(|split| split.progress.splitting).map(|split| split.progress.name.clone()),
            wish: self.wanted.wish(status, &self.records, &self.rules),
            has_stable,
            ready: candidate.is_some_and(|candidate| self.is_complete(&candidate.reference.revision)),
            approval,
            entry: candidate.map(|candidate| rollout::entry(&self.rules, candidate, has_stable)),
            step: candidate.map_or(StepState::Over, |candidate| rollout::step_state(&self.rules, candidate, signals(candidate))),
            look: rollout::looked(&self.rules.checks, self.observed.reports.as_deref()),
            decided: candidate.and_then(|candidate| candidate.verdict.clone()),
            decided_long_ago: candidate.and_then(|candidate| candidate.verdict.as_ref()).is_some_and(|verdict| rollout::is_stale(verdict, &self.rules, now)),
            somebody_home,
            failed_in_bake: rollout::failed_in_bake(old),
            bake_over: bake_ends && stable_ready,
            stable_lost: bake_ends && !stable_ready && previous_ready,
        }
    }

    fn finish(&self, old: &ModelDeploymentStatus, mut status: ModelDeploymentStatus, transition: &Transition, may_rise: bool) -> Plan {
        let ready = |revision: &str| self.readiness(revision).ready > 0;
        status.test = self.split.as_ref().map(|split| split.progress.clone());
        let ground = Ground {
            deployment: &self.owner.name,
            seed: &self.owner.uid,
            sticky_header: self.deployment.spec.router.sticky_header.as_deref(),
            // A spec that cannot be read stops no evaluator that is there.
            collects: self.rules.outcomes.is_some()
                || (self.deployment.spec.outcomes.is_some() && self.live.as_ref().is_some_and(|live| live.evaluator.is_some())),
            test: self.split.as_ref().and_then(|split| Some((split.route.as_ref()?, split.mode))),
            live: self.live.as_ref(),
            may_rise,
        };
        let routes = routes::desired(&status, ground, ready);
        // Routes that this pass changes have a version that no router can have.
        let verified = routes.as_ref().is_some_and(|routes| verified(&self.observed.routers, routes));
        status.routes = routes.as_ref().map(|routes| RoutesStatus { version: routes.version, weights: routes.weights(), verified });
        let led_to_ready = routes.as_ref().is_none_or(|routes| routes.backends.iter().any(|backend| backend.weight > 0 && ready(&backend.revision)));
        let moved = led_to_ready && (verified || (routes.is_none() && self.live.is_none()));
        let fleet = Fleet {
            deployment: self.deployment,
            owner: &self.owner,
            observed: self.observed,
            settings: self.settings,
            records: self.serving_records(&status),
            routes: routes.as_ref(),
            collection: self.rules.outcomes,
            fates: fates(&status, self.observed, self.rules.keep, moved),
        };
        let mut changes = fleet.changes();
        if matches!(transition, Transition::Decide { .. } | Transition::Stay(Wait::NextPass)) {
            // A verdict is stored whatever else cannot be written.
            changes.retain(|change| is_routes(change, &self.owner.name));
        }
        self.set_conditions(&mut status, transition);
        let notes = notes(old, &status);
        let wake = self.wake(&status, transition);
        Plan { changes, status, notes, wake }
    }

    /// The records of what must have pods: as they were kept, or rendered now for what starts.
    fn serving_records(&self, status: &ModelDeploymentStatus) -> BTreeMap<String, Record> {
        let render = |revision: &str| {
            let tested = self.split.iter().flat_map(|split| &split.starts);
            let desired = self.wanted.desired.iter().chain(tested).find(|desired| desired.reference.revision == revision)?;
            let version = super::resolve::find(&self.observed.versions, &desired.reference.model_version)?;
            Some(Record {
                reference: desired.reference.clone(),
                request: desired.request.clone(),
                version_created: super::resolve::created(version),
                template: model_template(&self.owner, desired, version, &self.deployment.spec.predictor),
            })
        };
        serving(status)
            .into_iter()
            .filter_map(|reference| super::wanted::find(&self.records, reference).cloned().or_else(|| render(&reference.revision)))
            .map(|record| (record.reference.revision.clone(), record))
            .collect()
    }

    fn set_conditions(&self, status: &mut ModelDeploymentStatus, transition: &Transition) {
        let generation = self.deployment.metadata.generation.unwrap_or(0);
        let trouble_of = |reference: Option<&RevisionReference>| trouble(&self.observed.pods, (LABEL_REVISION, &reference?.revision), self.now.0);
        let evaluator =
            || (self.observed.readiness(&names::evaluator(&self.owner.name)), trouble(&self.observed.pods, (LABEL_COMPONENT, EVALUATOR), self.now.0));
        let situation = Situation {
            status,
            rules: &self.rules,
            wanted: &self.wanted,
            wish: self.wanted.wish(status, &self.records, &self.rules),
            transition,
            troubles: Troubles {
                candidate: trouble_of(status.candidate.as_ref().map(|candidate| &candidate.reference)),
                stable: trouble_of(status.stable.as_ref().map(|stable| &stable.reference)),
            },
            stable: status.stable.as_ref().map(|stable| self.readiness(&stable.reference.revision)).unwrap_or_default(),
            routers: self.observed.routers.iter().filter(|router| router.ready).count(),
            evaluator: self.deployment.spec.outcomes.as_ref().map(|_| evaluator()),
            keys: self
                .observed
                .keys
                .as_ref()
                .and_then(|keys| keys.as_ref().err())
                .map(|why| KeysTrouble { why: why.clone(), has_older: self.observed.given_keys(&self.owner.name).is_some() }),
        };
        let facts = condition_facts(&situation);
        status.conditions = condition::merge(&status.conditions, &facts, generation, &self.now);
        status.observed_generation = Some(generation);
    }

    fn wake(&self, status: &ModelDeploymentStatus, transition: &Transition) -> Wake {
        let until = |end: Timestamp| Duration::try_from(end.duration_since(self.now.0)).unwrap_or(Duration::ZERO);
        let pause = match transition {
            Transition::Stay(Wait::Until(end)) => Some(until(*end)),
            Transition::Stay(Wait::NextPass) => return Wake::Now,
            Transition::Stay(_) => None,
            Transition::Start
            | Transition::Enter(_)
            | Transition::Promote
            | Transition::Decide { .. }
            | Transition::Reconsider
            | Transition::RollBack(_)
            | Transition::Drop(_)
            | Transition::Return(_)
            | Transition::FinishBake => return Wake::Now,
        };
        let bake = rollout::bake_end(status, &self.rules).map(until).filter(|left| !left.is_zero());
        let look = next_in(status, &self.rules, Clock { looked_at: self.observed.looked_at, poked: false, now: self.now.0 });
        let has_ready_router = self.observed.routers.iter().any(|router| router.ready);
        let verify = status.routes.as_ref().filter(|routes| !routes.verified && has_ready_router).map(|_| VERIFY_INTERVAL);
        let patience = patience_left(&self.observed.pods, self.now.0);
        [pause, bake, look, verify, patience].into_iter().flatten().min().map_or(Wake::OnChange, |left| Wake::After(left.max(Duration::from_millis(100))))
    }

    fn readiness(&self, revision: &str) -> super::observed::Readiness {
        self.observed.readiness(&names::revision_child(&self.owner.name, revision))
    }

    /// Whether every pod that the spec asks for is ready.
    fn is_complete(&self, revision: &str) -> bool {
        let readiness = self.readiness(revision);
        readiness.complete && readiness.replicas >= i64::from(self.deployment.spec.predictor.replicas)
    }

    fn has_ready(&self, revision: Option<&StableRevision>) -> bool {
        revision.is_some_and(|revision| self.readiness(&revision.reference.revision).ready > 0)
    }

    /// Whether routers report routes in which the candidate has its weight, or more because it stands in for whoever is not ready.
    fn is_verified(&self, candidate: &Candidate) -> bool {
        let runs = |live: &Routes| verified(&self.observed.routers, live) && live.weight(&candidate.reference.revision) >= candidate.weight;
        self.live.as_ref().is_some_and(runs)
    }
}

fn resume(deployment: &ModelDeployment) -> Option<&str> {
    deployment.metadata.annotations.as_ref()?.get(ANNOTATION_RESUME).map(String::as_str)
}

/// Whether the annotation is about the candidate's present step, and was not acted on yet.
fn resumed(status: &ModelDeploymentStatus, resume: Option<&str>) -> bool {
    let (Some(resume), Some(candidate)) = (resume, &status.candidate) else { return false };
    let here = format!("{}/{}/", candidate.reference.revision, candidate.step);
    resume.strip_prefix(&here).is_some_and(|token| !token.is_empty()) && status.last_handled_resume.as_deref() != Some(resume)
}

/// One event for each new decision.
fn notes(old: &ModelDeploymentStatus, new: &ModelDeploymentStatus) -> Vec<Note> {
    let fresh = new.decisions.iter().take_while(|decision| old.decisions.first() != Some(*decision));
    let mut notes: Vec<Note> = fresh
        .map(|decision| Note {
            warning: matches!(decision.what.as_str(), "RolledBack" | "Held"),
            reason: event_reason(&decision.what),
            message: format!("{} ({}): {}", decision.model_version, decision.revision, decision.why),
        })
        .collect();
    notes.reverse();
    notes
}

fn event_reason(what: &str) -> &'static str {
    const KNOWN: [&str; 8] = ["RolloutStarted", "StepCompleted", "Promoted", "RolledBack", "Held", "Resumed", "Retried", "Superseded"];
    KNOWN.iter().find(|known| **known == what).copied().unwrap_or("Decided")
}
