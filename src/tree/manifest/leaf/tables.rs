//! Tables that entries refer to: each row is there once, and in the order in which it is first used.

use crate::tree::BadObject;

/// Holds a table to the order in which its rows are first used, each at least once.
pub(super) struct FirstUse {
    table: &'static str,
    seen: usize,
}

impl FirstUse {
    pub(super) const fn new(table: &'static str) -> Self {
        Self { table, seen: 0 }
    }

    pub(super) fn check(&mut self, index: usize) -> Result<(), BadObject> {
        if index > self.seen {
            return Err(BadObject::Order(self.table));
        }
        self.seen = self.seen.max(index + 1);
        Ok(())
    }

    pub(super) fn finish(self, rows: usize) -> Result<(), BadObject> {
        if self.seen == rows { Ok(()) } else { Err(BadObject::Order(self.table)) }
    }
}

pub(super) fn no_twins<T: Ord>(mut table: Vec<T>, what: &'static str) -> Result<(), BadObject> {
    table.sort();
    let twins = table.windows(2).any(|pair| pair[0] == pair[1]);
    if twins { Err(BadObject::Order(what)) } else { Ok(()) }
}
