#![doc = include_str!("../STATE.md")]

mod chunks;
mod codec;
mod needs;
mod stored;

pub use chunks::{ChunkRef, REFS_PER_LIST, decode_refs, encode_refs};
pub use codec::{decode, encode};
pub use needs::{Ask, needs};
pub use stored::{
    Column, Id, Image, OBJECTS_PER_PAGE, ObjectPage, ObjectRecord, Root, SchemaRecord, StoredFact,
    Table, Trigger, VERSION, View, Xattr,
};
