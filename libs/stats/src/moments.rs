//! Means and variances that can be merged: what units of one variant sum up to.
//!
//! Kept as deviations from the mean (Welford, 1962; merged as by Chan, Golub and LeVeque, 1979), so that a small variance beside a large
//! mean is not lost. Sums of squares, as a database adds them up, lose it; then they say nothing here. This module must not know tests.

/// Below this part of the sum of squares, a sum of squared deviations is what rounding left of it.
const DIGITS_LOST: f64 = 1e-10;

/// A sample of one number per unit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moments {
    /// Units.
    pub count: u64,
    /// Their mean.
    pub mean: f64,
    /// The sum of squared deviations from it.
    pub squares: f64,
}

/// A sample of two numbers per unit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pairs {
    /// The first number.
    pub y: Moments,
    /// The second.
    pub x: Moments,
    /// The sum of the products of both deviations.
    pub products: f64,
}

/// What a database adds up of two numbers per unit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sums {
    /// Units.
    pub count: u64,
    /// The first number.
    pub y: f64,
    /// The second.
    pub x: f64,
    /// The first, squared.
    pub y_squared: f64,
    /// The second, squared.
    pub x_squared: f64,
    /// Both, multiplied.
    pub products: f64,
}

impl Moments {
    /// From sums, as a database keeps them. `None` where the variance is lost in their digits, or a sum is no number.
    pub fn of_sums(count: u64, sum: f64, sum_of_squares: f64) -> Option<Self> {
        let mean = if count == 0 { 0.0 } else { sum / real(count) };
        let squares = sum_of_squares - sum * mean;
        let usable = count == 0 || (squares.is_finite() && squares > DIGITS_LOST * sum_of_squares);
        usable.then_some(Self { count, mean, squares: if count == 0 { 0.0 } else { squares } })
    }

    /// Units of which so many have something: a share. More events than units are a mistake of counting; as many as there are units count.
    pub fn of_events(events: u64, units: u64) -> Self {
        let events = events.min(units);
        let mean = if units == 0 { 0.0 } else { real(events) / real(units) };
        Self { count: units, mean, squares: real(events) * (1.0 - mean) }
    }

    /// With one more unit.
    #[must_use]
    pub fn with(self, value: f64) -> Self {
        self.merged(Self { count: 1, mean: value, squares: 0.0 })
    }

    /// Both samples as one.
    #[must_use]
    pub fn merged(self, other: Self) -> Self {
        let count = self.count + other.count;
        if count == 0 {
            return self;
        }
        let (share, distance) = (real(other.count) / real(count), other.mean - self.mean);
        Self { count, mean: self.mean + distance * share, squares: self.squares + other.squares + distance * distance * real(self.count) * share }
    }

    /// The variance of a unit, by n - 1; `None` with fewer than two.
    pub fn variance(self) -> Option<f64> {
        (self.count >= 2).then(|| self.squares / (real(self.count) - 1.0))
    }

    /// The variance of the mean.
    pub fn variance_of_mean(self) -> Option<f64> {
        self.variance().map(|variance| variance / real(self.count))
    }
}

impl Pairs {
    /// From sums, as a database keeps them. `None` where a variance is lost in their digits, or a sum is no number.
    pub fn of_sums(sums: &Sums) -> Option<Self> {
        let (y, x) = (Moments::of_sums(sums.count, sums.y, sums.y_squared)?, Moments::of_sums(sums.count, sums.x, sums.x_squared)?);
        let products = sums.products - y.mean * sums.x;
        products.is_finite().then_some(Self { y, x, products })
    }

    /// With one more unit.
    #[must_use]
    pub fn with(self, y: f64, x: f64) -> Self {
        let one = |value| Moments { count: 1, mean: value, squares: 0.0 };
        self.merged(Self { y: one(y), x: one(x), products: 0.0 })
    }

    /// Both samples as one.
    #[must_use]
    pub fn merged(self, other: Self) -> Self {
        let count = self.y.count + other.y.count;
        if count == 0 {
            return self;
        }
        let weight = real(self.y.count) * real(other.y.count) / real(count);
        let products = self.products + other.products + (other.y.mean - self.y.mean) * (other.x.mean - self.x.mean) * weight;
        Self { y: self.y.merged(other.y), x: self.x.merged(other.x), products }
    }

    /// The covariance of a unit's numbers, by n - 1; `None` with fewer than two.
    pub fn covariance(self) -> Option<f64> {
        (self.y.count >= 2).then(|| self.products / (real(self.y.count) - 1.0))
    }
}

/// A count as a number; exact below 2^53.
#[expect(clippy::as_conversions, reason = "counts below 2^53")]
pub(crate) fn real(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn without_units_there_is_nothing_to_say() {
        assert_eq!((Moments::default().variance(), Moments::default().with(3.0).variance_of_mean(), Pairs::default().covariance()), (None, None, None));
        assert_eq!(Moments::default().merged(Moments::default()), Moments::default());
        assert_eq!(Moments::of_sums(0, 0.0, 0.0), Some(Moments::default()));
        assert_eq!((Moments::of_events(0, 0), Moments::of_events(9, 4)), (Moments::default(), Moments { count: 4, mean: 1.0, squares: 0.0 }));
    }

    #[test]
    fn a_small_variance_beside_a_large_mean_is_kept() {
        let sample = [1e9 + 4.0, 1e9 + 7.0, 1e9 + 13.0, 1e9 + 16.0].into_iter().fold(Moments::default(), Moments::with);
        assert_eq!(sample.variance(), Some(30.0));
        let sums = |values: &[f64]| Moments::of_sums(4, values.iter().sum(), values.iter().map(|value| value * value).sum());
        assert_eq!(sums(&[1e9 + 4.0, 1e9 + 7.0, 1e9 + 13.0, 1e9 + 16.0]), None, "sums of squares have lost it");
        assert_eq!(sums(&[4.0, 7.0, 13.0, 16.0]).and_then(Moments::variance), Some(30.0));
        assert_eq!((Moments::of_sums(10, 5.0, f64::NAN), Moments::of_sums(10, f64::INFINITY, 1.0)), (None, None));
    }

    proptest! {
        #[test]
        fn merged_is_whole(values in prop::collection::vec((-1e3..1e3_f64, -1e3..1e3_f64), 2..60), cut in 0..60_usize) {
            let of = |values: &[(f64, f64)]| values.iter().fold(Pairs::default(), |pairs, (y, x)| pairs.with(*y, *x));
            let (left, right) = values.split_at(cut.min(values.len()));
            let (merged, whole) = (of(left).merged(of(right)), of(&values));
            prop_assert_eq!(merged.y.count, whole.y.count);
            for (one, other) in [(merged.y.mean, whole.y.mean), (merged.x.squares, whole.x.squares), (merged.products, whole.products)] {
                prop_assert!((one - other).abs() <= 1e-9 * (1.0 + other.abs()).max(1e3), "{} {}", one, other);
            }
        }
    }
}
