//! The budget of attempts, and the waits between them.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use plimsoll_crds::training_job::Attempt;

use crate::reasons::Reason;

/// The wait before the second attempt; it doubles with each further one.
const FIRST_BACKOFF: Duration = Duration::from_secs(10);
/// The longest wait between attempts.
const LONGEST_BACKOFF: Duration = Duration::from_secs(600);

/// What comes after the attempts so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// The attempt with this number.
    Start(i32),
    /// The attempt with this number, after this long.
    Wait(i32, Duration),
    /// None: so many attempts failed.
    GiveUp(usize),
}

/// Decides on the next attempt when none is running. What a node or the author ended does not count.
pub fn next(attempts: &[Attempt], maximum: i32, now: Timestamp) -> Next {
    let failed = attempts.iter().filter(|attempt| !is(attempt, Reason::Disrupted) && !is(attempt, Reason::Suspended)).count();
    if i32::try_from(failed).unwrap_or(i32::MAX) >= maximum {
        return Next::GiveUp(failed);
    }
    let number = attempts.iter().map(|attempt| attempt.number).max().unwrap_or(0).saturating_add(1);
    let Some(last) = attempts.last().filter(|last| !is(last, Reason::Suspended)) else { return Next::Start(number) };
    let since = last.ended.as_ref().map_or(Duration::MAX, |ended| Duration::try_from(now.duration_since(ended.0)).unwrap_or_default());
    let left = backoff(failed).saturating_sub(since);
    if left.is_zero() { Next::Start(number) } else { Next::Wait(number, left) }
}

fn is(attempt: &Attempt, reason: Reason) -> bool {
    attempt.reason.as_deref() == Some(reason.as_str())
}

fn backoff(failed: usize) -> Duration {
    let doublings = u32::try_from(failed.saturating_sub(1)).unwrap_or(u32::MAX).min(16);
    FIRST_BACKOFF.saturating_mul(1 << doublings).min(LONGEST_BACKOFF)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    #[test]
    fn attempts_that_failed_are_counted_and_waited_for() {
        let seconds = |seconds: u64| Duration::from_secs(seconds);
        let table: [(&[&str], i64, Next); 10] = [
            (&[], 0, Next::Start(1)),
            (&["Crashed"], 0, Next::Wait(2, seconds(10))),
            (&["Crashed"], 4, Next::Wait(2, seconds(6))),
            (&["Crashed"], 10, Next::Start(2)),
            (&["Crashed", "OutOfMemory"], 0, Next::Wait(3, seconds(20))),
            (&["Crashed", "Crashed", "Crashed"], 1_000, Next::GiveUp(3)),
            (&["Disrupted"], 0, Next::Wait(2, seconds(10))),
            (&["Disrupted"; 9], 10, Next::Start(10)),
            (&["Suspended"], 0, Next::Start(2)),
            (&["Crashed", "Suspended", "Crashed", "Disrupted"], 0, Next::Wait(5, seconds(20))),
        ];
        for (reasons, after, expected) in table {
            let attempt = |(index, reason): (usize, &&str)| {
                let ended = Some(Time(Timestamp::UNIX_EPOCH));
                Attempt {
                    number: i32::try_from(index).unwrap() + 1,
                    job: String::new(),
                    started: None,
                    ended,
                    reason: Some((*reason).to_owned()),
                    message: None,
                }
            };
            let attempts: Vec<Attempt> = reasons.iter().enumerate().map(attempt).collect();
            assert_eq!(next(&attempts, 3, Timestamp::from_second(after).unwrap()), expected, "{reasons:?} after {after} s");
        }
    }

    #[test]
    fn waits_have_an_end() {
        assert_eq!([1, 2, 3, 7, 19].map(|failed| backoff(failed).as_secs()), [10, 20, 40, 600, 600]);
    }
}
