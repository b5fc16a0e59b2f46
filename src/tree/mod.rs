//! Files: what an entry is, the order of a tree, how it is listed, stored and put on disk.

pub mod build;
pub mod edit;
mod entry;
mod error;
mod exclusions;
pub mod gather;
pub mod manifest;
mod path;
pub mod place;
pub mod read;
pub mod statcache;
pub mod walk;
mod wire;

pub use entry::{Content, Entry, Kind, Meta, Mtime, Xattr};
pub use error::{BadObject, TreeError};
pub use exclusions::{CACHEDIR_TAG, ExclusionRules, Exclusions, Recorded, Treatment, is_ours};
pub use path::{BadPath, TreePath};
