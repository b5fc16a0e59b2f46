//! One row as bytes: a bit for each column that is NULL, then length and bytes of every other cell.
//!
//! Layout: STATE.md, "Rows"; proof: the golden test below.

use crate::database::DatabaseError;

/// A value as the server spelled it; `None` is NULL.
pub type Cell<'a> = Option<&'a [u8]>;

/// More columns than any server takes (MySQL: 4,096): a bound on what a damaged state may claim.
const COLUMNS_MAX: usize = 1 << 14;

/// Writes and reads rows of a fixed number of columns.
#[derive(Clone, Copy, Debug)]
pub struct RowCodec {
    columns: usize,
}

impl RowCodec {
    /// A codec for rows of `columns` cells; `None` if no table has so many, or none.
    pub fn new(columns: usize) -> Option<Self> {
        (1..=COLUMNS_MAX).contains(&columns).then_some(Self { columns })
    }

    /// Appends a row to `out`. There must be as many cells as columns.
    pub fn encode<'a>(self, cells: impl Iterator<Item = Cell<'a>>, out: &mut Vec<u8>) {
        let nulls = out.len();
        out.resize(nulls + self.columns.div_ceil(8), 0);
        let mut seen = 0;
        for (index, cell) in cells.enumerate() {
            match cell {
                Some(bytes) => {
                    length(bytes.len(), out);
                    out.extend_from_slice(bytes);
                }
                None => out[nulls + index / 8] |= 1 << (index % 8),
            }
            seen = index + 1;
        }
        assert_eq!(seen, self.columns, "a row has a cell for each column");
    }

    /// Finds the cells of the first row in `bytes` and says how long it is; `None` if it is not
    /// there as a whole.
    fn decode<'a>(
        self,
        bytes: &'a [u8],
        cells: &mut Vec<Cell<'a>>,
    ) -> Result<Option<usize>, DatabaseError> {
        cells.clear();
        let mut at = self.columns.div_ceil(8);
        let Some(nulls) = bytes.get(..at) else { return Ok(None) };
        for index in 0..self.columns {
            if nulls[index / 8] >> (index % 8) & 1 == 1 {
                cells.push(None);
                continue;
            }
            let Some((len, taken)) = read_length(&bytes[at..])? else { return Ok(None) };
            at += taken;
            let Some(cell) = at.checked_add(len).and_then(|end| bytes.get(at..end)) else {
                return Ok(None);
            };
            cells.push(Some(cell));
            at += len;
        }
        Ok(Some(at))
    }
}

/// Seven bits a byte, lowest first; the eighth says that more follow.
fn length(mut value: usize, out: &mut Vec<u8>) {
    loop {
        let low = u8::try_from(value & 0x7f).expect("seven bits fit");
        value >>= 7;
        if value == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

fn read_length(bytes: &[u8]) -> Result<Option<(usize, usize)>, DatabaseError> {
    // Five bytes hold 35 bits: more than the 4 GiB that a cell can have in any server.
    let mut value = 0_usize;
    for (index, byte) in bytes.iter().take(5).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some((value, index + 1)));
        }
    }
    if bytes.len() < 5 {
        return Ok(None);
    }
    Err(DatabaseError::DamagedState { what: "a cell's length" })
}

/// Reads rows out of a stream of chunks, which need not end where rows end.
#[derive(Debug)]
pub struct RowStream {
    codec: RowCodec,
    bytes: Vec<u8>,
    at: usize,
}

impl RowStream {
    /// An empty stream of rows that `codec` wrote.
    pub fn new(codec: RowCodec) -> Self {
        Self { codec, bytes: Vec::new(), at: 0 }
    }

    /// Appends the next chunk.
    pub fn feed(&mut self, chunk: &[u8]) {
        self.bytes.drain(..self.at);
        self.at = 0;
        self.bytes.extend_from_slice(chunk);
    }

    /// Hands every whole row that has been fed to `take`, as its cells and its encoded length.
    pub fn drain<E: From<DatabaseError>>(
        &mut self,
        mut take: impl FnMut(&[Cell<'_>], usize) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut cells = Vec::with_capacity(self.codec.columns);
        while self.at < self.bytes.len() {
            let Some(len) = self.codec.decode(&self.bytes[self.at..], &mut cells)? else { break };
            take(&cells, len)?;
            self.at += len;
        }
        Ok(())
    }

    /// Whether the stream ended where a row ended.
    pub fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    type Owned = Vec<Option<Vec<u8>>>;

    fn encoded(codec: RowCodec, rows: &[Owned]) -> Vec<u8> {
        let mut out = Vec::new();
        for row in rows {
            codec.encode(row.iter().map(|cell| cell.as_deref()), &mut out);
        }
        out
    }

    fn decoded(codec: RowCodec, chunks: &[&[u8]]) -> Result<Vec<Owned>, DatabaseError> {
        let mut rows = Vec::new();
        let mut stream = RowStream::new(codec);
        for chunk in chunks {
            stream.feed(chunk);
            stream.drain(|cells, _| {
                rows.push(cells.iter().map(|cell| cell.map(<[u8]>::to_vec)).collect());
                Ok::<(), DatabaseError>(())
            })?;
        }
        if stream.is_at_end() {
            Ok(rows)
        } else {
            Err(DatabaseError::DamagedState { what: "the end" })
        }
    }

    #[test]
    fn version_1_rows_stay_these_bytes_for_ever() {
        let codec = RowCodec::new(9).expect("few columns");
        let long = vec![b'x'; 200];
        let row: [Cell<'_>; 9] =
            [Some(b"1"), None, Some(b""), Some(&long), None, None, None, Some(b"\0"), Some(b"end")];
        let mut out = Vec::new();
        codec.encode(row.into_iter(), &mut out);
        let mut golden = vec![0b0111_0010, 0, 1, b'1', 0, 0xc8, 0x01];
        golden.extend_from_slice(&long);
        golden.extend_from_slice(b"\x01\0\x03end");
        assert_eq!(out, golden);
    }

    #[test]
    fn a_length_without_an_end_is_damage_and_not_a_panic() {
        let codec = RowCodec::new(1).expect("few columns");
        assert!(decoded(codec, &[&[0, 0xff, 0xff, 0xff, 0xff, 0xff, 0]]).is_err());
        assert!(decoded(codec, &[&[0, 5, b'a']]).is_err());
    }

    proptest! {
        #[test]
        fn rows_come_back_however_their_stream_is_cut(
            rows in (1_usize..12).prop_flat_map(|columns| {
                vec(vec(option::of(vec(any::<u8>(), 0..300)), columns), 1..20)
            }),
            piece in 1_usize..400,
        ) {
            let codec = RowCodec::new(rows[0].len()).expect("few columns");
            let bytes = encoded(codec, &rows);
            let chunks: Vec<_> = bytes.chunks(piece).collect();
            prop_assert_eq!(decoded(codec, &chunks).expect("our own bytes"), rows);
        }

        #[test]
        fn two_different_rows_are_never_the_same_bytes(
            rows in (1_usize..10).prop_flat_map(|columns| {
                vec(vec(option::of(vec(0_u8..3, 0..4)), columns), 2)
            }),
        ) {
            let codec = RowCodec::new(rows[0].len()).expect("few columns");
            let (one, two) = (encoded(codec, &rows[..1]), encoded(codec, &rows[1..]));
            prop_assert_eq!(one == two, rows[0] == rows[1]);
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in vec(any::<u8>(), 0..400), columns in 1_usize..70) {
            let codec = RowCodec::new(columns).expect("few columns");
            let _ = decoded(codec, &[&bytes]);
        }
    }
}
