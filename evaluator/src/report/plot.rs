//! One plot as SVG: axes, lines, bands, marks; and its legend as HTML. What leaves the axes is cut off. It must not know what is shown.

use std::fmt::Write;

use super::axis::Axis;
use super::words::escape;

/// Sides of the picture, in its own units; pages scale it.
const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 300.0;
/// Room for labels.
const LEFT: f64 = 78.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 50.0;
/// Half the size of a mark.
const MARK: f64 = 4.5;

/// How a series looks. Shapes and dashes tell what colours tell, for who prints without them.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Of lines and marks.
    pub colour: &'static str,
    /// Of lines, as SVG has it; empty for a whole line.
    pub dash: &'static str,
    /// Of points.
    pub mark: Mark,
}

/// The shape of a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A circle.
    Circle,
    /// A square.
    Square,
    /// A triangle.
    Triangle,
    /// A diamond.
    Diamond,
    /// A triangle on its tip.
    Nabla,
}

/// What is drawn.
#[derive(Clone, Debug)]
pub enum Shape {
    /// A line through points.
    Line(Vec<(f64, f64)>),
    /// The area between two lines: x, lower, upper.
    Band(Vec<(f64, f64, f64)>),
    /// Vertical intervals: x, lower, upper.
    Whiskers(Vec<(f64, f64, f64)>),
    /// Points; filled or hollow.
    Points(Vec<(f64, f64)>, bool),
    /// A horizontal line.
    Level(f64),
}

/// Something with a name in the legend; empty if another one has said it.
#[derive(Clone, Debug)]
pub struct Series {
    /// In the legend.
    pub name: String,
    /// How it looks.
    pub style: Style,
    /// What it is.
    pub shape: Shape,
}

/// Axes and what is in them.
#[derive(Clone, Debug)]
pub struct Plot {
    /// For who cannot see it.
    pub title: String,
    /// From left to right.
    pub x: Axis,
    /// From below.
    pub y: Axis,
    /// In the order of drawing.
    pub series: Vec<Series>,
}

impl Plot {
    /// The picture and its legend.
    pub fn html(&self) -> String {
        let mut svg =
            format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" role=\"img\"><title>{}</title>", escape(&self.title));
        self.axes(&mut svg);
        let (width, height) = inside();
        let _ = write!(svg, "<svg x=\"{LEFT}\" y=\"{TOP}\" width=\"{width}\" height=\"{height}\" overflow=\"hidden\">");
        for series in &self.series {
            self.draw(&mut svg, series);
        }
        svg.push_str("</svg></svg>");
        self.legend(&mut svg);
        svg
    }

    fn axes(&self, svg: &mut String) {
        let (width, height) = inside();
        let (bottom, right) = (TOP + height, LEFT + width);
        let _ = write!(
            svg,
            "<rect x=\"{LEFT}\" y=\"{TOP}\" width=\"{width}\" height=\"{height}\" fill=\"#fff\" stroke=\"#999\"/><g font-size=\"12\" fill=\"#222\">"
        );
        for (tick, label) in &self.x.ticks {
            let x = LEFT + width * self.x.part(*tick);
            let _ = write!(svg, "<path d=\"M{x:.1} {bottom}v5\" stroke=\"#999\"/><path d=\"M{x:.1} {TOP}V{bottom}\" stroke=\"#e6e6e6\"/>");
            let anchor = if x > right - 30.0 { "end" } else { "middle" };
            let at = if anchor == "end" { x.min(right) + 18.0 } else { x };
            let _ = write!(svg, "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>", bottom + 19.0, escape(label));
        }
        for (tick, label) in &self.y.ticks {
            let y = bottom - height * self.y.part(*tick);
            let _ = write!(svg, "<path d=\"M{LEFT} {y:.1}h-5\" stroke=\"#999\"/><path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"#e6e6e6\"/>");
            let _ = write!(svg, "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>", LEFT - 8.0, y + 4.0, escape(label));
        }
        let (middle, centre) = (LEFT + width / 2.0, TOP + height / 2.0);
        let _ = write!(svg, "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{}</text>", HEIGHT - 8.0, escape(&self.x.label));
        let _ = write!(svg, "<text transform=\"translate(14 {centre}) rotate(-90)\" text-anchor=\"middle\">{}</text></g>", escape(&self.y.label));
    }

    fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let (width, height) = inside();
        // Far outside is as good as outside, and keeps numbers short.
        (width * self.x.part(x).clamp(-1.0, 2.0), height * (1.0 - self.y.part(y)).clamp(-1.0, 2.0))
    }

    fn path(&self, points: impl Iterator<Item = (f64, f64)>) -> String {
        points.map(|point| self.place(point)).map(|(x, y)| format!("{x:.1},{y:.1}")).collect::<Vec<_>>().join(" ")
    }

    fn draw(&self, svg: &mut String, series: &Series) {
        let Style { colour, dash, mark } = series.style;
        let _ = match &series.shape {
            Shape::Line(points) => {
                let points = self.path(points.iter().copied());
                write!(svg, "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dash}\"/>")
            }
            Shape::Band(points) => {
                let around = points.iter().map(|(x, _, upper)| (*x, *upper)).chain(points.iter().rev().map(|(x, lower, _)| (*x, *lower)));
                write!(svg, "<polygon points=\"{}\" fill=\"{colour}\" fill-opacity=\"0.13\"/>", self.path(around))
            }
            Shape::Whiskers(points) => points.iter().try_for_each(|(x, lower, upper)| {
                let ((x, low), (_, high)) = (self.place((*x, *lower)), self.place((*x, *upper)));
                let caps = format!("M{0:.1} {low:.1}H{1:.1}M{0:.1} {high:.1}H{1:.1}", x - 4.0, x + 4.0);
                write!(svg, "<path d=\"M{x:.1} {low:.1}V{high:.1}\" stroke=\"{colour}\" stroke-width=\"1.5\" stroke-dasharray=\"{dash}\"/><path d=\"{caps}\" stroke=\"{colour}\" stroke-width=\"1.5\"/>")
            }),
            Shape::Points(points, filled) => points.iter().try_for_each(|point| write!(svg, "{}", mark.svg(self.place(*point), colour, *filled))),
            Shape::Level(level) => {
                let points = self.path([(self.x.from, *level), (self.x.to, *level)].into_iter());
                write!(svg, "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.3\" stroke-dasharray=\"{dash}\"/>")
            }
        };
    }

    fn legend(&self, html: &mut String) {
        html.push_str("<ul class=\"legend\">");
        for series in self.series.iter().filter(|series| !series.name.is_empty()) {
            let Style { colour, dash, mark } = series.style;
            let sample = match &series.shape {
                Shape::Line(_) | Shape::Level(_) => format!("<path d=\"M1 7H33\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dash}\"/>"),
                Shape::Band(_) => format!("<rect x=\"1\" y=\"1\" width=\"32\" height=\"12\" fill=\"{colour}\" fill-opacity=\"0.13\"/>"),
                Shape::Whiskers(_) => format!(
                    "<path d=\"M17 1V13\" stroke=\"{colour}\" stroke-width=\"1.5\" stroke-dasharray=\"{dash}\"/><path d=\"M13 1H21M13 13H21\" stroke=\"{colour}\" stroke-width=\"1.5\"/>"
                ),
                Shape::Points(_, filled) => mark.svg((17.0, 7.0), colour, *filled),
            };
            let _ = write!(html, "<li><svg width=\"34\" height=\"14\" aria-hidden=\"true\">{sample}</svg> {}</li>", escape(&series.name));
        }
        html.push_str("</ul>");
    }
}

fn inside() -> (f64, f64) {
    (WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM)
}

impl Mark {
    fn svg(self, (x, y): (f64, f64), colour: &str, filled: bool) -> String {
        let path = match self {
            Self::Circle => format!("M{:.1} {y:.1}a{MARK} {MARK} 0 1 0 {} 0a{MARK} {MARK} 0 1 0 {} 0z", x - MARK, 2.0 * MARK, -2.0 * MARK),
            Self::Square => format!("M{:.1} {:.1}h8v8h-8z", x - 4.0, y - 4.0),
            Self::Triangle => format!("M{x:.1} {:.1}l5 9h-10z", y - 5.5),
            Self::Diamond => format!("M{x:.1} {:.1}l5.5 5.5l-5.5 5.5l-5.5 -5.5z", y - 5.5),
            Self::Nabla => format!("M{x:.1} {:.1}l5 -9h-10z", y + 5.5),
        };
        format!("<path d=\"{path}\" fill=\"{}\" stroke=\"{colour}\" stroke-width=\"1.6\"/>", if filled { colour } else { "#fff" })
    }
}
