//! The difference of two shares for a single look, without a normal approximation of their errors. This module must not know sequences of looks.

use crate::moments::real;
use crate::{Interval, normal};

/// The interval for the difference of two shares (Newcombe, 1998, method 10): from both shares' score intervals. `None` without units on
/// both sides or with an alpha outside (0, 1).
pub fn newcombe(treatment: (u64, u64), control: (u64, u64), alpha: f64) -> Option<Interval> {
    let (ours, theirs) = (wilson(treatment.0, treatment.1, alpha)?, wilson(control.0, control.1, alpha)?);
    let share = |(events, units): (u64, u64)| real(events.min(units)) / real(units);
    let (p, q) = (share(treatment), share(control));
    Some(Interval { lower: p - q - (p - ours.lower).hypot(theirs.upper - q), upper: p - q + (ours.upper - p).hypot(q - theirs.lower) })
}

/// The score interval of a share (Wilson, 1927).
pub fn wilson(events: u64, units: u64, alpha: f64) -> Option<Interval> {
    if units == 0 || !(alpha > 0.0 && alpha < 1.0) {
        return None;
    }
    let (n, z) = (real(units), -normal::quantile(alpha / 2.0));
    let p = real(events.min(units)) / n;
    let (centre, whole) = (p + z * z / (2.0 * n), 1.0 + z * z / n);
    let radius = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    Some(Interval { lower: ((centre - radius) / whole).max(0.0), upper: ((centre + radius) / whole).min(1.0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges() {
        assert_eq!((wilson(0, 0, 0.05), wilson(1, 2, 0.0), wilson(1, 2, 1.0), wilson(1, 2, f64::NAN)), (None, None, None, None));
        assert_eq!(newcombe((1, 2), (0, 0), 0.05), None);
        let (none, all) = (wilson(0, 10, 0.05).unwrap(), wilson(10, 10, 0.05).unwrap());
        assert!(none.lower == 0.0 && all.upper == 1.0 && (none.upper - (1.0 - all.lower)).abs() < 1e-12);
        assert!(wilson(12, 10, 0.05) == wilson(10, 10, 0.05), "more events than units are a mistake of counting, not of this function");
    }
}
