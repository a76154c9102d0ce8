//! A connection beside the writer's, which only reads.

use std::sync::Arc;

use postgres::Client;

use super::{COLUMNS, number, whole};
use crate::Error;
use crate::record::{Arm, Record};
use crate::store::Reader;

/// Reads what has been committed.
pub(super) struct PostgresqlReader {
    pub(super) client: Client,
    pub(super) arms: Vec<Arc<Arm>>,
}

impl Reader for PostgresqlReader {
    fn page(&mut self, after: (i64, i64), end: i64, most: u32) -> Result<Vec<(i64, String, Record)>, Error> {
        let statement = format!("SELECT {COLUMNS}, id, features FROM records WHERE (time, key) > ($1, $2) AND time < $3 ORDER BY time, key LIMIT $4");
        let rows = self.client.query(&statement, &[&after.0, &after.1, &end, &i64::from(most)])?;
        rows.iter().map(|row| whole(row, &self.arms)).collect()
    }

    fn newest(&mut self, arms: &[usize], before: (i64, i64), from: i64, most: u32) -> Result<Vec<(i64, String, Record)>, Error> {
        let statement = format!(
            "SELECT {COLUMNS}, id, features FROM records WHERE (time, key) < ($1, $2) AND time >= $3 AND arm = ANY($4) AND outcome IS NOT NULL \
             ORDER BY time DESC, key DESC LIMIT $5"
        );
        let places: Vec<i32> = arms.iter().copied().map(number).collect();
        let rows = self.client.query(&statement, &[&before.0, &before.1, &from, &places, &i64::from(most)])?;
        rows.iter().map(|row| whole(row, &self.arms)).collect()
    }
}
