//! The report that an approver reads: report.json, and the same as a page that needs nothing from outside.

use std::collections::BTreeMap;
use std::fmt::Write;

use plimsoll_crds::training_job::Metric;
use plimsoll_crds::training_job::result::{GateResult, RowCounts};
use serde::Serialize;

use crate::progress::Epoch;

/// Everything that is reported.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The line of models.
    pub model: String,
    /// The run.
    pub training_job: String,
    /// The artifact.
    pub digest: String,
    /// The rows of each part.
    pub rows: RowCounts,
    /// The share of positive test rows.
    pub base_rate: f64,
    /// The model on test rows.
    pub metrics: BTreeMap<Metric, f64>,
    /// The train rows' base rate, given to everybody, on the same rows.
    pub dummy: BTreeMap<Metric, f64>,
    /// The gates.
    pub gates: Vec<GateResult>,
    /// The model on test rows, by the value of a column.
    pub slices: Vec<Slice>,
    /// Mean probability, share of positives and rows of each bin.
    pub calibration: Vec<(f64, f64, f64)>,
    /// Training.
    pub epochs: Vec<EpochLine>,
    /// sha256 of each source.
    pub data_digests: BTreeMap<String, String>,
    /// Where it ran.
    pub device: String,
    /// Who it was.
    pub software_version: String,
}

/// The metrics of one value of a column.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Slice {
    /// The column.
    pub column: String,
    /// Its value.
    pub value: String,
    /// Test rows.
    pub rows: usize,
    /// What was measured.
    pub metrics: BTreeMap<Metric, f64>,
}

/// One epoch.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EpochLine {
    /// Mean loss on train rows.
    pub train_loss: f64,
    /// The early-stopping metric on validation rows.
    pub validation: f64,
}

impl From<&Epoch> for EpochLine {
    fn from(epoch: &Epoch) -> Self {
        Self { train_loss: epoch.train_loss, validation: epoch.validation }
    }
}

/// Sides of a plot, in pixels.
const SIDE: f64 = 300.0;

impl Report {
    /// The page.
    pub fn html(&self) -> String {
        let mut page = format!(
            "<!doctype html><html lang=en><meta charset=utf-8><title>{0}</title><style>body{{font:15px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em}}\
             table{{border-collapse:collapse;margin:1em 0}}td,th{{border-bottom:1px solid #ccc;padding:.2em .8em;text-align:right}}td:first-child,th:first-child{{text-align:left}}\
             .ok{{color:#060}}.no{{color:#a00;font-weight:bold}}svg{{margin-right:2em}}code{{font-size:85%}}</style><h1>{0}</h1><p>Run {1}, artifact <code>{2}</code>, trained on {3}, Plimsoll {4}.</p>",
            escape(&self.model),
            escape(&self.training_job),
            escape(&self.digest),
            escape(&self.device),
            escape(&self.software_version)
        );
        let rows = &self.rows;
        let _ = write!(
            page,
            "<p>{} rows to fit, {} to validate, {} to test; {:.1} % of the test rows are positive.</p>",
            rows.train,
            rows.validation,
            rows.test,
            100.0 * self.base_rate
        );
        page.push_str("<h2>Gates</h2><table><tr><th>gate<th>outcome<th>numbers");
        for gate in &self.gates {
            let (class, word) = if gate.passed { ("ok", "passed") } else { ("no", "failed") };
            let _ = write!(page, "<tr><td>{}<td class={class}>{word}<td>{}", gate.metric, escape(&gate.message));
        }
        page.push_str("</table><h2>Test rows</h2><table><tr><th>metric<th>model<th>base rate for everybody");
        for (metric, value) in &self.metrics {
            let dummy = self.dummy.get(metric).map_or_else(|| "–".to_owned(), |value| format!("{value:.4}"));
            let _ = write!(page, "<tr><td>{metric}<td>{value:.4}<td>{dummy}");
        }
        page.push_str("</table><h2>Calibration and training</h2>");
        page.push_str(&self.calibration_plot());
        page.push_str(&self.learning_plot());
        self.slice_table(&mut page);
        page.push_str("<h2>Data</h2><table><tr><th>source<th>digest");
        for (source, digest) in &self.data_digests {
            let _ = write!(page, "<tr><td>{}<td><code>{}</code>", escape(source), escape(digest));
        }
        page.push_str("</table></html>\n");
        page
    }

    fn calibration_plot(&self) -> String {
        let points: Vec<(f64, f64)> = self.calibration.iter().filter(|bin| bin.2 > 0.0).map(|bin| (bin.0, bin.1)).collect();
        plot("share of positives by predicted probability", &[(points, "#06c"), (vec![(0.0, 0.0), (1.0, 1.0)], "#aaa")])
    }

    fn learning_plot(&self) -> String {
        let largest = self.epochs.iter().map(|epoch| epoch.train_loss.max(epoch.validation)).fold(1e-9, f64::max);
        let last = self.epochs.len().saturating_sub(1).max(1);
        #[expect(clippy::as_conversions, reason = "a few epochs")]
        let line = |value: fn(&EpochLine) -> f64| -> Vec<(f64, f64)> {
            self.epochs.iter().enumerate().map(|(place, epoch)| (place as f64 / last as f64, value(epoch) / largest)).collect()
        };
        plot("train loss (blue) and validation (orange) by epoch", &[(line(|epoch| epoch.train_loss), "#06c"), (line(|epoch| epoch.validation), "#d70")])
    }

    fn slice_table(&self, page: &mut String) {
        if self.slices.is_empty() {
            return;
        }
        let metrics: Vec<Metric> = self.metrics.keys().copied().collect();
        page.push_str("<h2>Slices</h2><table><tr><th>slice<th>rows");
        for metric in &metrics {
            let _ = write!(page, "<th>{metric}");
        }
        for slice in &self.slices {
            let _ = write!(page, "<tr><td>{} = {}<td>{}", escape(&slice.column), escape(&slice.value), slice.rows);
            for metric in &metrics {
                let _ = write!(page, "<td>{}", slice.metrics.get(metric).map_or_else(|| "–".to_owned(), |value| format!("{value:.3}")));
            }
        }
        page.push_str("</table>");
    }
}

/// Lines in the unit square.
fn plot(title: &str, lines: &[(Vec<(f64, f64)>, &str)]) -> String {
    let mut svg = format!("<svg width={0} height={1} role=img aria-label=\"{title}\"><rect width={0} height={0} fill=none stroke=#ccc />", SIDE, SIDE + 24.0);
    for (points, colour) in lines {
        let path: Vec<String> = points.iter().map(|(x, y)| format!("{:.1},{:.1}", x * SIDE, SIDE - y.clamp(0.0, 1.0) * SIDE)).collect();
        let _ = write!(svg, "<polyline fill=none stroke=\"{colour}\" stroke-width=2 points=\"{}\" />", path.join(" "));
    }
    let _ = write!(svg, "<text x=0 y={} font-size=12>{title}</text></svg>", SIDE + 18.0);
    svg
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
