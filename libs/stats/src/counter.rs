//! Exact differences of counters, from raw samples of one pod's series.
//!
//! Prometheus' `increase()` extrapolates to the window's edges and answers fractions; a test on counts needs the counts.

/// One raw sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// When, in milliseconds.
    pub at: i64,
    /// The counter's value.
    pub value: f64,
}

/// How much a counter rose between its first and its last sample. A fall is a restart of the process: it counts from 0 again.
///
/// `None` without two samples: an edge is missing.
pub fn increase(samples: &[Sample]) -> Option<f64> {
    (samples.len() >= 2).then(|| {
        let step = |pair: &[Sample]| match pair {
            [before, after] if after.value >= before.value => after.value - before.value,
            [_, after] => after.value,
            _ => 0.0,
        };
        samples.windows(2).map(step).sum()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(values: &[f64]) -> Vec<Sample> {
        values.iter().zip(0..).map(|(value, at)| Sample { at, value: *value }).collect()
    }

    #[test]
    fn restarts_lose_nothing_that_was_seen() {
        let table: [(&[f64], Option<f64>); 6] =
            [(&[], None), (&[5.0], None), (&[5.0, 5.0], Some(0.0)), (&[5.0, 9.0], Some(4.0)), (&[5.0, 9.0, 2.0, 3.0], Some(7.0)), (&[5.0, 0.0], Some(0.0))];
        for (values, expected) in table {
            assert_eq!(increase(&series(values)), expected, "{values:?}");
        }
    }
}
