//! The tables of the page, and the sentences around them.

use std::fmt::Write;

use plimsoll_stats::experiment::GUARDRAIL_ALPHA;

use super::facts::{Facts, Treatment};
use super::input::Mode;
use super::words::{decimal, digits, duration, escape, grouped, part, percent, written};
use crate::quality::real;

/// Digits of a statistic and its boundary.
const SCORE: usize = 3;
const ABSENT: &str = "–";

fn rows(page: &mut String, title: &str, rows: &[(&str, String)]) {
    let _ = write!(page, "<h2>{title}</h2><table class=\"text\">");
    for (what, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        let _ = write!(page, "<tr><th scope=\"row\">{what}</th><td>{value}</td></tr>");
    }
    page.push_str("</table>");
}

fn header(page: &mut String, class: &str, names: &[&str]) {
    let _ = write!(page, "<div class=\"wide\"><table class=\"{class}\"><tr>");
    for name in names {
        let _ = write!(page, "<th scope=\"col\">{name}</th>");
    }
    page.push_str("</tr>");
}

fn row(page: &mut String, cells: &[String]) {
    page.push_str("<tr>");
    for cell in cells {
        let _ = write!(page, "<td>{cell}</td>");
    }
    page.push_str("</tr>");
}

/// What is compared, and by what.
pub fn question(page: &mut String, facts: &Facts) {
    let question = &facts.question;
    let compared = facts.variants.iter().enumerate().map(|(place, variant)| {
        let role = if place == 0 { " (control)" } else { "" };
        let model = if variant.model_version.is_empty() { String::new() } else { format!(": {}", escape(&variant.model_version)) };
        format!("<b>{}</b>{role}{model}", escape(&variant.name))
    });
    let header = question.header.as_ref().map_or_else(String::new, |header| format!("each value of the header <code>{}</code>", escape(header)));
    rows(
        page,
        "Question",
        &[
            ("What is compared", compared.collect::<Vec<_>>().join("<br>")),
            ("On the traffic of", escape(&question.deployment)),
            ("For whom a variant is drawn", header),
            ("What decides", format!("{}, {}; {} is better", question.metric.name(), question.metric.unit(), question.direction.better())),
            ("Smallest difference that matters", format!("{}", question.minimum_effect)),
        ],
    );
}

/// How it is judged.
pub fn design(page: &mut String, facts: &Facts) {
    let design = &facts.design;
    let shared = if facts.treatments.len() > 1 { format!(", {} for each treatment", percent(facts.alpha_of_a_treatment)) } else { String::new() };
    let shares = facts.variants.iter().map(|variant| format!("{} {}", escape(&variant.name), percent(variant.share)));
    let answers = match facts.mode {
        Mode::Split => String::new(),
        Mode::Paired => {
            "everybody is answered by the control; the treatment answers a copy of the same calls, for nobody. Differences of the two are compared.".to_owned()
        }
    };
    let (mut needed, mut takes) = (String::new(), String::new());
    if let Some(plan) = facts.plan {
        needed = plan
            .required_units
            .map_or_else(String::new, |units| format!("{} of at most {} in all variants together", grouped(units), grouped(plan.maximum_units)));
        takes = plan.expected_seconds.map_or_else(String::new, duration);
    }
    rows(
        page,
        "Design",
        &[
            ("Who answers whom", answers),
            ("Method", escape(design.method.name())),
            ("Chance of finding a difference where there is none", format!("{} over all looks{shared}", percent(design.alpha))),
            ("Chance of finding the smallest difference that matters", percent(design.power)),
            ("Looks", format!("{}, evenly over the users with an outcome", design.looks)),
            ("Ends at", format!("{} users with an outcome for each variant, were the shares even", grouped(design.maximum_units_per_variant))),
            ("Ends after, at the latest", design.maximum_duration.as_deref().map_or_else(String::new, escape)),
            ("Shares of the users", shares.collect::<Vec<_>>().join(", ")),
            ("Users with an outcome that the power takes", needed),
            ("Expected duration", takes),
            ("Planned users there now", part(facts.information)),
        ],
    );
}

/// What was counted of each variant.
pub fn variants(page: &mut String, facts: &Facts) {
    let mean = facts.question.metric.mean();
    header(page, "", &["variant", "users", "with an outcome", "predictions", "counted", "of them with an outcome", "contradicted", &mean]);
    let size = facts.treatments.iter().filter_map(|treatment| treatment.now).map(|now| now.standard_error).fold(f64::INFINITY, f64::min);
    let places = if size.is_finite() { digits(size) } else { 4 };
    for variant in &facts.variants {
        let of = &variant.counted;
        let counts = [of.units, of.labelled_units, of.predictions, of.mature, of.with_outcome, of.contradicted].map(grouped);
        let mean = of.mean.map_or_else(|| ABSENT.to_owned(), |mean| decimal(mean, places));
        row(page, &[vec![escape(&variant.name)], counts.to_vec(), vec![mean]].concat());
    }
    page.push_str("</table></div>");
    let moved: Vec<String> = facts.variants.iter().filter(|variant| variant.counted.revisions.len() > 1).map(|variant| escape(&variant.name)).collect();
    if !moved.is_empty() {
        let _ = write!(page, "<p class=\"dim\">More than one revision answered for {}: users whom two of them answered count twice.</p>", moved.join(", "));
    }
}

/// Every look at a treatment.
pub fn looks(page: &mut String, treatment: &Treatment) {
    if let Some(now) = treatment.now {
        let places = digits(now.standard_error);
        let [estimate, lower, upper] = [now.estimate, now.lower, now.upper].map(|number| decimal(number, places));
        let _ = write!(page, "<p>Now: {estimate}, always-valid interval {lower} to {upper}. It decides nothing.</p>");
    }
    if treatment.looks.is_empty() {
        return;
    }
    header(
        page,
        "dense",
        &["look", "taken (UTC)", "information", "users: control + treatment", "difference", "standard error", "interval", "statistic", "boundary"],
    );
    for look in &treatment.looks {
        let seen = &look.comparison;
        let places = digits(seen.standard_error);
        let interval =
            seen.lower.zip(seen.upper).map_or_else(|| ABSENT.to_owned(), |(lower, upper)| format!("{} to {}", decimal(lower, places), decimal(upper, places)));
        let bound = seen.bound.map_or_else(|| ABSENT.to_owned(), |bound| format!("±{}", decimal(bound, SCORE)));
        row(
            page,
            &[
                look.number.to_string(),
                escape(written(&look.at).trim_end_matches(" UTC")),
                part(look.information),
                format!("{} + {}", grouped(look.control_units), grouped(look.treatment_units)),
                decimal(seen.estimate, places),
                decimal(seen.standard_error, places),
                interval,
                decimal(seen.statistic, SCORE),
                format!("{bound}{}", if seen.crossed { "<br><b>reached</b>" } else { "" }),
            ],
        );
    }
    page.push_str("</table></div>");
}

/// What must not get worse. What came of it is said by the conditions: calls and faults are counted by routers, not here.
pub fn guardrails(page: &mut String, facts: &Facts) {
    page.push_str("<h2>Guardrails</h2>");
    if facts.guardrails.is_empty() {
        page.push_str("<p class=\"none\">This test has no guardrails.</p>");
        return;
    }
    header(page, "", &["what must not get worse", "at most so much worse than the control", "chance of switching off a variant within that"]);
    for guardrail in &facts.guardrails {
        let name = if guardrail.metric == "errorRate" {
            "errorRate (share of calls that failed through the server's fault)".to_owned()
        } else {
            escape(&guardrail.metric)
        };
        row(page, &[name, percent(guardrail.margin), percent(guardrail.alpha.unwrap_or(GUARDRAIL_ALPHA))]);
    }
    page.push_str("</table></div><p class=\"dim\">Routers count these calls and the operator judges them at once, not at looks; what it did is said by the conditions below.</p>");
}

/// Whether users fell on variants as planned.
pub fn sample_ratio(page: &mut String, facts: &Facts) {
    page.push_str("<h2>Did users fall on variants as planned?</h2>");
    let Some(ratio) = facts.sample_ratio else {
        page.push_str("<p class=\"none\">No user has been counted yet.</p>");
        return;
    };
    let total = |of: fn(&super::arms::Counted) -> u64| facts.variants.iter().map(|variant| of(&variant.counted)).sum::<u64>();
    let (users, labelled) = (total(|of| of.units), total(|of| of.labelled_units));
    let share = |part: u64, whole: u64| if whole > 0 { percent(real(part) / real(whole)) } else { ABSENT.to_owned() };
    header(page, "", &["variant", "planned share", "users assigned", "share", "with an outcome", "share"]);
    for variant in &facts.variants {
        let of = &variant.counted;
        let cells = [grouped(of.units), share(of.units, users), grouped(of.labelled_units), share(of.labelled_units, labelled)];
        row(page, &[vec![escape(&variant.name), percent(variant.share)], cells.to_vec()].concat());
    }
    page.push_str("</table></div>");
    header(page, "", &["evidence against the planned shares", "ln of the e-value", "invalid from"]);
    for (what, ln_e) in [("users assigned", ratio.ln_e_assigned), ("users with an outcome", ratio.ln_e_labelled)] {
        row(page, &[what.to_owned(), decimal(ln_e, 2), format!("{} (ln 1,000)", decimal(ratio.threshold, 2))]);
    }
    let (class, word) = if ratio.holds() { ("ok", "They did, as far as can be told.") } else { ("no", "They did not: the test is invalid.") };
    let whose = if ratio.from_status {
        "The evidence is that of the newest look or of the end; the users are those counted now."
    } else {
        "The evidence is that of now; no look has been taken yet."
    };
    let _ = write!(page, "</table></div><p><b class=\"{class}\">{word}</b> <span class=\"dim\">{whose}</span></p>");
}

/// What the operator says.
pub fn conditions(page: &mut String, facts: &Facts) {
    if facts.conditions.is_empty() {
        return;
    }
    page.push_str("<h2>What the operator says</h2>");
    header(page, "text", &["condition", "", "reason", "in words"]);
    for condition in &facts.conditions {
        row(page, &[&condition.r#type, &condition.status, &condition.reason, &condition.message].map(|text| escape(text)));
    }
    page.push_str("</table></div>");
}
