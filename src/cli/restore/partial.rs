//! What a damaged repository cannot give back, for a restore of the rest.

use std::collections::BTreeSet;

use serde_json::json;

use crate::cli::check::part;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::output::Level;
use crate::cli::text::Ink;
use crate::repository::Repository;
use crate::snapshot::{Annex, Lost, Part, Snapshot, lost_by_reading};
use crate::tree::TreePath;

/// What of one snapshot is not there; nothing, unless it was looked for.
#[derive(Debug, Default)]
pub(super) struct Absent {
    lost: Vec<Lost>,
}

impl Absent {
    /// Tries to read all of `snapshot`.
    pub(super) fn look(repository: &Repository, snapshot: &Snapshot) -> Result<Self, Failure> {
        Ok(Self { lost: lost_by_reading(repository, snapshot)? })
    }

    /// Whether a root cannot be had at all.
    pub(super) fn has_root(&self, label: &str) -> bool {
        self.parts()
            .any(|part| matches!(part, Part::Tree { root, path: None, .. } if root == label))
    }

    pub(super) fn has_database(&self, name: &str) -> bool {
        self.parts().any(|part| matches!(part, Part::Database(lost) if lost == name))
    }

    /// The paths that a root lacks.
    pub(super) fn below(&self, label: &str) -> BTreeSet<TreePath> {
        let below = |part: &Part| match part {
            Part::Tree { root, path, .. } if root == label => path.clone(),
            _ => None,
        };
        self.parts().filter_map(below).collect()
    }

    /// The annex; an empty one where it is lost.
    pub(super) fn annex(
        &self,
        repository: &Repository,
        snapshot: &Snapshot,
    ) -> Result<Annex, Failure> {
        if self.parts().any(|part| *part == Part::Annex) {
            return Ok(Annex::default());
        }
        Ok(Annex::read(repository, &snapshot.annex)?)
    }

    /// Names everything that stays behind.
    pub(super) fn tell(&self, cx: &Context<'_>, snapshot: &Snapshot) {
        for lost in &self.lost {
            let shown = part(snapshot, &lost.part);
            let objects: Vec<&str> = lost.objects.iter().map(String::as_str).collect();
            cx.out.insist(&format!("  {} lost: {shown}\n", Ink::Bad.on('✗')));
            let fields = json!({ "item": shown, "objects": objects });
            cx.out.message("lost", Level::Error, &format!("{shown} is lost"), fields);
        }
    }

    pub(super) fn count(&self) -> usize {
        self.lost.len()
    }

    fn parts(&self) -> impl Iterator<Item = &Part> {
        self.lost.iter().map(|lost| &lost.part)
    }
}
