//! Whatever happens in whatever order: one attempt at most lives, the budget holds, and when nothing happens nothing is written.

use k8s_openapi::jiff::SignedDuration;
use plimsoll_crds::condition::ConditionType;
use proptest::prelude::*;
use serde_json::json;

use super::fixtures::result;
use super::world::{World, complete, failed};

/// Something that happens to a run.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Pass,
    Crash(usize),
    PodRuns,
    Succeeds(bool),
    Exits(i32),
    Deadline,
    Disruption,
    JobDeleted,
    ConfigurationDeleted,
    Toggle,
    PodsGo,
    TimePasses(i64),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => Just(Happening::Pass),
        2 => (0_usize..4).prop_map(Happening::Crash),
        2 => Just(Happening::PodRuns),
        1 => any::<bool>().prop_map(Happening::Succeeds),
        2 => prop::sample::select(vec![1, 65, 80, 137]).prop_map(Happening::Exits),
        1 => Just(Happening::Deadline),
        1 => Just(Happening::Disruption),
        1 => Just(Happening::JobDeleted),
        1 => Just(Happening::ConfigurationDeleted),
        2 => Just(Happening::Toggle),
        2 => Just(Happening::PodsGo),
        3 => (0_i64..700).prop_map(Happening::TimePasses),
    ]
}

fn happen(world: &mut World, happening: Happening) {
    match happening {
        Happening::Pass => drop(world.pass(None)),
        Happening::Crash(writes) => drop(world.pass(Some(writes))),
        Happening::PodRuns => world.run_pod(),
        Happening::Succeeds(passed) => world.end(complete(), json!({"exitCode": 0, "message": result(passed).to_string()})),
        Happening::Exits(code) => world.end(failed("BackoffLimitExceeded"), json!({"exitCode": code})),
        Happening::Deadline => world.end(failed("DeadlineExceeded"), json!({"exitCode": 143})),
        Happening::Disruption => world.disrupt(),
        Happening::JobDeleted => world.job_deleted(),
        Happening::ConfigurationDeleted => world.observed.configuration = None,
        Happening::Toggle => world.job.spec.run.suspend = !world.job.spec.run.suspend,
        Happening::PodsGo => world.reap(),
        Happening::TimePasses(seconds) => world.now += SignedDuration::from_secs(seconds),
    }
}

proptest! {
    #[test]
    fn i1_and_i8_hold_in_any_order_of_events(happenings in prop::collection::vec(happening(), 0..40), maximum in 1_i32..4) {
        let mut world = World::new(json!({"maxAttempts": maximum}));
        let (mut generation, mut terminal) = (0, false);
        for happening in happenings {
            happen(&mut world, happening);
            if let Some(status) = &world.job.status {
                prop_assert!(status.observed_generation.unwrap_or(0) >= generation, "I6");
                generation = status.observed_generation.unwrap_or(0);
                let counted = |reason: &Option<String>| !matches!(reason.as_deref(), None | Some("Disrupted" | "Suspended" | "Succeeded"));
                let failed = status.attempts.iter().filter(|attempt| counted(&attempt.reason)).count();
                prop_assert!(i32::try_from(failed).unwrap() <= maximum, "the budget holds");
                let ended = world.is(ConditionType::Complete) || world.is(ConditionType::Failed);
                prop_assert!(ended || !terminal, "terminal is terminal");
                terminal = ended;
            }
        }
        world.settle();
        let made = world.created.len();
        let plan = world.pass(None);
        prop_assert!(plan.changes.is_empty() && plan.notes.is_empty(), "I8: {:?}", plan.changes);
        prop_assert_eq!(Some(plan.status), world.job.status.clone());
        prop_assert_eq!(world.created.len(), made);
    }
}
