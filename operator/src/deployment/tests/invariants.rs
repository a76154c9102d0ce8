//! The invariants of the design, one test each, over worlds in which anything may happen at any time.

use std::collections::BTreeMap;

use plimsoll_crds::names::{ANNOTATION_RESUME, ANNOTATION_RETRY};
use plimsoll_stats::Verdict;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::fixtures::{at, image, version_name};
use super::stories::serving_one;
use super::world::World;
use crate::change::{Change, same_object};
use crate::deployment::children::{kind, name};
use crate::deployment::consent::Consent;
use crate::deployment::plan::Plan;
use crate::deployment::rollout::Approval;

/// Something that happens to a deployment.
#[derive(Clone, Debug)]
pub enum Happening {
    Time(i64),
    Verdicts(Option<Verdict>),
    Approve(u8),
    Reject(u8),
    LoseApprovals,
    AskFor(Option<u8>),
    Resources(u8),
    NewImages(u8),
    BreakPods(usize),
    MendPods,
    ForeignWeights(i32),
    Alert,
    Retry(u8),
    Resume(u8),
    Crash(usize),
    Passes(u8),
}

pub fn happening() -> impl Strategy<Value = Happening> {
    let verdict = prop_oneof![
        3 => Just(None),
        1 => Just(Some(Verdict::Fail)),
        1 => Just(Some(Verdict::NoData)),
        1 => Just(Some(Verdict::ProviderError)),
        1 => Just(Some(Verdict::TooLittle)),
    ];
    prop_oneof![
        6 => (1..200_i64).prop_map(Happening::Time),
        3 => verdict.prop_map(Happening::Verdicts),
        2 => (1..5_u8).prop_map(Happening::Approve),
        1 => (1..5_u8).prop_map(Happening::Reject),
        1 => Just(Happening::LoseApprovals),
        2 => proptest::option::of(1..6_u8).prop_map(Happening::AskFor),
        1 => (1..4_u8).prop_map(Happening::Resources),
        1 => (1..4_u8).prop_map(Happening::NewImages),
        1 => (0..3_usize).prop_map(Happening::BreakPods),
        1 => Just(Happening::MendPods),
        1 => (0..10_001_i32).prop_map(Happening::ForeignWeights),
        1 => Just(Happening::Alert),
        1 => (0..3_u8).prop_map(Happening::Retry),
        1 => (0..3_u8).prop_map(Happening::Resume),
        2 => (0..12_usize).prop_map(Happening::Crash),
        8 => (1..6_u8).prop_map(Happening::Passes),
    ]
}

/// Lets it happen; the plans that were made.
pub fn happen(world: &mut World, happening: &Happening) -> Vec<(World, Plan)> {
    match happening {
        Happening::Time(seconds) => world.now += seconds,
        Happening::Verdicts(verdict) => world.outage = *verdict,
        Happening::Approve(number) => world.approve(*number),
        Happening::Reject(number) => world.reject(*number),
        Happening::LoseApprovals => world.observed.approvals.clear(),
        Happening::AskFor(number) => world.ask_for(&number.map_or_else(|| "Latest".to_owned(), version_name)),
        Happening::Resources(cpu) => {
            world.deployment.spec.predictor.resources.requests.insert("cpu".into(), cpu.to_string());
            world.bump();
        }
        Happening::NewImages(number) => new_images(world, *number),
        Happening::BreakPods(index) => world.broken.extend(world.replicas().keys().nth(*index).cloned()),
        Happening::MendPods => world.broken.clear(),
        Happening::ForeignWeights(weight) => foreign_weights(world, *weight),
        Happening::Alert => world.poked = true,
        Happening::Retry(token) => world.annotate(ANNOTATION_RETRY, &token.to_string()),
        Happening::Resume(token) => {
            if let Some(candidate) = world.status().candidate {
                world.annotate(ANNOTATION_RESUME, &format!("{}/{}/{token}", candidate.reference.revision, candidate.step));
            }
        }
        Happening::Crash(writes) => {
            let before = world.clone();
            let plan = world.pass_until(*writes);
            return vec![(before, plan)];
        }
        Happening::Passes(count) => {
            return (0..*count)
                .map(|_| {
                    let before = world.clone();
                    (before, world.pass())
                })
                .collect();
        }
    }
    world.settle();
    Vec::new()
}

fn new_images(world: &mut World, number: u8) {
    world.settings.runtimes.insert("default".into(), image("model-server", number));
    world.settings.router_image = image("router", number);
}

/// Somebody edits the routes by hand.
fn foreign_weights(world: &mut World, weight: i32) {
    let Some(mut routes) = world.routes() else { return };
    for backend in &mut routes.backends {
        backend.weight = weight;
    }
    let config = world.observed.children.iter_mut().find(|child| kind(child) == "ConfigMap").unwrap();
    config["data"]["routes.json"] = json!(serde_json::to_string(&routes).unwrap());
}

fn written<'a>(plan: &'a Plan, wanted: &str) -> impl Iterator<Item = &'a Value> {
    let objects = plan.changes.iter().filter_map(|change| match change {
        Change::Apply(object) | Change::Create(object) => Some(object),
        Change::Delete(_) => None,
    });
    objects.filter(move |object| kind(object) == wanted)
}

/// Whether the version of `revision` has a standing approval in that world.
fn is_approved(world: &World, revision: &str, plan: &Plan) -> bool {
    let consent = Consent::new(&world.observed, at(world.now));
    let known = crate::deployment::fate::serving(&plan.status).into_iter().cloned().chain(world.status().candidate.map(|candidate| candidate.reference));
    known.filter(|reference| reference.revision == revision).any(|reference| consent.of_candidate(&reference) == Approval::Granted)
}

fn check_i2(world: &World, plan: &Plan) {
    for config in written(plan, "ConfigMap") {
        let routes: crate::deployment::routes::Routes = serde_json::from_str(config["data"]["routes.json"].as_str().unwrap()).unwrap();
        assert_eq!(routes.backends.iter().map(|backend| backend.weight).sum::<i32>(), 10_000, "weights sum to 10,000");
        assert!(routes.backends.iter().all(|backend| backend.weight >= 0));
        let live = world.routes();
        assert!(live.is_none_or(|live| routes.version > live.version), "versions grow");
        let tried = world.status().candidate.map(|candidate| candidate.reference.revision);
        for backend in routes.backends.iter().filter(|backend| Some(&backend.revision) == tried.as_ref()) {
            let before = world.routes().map_or(0, |live| live.weight(&backend.revision));
            assert!(
                backend.weight <= before || is_approved(world, &backend.revision, plan),
                "a weight rose from {before} to {} without an approval",
                backend.weight
            );
        }
        let ready = |revision: &str| world.observed.readiness(&format!("flight-delay-{revision}")).ready > 0;
        let someone = routes.backends.iter().any(|backend| backend.weight > 0 && ready(&backend.revision));
        let anyone = routes.backends.iter().any(|backend| backend.state != crate::deployment::routes::State::Candidate && ready(&backend.revision));
        assert!(someone || !anyone, "traffic leads to no ready pod although there is one");
    }
}

fn check_i3(world: &World, plan: &Plan) {
    let good: Vec<String> = [plan.status.stable.clone(), world.status().stable].into_iter().flatten().map(|stable| stable.reference.revision).collect();
    let deleted = plan.changes.iter().filter_map(|change| match change {
        Change::Delete(reference) if reference.kind == "Deployment" => Some(reference.name.clone()),
        Change::Delete(_) | Change::Apply(_) | Change::Create(_) => None,
    });
    let shrunk = written(plan, "Deployment").filter(|object| {
        let live = world.observed.children.iter().find(|live| same_object(live, object));
        live.is_some_and(|live| live["spec"]["replicas"].as_i64() > object["spec"]["replicas"].as_i64())
    });
    for gone in deleted.chain(shrunk.map(|object| name(object).to_owned())) {
        for revision in &good {
            assert!(!gone.ends_with(revision.as_str()), "{gone} is the last good revision");
        }
        let routes = world.routes();
        let elsewhere = routes.is_none_or(|routes| {
            assert_eq!(routes.weight(gone.trim_start_matches("flight-delay-")), 0, "{gone} still has traffic");
            let ready = |revision: &str| world.observed.readiness(&format!("flight-delay-{revision}")).ready > 0;
            routes.backends.iter().any(|backend| backend.weight > 0 && ready(&backend.revision))
        });
        assert!(elsewhere, "{gone} goes although nothing else is ready");
    }
}

fn check_i7(world: &World, plan: &Plan) {
    use plimsoll_crds::model_deployment::{Outcome, RevisionReference};
    let status = world.status();
    let ready = |reference: &RevisionReference| world.observed.readiness(&format!("flight-delay-{}", reference.revision)).ready > 0;
    let home = [&status.stable, &status.previous].into_iter().flatten().any(|home| ready(&home.reference));
    let Some(candidate) = status.candidate else { return };
    if candidate.verdict.is_some_and(|verdict| verdict.outcome == Outcome::Rollback) && (home || !ready(&candidate.reference)) {
        assert_eq!(plan.status.candidate, None, "a stored rollback is acted on, unless nobody else could answer");
    }
}

/// Children are owned (I12), pods check the digest that the status names (I4), the generation is the one that was planned for (I6).
fn check_children(world: &World, plan: &Plan) {
    assert_eq!(plan.status.observed_generation, world.deployment.metadata.generation);
    for change in &plan.changes {
        if let Change::Apply(object) | Change::Create(object) = change {
            assert_eq!(object["metadata"]["ownerReferences"][0]["uid"], "deployment-uid");
        }
    }
    for reference in crate::deployment::fate::serving(&plan.status) {
        let wanted = format!("flight-delay-{}", reference.revision);
        for object in written(plan, "Deployment").filter(|object| name(object) == wanted) {
            let containers = &object["spec"]["template"]["spec"];
            assert!(containers["containers"][0]["args"].as_array().unwrap().contains(&json!(reference.digest)));
            assert!(containers["initContainers"][0]["args"].as_array().unwrap().contains(&json!(reference.digest)));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn i2_i3_i4_i6_i7_i12_hold_whatever_happens(happenings in proptest::collection::vec(happening(), 1..60)) {
        let mut world = World::new("Latest", &[1]);
        for happening in &happenings {
            for (before, plan) in happen(&mut world, happening) {
                check_i2(&before, &plan);
                check_i3(&before, &plan);
                check_i7(&before, &plan);
                check_children(&before, &plan);
            }
        }
    }
}

#[test]
fn i4_a_version_whose_bytes_were_swapped_gets_no_more_traffic() {
    let mut world = serving_one();
    world.ask_for(&version_name(2));
    world.run(60);
    let swapped = world.observed.versions.iter_mut().find(|version| version.metadata.name == Some(version_name(2))).unwrap();
    let other = swapped.spec.digest.replace(char::from(b'2'), "3");
    swapped.spec.digest.clone_from(&other);
    for approval in &mut world.observed.approvals {
        approval.spec.digest.clone_from(&other);
    }
    let candidate = world.status().candidate.unwrap().reference;
    assert_eq!(
        Consent::new(&world.observed, at(world.now)).of_candidate(&candidate),
        Approval::Missing(format!("the ModelVersion {} has another digest now, {other}", version_name(2)))
    );
    let plan = world.pass();
    assert_ne!(plan.status.candidate.map(|candidate| candidate.reference), Some(candidate), "the spec asks for other bytes now: another rollout");
    assert!(world.traffic().get(&2).is_none_or(|weight| *weight <= 1_000));
}

#[test]
fn i8_an_unchanged_world_is_never_written() {
    let mut world = serving_one();
    world.run(7_200);
    for _ in 0..60 {
        world.now += 10;
        let before = world.status();
        let plan = world.pass();
        assert_eq!((plan.changes, plan.notes), (vec![], vec![]));
        assert_eq!(plan.status, before);
    }
}

#[test]
fn i8_a_rollout_that_is_held_is_never_written_either() {
    let mut world = serving_one();
    world.outage = Some(Verdict::TooLittle);
    world.run(600);
    for second in 0..600 {
        world.now += 1;
        let before = world.status();
        let plan = world.pass();
        assert_eq!((plan.changes, plan.status), (vec![], before), "after {second} s");
    }
}

#[test]
fn i9_an_outage_of_the_metrics_moves_nothing_in_any_step() {
    for moment in [0, 5, 10, 60, 130, 140, 200, 260] {
        let mut world = serving_one();
        world.run(moment);
        let (weights, phase) = (world.traffic(), world.status().candidate.map(|candidate| candidate.weight));
        world.outage = Some(Verdict::ProviderError);
        world.run(7_200);
        let after = world.traffic();
        let judged = phase.is_none_or(|weight| weight > 0);
        assert!(after == weights || !judged && after == BTreeMap::from([(1, 9_000), (2, 1_000)]), "after {moment} s: {weights:?} became {after:?}");
        assert_eq!(world.status().blocked, [], "after {moment} s");
    }
}

#[test]
fn i11_new_images_restart_and_start_nothing() {
    let mut worlds = vec![serving_one()];
    for moment in [20, 150, 300, 2_000] {
        let mut world = serving_one();
        world.run(moment);
        worlds.push(world);
    }
    for mut world in worlds {
        world.observed.approvals.truncate(usize::from(world.status().candidate.is_none()));
        let pods = |world: &World| {
            let deployments = world.observed.children.iter().filter(|child| kind(child) == "Deployment");
            deployments.map(|child| (name(child).to_owned(), child["spec"]["template"].clone())).collect::<BTreeMap<_, _>>()
        };
        world.pass();
        let before = pods(&world);
        new_images(&mut world, 7);
        world.settings.runtimes.remove("other");
        let plan = world.pass();
        assert!(written(&plan, "Deployment").next().is_none());
        let after = pods(&world);
        assert!(after.iter().all(|(name, template)| before.get(name) == Some(template)), "a template changed");
    }
}

#[test]
fn i11_an_operator_that_renders_otherwise_changes_no_pod() {
    let mut world = serving_one();
    world.run(30);
    // The routers' record is named by its content, so an older operator's has another name and is left out here.
    let is_router_record = |child: &serde_json::Value| kind(child) == "ControllerRevision" && name(child).contains("-router-");
    for child in world.observed.children.iter_mut().filter(|child| !is_router_record(child)) {
        for pointer in ["/data/template/metadata/annotations", "/spec/template/metadata/annotations"] {
            if let Some(annotations) = child.pointer_mut(pointer) {
                annotations["rendered-by"] = json!("an older operator");
            }
        }
    }
    let plan = world.pass();
    assert!(written(&plan, "Deployment").chain(written(&plan, "ControllerRevision")).next().is_none());
    assert!(!plan.changes.iter().any(|change| matches!(change, Change::Delete(_))));
}

#[test]
fn i11_the_next_model_takes_the_new_image() {
    let mut world = serving_one();
    new_images(&mut world, 7);
    world.run(30);
    let revision = world.status().candidate.unwrap().reference.revision;
    let template = &world.object("Deployment", &format!("flight-delay-{revision}")).unwrap()["spec"]["template"]["spec"];
    assert_eq!(template["containers"][0]["image"], json!(image("model-server", 7)));
    assert_eq!(template["initContainers"][0]["image"], json!(image("model-server", 7)));
    let router = &world.object("Deployment", "flight-delay-router").unwrap()["spec"]["template"]["spec"];
    assert_eq!(router["containers"][0]["image"], json!(image("router", 1)), "routers keep their template");
}

#[test]
fn foreign_edits_of_children_are_undone() {
    let mut world = serving_one();
    world.run(7_200);
    let settled = world.observed.children.clone();
    for (kind, name, pointer, value) in [
        ("Deployment", "flight-delay-router", "/spec/replicas", json!(0)),
        ("Service", "flight-delay", "/spec/selector", json!({"app": "mine"})),
        ("ConfigMap", "flight-delay-routes", "/data/routes.json", json!("{}")),
    ] {
        let child = world.observed.children.iter_mut().find(|child| child["kind"] == kind && child["metadata"]["name"] == name).unwrap();
        *child.pointer_mut(pointer).unwrap() = value;
        world.run(60);
        let now = world.object(kind, name).unwrap();
        let then = settled.iter().find(|child| same_object(child, now)).unwrap();
        if kind == "ConfigMap" {
            assert_eq!(world.traffic(), BTreeMap::from([(2, 10_000)]));
        } else {
            assert_eq!(now["spec"], then["spec"], "{kind} {name}");
        }
    }
}
