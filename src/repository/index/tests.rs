use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use proptest::prelude::*;

use super::build::{Named, build};
use super::cache::{Allowance, Cache};
use super::filter::Filter;
use super::merge::{Cursor, merge};
use super::table::{Bytes, Row, Sieve, Table};
use super::*;
use crate::repository::pack::{Contents, FramePlace};

/// A pack of some frames with chunks whose ids share many first bits.
fn pack(number: u8, counts: &[u16]) -> (ObjectId, Contents) {
    let mut contents = Contents::default();
    for (frame, chunks) in counts.iter().enumerate() {
        let offset = u32::try_from(contents.end()).unwrap();
        let sealed_bytes = 20 + u32::from(*chunks);
        contents.frames.push(FramePlace { offset, sealed_bytes, chunks: *chunks });
        for chunk in 0..*chunks {
            let mut id = *blake3::hash(&[number, u8::try_from(frame).unwrap()]).as_bytes();
            id[31] = u8::try_from(chunk % 251).unwrap();
            id[0] &= 0x83;
            contents.ids.push(ChunkId::from_bytes(id));
            contents.lengths.push(u32::from(chunk) * 3 + 1);
        }
    }
    (ObjectId::from_bytes([number; 32]), contents)
}

fn named(packs: &[(ObjectId, Contents)]) -> Vec<Named<'_>> {
    let class = PackClass::Metadata;
    packs.iter().map(|(id, contents)| Named { id: *id, class, contents }).collect()
}

fn in_memory(bytes: Vec<u8>) -> Table {
    let length = bytes.len() as u64;
    Table::open(Bytes::Memory(bytes), length).unwrap().expect("it was just built")
}

fn in_a_file(bytes: &[u8]) -> Table {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    Table::open(Bytes::File(file), bytes.len() as u64).unwrap().expect("it was just built")
}

/// With its filter in memory, or behind it in its file.
fn sifted(bytes: &[u8], filter: &Filter) -> [Table; 2] {
    let table = in_a_file(bytes);
    let in_memory = Filter::from_bytes(filter.as_bytes().to_vec(), table.chunks).unwrap();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&[bytes, filter.as_bytes()].concat()).unwrap();
    let behind = Table::open(Bytes::File(file), bytes.len() as u64).unwrap().unwrap();
    [table.sifted(Sieve::Memory(in_memory)), behind.sifted(Sieve::File(bytes.len()))]
}

type Said = BTreeMap<ChunkId, BTreeSet<(ObjectId, u32, u16, u32, u32, u32)>>;

/// What the packs hold, by the plainest means.
fn expected(packs: &[(ObjectId, Contents)]) -> Said {
    let mut said = Said::new();
    for (id, contents) in packs {
        for (chunk, frame, number, bytes) in contents.chunks() {
            let place = contents.frames[frame as usize];
            let row = (*id, frame, number, bytes, place.offset, place.sealed_bytes);
            said.entry(chunk).or_default().insert(row);
        }
    }
    said
}

fn said_by(table: &Table, id: &ChunkId) -> BTreeSet<(ObjectId, u32, u16, u32, u32, u32)> {
    let full = |row: Row| {
        let (offset, sealed_bytes) = table.frame(row.pack, row.frame).unwrap();
        let pack = table.packs[row.pack as usize].id;
        (pack, row.frame, row.chunk, row.bytes, offset, sealed_bytes)
    };
    let rows: Vec<_> =
        table.numbers(id).unwrap().map(|number| table.row(number).unwrap()).collect();
    assert_eq!(table.first_row(id).unwrap(), rows.first().copied());
    rows.into_iter().map(full).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_table_says_what_the_packs_hold_wherever_it_lies(
        counts in proptest::collection::vec(proptest::collection::vec(0..400_u16, 0..6), 0..6),
        split in 0..6_usize,
    ) {
        let packs: Vec<_> =
            counts.iter().enumerate().map(|(n, c)| pack(u8::try_from(n).unwrap(), c)).collect();
        let expected = expected(&packs);
        let whole = build(&named(&packs));
        let (first, second) = packs.split_at(split.min(packs.len()));
        let parts = [build(&named(first)), build(&named(second))].map(in_memory);
        let mut merged = Vec::new();
        let filter = merge(&parts.iter().collect::<Vec<_>>(), &mut merged).unwrap();
        let [sifted, sifted_behind] = sifted(&merged, &filter);
        let tables = [in_memory(whole.clone()), in_a_file(&whole), in_memory(merged.clone()), in_a_file(&merged)];
        for table in tables.into_iter().chain([sifted, sifted_behind]) {
            for (id, rows) in &expected {
                prop_assert_eq!(&said_by(&table, id), rows);
                let mut other = *id.as_bytes();
                other[31] = 255;
                prop_assert!(table.first_row(&ChunkId::from_bytes(other)).unwrap().is_none());
            }
            let mut cursor = Cursor::new(&table);
            let mut before = None;
            let mut count = 0;
            while let Some((id, row)) = cursor.next().unwrap() {
                prop_assert!(before <= Some((id, row)), "out of order");
                before = Some((id, row));
                count += 1;
            }
            prop_assert_eq!(count, packs.iter().map(|(_, c)| c.ids.len()).sum::<usize>());
        }
    }
}

#[test]
fn a_table_cut_short_or_made_up_is_refused() {
    let packs = [pack(1, &[3, 4]), pack(2, &[5])];
    let bytes = build(&named(&packs));
    let opens = |bytes: &[u8]| {
        Table::open(Bytes::Memory(bytes.to_vec()), bytes.len() as u64).unwrap().is_some()
    };
    assert!(opens(&bytes));
    for length in 0..bytes.len() {
        assert!(!opens(&bytes[..length]), "{length}");
    }
    for at in 0..32 {
        let mut hurt = bytes.clone();
        hurt[at] ^= 0xff;
        assert!(!opens(&hurt), "byte {at} of the header");
    }
}

#[test]
fn packs_keep_one_number_whichever_segments_name_them() {
    let packs = [pack(1, &[3]), pack(2, &[4])];
    let tables = [in_memory(build(&named(&packs))), in_memory(build(&named(&packs[1..])))];
    let index = Index::default().over(tables.into_iter().map(Arc::new));
    assert_eq!(index.packs.len(), 2);
    let id = packs[1].1.ids[0];
    let places = index.places(&id).unwrap();
    assert_eq!((places.len(), places[0]), (2, places[1]));
    assert_eq!(index.pack_of(&id).unwrap(), Some(places[0].pack));
    assert_eq!(index.locate(&id).unwrap(), Some(places[0]));
    assert_eq!(index.packs[places[0].pack as usize].id, packs[1].0);
}

#[test]
fn a_cache_that_may_take_no_memory_answers_from_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::open(dir.path().join("index")).unwrap();
    let packs: Vec<_> = (1..=8).map(|number| pack(number, &[300, 200])).collect();
    let expected = expected(&packs);
    let mut left = Allowance::nothing();
    let mut keep = |packs: &[(ObjectId, Contents)]| {
        let table = in_memory(build(&named(packs)));
        let covers = BTreeSet::from([packs[0].0]);
        cache.keep(&[&table], &covers, &mut left).unwrap().unwrap()
    };
    let many = [keep(&packs[..2]), keep(&packs[2..5]), keep(&packs[5..])];
    let merged = cache.merge(&many, &mut left).unwrap().unwrap();
    assert_eq!(merged.table.memory_bytes(), (0, 0));
    assert_eq!(dir.path().join("index").read_dir().unwrap().count(), 1, "the three are gone");
    for (id, rows) in &expected {
        assert_eq!(&said_by(&merged.table, id), rows);
    }
    // The next who opens it finds the same, and may hold it in memory.
    let listed = merged.covers.clone();
    let kept = cache.load(&listed, &mut Allowance::default()).unwrap();
    let (table, filter) = kept[0].table.memory_bytes();
    assert!(kept.len() == 1 && table > 0 && filter > 0);
    for (id, rows) in &expected {
        assert_eq!(&said_by(&kept[0].table, id), rows);
    }
    // A file of another version, or cut anywhere, is not believed: it goes.
    let file = dir.path().join("index").read_dir().unwrap().next().unwrap().unwrap().path();
    let sound = std::fs::read(&file).unwrap();
    let mut older = sound.clone();
    let digit = older.len() - 2;
    older[digit] -= 1;
    for wrong in [&older[..], &sound[..sound.len() - 1], &sound[1..], &sound[..40], b""] {
        let name = file.file_name().unwrap().to_str().unwrap();
        crate::os::file::replace(file.parent().unwrap(), name, wrong, 0o600).unwrap();
        assert!(cache.load(&listed, &mut Allowance::default()).unwrap().is_empty());
        assert!(!file.exists());
    }
}

#[test]
fn ids_that_part_in_a_single_bit_are_two_ids() {
    let one = *blake3::hash(b"a chunk").as_bytes();
    let turned = |bit: usize| {
        let mut id = one;
        id[bit / 8] ^= 1 << (bit % 8);
        ChunkId::from_bytes(id)
    };
    let mut contents = Contents::default();
    contents.frames.push(FramePlace { offset: 64, sealed_bytes: 900, chunks: 128 });
    for bit in (0..256).step_by(2) {
        contents.ids.push(turned(bit));
        contents.lengths.push(u32::try_from(bit).unwrap() + 1);
    }
    let packs = [(ObjectId::from_bytes([7; 32]), contents)];
    let tables = [Arc::new(in_memory(build(&named(&packs))))];
    let index = Index::default().over(tables.into_iter());
    for bit in 0..256 {
        let found = index.places(&turned(bit)).unwrap();
        let lengths: Vec<u32> = found.iter().map(|place| place.bytes).collect();
        let wanted = if bit % 2 == 0 { vec![u32::try_from(bit).unwrap() + 1] } else { Vec::new() };
        assert_eq!(lengths, wanted, "bit {bit}");
    }
    assert!(index.places(&ChunkId::from_bytes(one)).unwrap().is_empty());
}
