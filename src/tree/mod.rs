//! Files: what an entry is, the order of a tree, how it is listed, stored and put on disk.

mod entry;
mod path;

pub use entry::{Content, Entry, Kind, Meta, Mtime, Xattr};
pub use path::{BadPath, TreePath};
