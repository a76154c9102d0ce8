//! The text format of metrics, as our own pods write it.

use std::collections::BTreeMap;

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The metric.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

/// The lines of the wanted metrics; lines that are not understood are left out.
pub fn parse(text: &str, wanted: impl Fn(&str) -> bool) -> Vec<Line> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| parse_line(line, &wanted)).collect()
}

fn parse_line(line: &str, wanted: &impl Fn(&str) -> bool) -> Option<Line> {
    let end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(end);
    if !wanted(name) {
        return None;
    }
    let (labels, rest) = if rest.starts_with('{') { parse_labels(rest)? } else { (BTreeMap::new(), rest) };
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(Line { name: name.to_owned(), labels, value })
}

/// Reads `{a="x",b="y"}` and gives what follows.
fn parse_labels(text: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    let mut rest = text.strip_prefix('{')?;
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        let (name, after) = rest.split_once("=\"")?;
        let (value, after) = parse_value(after)?;
        labels.insert(name.to_owned(), value);
        rest = after;
    }
}

fn parse_value(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((place, character)) = characters.next() {
        match character {
            '"' => return Some((value, text.get(place + 1..)?)),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_and_nonsense_is_left_out() {
        let text = "# HELP a b\na{x=\"1\",y=\"q\\\"u}o,te\"} 5\na 7 1700000000\nb 1\na{x=\"1\" 5\na{x=} 1\na";
        let lines = parse(text, |name| name == "a");
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].labels["y"], "q\"u}o,te");
        assert_eq!((lines[0].value, lines[1].value), (5.0, 7.0));
    }
}
