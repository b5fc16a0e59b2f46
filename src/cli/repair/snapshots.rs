//! `snap repair snapshots`: those that lack something, without it.

use serde_json::json;

use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::Level;
use crate::cli::progress::Progress;
use crate::cli::render::{counted, took};
use crate::cli::text::Ink;
use crate::repository::{CheckDepth, Repository};
use crate::snapshot::{self, Remedy, SnapshotError, UnreadableKind};

pub(super) fn run(cx: &Context<'_>, repository: &Repository) -> Result<Exit, Failure> {
    let progress = Progress::new(cx.out);
    let dry = super::is_dry(cx);
    let (examined, remedies) = progress.during(|| {
        let report = repository.check(CheckDepth::ReadData, &progress)?;
        let examined = snapshot::examine(repository, report)?;
        let remedies = snapshot::remedies(repository, &examined)?;
        Ok::<_, SnapshotError>((examined, remedies))
    })?;
    for remedy in &remedies {
        tell(cx, remedy, None);
    }
    let to_do = remedies.iter().filter(|one| !matches!(one, Remedy::Keep { .. })).count() as u64;
    let verdict = match (to_do, dry) {
        (0, _) => "no snapshot can be mended: nothing to do".to_owned(),
        (_, true) => format!("would mend {}", counted(to_do, "snapshot", "snapshots")),
        (_, false) => {
            for remedy in &remedies {
                let new = progress.during(|| snapshot::remedy(repository, &examined, remedy))?;
                if new.is_some() {
                    tell(cx, remedy, new);
                }
            }
            let done = counted(to_do, "snapshot was mended", "snapshots were mended");
            format!("{done}; the old records are in quarantine")
        }
    };
    cx.out.print(&format!("{} {verdict}   {}\n", Ink::Good.on('✓'), took(progress.elapsed())));
    let fields = json!({ "snapshots": to_do, "dry_run": dry });
    cx.out.message("summary", Level::Info, &verdict, fields);
    if dry && to_do > 0 {
        super::invite(cx, "snapshots")?;
    }
    Ok(Exit::Ok)
}

/// Says what becomes, or became, of one.
fn tell(cx: &Context<'_>, remedy: &Remedy, new: Option<crate::repository::ObjectId>) {
    let (id, action, sentence) = match (remedy, new) {
        (Remedy::Replace { id, .. }, Some(new)) => {
            let sentence = format!("snapshot {} is {} now", id.short(), new.short());
            (id, "replaced", sentence)
        }
        (Remedy::Replace { id, lost }, None) => {
            let parts = counted(*lost as u64, "part", "parts");
            (id, "replace", format!("snapshot {} lacks {parts}", id.short()))
        }
        (Remedy::Drop { id }, _) => {
            (id, "drop", format!("snapshot {} lacks everything", id.short()))
        }
        (Remedy::Keep { id }, _) => {
            let sentence = format!("snapshot {} stays: a transaction may need it", id.short());
            (id, "keep", sentence)
        }
        (Remedy::Unreadable { kind: UnreadableKind::Snapshot, id }, _) => {
            (id, "quarantine", format!("snapshot {} cannot be read", id.short()))
        }
        (Remedy::Unreadable { kind: UnreadableKind::Tombstone, id }, _) => {
            let sentence = format!("tombstone {}: what it forgot is listed again", id.short());
            (id, "quarantine", sentence)
        }
    };
    cx.out.print(&format!("  {} {sentence}\n", Ink::Warn.on('!')));
    let fields = json!({
        "snapshot_id": id.to_string(),
        "action": action,
        "new_snapshot_id": new.map(|new| new.to_string()),
    });
    cx.out.message("remedy", Level::Warning, &sentence, fields);
}
