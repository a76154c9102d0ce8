use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use plimsoll_crds::model_deployment::{Candidate, Outcome, PendingVerdict, RevisionReference};

use super::facts::{Entry, Look};
use super::next::Cause;
use super::*;
use crate::deployment::rules::{FULL, Rules, Step};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn entry_to(weight: i32) -> Entry {
    Entry { step: 1, weight, promotes: false, rises: true, judged: true }
}

/// A candidate with traffic, approved, ready, whose pause is over, and which nobody looked at in this pass.
fn facts() -> Facts {
    Facts {
        test: None,
        wish: Wish::Candidate,
        has_stable: true,
        ready: true,
        approval: Approval::Granted,
        entry: Some(entry_to(5_000)),
        step: StepState::Over,
        look: Look::None,
        decided: None,
        decided_long_ago: false,
        somebody_home: true,
        failed_in_bake: None,
        bake_over: false,
        stable_lost: false,
    }
}

fn verdict(outcome: Outcome) -> PendingVerdict {
    PendingVerdict { outcome, check: Some("errors".into()), message: "numbers".into(), at: Time(at(5)) }
}

fn failing() -> Look {
    Look::Fail { check: "errors".into(), message: "numbers".into() }
}

fn rollback_decided() -> Transition {
    Transition::Decide { outcome: Outcome::Rollback, check: Some("errors".into()), message: "numbers".into() }
}

#[test]
fn idle_starts_only_what_is_new() {
    let table = [
        (Wish::New, Transition::Start),
        (Wish::Stable, Transition::Stay(Wait::Nothing)),
        (Wish::Blocked, Transition::Stay(Wait::Blocked)),
        (Wish::Rejected, Transition::Stay(Wait::Rejected)),
        (Wish::Unresolved, Transition::Stay(Wait::Spec)),
    ];
    for (wish, expected) in table {
        assert_eq!(next(Phase::Idle, &Facts { wish, ..facts() }), expected, "{wish:?}");
    }
}

#[test]
fn a_candidate_goes_on_when_nothing_is_in_the_way() {
    let pass = Look::Pass("ok".into());
    let advance = Transition::Decide { outcome: Outcome::Advance, check: None, message: "ok".into() };
    let unjudged = Entry { judged: false, ..entry_to(1_000) };
    let last = Entry { promotes: true, ..entry_to(FULL) };
    let decided = Some(verdict(Outcome::Advance));
    let missing = || Approval::Missing("none".into());
    let table = [
        ("not ready", Facts { ready: false, ..facts() }, Transition::Stay(Wait::Pods)),
        ("routers behind", Facts { step: StepState::Unverified, ..facts() }, Transition::Stay(Wait::Routers)),
        ("pause", Facts { step: StepState::PausedUntil(at(9)), ..facts() }, Transition::Stay(Wait::Until(at(9)))),
        ("person", Facts { step: StepState::PausedForPerson, look: pass.clone(), ..facts() }, Transition::Stay(Wait::Person)),
        ("no look", facts(), Transition::Stay(Wait::Look)),
        ("undecided", Facts { look: Look::Undecided("x".into()), ..facts() }, Transition::Stay(Wait::Verdicts("x".into()))),
        ("pass is written first", Facts { look: pass.clone(), ..facts() }, advance),
        ("then acted on", Facts { decided: decided.clone(), ..facts() }, Transition::Enter(entry_to(5_000))),
        ("then acted on at the end", Facts { decided: decided.clone(), entry: Some(last), ..facts() }, Transition::Promote),
        ("first traffic needs no verdict", Facts { entry: Some(unjudged), ..facts() }, Transition::Enter(unjudged)),
        ("no approval", Facts { approval: missing(), look: pass, ..facts() }, Transition::Stay(Wait::Approval("none".into()))),
        ("approval ended after the verdict", Facts { approval: missing(), decided: decided.clone(), ..facts() }, Transition::Reconsider),
        ("pods ended after the verdict", Facts { ready: false, decided, ..facts() }, Transition::Reconsider),
    ];
    for (name, facts, expected) in table {
        assert_eq!(next(Phase::Trying, &facts), expected, "{name}");
    }
}

#[test]
fn i7_a_failed_check_is_decided_whatever_else_is_waited_for() {
    let obstacles = [
        Facts { ready: false, ..facts() },
        Facts { approval: Approval::Missing(String::new()), ..facts() },
        Facts { approval: Approval::Rejected(String::new()), ..facts() },
        Facts { step: StepState::PausedForPerson, ..facts() },
        Facts { step: StepState::PausedUntil(at(9)), ..facts() },
        Facts { step: StepState::Unverified, ..facts() },
        Facts { wish: Wish::Unresolved, ..facts() },
        Facts { wish: Wish::New, ..facts() },
    ];
    for obstacle in obstacles {
        let seen = Facts { look: failing(), ..obstacle.clone() };
        assert_eq!(next(Phase::Trying, &seen), rollback_decided(), "{seen:?}");
        let stored = Facts { decided: Some(verdict(Outcome::Rollback)), ..obstacle };
        assert_eq!(next(Phase::Trying, &stored), Transition::RollBack(verdict(Outcome::Rollback)), "{stored:?}");
    }
}

#[test]
fn a_candidate_goes_when_it_is_rejected_or_not_wanted_any_more() {
    let rejected = Facts { approval: Approval::Rejected("no".into()), ..facts() };
    assert_eq!(next(Phase::Trying, &rejected), Transition::Drop(Cause::Rejected("no".into())));
    for (wish, expected) in [
        (Wish::Stable, Transition::Drop(Cause::Withdrawn)),
        (Wish::New, Transition::Drop(Cause::Superseded)),
        (Wish::Blocked, Transition::Drop(Cause::Superseded)),
        (Wish::Rejected, Transition::Drop(Cause::Superseded)),
        (Wish::Unresolved, Transition::Stay(Wait::Spec)),
    ] {
        assert_eq!(next(Phase::Trying, &Facts { wish, ..facts() }), expected, "{wish:?}");
    }
}

#[test]
fn baking_goes_back_on_a_stored_failure_and_ends_with_time() {
    let failed = Facts { failed_in_bake: Some(("errors".into(), "numbers".into())), bake_over: true, ..facts() };
    let back = Transition::Return(Cause::Failed { check: "errors".into(), message: "numbers".into() });
    let table = [
        ("stored failure", failed, back),
        ("seen failure is stored first", Facts { look: failing(), bake_over: true, ..facts() }, Transition::Stay(Wait::NextPass)),
        ("spec goes back", Facts { wish: Wish::Previous, ..facts() }, Transition::Return(Cause::Restored)),
        ("time", Facts { wish: Wish::Stable, bake_over: true, ..facts() }, Transition::FinishBake),
        ("no time", Facts { wish: Wish::Stable, ..facts() }, Transition::Stay(Wait::Bake)),
        ("a new version waits", Facts { wish: Wish::New, ..facts() }, Transition::Stay(Wait::Bake)),
        ("no verdict", Facts { wish: Wish::Stable, look: Look::Undecided("x".into()), ..facts() }, Transition::Stay(Wait::Bake)),
    ];
    for (name, facts, expected) in table {
        assert_eq!(next(Phase::Baking, &facts), expected, "{name}");
    }
}

fn rules(steps: Vec<Step>) -> Rules {
    let second = std::time::Duration::from_secs(1);
    Rules { steps, checks: Vec::new(), check_interval: second, bake: second, keep: 3, outcomes: None, problems: Vec::new() }
}

fn candidate(step: i32, weight: i32) -> Candidate {
    let text = || String::from("x");
    let reference = RevisionReference { revision: text(), model_version: text(), digest: text(), content_digest: text(), runtime_digest: text() };
    Candidate { reference, step, weight, started_at: Time(at(0)), step_started_at: Time(at(100)), baseline_since: None, verdict: None }
}

#[test]
fn the_next_step_follows_the_list() {
    let rules = rules(vec![Step::SetWeight(1_000), Step::PauseForPerson, Step::SetWeight(5_000), Step::SetWeight(2_000)]);
    let table = [
        ("first weight", candidate(0, 0), true, (0, 1_000, false, true, false)),
        ("into a pause", candidate(0, 1_000), true, (1, 1_000, false, false, false)),
        ("out of a pause", candidate(1, 1_000), true, (2, 5_000, false, true, true)),
        ("down again", candidate(2, 5_000), true, (3, 2_000, false, false, false)),
        ("the end", candidate(3, 2_000), true, (4, FULL, true, true, true)),
        ("the first version", candidate(0, 0), false, (1, FULL, true, true, false)),
        ("steps were removed", candidate(9, 1_000), true, (10, FULL, true, true, true)),
    ];
    for (name, candidate, has_stable, expected) in table {
        let got = entry(&rules, &candidate, has_stable);
        if has_stable {
            assert_eq!((got.step, got.weight, got.promotes, got.rises, got.judged), expected, "{name}");
        } else {
            assert_eq!((got.weight, got.promotes, got.rises, got.judged), (expected.1, expected.2, expected.3, expected.4), "{name}");
        }
    }
}

#[test]
fn a_step_ends_by_routers_time_or_a_person() {
    let minute = std::time::Duration::from_secs(60);
    let rules = rules(vec![Step::SetWeight(1_000), Step::PauseFor(minute), Step::PauseForPerson]);
    let signals = |verified, resumed, second| Signals { verified, resumed, now: at(second) };
    let table = [
        (candidate(0, 0), signals(false, false, 100), StepState::Over),
        (candidate(0, 1_000), signals(false, false, 100), StepState::Unverified),
        (candidate(0, 1_000), signals(true, false, 100), StepState::Over),
        (candidate(1, 1_000), signals(true, true, 159), StepState::PausedUntil(at(160))),
        (candidate(1, 1_000), signals(false, false, 160), StepState::Over),
        (candidate(2, 1_000), signals(true, false, 9_999), StepState::PausedForPerson),
        (candidate(2, 1_000), signals(false, true, 100), StepState::Over),
    ];
    for (candidate, signals, expected) in table {
        assert_eq!(step_state(&rules, &candidate, signals), expected, "{candidate:?} {signals:?}");
    }
}
