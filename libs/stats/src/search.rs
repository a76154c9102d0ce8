//! Where a condition that holds below and not above changes.

/// More halvings than there are numbers between any two.
const HALVINGS: u32 = 1_100;

/// The smallest number between `low`, where the condition holds, and `high`, where it does not, at which it does not. With a condition that is
/// the other way round at an end, that end.
pub fn edge(mut low: f64, mut high: f64, holds: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            break;
        }
        if holds(middle) { low = middle } else { high = middle }
    }
    high
}

/// The same without an upper end: doubles `high` until the condition does not hold, or nothing is larger.
pub fn edge_above(mut low: f64, mut high: f64, holds: impl Fn(f64) -> bool) -> f64 {
    while high.is_finite() && holds(high) {
        (low, high) = (high, 2.0 * high);
    }
    edge(low, high, holds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_found_wherever_it_is() {
        for root in [0.0, 1e-300, 0.1, 1.0, 7.0, 1e200] {
            assert!((edge_above(-1.0, 1.0, |x| x < root) - root).abs() <= 1e-15 * root.abs(), "{root}");
        }
        assert_eq!((edge(0.0, 1.0, |_| true), edge_above(0.0, 1.0, |_| true)), (1.0, f64::INFINITY));
    }
}
