//! Rows that somebody, somewhere, really has.

/// One row; `None` is a missing value.
#[derive(Clone, Debug)]
pub struct Row {
    /// An f64.
    pub real: Option<f64>,
    /// An i64.
    pub whole: Option<i64>,
    /// A truth.
    pub flag: Option<bool>,
    /// An f32.
    pub single: Option<f32>,
    /// A text.
    pub text: Option<String>,
}

/// Rows that both sides take. Each list is repeated until the longest is through.
#[expect(clippy::too_many_lines, reason = "a table")]
pub fn hostile() -> Vec<Row> {
    let reals = [
        None,
        Some(f64::NAN),
        Some(-0.0),
        Some(0.0),
        Some(5e-324),
        Some(-5e-324),
        Some(f64::MIN_POSITIVE),
        Some(1e-45),
        Some(-1e-45),
        Some(1e-310),
        Some(f64::from(f32::MAX)),
        Some(f64::from(f32::MIN)),
        Some(0.1),
        Some(1.0 / 3.0),
        Some(16_777_217.0),
        Some(9_007_199_254_740_994.0),
        Some(-1.0),
        Some(1e-300),
        Some(123_456_789.123_456_79),
        Some(-0.999_999_999_999_999_9),
        Some(1e22),
        Some(1e23),
        Some(2.225_073_858_507_201e-308),
        Some(-1e38),
    ];
    let wholes = [
        Some(i64::MIN),
        Some(i64::MAX),
        None,
        Some(0),
        Some(-1),
        Some(9_007_199_254_740_993),
        Some(-9_007_199_254_740_993),
        Some(i64::MAX - 1),
        Some(i64::MAX - 1_024),
        Some(16_777_217),
    ];
    let flags = [Some(true), None, Some(false)];
    let singles = [Some(0.1_f32), None, Some(-0.0), Some(1e-45), Some(f32::MIN_POSITIVE), Some(16_777_216.0), Some(1.0 / 3.0), Some(f32::MAX)];
    let long = "日本語é\u{301}🛫".repeat(5_000);
    let texts = [
        None,
        Some(""),
        Some(" "),
        Some("   "),
        Some("EWR"),
        Some(" EWR"),
        Some("EWR "),
        Some("ewr"),
        Some("NA"),
        Some("na"),
        Some("N/A"),
        Some("null"),
        Some("NULL"),
        Some("None"),
        Some("NaN"),
        Some("\\N"),
        Some("\t"),
        Some("caf\u{e9}"),
        Some("cafe\u{301}"),
        Some("\u{feff}bom"),
        Some("\u{200b}"),
        Some("שלום"),
        Some("🏳️‍🌈"),
        Some("a,b;c|d\te"),
        Some("say \"no\""),
        Some("\""),
        Some("'"),
        Some("first\nsecond"),
        Some("first\r\nsecond"),
        Some("007"),
        Some("7"),
        Some("1e3"),
        Some("1000"),
        Some("true"),
        Some("2013-01-01"),
        Some("#comment"),
        Some("\\"),
        Some("back\\slash\\"),
        Some("%s{}$1"),
        Some("\u{1}control"),
        Some("\u{10ffff}"),
        Some(long.as_str()),
    ];
    // Two rounds: each text is once in a row that the pipeline is fitted on and once in one that it is not, or twice in neither.
    (0..2 * texts.len() + 1)
        .map(|row| Row {
            real: reals[row % reals.len()],
            whole: wholes[row % wholes.len()],
            flag: flags[row % flags.len()],
            single: singles[row % singles.len()],
            text: texts[row % texts.len()].map(str::to_owned),
        })
        .collect()
}

/// Rows that nobody takes.
pub fn refused() -> Vec<Row> {
    let row = Row { real: Some(1.0), whole: Some(1), flag: Some(true), single: Some(1.0), text: Some("EWR".to_owned()) };
    let real = |real| Row { real: Some(real), ..row.clone() };
    // The last two are numbers, but not as f32.
    vec![real(f64::INFINITY), real(f64::NEG_INFINITY), real(1e39), real(-1e300), Row { single: Some(f32::INFINITY), ..row.clone() }]
}
