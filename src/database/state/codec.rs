//! From records to bytes and back, distrusting every byte.

use minicbor::{Decode, Encode};

use super::stored::{Root, VERSION};
use crate::database::DatabaseError;

/// The bytes of a record.
pub fn encode<T: Encode<()>>(record: &T) -> Vec<u8> {
    minicbor::to_vec(record).expect("writing to memory cannot fail")
}

/// Reads a record; `what` names it if the bytes make no sense.
pub fn decode<'b, T: Decode<'b, ()>>(
    bytes: &'b [u8],
    what: &'static str,
) -> Result<T, DatabaseError> {
    minicbor::decode(bytes).map_err(|_| DatabaseError::DamagedState { what })
}

impl Root {
    /// Reads the first chunk of a state.
    ///
    /// The version is looked at before anything else, so a newer state is refused as such and not
    /// as damage.
    pub fn decode(bytes: &[u8]) -> Result<Self, DatabaseError> {
        let damaged = |_| DatabaseError::DamagedState { what: "its first record" };
        let mut peek = minicbor::Decoder::new(bytes);
        peek.array().map_err(damaged)?;
        let version = peek.u32().map_err(damaged)?;
        if version > VERSION {
            return Err(DatabaseError::TooNew { version });
        }
        let root: Self = decode(bytes, "its first record")?;
        // Version 1 knows no features; whatever is named here came later.
        if root.needs.is_empty() { Ok(root) } else { Err(DatabaseError::TooNew { version }) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::database::state::stored::{Id, SchemaRecord, StoredFact};

    fn root() -> Root {
        Root {
            version: 1,
            kind: "mysql".into(),
            fingerprint: [1; 32],
            made_by: "m".into(),
            identity: "i".into(),
            consistency: 1,
            facts: vec![StoredFact { name: "f".into(), values: vec!["v".into()] }],
            needs: vec![],
            rows: 3,
            bytes: 300,
            schema: Some(SchemaRecord {
                name: "app".into(),
                charset: "utf8mb4".into(),
                collation: "utf8mb4_bin".into(),
                cut_target: 65_536,
                pages: vec![Id([2; 32])],
                prefix: String::new(),
            }),
            image: None,
        }
    }

    fn hex(bytes: &[u8]) -> String {
        let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
    }

    #[test]
    fn a_version_1_root_stays_these_bytes_for_ever() {
        let golden = format!(
            "8b01656d7973716c5820{}616d61690181826166816176800319012c86636170706775746638\
             6d62346b757466386d62345f62696e1a00010000815820{}60",
            "01".repeat(32),
            "02".repeat(32)
        );
        assert_eq!(hex(&encode(&root())), golden);
        assert_eq!(Root::decode(&encode(&root())).expect("our own bytes"), root());
    }

    #[test]
    fn a_newer_state_is_refused_as_newer_and_not_as_damaged() {
        let newer = Root { version: 2, ..root() };
        let result = Root::decode(&encode(&newer));
        assert!(matches!(result, Err(DatabaseError::TooNew { version: 2 })), "{result:?}");
        let featured = Root { needs: vec!["partitions".into()], ..root() };
        assert!(matches!(Root::decode(&encode(&featured)), Err(DatabaseError::TooNew { .. })));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Root::decode(&bytes);
        }

        #[test]
        fn a_flipped_bit_never_panics(at in 0_usize..2000) {
            let mut bytes = encode(&root());
            let len = bytes.len() * 8;
            bytes[(at % len) / 8] ^= 1 << (at % 8);
            let _ = Root::decode(&bytes);
        }
    }
}
