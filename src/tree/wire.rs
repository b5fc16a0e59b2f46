//! Numbers and byte strings as directory objects hold them: each value in one form only.

use super::BadObject;

/// Appends to an object.
#[derive(Debug, Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Seven bits a byte, low ones first; the top bit says that more follow.
    pub(super) fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
    }

    pub(super) fn count(&mut self, value: usize) {
        self.number(value as u64);
    }

    /// Small for small numbers of either sign.
    pub(super) fn signed(&mut self, value: i64) {
        self.number((value << 1 ^ value >> 63).cast_unsigned());
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.raw(bytes);
    }
}

/// Reads an object, and believes nothing of it.
#[derive(Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn byte(&mut self) -> Result<u8, BadObject> {
        let (first, rest) = self.0.split_first().ok_or(BadObject::Short)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(super) fn raw(&mut self, length: usize) -> Result<&'a [u8], BadObject> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(BadObject::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], BadObject> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(BadObject::Short)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn number(&mut self, column: &'static str) -> Result<u64, BadObject> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            // Ten bytes hold 70 bits: the last may bring one only. A last byte of 0 says nothing.
            let is_last = byte < 0x80;
            if shift == 63 && bits > 1 || is_last && byte == 0 && shift > 0 {
                return Err(BadObject::Number(column));
            }
            value |= bits << shift;
            if is_last {
                return Ok(value);
            }
        }
        Err(BadObject::Number(column))
    }

    /// A number of things that take at least `bytes_each` more bytes each, so that a damaged count
    /// cannot make us reserve more memory than the object could fill.
    pub(super) fn count(
        &mut self,
        column: &'static str,
        bytes_each: usize,
    ) -> Result<usize, BadObject> {
        let count = self.small(column)?;
        if count.checked_mul(bytes_each).is_none_or(|bytes| bytes > self.0.len()) {
            return Err(BadObject::Short);
        }
        Ok(count)
    }

    pub(super) fn small(&mut self, column: &'static str) -> Result<usize, BadObject> {
        usize::try_from(self.number(column)?).map_err(|_| BadObject::Number(column))
    }

    pub(super) fn word(&mut self, column: &'static str) -> Result<u32, BadObject> {
        u32::try_from(self.number(column)?).map_err(|_| BadObject::Number(column))
    }

    pub(super) fn signed(&mut self, column: &'static str) -> Result<i64, BadObject> {
        let raw = self.number(column)?;
        Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
    }

    pub(super) fn bytes(&mut self, column: &'static str) -> Result<&'a [u8], BadObject> {
        let length = self.small(column)?;
        self.raw(length)
    }

    pub(super) fn end(&self) -> Result<(), BadObject> {
        if self.0.is_empty() { Ok(()) } else { Err(BadObject::Long) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_number_has_one_form_and_survives_it(value: u64, signed: i64) {
            let mut writer = Writer::default();
            writer.number(value);
            writer.signed(signed);
            let mut reader = Reader(&writer.0);
            prop_assert_eq!(reader.number("n"), Ok(value));
            prop_assert_eq!(reader.signed("n"), Ok(signed));
            prop_assert_eq!(reader.end(), Ok(()));
        }

        #[test]
        fn what_is_read_as_a_number_is_written_as_those_bytes(raw: [u8; 11]) {
            let mut reader = Reader(&raw);
            if let Ok(value) = reader.number("n") {
                let mut writer = Writer::default();
                writer.number(value);
                prop_assert_eq!(&writer.0[..], &raw[..raw.len() - reader.0.len()]);
            }
        }
    }

    #[test]
    fn a_number_padded_with_nothing_is_refused() {
        assert_eq!(Reader(&[0x80, 0]).number("n"), Err(BadObject::Number("n")));
        assert_eq!(Reader(&[0xff; 11]).number("n"), Err(BadObject::Number("n")));
    }
}
