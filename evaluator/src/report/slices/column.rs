//! The values of one column in memory, ten bytes for each prediction. It must not know which slices become of them.

use std::collections::HashMap;

use serde_json::Value;

/// Values of a column that are told apart; all further ones are one.
const VALUES: u16 = 2_000;
/// Characters by which a value is told from others.
const LONGEST: usize = 120;
/// No value.
pub const MISSING: u16 = u16::MAX;
/// One of too many values.
pub const REST: u16 = u16::MAX - 1;

/// The values of a column by prediction.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    names: Vec<String>,
    codes: HashMap<String, u16>,
    /// Of each prediction, the place of its value among the names; or what is none.
    pub by_row: Vec<u16>,
    /// The same as numbers, not a number where there is none; `None` if a value is something else.
    pub numbers: Option<Vec<f64>>,
}

impl Default for Column {
    fn default() -> Self {
        Self { names: Vec::new(), codes: HashMap::new(), by_row: Vec::new(), numbers: Some(Vec::new()) }
    }
}

impl Column {
    /// The value of the prediction at this place. Predictions between the last one and this have none.
    pub fn set(&mut self, row: usize, value: &Value) {
        self.fill(row);
        let number = value.as_f64();
        match (&mut self.numbers, number, value) {
            (Some(numbers), Some(number), _) => numbers.push(number),
            (Some(numbers), None, Value::Null) => numbers.push(f64::NAN),
            (Some(_), None, _) => self.numbers = None,
            (None, _, _) => {}
        }
        let code = match (value, number) {
            (Value::Null, _) => MISSING,
            (Value::String(text), _) => self.code(text),
            // 1 and 1.0 are one value.
            (_, Some(number)) => self.code(&number.to_string()),
            (other, None) => self.code(&other.to_string()),
        };
        self.by_row.push(code);
    }

    /// From the last prediction to this place, none has a value.
    pub fn fill(&mut self, rows: usize) {
        if self.by_row.len() < rows {
            self.by_row.resize(rows, MISSING);
        }
        if let Some(numbers) = self.numbers.as_mut().filter(|numbers| numbers.len() < rows) {
            numbers.resize(rows, f64::NAN);
        }
    }

    /// The values that are told apart, in the order in which they came.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    fn code(&mut self, text: &str) -> u16 {
        let name = text.char_indices().nth(LONGEST).and_then(|(end, _)| text.get(..end)).unwrap_or(text);
        if let Some(code) = self.codes.get(name) {
            return *code;
        }
        match u16::try_from(self.names.len()) {
            Ok(code) if code < VALUES => {
                self.names.push(name.to_owned());
                self.codes.insert(name.to_owned(), code);
                code
            }
            _ => REST,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_have_the_kind_that_all_of_them_have() {
        let column = |values: &[Value]| {
            let mut column = Column::default();
            values.iter().enumerate().for_each(|(row, value)| column.set(row + 1, value));
            column
        };
        let numbers = column(&[json!(1), json!(1.0), json!(null), json!(-2.5)]);
        assert_eq!((numbers.names(), &numbers.by_row[..]), (&["1".to_owned(), "-2.5".to_owned()][..], &[MISSING, 0, 0, MISSING, 1][..]));
        let known: Vec<_> = numbers.numbers.unwrap().into_iter().map(|number| (!number.is_nan()).then_some(number)).collect();
        assert_eq!(known, [None, Some(1.0), Some(1.0), None, Some(-2.5)]);
        let mixed = column(&[json!(7), json!("7"), json!(true), json!([1])]);
        assert_eq!((mixed.names(), &mixed.numbers), (&["7", "true", "[1]"].map(str::to_owned)[..], &None));
    }

    #[test]
    fn neither_many_values_nor_long_ones_fill_the_memory() {
        let mut column = Column::default();
        for row in 0..2_500_usize {
            column.set(row, &json!(format!("{row:04}{}", "ü".repeat(1_000))));
        }
        assert_eq!((column.names().len(), column.by_row[2_000], column.by_row[1_999]), (2_000, REST, 1_999));
        assert!(column.names().iter().all(|name| name.chars().count() == LONGEST));
    }
}
