//! Which frame a delta frame builds on, learned from the footers of packs: whoever reads much reads
//! a frame, and all that build on it, one after the other.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::backend::Freshness;
use super::error::RepositoryError;
use super::index::Place;
use super::repository::{Inner, Repository};

/// A frame: the number of its pack in this opened repository, and its own number there.
type FrameKey = (u32, u32);

/// What was learned so far. Whoever reads in several parts keeps it.
#[derive(Debug, Default)]
pub struct BaseFrames {
    looked_at: HashSet<u32>,
    bases: HashMap<FrameKey, FrameKey>,
}

/// What lies in so few packs is of few backups: there is little to put in order, and the footers of
/// a first backup are long.
const PACKS_MIN: usize = 8;

/// So many are remembered, some 10 MB. Others are taken to stand alone, and what they build on may
/// be decoded more than once.
const KNOWN_MAX: usize = 1 << 18;

impl BaseFrames {
    /// Learns what the frames build on in whose packs `places` are. Of a pack that cannot be read
    /// nothing is learned: whoever reads its frames is told.
    pub fn learn<'p>(
        &mut self,
        repository: &Repository,
        places: impl Iterator<Item = &'p Place>,
    ) -> Result<(), RepositoryError> {
        let inner = &repository.inner;
        let packs: BTreeSet<u32> = places.map(|place| place.pack).collect();
        if packs.len() < PACKS_MIN || !inner.config.has_deltas() {
            return Ok(());
        }
        for pack in packs {
            if self.bases.len() < KNOWN_MAX && self.looked_at.insert(pack) {
                self.look_at(inner, pack)?;
            }
        }
        Ok(())
    }

    fn look_at(&mut self, inner: &Inner, pack: u32) -> Result<(), RepositoryError> {
        let index = inner.index()?;
        let id = index.packs[pack as usize].id;
        let Ok(footer) = inner.read_footer(&id, Freshness::Cached) else { return Ok(()) };
        for (frame, bases) in &footer.contents.bases {
            let Some(base) = bases.first() else { continue };
            let place = index.locate(base).map_err(|error| inner.index_error(error))?;
            self.note((pack, *frame), place);
        }
        Ok(())
    }

    /// Notes where what a frame builds on is; nothing, if that is nowhere.
    pub(super) fn note(&mut self, frame: FrameKey, base: Option<Place>) {
        if let Some(base) = base {
            self.bases.insert(frame, (base.pack, base.frame));
        }
    }

    /// The frame that this one builds on; itself if it is not known to build on any.
    pub fn of(&self, frame: (u32, u32)) -> (u32, u32) {
        self.bases.get(&frame).copied().unwrap_or(frame)
    }
}
