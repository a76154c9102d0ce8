//! Which plots there are, and what is in them. Where there is nothing to draw, a figure says why instead.

use super::axis::{Axis, at};
use super::facts::{Facts, Seen, Treatment};
use super::plot::{Mark, Plot, Series, Shape, Style};
use super::words::milliseconds;
use crate::quality::real;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// Spans that a line of traffic has, at most.
const BINS: i64 = 60;
/// Below this part of its outcomes, a mean is too young to decide how high the plot is.
const YOUNG: f64 = 0.05;
/// An interval that is so many times wider than the newest one does not decide it either.
const WIDE: f64 = 3.0;
/// Lines that mean the same in every plot.
const NONE: Style = Style { colour: "#555555", dash: "", mark: Mark::Circle };
const LIMIT: Style = Style { colour: "#555555", dash: "6 4", mark: Mark::Circle };

/// How a variant looks in every plot; the control is the first. The colours differ in lightness, too, and for who sees few of them (Okabe and Ito, 2008, darker).
pub fn style(place: usize) -> Style {
    const STYLES: [Style; super::input::MOST_VARIANTS] = [
        Style { colour: "#3b3b3b", dash: "", mark: Mark::Circle },
        Style { colour: "#0063b1", dash: "9 3", mark: Mark::Square },
        Style { colour: "#c24a00", dash: "3 3", mark: Mark::Triangle },
        Style { colour: "#00795a", dash: "12 3 3 3", mark: Mark::Diamond },
        Style { colour: "#8d3f8d", dash: "6 2 2 2 2 2", mark: Mark::Nabla },
    ];
    STYLES.get(place).copied().unwrap_or(NONE)
}

/// The span of time that all plots of a course show, and the shortest span that is told apart.
struct Course {
    from: i64,
    to: i64,
    span: i64,
}

impl Course {
    /// `None` before anything was counted.
    fn of(facts: &Facts) -> Option<Self> {
        let mut starts: Vec<i64> = facts.variants.iter().flat_map(|variant| &variant.counted.history).map(|span| span.start_unix_ms).collect();
        starts.sort_unstable();
        starts.dedup();
        let (first, last) = (*starts.first()?, *starts.last()?);
        // Spans have one length, so none is longer than what lies between two of them.
        let between = starts.iter().zip(starts.iter().skip(1)).map(|(a, b)| b - a).min();
        let span = between.unwrap_or_else(|| facts.counted_until_unix_ms.saturating_sub(first)).max(1);
        let looks = facts.treatments.iter().flat_map(|treatment| &treatment.looks).map(|look| look.counted_until_unix_ms);
        Some(Self { from: looks.clone().fold(first, i64::min), to: looks.fold(last.saturating_add(span), i64::max), span })
    }

    fn axis(&self) -> Axis {
        Axis::of_time("when the prediction was made (UTC)".to_owned(), self.from, self.to)
    }
}

/// Predictions by variant over time.
pub fn traffic(facts: &Facts) -> Result<Plot, &'static str> {
    let course = Course::of(facts).ok_or("No prediction of this test has been counted yet, so there is no traffic to draw.")?;
    let bins = ((course.to - course.from) / course.span).max(1);
    let width = course.span.saturating_mul((bins + BINS - 1) / BINS);
    let (unit, per) = if course.to - course.from > 10 * DAY { (DAY, "day") } else { (HOUR, "hour") };
    let edge = |text: &Option<String>| text.as_deref().and_then(milliseconds);
    let (begin, end) = (edge(&facts.started_at).unwrap_or(i64::MIN), edge(&facts.ended_at).unwrap_or(i64::MAX).min(facts.counted_until_unix_ms));
    let mut series = Vec::new();
    for (place, variant) in facts.variants.iter().enumerate() {
        let mut line = Vec::new();
        let mut start = course.from;
        while start < course.to {
            let next = start.saturating_add(width);
            let there = variant.counted.history.iter().filter(|span| (start..next).contains(&span.start_unix_ms));
            let predictions: f64 = there.map(|span| real(span.predictions)).sum();
            // A span in which the test began or ended is as long as the test was in it.
            let (from, to) = (start.max(begin.min(next)), next.min(end.max(start)));
            let rate = predictions * at(unit) / at((to - from).max(width / 10).max(1));
            line.extend([(at(start), rate), (at(next), rate)]);
            start = next;
        }
        series.push(Series { name: variant.name.clone(), style: style(place), shape: Shape::Line(line) });
    }
    let highest = highest(&series);
    let y = Axis::of_numbers(format!("predictions per {per}"), 0.0, if highest > 0.0 { 1.08 * highest } else { 1.0 });
    Ok(Plot { title: "Predictions by variant over time".to_owned(), x: course.axis(), y, series })
}

fn highest(series: &[Series]) -> f64 {
    let lines = series.iter().filter_map(|series| if let Shape::Line(points) = &series.shape { Some(points) } else { None });
    lines.flatten().map(|(_, y)| *y).fold(0.0, f64::max)
}

/// The metric's mean so far, by variant over time.
pub fn metric(facts: &Facts) -> Result<Plot, &'static str> {
    let nothing = "No prediction of this test has an outcome that counts yet, so there is no mean to draw.";
    let course = Course::of(facts).ok_or(nothing)?;
    let (mut series, mut low, mut high) = (Vec::new(), f64::INFINITY, f64::NEG_INFINITY);
    for (place, variant) in facts.variants.iter().enumerate() {
        let mut line = Vec::new();
        for span in &variant.counted.history {
            let Some(mean) = span.mean_so_far else { continue };
            line.push((at(span.start_unix_ms.saturating_add(course.span)), mean));
            if real(span.with_outcome_so_far) >= YOUNG * real(variant.counted.with_outcome) {
                (low, high) = (low.min(mean), high.max(mean));
            }
        }
        // One point is no line.
        let shape = if line.len() == 1 { Shape::Points(line, true) } else { Shape::Line(line) };
        series.push(Series { name: variant.name.clone(), style: style(place), shape });
    }
    if low > high {
        return Err(nothing);
    }
    let (metric, room) = (facts.question.metric, ((high - low) * 0.12).max(high.abs() * 1e-6));
    let y = Axis::of_numbers(format!("{} ({})", metric.name(), metric.unit()), low - room, high + room);
    Ok(Plot { title: format!("The {} so far, by variant over time", metric.mean()), x: course.axis(), y, series })
}

fn interval(look: &Seen) -> Option<(f64, f64, f64)> {
    let seen = &look.comparison;
    Some((at(look.counted_until_unix_ms), seen.lower?, seen.upper?))
}

/// A treatment minus the control, at every look and now.
pub fn difference(facts: &Facts, treatment: &Treatment, style: Style) -> Result<Plot, &'static str> {
    let nothing = "No look has been taken and too few outcomes are there for an interval, so there is no difference to draw yet.";
    let course = Course::of(facts).or_else(|| by_looks(treatment)).ok_or(nothing)?;
    let points = |crossed: bool| {
        let looks = treatment.looks.iter().filter(|look| look.comparison.crossed == crossed);
        looks.map(|look| (at(look.counted_until_unix_ms), look.comparison.estimate)).collect::<Vec<_>>()
    };
    let intervals: Vec<_> = treatment.looks.iter().filter_map(interval).collect();
    let now = treatment.now.map(|now| ((at(course.to), now.estimate), (at(course.to), now.lower, now.upper)));
    if treatment.looks.is_empty() && now.is_none() {
        return Err(nothing);
    }
    let least = facts.question.minimum_effect;
    let named = |name: &str, style, shape| Series { name: name.to_owned(), style, shape };
    let mut series = vec![
        named("no difference", NONE, Shape::Level(0.0)),
        named("smallest difference that matters", LIMIT, Shape::Level(least)),
        named("", LIMIT, Shape::Level(-least)),
        named(if intervals.is_empty() { "" } else { "interval at each look" }, Style { dash: "", ..style }, Shape::Whiskers(intervals.clone())),
        named("", style, Shape::Band(intervals.clone())),
    ];
    for (crossed, name) in [(false, "look: estimate"), (true, "look that reached its boundary")] {
        let points = points(crossed);
        series.push(named(if points.is_empty() { "" } else { name }, style, Shape::Points(points, crossed)));
    }
    if let Some((point, whiskers)) = now {
        let style = Style { colour: "#9a6700", dash: "2 3", mark: Mark::Diamond };
        series.extend([named("now: always-valid interval", style, Shape::Whiskers(vec![whiskers])), named("", style, Shape::Points(vec![point], false))]);
    }
    let estimates = treatment.looks.iter().map(|look| look.comparison.estimate);
    let (low, high) = extent(least, estimates, intervals.into_iter().chain(now.map(|now| now.1)));
    let y = Axis::of_numbers(format!("difference in {}", facts.question.metric.name()), low, high);
    let mut x = course.axis();
    // What stands at the edge is not cut in half.
    (x.from, x.to) = (x.from - 0.01 * (x.to - x.from), x.to + 0.015 * (x.to - x.from));
    Ok(Plot { title: format!("{} minus the control, at every look", treatment.variant), x, y, series })
}

/// The course of a test whose history is not kept any more.
fn by_looks(treatment: &Treatment) -> Option<Course> {
    let (first, last) = (treatment.looks.first()?.counted_until_unix_ms, treatment.looks.last()?.counted_until_unix_ms);
    Some(Course { from: first, to: last, span: 1 })
}

/// From where to where differences are shown: all that matter, and intervals unless they are much wider than the newest.
fn extent(least: f64, estimates: impl Iterator<Item = f64>, intervals: impl Iterator<Item = (f64, f64, f64)> + Clone) -> (f64, f64) {
    let newest = intervals.clone().last().map_or(f64::INFINITY, |(_, lower, upper)| upper - lower);
    let ends = intervals.filter(|(_, lower, upper)| upper - lower <= WIDE * newest).flat_map(|(_, lower, upper)| [lower, upper]);
    let (low, high) = estimates.chain(ends).fold((-least, least), |(low, high), end| (low.min(end), high.max(end)));
    let room = 0.08 * (high - low);
    (low - room, high + room)
}

/// What was compared with the boundary, and the boundary, by information.
pub fn boundaries(treatment: &Treatment, style: Style) -> Result<Plot, &'static str> {
    if treatment.looks.is_empty() {
        return Err("No look has been taken yet: nothing has been compared with a boundary.");
    }
    let points = |of: &dyn Fn(&Seen) -> Option<f64>| treatment.looks.iter().filter_map(|look| Some((look.information, of(look)?))).collect::<Vec<_>>();
    let (scores, upper) = (points(&|look| Some(look.comparison.statistic)), points(&|look| look.comparison.bound));
    let lower: Vec<_> = upper.iter().map(|(x, y)| (*x, -y)).collect();
    let highest = scores.iter().chain(&upper).map(|(_, y)| y.abs()).fold(1.0, f64::max) * 1.1;
    let latest = scores.iter().map(|(x, _)| *x).fold(1.0, f64::max);
    let named = |name: &str, style, shape| Series { name: name.to_owned(), style, shape };
    let series = vec![
        named("no difference", NONE, Shape::Level(0.0)),
        named("", LIMIT, Shape::Line(upper.clone())),
        named("", LIMIT, Shape::Line(lower.clone())),
        named(if upper.is_empty() { "" } else { "boundary, on either side" }, LIMIT, Shape::Points(upper, true)),
        named("", LIMIT, Shape::Points(lower, true)),
        named("", Style { dash: "", ..style }, Shape::Line(scores.clone())),
        named("statistic: estimate in standard errors", style, Shape::Points(scores, true)),
    ];
    let x = Axis::of_numbers("information: part of the planned users with an outcome".to_owned(), 0.0, 1.03 * latest);
    let y = Axis::of_numbers("standard errors".to_owned(), -highest, highest);
    Ok(Plot { title: format!("{}: statistic and boundary at every look", treatment.variant), x, y, series })
}
