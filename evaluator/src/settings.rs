//! What an evaluator is told when it starts. All times are milliseconds.

/// How records are counted and how long they are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What the model answers.
    pub task: Task,
    /// How long after a prediction its outcome may come. Whatever comes later is in no metric.
    pub window: i64,
    /// How long records are kept, from the prediction on.
    pub retention: i64,
    /// The span of predictions that one cell of the history stands for.
    pub period: i64,
    /// Whether records are exported before they are forgotten.
    pub export: bool,
}

/// What the model answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Task {
    /// The probability of a label; outcomes are 0 or 1.
    BinaryClassification,
    /// A number; so are outcomes.
    Regression,
}

/// The shortest span of a cell.
const SHORTEST: i64 = 10_000;
/// Cells of one arm at most, about.
const CELLS: i64 = 1_000;

impl Task {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::BinaryClassification => "binary-classification",
            Self::Regression => "regression",
        }
    }
}

impl Settings {
    /// Settings whose history is about a dozen cells to a window, and not more than a thousand in all.
    pub fn new(task: Task, window: i64, retention: i64) -> Self {
        Self { task, window, retention: retention.max(window), period: (window / 12).max(retention / CELLS).max(SHORTEST), export: false }
    }
}
