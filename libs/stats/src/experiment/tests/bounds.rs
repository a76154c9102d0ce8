//! What group-sequential looks spend, and what that costs.

use super::*;
use crate::experiment::bounds::planned;
use crate::{GroupSequential, Spending, normal};

/// Power that bounds may cost beside those of O'Brien and Fleming, which hold for units that come once only.
const COST: f64 = 0.01;

fn spent(looks: &[Look]) -> f64 {
    looks.iter().map(|look| 2.0 * normal::cdf(-look.comparisons[0].bound)).sum()
}

#[test]
fn looks_spend_alpha_among_them_however_they_come() {
    let table: [(&[f64], bool); 7] = [
        (&[0.2, 0.4, 0.6, 0.8, 1.0], false),
        (&[0.21, 0.47, 0.65, 0.95, 1.3], false),
        (&[0.3, 1.0], false),
        (&[2.0], false),
        (&[0.1], true),
        (&[0.2, 0.6, 0.6], true),
        (&[0.2, 0.6, 0.5], true),
    ];
    for (design, (parts, ends)) in
        [design(Method::GroupSequential), three(Method::GroupSequential)].into_iter().flat_map(|one| table.map(|row| (one.clone(), row)))
    {
        let mut looks: Vec<Look> = Vec::new();
        for (place, part) in parts.iter().enumerate() {
            let early = spent(&looks);
            assert!(early <= 0.2 * design.alpha_of_a_treatment(), "{early} at {parts:?}");
            let arms = if design.shares.len() == 2 { arms(*part, 0.0) } else { three_arms(*part, [0.0; 2]) };
            looks.extend(judge(&design, &looks, &arms, ends && place + 1 == parts.len()).unwrap().look);
        }
        assert_eq!(looks.len(), parts.len());
        assert!((spent(&looks) / design.alpha_of_a_treatment() - 1.0).abs() < 1e-9, "{} at {parts:?}", spent(&looks));
    }
}

#[test]
fn that_costs_hardly_any_power_where_units_come_once() {
    for (looks, alpha) in [(1, 0.05), (2, 0.05), (5, 0.05), (10, 0.01), (30, 0.05), (200, 0.05)] {
        let design = Design { looks, alpha, ..design(Method::GroupSequential) };
        let ours = planned(&design);
        let sharpest = GroupSequential::new(&ours.information, alpha, Spending::OBrienFleming).unwrap();
        assert!(ours.power(0.0) <= alpha + 1e-12, "{looks}: {}", ours.power(0.0));
        let drift = crate::required_drift(alpha, 0.82).unwrap();
        let (power, possible) = (ours.power(drift), sharpest.power(drift));
        assert!(power > possible - COST, "{looks} looks: {power} instead of {possible}");
    }
}
