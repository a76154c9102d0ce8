//! The slices on the page: a table for each treatment, in whose rows estimates and intervals are drawn on one scale. It must not know records.

use std::fmt::Write;

use super::axis::Axis;
use super::facts::{Facts, Treatment};
use super::figures::style;
use super::input::Mode;
use super::plot::Style;
use super::slices::Slices;
use super::slices::differ::ENOUGH_UNITS;
use super::slices::found::{Difference, Slice};
use super::slices::parts::{Kind, VALUES};
use super::slices::rows::COLUMNS;
use super::words::{decimal, digits, escape, grouped, part, percent, time};
use crate::quality::real;

/// Sides of the picture in a row.
const WIDTH: f64 = 236.0;
const HEIGHT: f64 = 26.0;
/// Half the size of a mark.
const MARK: f64 = 4.5;
/// An interval that is so many times wider than the middle one does not decide how wide the scale is.
const WIDE: f64 = 2.5;
/// Labels on the scale, about.
const LABELS: usize = 5;
/// Characters of an input's name.
const NAME: usize = 80;

/// What is known of parts of the traffic.
pub fn slices(page: &mut String, facts: &Facts) {
    if facts.mode == Mode::Paired {
        page.push_str("<p class=\"none\">There are no slices of a paired test yet: its pairs are counted, and not kept as records.</p>");
        return;
    }
    let Some(slices) = &facts.slices else {
        page.push_str("<p class=\"none\">The records of this test's predictions have not been read, so there are no slices here. Ask for the page again.</p>");
        return;
    };
    if slices.predictions == 0 {
        page.push_str("<p class=\"none\">No prediction of this test has an outcome that counts and is still kept, so there is nothing to slice.</p>");
        return;
    }
    covered(page, slices);
    if slices.columns.is_empty() {
        page.push_str(
            "<p class=\"none\">There is nothing to slice by: the prediction log keeps no input of which these predictions have more than one value. \
             Name inputs in <code>spec.predictionLog.columns</code> of the ModelDeployment.</p>",
        );
        return;
    }
    caution(page, facts, slices);
    for (place, treatment) in facts.treatments.iter().enumerate() {
        table(page, facts, slices, treatment, style(place + 1));
    }
}

/// Of which predictions they are.
fn covered(page: &mut String, slices: &Slices) {
    let share = if slices.of_predictions > 0 { part(real(slices.predictions) / real(slices.of_predictions)) } else { percent(0.0) };
    let _ = write!(
        page,
        "<p>Of {} predictions with an outcome, made from {} to {}: {share} of the {} that this test counts.",
        grouped(slices.predictions),
        slices.from_unix_ms.map_or_else(String::new, time),
        slices.until_unix_ms.map_or_else(String::new, time),
        grouped(slices.of_predictions)
    );
    if slices.newest_only {
        page.push_str(" There are more than one page reads: these are the newest.");
    } else if slices.predictions < slices.of_predictions {
        page.push_str(" The records of the others are not kept any more.");
    }
    page.push_str("</p>");
}

/// How to read it.
fn caution(page: &mut String, facts: &Facts, slices: &Slices) {
    let more = if slices.more_columns { format!(" The log keeps more inputs than the {COLUMNS} that are shown.") } else { String::new() };
    let better = facts.question.direction.better();
    let _ = write!(
        page,
        "<p><b>Slices are for exploring. They decide nothing, and the verdict does not know them.</b> Each interval holds alone, with {}, for who reads it once, when the test \
         has ended; while users come, what is marked comes and goes. A filled mark is a difference that stands when all {} of this page are taken together: of the marked \
         ones, at most {} are chance, on average (false discovery rate after Benjamini and Yekutieli, 2001). That one slice is marked and another is not does not show \
         that they differ from each other. What is found here is a question for another test.</p>\
         <p class=\"dim\">Of the {}, {better} is better. The grey band is less than what matters ({} on either side); the dotted line is the difference over the whole; \
         <i>other way</i> is said where a slice points away from it, but by no more than chance explains. Slices with \
         fewer than {ENOUGH_UNITS} users of a variant are only counted. Texts have slices for the {VALUES} most frequent values, numbers for quarters of the predictions; an input \
         that is the same in all of them is left out. A user may be in several slices.{more}</p>",
        percent(1.0 - slices.alpha),
        grouped(u64::try_from(slices.comparisons).unwrap_or_default()),
        percent(slices.false_discovery_rate),
        facts.question.metric.name(),
        facts.question.minimum_effect,
    );
}

fn table(page: &mut String, facts: &Facts, slices: &Slices, treatment: &Treatment, style: Style) {
    let control = facts.variants.first().map_or("the control", |control| control.name.as_str());
    let of = |slice: &Slice| slice.treatments.iter().find(|difference| difference.variant == treatment.variant).cloned();
    let all = slices.columns.iter().flat_map(|column| &column.slices).chain(&slices.whole);
    let known: Vec<Difference> = all.filter_map(of).collect();
    let whole = slices.whole.as_ref().and_then(of);
    let scale = Scale { axis: axis(facts, &known), least: facts.question.minimum_effect, whole: whole.as_ref().map(|whole| whole.estimate), style };
    let _ = write!(
        page,
        "<h3>{} minus {}, by slice</h3><div class=\"wide\"><table class=\"dense slices\"><tr><th scope=\"col\">slice</th><th scope=\"col\">difference in {}</th>\
         <th scope=\"col\">estimate (interval)</th><th scope=\"col\">users: control + treatment</th><th scope=\"col\"></th></tr>",
        escape(&treatment.variant),
        escape(control),
        facts.question.metric.name()
    );
    if let Some(slice) = &slices.whole {
        group(page, "everything", &scale);
        row(page, slice, treatment, whole.as_ref(), &scale);
    }
    for column in &slices.columns {
        group(page, &column.name, &scale);
        for slice in &column.slices {
            row(page, slice, treatment, of(slice).as_ref(), &scale);
        }
    }
    page.push_str("</table></div>");
}

/// A name that a narrow page cuts is whole for who points at it.
fn named(name: &str) -> String {
    format!("title=\"{0}\"><bdi>{0}</bdi>", escape(name))
}

fn group(page: &mut String, name: &str, scale: &Scale) {
    let cut = name.char_indices().nth(NAME).and_then(|(end, _)| name.get(..end)).map_or_else(|| name.to_owned(), |begin| format!("{begin}…"));
    let _ = write!(
        page,
        "<tr class=\"group\"><th scope=\"rowgroup\" {}</th><td class=\"plot\">{}</td><td></td><td></td><td></td></tr>",
        named(&cut),
        scale.ticks()
    );
}

fn row(page: &mut String, slice: &Slice, treatment: &Treatment, difference: Option<&Difference>, scale: &Scale) {
    let name = match slice.kind {
        Kind::Value | Kind::Range => format!("<td {}</td>", named(&slice.name)),
        // Values may be called so, too.
        Kind::Whole | Kind::Other | Kind::Missing => format!("<td><i>({})</i></td>", escape(&slice.name)),
    };
    let units = |variant: Option<&str>| {
        let counted = slice.variants.iter().enumerate().find(|(place, counted)| variant.map_or(*place == 0, |variant| counted.variant == variant));
        grouped(counted.map_or(0, |(_, counted)| counted.units))
    };
    let said = difference.map_or_else(
        || "too few users".to_owned(),
        |of| {
            let [estimate, lower, upper] = [of.estimate, of.lower, of.upper].map(|number| decimal(number, digits(of.standard_error)));
            format!("{estimate} ({lower} to {upper})")
        },
    );
    let _ = write!(
        page,
        "<tr>{name}<td class=\"plot\">{}</td><td>{said}</td><td>{} + {}</td><td>{}</td></tr>",
        scale.drawn(difference),
        units(None),
        units(Some(&treatment.variant)),
        difference.map_or_else(String::new, word)
    );
}

fn word(of: &Difference) -> String {
    match (of.marked, of.better, of.unlike_whole) {
        (true, true, false) => "<b class=\"ok\">better</b>".to_owned(),
        (true, true, true) => "<b class=\"ok\">better</b>, unlike the whole".to_owned(),
        (true, false, false) => "<b class=\"no\">worse</b>".to_owned(),
        (true, false, true) => "<b class=\"no\">worse</b>, unlike the whole".to_owned(),
        (false, _, true) => "<i class=\"dim\">other way</i>".to_owned(),
        (false, _, false) => String::new(),
    }
}

/// From where to where differences are drawn: all estimates, what matters, and intervals unless they are much wider than most.
fn axis(facts: &Facts, known: &[Difference]) -> Axis {
    let least = facts.question.minimum_effect;
    let mut widths: Vec<f64> = known.iter().map(|of| of.upper - of.lower).collect();
    widths.sort_unstable_by(f64::total_cmp);
    let middle = widths.get(widths.len() / 2).copied().unwrap_or_default();
    let ends = known.iter().filter(|of| of.upper - of.lower <= WIDE * middle).flat_map(|of| [of.lower, of.upper]);
    let all = ends.chain(known.iter().map(|of| of.estimate)).chain([-least, least]);
    let (low, high) = all.fold((0.0, 0.0), |(low, high): (f64, f64), end| (low.min(end), high.max(end)));
    let room = 0.06 * (high - low);
    Axis::of_numbers(String::new(), low - room, high + room)
}

/// What all rows have in common.
struct Scale {
    axis: Axis,
    least: f64,
    whole: Option<f64>,
    style: Style,
}

impl Scale {
    fn at(&self, number: f64) -> f64 {
        WIDTH * self.axis.part(number).clamp(0.0, 1.0)
    }

    fn svg(inside: &str) -> String {
        format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" aria-hidden=\"true\">{inside}</svg>")
    }

    /// The scale, above the slices of a column.
    fn ticks(&self) -> String {
        let each = self.axis.ticks.len().div_ceil(LABELS).max(1);
        let zero = self.axis.ticks.iter().position(|(tick, _)| *tick == 0.0).unwrap_or_default();
        let mut inside = String::new();
        for (place, (tick, label)) in self.axis.ticks.iter().enumerate() {
            let x = self.at(*tick);
            let _ = write!(inside, "<path d=\"M{x:.1} {HEIGHT}v-5\" stroke=\"#999\"/>");
            // Not where half of it would be cut off.
            if place.abs_diff(zero).is_multiple_of(each) && (18.0..WIDTH - 18.0).contains(&x) {
                let _ = write!(inside, "<text x=\"{x:.1}\" y=\"17\" font-size=\"11\" fill=\"#444\" text-anchor=\"middle\">{}</text>", escape(label));
            }
        }
        Self::svg(&inside)
    }

    /// One slice: its estimate and interval, above what does not matter, no difference, and the whole.
    fn drawn(&self, difference: Option<&Difference>) -> String {
        let (from, to, zero) = (self.at(-self.least), self.at(self.least), self.at(0.0));
        let mut inside = format!(
            "<rect x=\"{from:.1}\" y=\"0\" width=\"{:.1}\" height=\"{HEIGHT}\" fill=\"#eeeeee\"/><path d=\"M{zero:.1} 0V{HEIGHT}\" stroke=\"#555\" stroke-width=\"1.3\"/>",
            to - from
        );
        if let Some(whole) = self.whole.map(|whole| self.at(whole)) {
            let _ = write!(inside, "<path d=\"M{whole:.1} 0V{HEIGHT}\" stroke=\"{}\" stroke-dasharray=\"2 3\"/>", self.style.colour);
        }
        let Some(of) = difference else { return Self::svg(&inside) };
        let (colour, middle) = (self.style.colour, HEIGHT / 2.0);
        let (lower, upper, x) = (self.at(of.lower), self.at(of.upper), self.at(of.estimate));
        let _ = write!(inside, "<path d=\"M{lower:.1} {middle}H{upper:.1}\" stroke=\"{colour}\" stroke-width=\"1.8\"/>");
        for (end, seen, inwards) in [(lower, of.lower >= self.axis.from, 5.0), (upper, of.upper <= self.axis.to, -5.0)] {
            // An arrow where it goes on.
            let (back, top, bottom) = (end + if seen { 0.0 } else { inwards }, middle - 4.0, middle + 4.0);
            let _ =
                write!(inside, "<path d=\"M{back:.1} {top}L{end:.1} {middle}L{back:.1} {bottom}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>");
        }
        let fill = if of.marked { colour } else { "#fff" };
        let _ = write!(inside, "<circle cx=\"{x:.1}\" cy=\"{middle}\" r=\"{MARK}\" fill=\"{fill}\" stroke=\"{colour}\" stroke-width=\"1.6\"/>");
        Self::svg(&inside)
    }
}
