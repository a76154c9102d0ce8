//! The ABTest that has this deployment: what answers its variants, and whether users may be assigned.
//!
//! **Invariants:** users are assigned first when every variant's pods are ready and every treatment has a standing approval (I2); what
//! answers a variant stays the same for as long as the test has the deployment; a rejection ends the split at once. This module must not
//! know what a test found.

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use plimsoll_crds::ab_test::{Mode, Variant};
use plimsoll_crds::model_deployment::{ModelDeploymentStatus, RevisionReference, TestInProgress, VariantInProgress};
use plimsoll_crds::names::{self, LABEL_REVISION};
use plimsoll_crds::{ABTest, ModelDeployment, ModelVersion};

use super::consent::Consent;
use super::observed::{Observed, Settings};
use super::resolve::find;
use super::revision::{Desired, Serving};
use super::rollout::Approval;
use super::routes::{Routes, TestRoute, VariantRoute};
use super::troubles::trouble;
use super::wanted::unknown_column;
use crate::experiment::Ground;

/// Basis points in a percent.
const PER_PERCENT: i32 = 100;

/// The test that has the deployment, with what this pass knows of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// For the status.
    pub progress: TestInProgress,
    /// For the routes, while users are assigned.
    pub route: Option<TestRoute>,
    /// Whether they are split.
    pub mode: Mode,
    /// Revisions that have to be started for it.
    pub starts: Vec<Desired>,
}

/// What a split is decided on.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// The deployment.
    pub deployment: &'a ModelDeployment,
    /// What was read.
    pub observed: &'a Observed,
    /// What the administrator set.
    pub settings: &'a Settings,
    /// The gatekeepers' word.
    pub consent: &'a Consent<'a>,
    /// What routers were told last.
    pub live: Option<&'a Routes>,
    /// The time.
    pub now: Timestamp,
}

/// The split that the holder of the deployment asks for; `None` while no test has it.
pub fn split(scene: Scene<'_>) -> Option<Split> {
    let ground = Ground { deployment: scene.deployment, tests: &scene.observed.tests, versions: &scene.observed.versions };
    let test = ground.holder()?;
    let (name, uid) = (test.metadata.name.clone()?, test.metadata.uid.clone()?);
    let status = scene.deployment.status.clone().unwrap_or_default();
    let waits = |why: String, rejected: bool| Split {
        progress: TestInProgress { name: name.clone(), uid: uid.clone(), variants: Vec::new(), splitting: false, waiting_for: Some(why), rejected },
        route: None,
        mode: test.spec.mode,
        starts: Vec::new(),
    };
    let known = status.test.as_ref().filter(|known| known.uid == uid).map_or(&[][..], |known| &known.variants);
    let mut answering = Vec::new();
    for variant in &test.spec.variants {
        match answers(variant, known, &status, &scene) {
            Ok(answer) => answering.push((variant, answer)),
            Err(why) => return Some(waits(why, false)),
        }
    }
    if let Some(why) = rejection(&answering, &scene) {
        return Some(waits(why, true));
    }
    let obstacle = time_over(test, scene.now).or_else(|| obstacle(&answering, &uid, &scene));
    let starts = answering.iter().filter_map(|(_, answer)| answer.1.clone()).collect();
    let variants = answering.iter().map(|(variant, answer)| VariantInProgress { name: variant.name.clone(), reference: answer.0.clone() }).collect();
    let route = obstacle.is_none().then(|| route(test, &uid, &answering));
    let progress = TestInProgress { name: name.clone(), uid: uid.clone(), variants, splitting: route.is_some(), waiting_for: obstacle, rejected: false };
    Some(Split { progress, route, mode: test.spec.mode, starts })
}

/// What answers a variant, and how it is started if it is not known yet.
type Answer = (RevisionReference, Option<Desired>);

fn answers(variant: &Variant, known: &[VariantInProgress], status: &ModelDeploymentStatus, scene: &Scene<'_>) -> Result<Answer, String> {
    let before = known.iter().find(|known| known.name == variant.name).map(|known| known.reference.clone());
    let stable = status.stable.as_ref().map(|stable| stable.reference.clone()).filter(|stable| stable.model_version == variant.model_version);
    if let Some(reference) = before.or(stable) {
        let desired = desired(variant, scene).ok().filter(|desired| desired.reference.revision == reference.revision);
        return Ok((reference, desired));
    }
    desired(variant, scene).map(|desired| (desired.reference.clone(), Some(desired)))
}

fn desired(variant: &Variant, scene: &Scene<'_>) -> Result<Desired, String> {
    let (serving, name) = (Serving::of(&scene.deployment.spec), &variant.name);
    let version: &ModelVersion =
        find(&scene.observed.versions, &variant.model_version).ok_or_else(|| format!("{name}: there is no ModelVersion {}", variant.model_version))?;
    if let Some(problem) = unknown_column(version, &serving) {
        return Err(format!("{name}: {problem}"));
    }
    let runtime = &serving.predictor.runtime;
    let image = scene.settings.runtimes.get(runtime).ok_or_else(|| format!("{name}: the administrator's list has no runtime {runtime:?}"))?;
    Ok(Desired::new(version, &serving, image))
}

/// A gatekeeper's rejection takes traffic and pods away at once, also from the control: then nothing can be compared.
fn rejection(answering: &[(&Variant, Answer)], scene: &Scene<'_>) -> Option<String> {
    answering.iter().find_map(|(variant, (reference, _))| match scene.consent.of_candidate(reference) {
        Approval::Rejected(why) => Some(format!("{}: {why}", variant.name)),
        Approval::Granted | Approval::Missing(_) => None,
    })
}

/// Nobody is assigned for longer than was planned. What was assigned is still judged, when its outcomes are there.
fn time_over(test: &ABTest, now: Timestamp) -> Option<String> {
    let started = test.status.as_ref()?.started_at.as_ref()?;
    let longest = SignedDuration::try_from(test.spec.design.maximum_duration.to_std()?).ok()?;
    (now.duration_since(started.0) > longest).then(|| "the longest time is over: the last outcomes are waited for".to_owned())
}

/// Why users are not assigned now. Once they are, pods that are lost and approvals that end stop nothing: routers answer for absent pods,
/// and only a rejection takes traffic away.
fn obstacle(answering: &[(&Variant, Answer)], uid: &str, scene: &Scene<'_>) -> Option<String> {
    let goes_on = scene.live.and_then(Routes::any_test).is_some_and(|live| live.seed == uid);
    answering.iter().find_map(|(variant, (reference, _))| {
        let name = &variant.name;
        match scene.consent.of_candidate(reference) {
            Approval::Missing(why) if !goes_on && !is_stable(reference, scene) => return Some(format!("{name}: {why}")),
            Approval::Granted | Approval::Missing(_) | Approval::Rejected(_) => {}
        }
        let readiness = scene.observed.readiness(&names::revision_child(scene.deployment.metadata.name.as_deref()?, &reference.revision));
        let ready = goes_on || readiness.complete;
        let usual = || format!("the pods of {} are not ready yet; look at those with plimsoll.dev/revision={}", variant.model_version, reference.revision);
        let told = || trouble(&scene.observed.pods, (LABEL_REVISION, &reference.revision), scene.now).map(|trouble| trouble.message);
        (!ready).then(|| format!("{name}: {}", told().unwrap_or_else(usual)))
    })
}

fn is_stable(reference: &RevisionReference, scene: &Scene<'_>) -> bool {
    let stable = scene.deployment.status.as_ref().and_then(|status| status.stable.as_ref());
    stable.is_some_and(|stable| stable.reference == *reference)
}

fn route(test: &ABTest, uid: &str, answering: &[(&Variant, Answer)]) -> TestRoute {
    let name = test.metadata.name.as_deref().unwrap_or_default();
    let variants = answering.iter().map(|(variant, (reference, _))| VariantRoute {
        name: names::variant(name, uid, &variant.name),
        revision: reference.revision.clone(),
        weight: variant.weight.saturating_mul(PER_PERCENT),
    });
    TestRoute { seed: uid.to_owned(), header: test.spec.unit.header.clone(), variants: variants.collect() }
}
