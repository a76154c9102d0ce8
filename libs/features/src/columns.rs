//! Raw columns of a batch of rows.

use std::collections::BTreeMap;

use crate::{Error, FeatureSpec, FeatureType};

/// One column.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// Numbers; NaN is a missing value.
    Numeric(Vec<f64>),
    /// Texts.
    Text(Vec<Option<String>>),
}

impl Column {
    /// How many rows it has.
    pub fn len(&self) -> usize {
        match self {
            Self::Numeric(values) => values.len(),
            Self::Text(values) => values.len(),
        }
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows with these indices; indices outside are left out.
    #[must_use]
    pub fn select(&self, rows: &[usize]) -> Self {
        match self {
            Self::Numeric(values) => Self::Numeric(rows.iter().filter_map(|row| values.get(*row).copied()).collect()),
            Self::Text(values) => Self::Text(rows.iter().filter_map(|row| values.get(*row).cloned()).collect()),
        }
    }

    fn type_name(&self) -> &'static str {
        match self {
            Self::Numeric(_) => "numbers",
            Self::Text(_) => "texts",
        }
    }
}

/// Columns by name, all of one length.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Columns {
    columns: BTreeMap<String, Column>,
    rows: usize,
}

impl Columns {
    /// Takes columns, which must have the same number of rows.
    ///
    /// # Errors
    /// Names the first column whose length differs.
    pub fn new(columns: impl IntoIterator<Item = (String, Column)>) -> Result<Self, Error> {
        let columns: BTreeMap<String, Column> = columns.into_iter().collect();
        let rows = columns.values().next().map_or(0, Column::len);
        for (name, column) in &columns {
            if column.len() != rows {
                return Err(Error::Length { name: name.clone(), expected: rows, found: column.len() });
            }
        }
        Ok(Self { columns, rows })
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The names of the columns.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.keys().map(String::as_str)
    }

    /// The column with this name.
    ///
    /// # Errors
    /// Names the column and lists those that are there.
    pub fn get(&self, name: &str) -> Result<&Column, Error> {
        self.columns
            .get(name)
            .ok_or_else(|| Error::MissingColumn { name: name.to_owned(), available: self.columns.keys().cloned().collect::<Vec<_>>().join(", ") })
    }

    /// The numbers of a column.
    ///
    /// # Errors
    /// The column is missing, or holds texts.
    pub fn numeric(&self, name: &str) -> Result<&[f64], Error> {
        match self.get(name)? {
            Column::Numeric(values) => Ok(values),
            other => Err(Error::WrongType { name: name.to_owned(), expected: "numbers", found: other.type_name() }),
        }
    }

    /// The texts of a column.
    ///
    /// # Errors
    /// The column is missing, or holds numbers.
    pub fn text(&self, name: &str) -> Result<&[Option<String>], Error> {
        match self.get(name)? {
            Column::Text(values) => Ok(values),
            other => Err(Error::WrongType { name: name.to_owned(), expected: "texts", found: other.type_name() }),
        }
    }

    /// The rows with these indices.
    #[must_use]
    pub fn select(&self, rows: &[usize]) -> Self {
        let columns: BTreeMap<_, _> = self.columns.iter().map(|(name, column)| (name.clone(), column.select(rows))).collect();
        let rows = columns.values().next().map_or(0, Column::len);
        Self { columns, rows }
    }

    /// Whether every feature has a column of its type, without infinite values.
    ///
    /// # Errors
    /// Names the first column that does not fit.
    pub fn check(&self, specs: &[FeatureSpec]) -> Result<(), Error> {
        for spec in specs {
            match spec.kind {
                FeatureType::Numeric { .. } => {
                    if let Some(row) = self.numeric(&spec.name)?.iter().position(|value| value.is_infinite()) {
                        return Err(Error::Infinite { name: spec.name.clone(), row });
                    }
                }
                FeatureType::Categorical { .. } => {
                    self.text(&spec.name)?;
                }
            }
        }
        Ok(())
    }
}
