//! The page: one HTML file that needs nothing from outside and runs nothing. It must not know where its facts come from.

use std::fmt::Write;

use super::facts::Facts;
use super::figures;
use super::forest;
use super::plot::Plot;
use super::sections;
use super::words::{duration, escape, time, written};

/// Read on a screen and on paper.
const STYLE: &str = "\
    :root{color-scheme:light}body{font:15px/1.5 system-ui,sans-serif;color:#1b1b1b;background:#fff;max-width:60em;margin:2em auto;padding:0 1em;overflow-wrap:break-word}\
    h1{margin-bottom:.2em}h2{margin-top:2em;border-bottom:1px solid #ccc}h3{margin-bottom:.3em}\
    .verdict{display:inline-block;padding:.1em .7em;border:2px solid;border-radius:.3em;font-weight:bold}.ok{color:#060}.no{color:#a00}.open{color:#0b4f8a}\
    .lead{font-size:120%;margin:.6em 0}.dim{color:#555}.warn{border-left:4px solid #a00;padding-left:.8em}.none{border:1px dashed #999;padding:1.5em;color:#555;text-align:center}\
    table{border-collapse:collapse;margin:1em 0}td,th{border-bottom:1px solid #ccc;padding:.2em .8em;text-align:right;vertical-align:top;overflow-wrap:normal}\
    td:first-child,th:first-child,.text td,.text th{text-align:left}td:first-child{overflow-wrap:break-word;max-width:16em}.text td{overflow-wrap:anywhere}\
    .wide{overflow-x:auto}th{font-weight:600}.dense{font-size:88%}.dense td,.dense th{padding:.2em .45em}.dense td{white-space:nowrap}\
    figure{margin:1em 0}figure>svg{max-width:100%;height:auto;font-family:inherit}figcaption{color:#444;font-size:90%;max-width:56em}\
    .legend{list-style:none;margin:.2em 0;padding:0;display:flex;flex-wrap:wrap;gap:.1em 1.6em;font-size:90%}.legend svg{vertical-align:-2px}code{font-size:85%}\
    .slices td,.slices th{white-space:nowrap;vertical-align:middle;border-bottom-color:#eee}.slices th{white-space:normal;width:1%}.slices td:last-child{text-align:left}\
    .slices .group>*{padding-top:1em;border-bottom-color:#999;vertical-align:bottom}.slices td:first-child,.slices th:first-child{max-width:12em;overflow:hidden;text-overflow:ellipsis}\
    .slices .group th{overflow-wrap:anywhere}.slices td.plot,.slices .group .plot{padding:0;line-height:0}\
    @media print{.slices .group{break-after:avoid}.slices tr{break-inside:avoid}table.slices{break-inside:auto !important}.dense.slices td{white-space:nowrap}.dense.slices td:first-child{overflow-wrap:break-word;white-space:normal}.dense.slices td:last-child{white-space:normal}body{margin:0;max-width:none;font-size:11pt}figure,table,h2,h3{break-inside:avoid}h2,h3{break-after:avoid}.wide{overflow:visible}.dense{font-size:8pt}.dense td{white-space:normal}}";

/// The page of a test.
pub fn page(facts: &Facts) -> String {
    let name = escape(&facts.name);
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>{name}: A/B test</title><style>{STYLE}</style></head><body>"
    );
    head(&mut page, facts, &name);
    sections::question(&mut page, facts);
    sections::design(&mut page, facts);
    page.push_str("<h2>Traffic</h2>");
    let waits = facts.maturity_seconds.map_or_else(String::new, |seconds| format!(" Outcomes count that come within {}.", duration(seconds)));
    let caption = format!("A prediction is counted when its outcome can no longer come, so the newest ones are missing.{waits}");
    figure(&mut page, figures::traffic(facts), &caption);
    sections::variants(&mut page, facts);
    let metric = facts.question.metric.name();
    let _ = write!(page, "<h2>The {metric} over time</h2>");
    let caption = format!(
        "The mean over all predictions with an outcome up to a time; {} is better. The first means are of few outcomes and may lie outside.",
        facts.question.direction.better()
    );
    figure(&mut page, figures::metric(facts), &caption);
    treatments(&mut page, facts);
    page.push_str("<h2>Slices</h2>");
    invalid(&mut page, facts);
    forest::slices(&mut page, facts);
    sections::guardrails(&mut page, facts);
    sections::sample_ratio(&mut page, facts);
    sections::conditions(&mut page, facts);
    page.push_str("</body></html>\n");
    page
}

fn head(page: &mut String, facts: &Facts, name: &str) {
    let (class, word) = match facts.phase.as_str() {
        "Winner" => ("ok", facts.winner.as_ref().map_or_else(|| "Winner".to_owned(), |winner| format!("Winner: {winner}"))),
        "NoDifference" => ("open", "No difference that matters".to_owned()),
        "Inconclusive" => ("open", "Inconclusive".to_owned()),
        "Invalid" => ("no", "Invalid".to_owned()),
        "NotStarted" => ("open", "Not started".to_owned()),
        other => ("open", other.to_owned()),
    };
    let _ = write!(page, "<h1>{name}</h1><p><span class=\"verdict {class}\">{}</span></p><p class=\"lead\">{}</p>", escape(&word), escape(&facts.summary));
    invalid(page, facts);
    let said = [("made", &facts.created_at), ("users assigned from", &facts.started_at), ("ended", &facts.ended_at)];
    let said: Vec<String> = said.iter().filter_map(|(what, when)| Some(format!("{what} {}", escape(&written(when.as_deref()?))))).collect();
    let counted =
        if facts.counted_until_unix_ms > 0 { format!("Predictions made until {} are counted.", time(facts.counted_until_unix_ms)) } else { String::new() };
    let dates = if said.is_empty() { String::new() } else { format!("; {}", said.join(", ")) };
    let _ = write!(page, "<p class=\"dim\">ABTest {}/{name}{dates}. {counted}</p>", escape(&facts.namespace));
}

fn invalid(page: &mut String, facts: &Facts) {
    if facts.phase == "Invalid" {
        page.push_str("<p class=\"warn\">Nothing below compares the variants: what was counted of them cannot be trusted.</p>");
    }
}

/// A plot with what to know about it; the reason why there is none in its place.
fn figure(page: &mut String, plot: Result<Plot, &'static str>, caption: &str) {
    match plot {
        Ok(plot) => {
            let _ = write!(page, "<figure>{}<figcaption>{}</figcaption></figure>", plot.html(), escape(caption));
        }
        Err(why) => {
            let _ = write!(page, "<p class=\"none\">{}</p>", escape(why));
        }
    }
}

fn treatments(page: &mut String, facts: &Facts) {
    page.push_str("<h2>Each treatment against the control</h2>");
    invalid(page, facts);
    let level = super::words::percent(1.0 - facts.alpha_of_a_treatment);
    let _ = write!(page, "<p>Intervals hold with {level} at all looks at once, however often somebody looks.");
    if facts.treatments.len() > 1 {
        page.push_str(" Treatments share the chance of error evenly.");
    }
    page.push_str("</p>");
    for (place, treatment) in facts.treatments.iter().enumerate() {
        let style = figures::style(place + 1);
        let control = facts.variants.first().map_or("the control", |control| control.name.as_str());
        let _ = write!(page, "<h3>{} minus {}</h3>", escape(&treatment.variant), escape(control));
        let better =
            if facts.question.direction == super::input::Direction::Decrease { "Below 0 the treatment is better." } else { "Above 0 the treatment is better." };
        let caption = format!(
            "{better} Only looks decide; the interval of now shows how far the test is. An interval that leaves the plot is wider than shown: the table has its ends."
        );
        figure(page, figures::difference(facts, treatment, style), &caption);
        figure(
            page,
            figures::boundaries(treatment, style),
            "Where the statistic reaches the boundary, on either side, the look decides. A look without a boundary may not stop the test.",
        );
        sections::looks(page, treatment);
    }
}
