//! What a step printed, as it is kept: redacted, and never more than so much.

use std::collections::VecDeque;

/// Kept from the beginning.
const HEAD_BYTES_MAX: usize = 256 * 1024;

/// Kept from the end.
const TAIL_BYTES_MAX: usize = 256 * 1024;

/// The output of a step, without what was too much of it.
#[derive(Clone, Debug, Default)]
pub struct Transcript {
    head: String,
    tail: VecDeque<String>,
    tail_bytes: usize,
    left_out: u64,
}

impl Transcript {
    /// Adds a line, already redacted.
    pub(super) fn line(&mut self, line: &str) {
        if self.tail.is_empty() && self.head.len() + line.len() < HEAD_BYTES_MAX {
            self.head.push_str(line);
            self.head.push('\n');
            return;
        }
        self.tail_bytes += line.len() + 1;
        self.tail.push_back(line.to_owned());
        while self.tail_bytes > TAIL_BYTES_MAX {
            let Some(old) = self.tail.pop_front() else { break };
            self.tail_bytes -= old.len() + 1;
            self.left_out += old.len() as u64 + 1;
        }
    }

    /// The whole of it, saying how much was left out where.
    pub fn text(&self) -> String {
        let mut text = self.head.clone();
        if self.left_out > 0 {
            let left_out = self.left_out.to_string();
            text.extend(["[", &left_out, " bytes left out]\n"]);
        }
        for line in &self.tail {
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    /// The last `count` lines.
    pub fn last_lines(&self, count: usize) -> Vec<String> {
        let text = self.text();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(count)..].iter().map(|&line| line.to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endless_output_keeps_its_beginning_and_its_end() {
        let mut transcript = Transcript::default();
        for number in 0..200_000 {
            transcript.line(&format!("line {number}"));
        }
        let text = transcript.text();
        assert!(text.len() < HEAD_BYTES_MAX + TAIL_BYTES_MAX + 100);
        assert!(text.starts_with("line 0\n") && text.ends_with("line 199999\n"));
        assert!(text.contains(" bytes left out]\n"));
        assert_eq!(transcript.last_lines(1), ["line 199999"]);
    }
}
