//! Decides what a restore to a target writes, and looks afterwards whether it is what was saved.

use std::path::{Path, PathBuf};

use crate::cli::failure::{Code, Failure};
use crate::cli::progress::Progress;
use crate::monitor::{Monitor, News};
use crate::repository::Repository;
use crate::snapshot::converge::{self, ConvergePlan, Deletes, Proof, Unsynced};
use crate::snapshot::{DatabaseMark, Memory, Snapshot, Trust};
use crate::tree::TreePath;

use super::target::{self, Piece};

/// What is to be written, and how far what is there is believed.
#[derive(Clone, Copy)]
pub(super) struct Aim<'a> {
    pub(super) repository: &'a Repository,
    pub(super) snapshot: &'a Snapshot,
    pub(super) deletes: Deletes<'a>,
    pub(super) memory: Memory<'a>,
    pub(super) progress: &'a Progress<'a>,
}

impl Aim<'_> {
    fn request<'a>(&'a self, piece: &'a Piece<'_>) -> converge::Request<'a> {
        converge::Request {
            wanted: piece.root,
            annex: Some(&piece.annex),
            path: &piece.place,
            exclusions: &piece.exclusions,
            deletes: self.deletes,
            keep_links_to_directories: false,
            include: piece.include.as_deref(),
            memory: self.memory,
        }
    }

    /// What has to be done for one piece.
    pub(super) fn plan(&self, piece: &Piece<'_>) -> Result<ConvergePlan, Failure> {
        Ok(converge::plan(self.repository, &self.request(piece), self.progress)?)
    }

    /// Has the disk hold it, and looks at everything that was touched: nothing may be left to do. If
    /// something is, it is done once more, without believing what stat says. How many paths are closed
    /// to us by what they were given, and could not be looked at.
    pub(super) fn compare(
        &self,
        pieces: &[Piece<'_>],
        work: &[(&ConvergePlan, Unsynced)],
        databases: &[(&DatabaseMark, PathBuf)],
    ) -> Result<u64, Failure> {
        let mut closed = 0;
        for (piece, (plan, done)) in pieces.iter().zip(work) {
            let what = match self.prove(piece, (plan, done), databases)? {
                Proof::AsWanted => continue,
                Proof::Closed(paths) => {
                    closed += paths;
                    continue;
                }
                Proof::Differs(what) => what,
            };
            let wary = Memory { trust: Trust::Never, ..self.memory };
            let wary = Self { memory: wary, ..*self };
            let what = format!("{what} is left to do: comparing again, every byte");
            self.progress.tell(News::Warning { what });
            let again = wary.plan(piece)?;
            let pieces = std::slice::from_ref(piece);
            let plans = std::slice::from_ref(&again);
            for (plan, done) in target::write(self.repository, pieces, plans, self.progress)? {
                match wary.prove(piece, (plan, &done), databases)? {
                    Proof::AsWanted => {}
                    Proof::Closed(paths) => closed += paths,
                    Proof::Differs(what) => {
                        let message = "what was restored is not what was saved";
                        return Err(Failure::new(Code::E0206, message)
                            .because(format!("still to be done: {what}"))
                            .state("the files are in the target"));
                    }
                }
            }
        }
        Ok(closed)
    }

    fn prove(
        &self,
        piece: &Piece<'_>,
        work: (&ConvergePlan, &Unsynced),
        databases: &[(&DatabaseMark, PathBuf)],
    ) -> Result<Proof, Failure> {
        let dirs = databases.iter().filter_map(|(_, file)| inside(&piece.place, file.parent()?));
        let dirs: Vec<TreePath> = dirs.collect();
        let (repository, id) = (self.repository, self.snapshot.id);
        Ok(converge::prove(repository, &self.request(piece), work, &dirs, id, self.progress)?)
    }
}

/// A directory as it is called below `root`.
fn inside(root: &Path, dir: &Path) -> Option<TreePath> {
    use std::os::unix::ffi::OsStrExt;
    TreePath::parse(dir.strip_prefix(root).ok()?.as_os_str().as_bytes()).ok()
}
