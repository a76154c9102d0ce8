//! Where a condition that holds below and not above changes.

/// More halvings than there are numbers between any two.
const HALVINGS: u32 = 1_100;

/// The first number on the way from `inside`, where the condition holds, to `outside`, where it does not, at which it does not. Where it holds
/// all the way, `outside`.
pub fn edge(mut inside: f64, mut outside: f64, holds: impl Fn(f64) -> bool) -> f64 {
    if holds(outside) {
        return outside;
    }
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(inside, outside);
        if middle == inside || middle == outside {
            break;
        }
        if holds(middle) { inside = middle } else { outside = middle }
    }
    outside
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
        assert!((edge(1.0, 0.0, |x| x > 0.3) - 0.3).abs() < 1e-15, "downwards");
        assert_eq!((edge(0.0, 1.0, |_| true), edge_above(0.0, 1.0, |_| true)), (1.0, f64::INFINITY));
    }
}
