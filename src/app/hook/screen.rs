//! What a child's output looks like to a reader: no colours, no cursor movement, whole lines.

/// Output that was cleaned and not yet cut into lines, and the end of what came before.
#[derive(Debug, Default)]
pub(super) struct Screen {
    state: State,
    /// Bytes of a character that is not complete yet.
    partial: Vec<u8>,
    /// The line being written.
    line: String,
    /// What was written since the last answer, newest last; its beginning may be cut off.
    since_answer: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// After ESC.
    Escape,
    /// In a control sequence, up to its letter.
    Sequence,
    /// In an operating system command, up to BEL or ESC \.
    Command,
    /// After a carriage return: a newline makes it an end of line, anything else starts it anew.
    Return,
}

/// How much of the output a rule can look back on.
const WINDOW_BYTES: usize = 16 * 1024;

/// A line longer than this is cut, so that output without newlines stays bounded.
const LINE_BYTES_MAX: usize = 64 * 1024;

impl Screen {
    /// Takes output; gives back the lines that it completed.
    pub(super) fn write(&mut self, bytes: &[u8], hold_back: usize) -> Vec<String> {
        let mut lines = Vec::new();
        for byte in bytes {
            match (self.state, *byte) {
                (State::Return | State::Text, b'\n') => self.end_line(&mut lines),
                (State::Return, byte) => {
                    self.end_line(&mut lines);
                    self.state = State::Text;
                    self.text(byte);
                }
                (State::Text, byte) => self.text(byte),
                (State::Escape, b'[') => self.state = State::Sequence,
                (State::Escape, b']') => self.state = State::Command,
                (State::Escape, b' '..=b'/') => {} // a sequence of three, like ESC ( B
                (State::Escape, _) | (State::Command, 0x07) | (State::Sequence, 0x40..=0x7e) => {
                    self.state = State::Text;
                }
                (State::Command, 0x1b) => self.state = State::Escape,
                (State::Sequence | State::Command, _) => {}
            }
            if self.line.len() >= LINE_BYTES_MAX {
                // A secret may straddle the cut: what could be its beginning stays.
                let cut = self.line.floor_char_boundary(self.line.len() - hold_back);
                let rest = self.line.split_off(cut);
                lines.push(std::mem::replace(&mut self.line, rest));
            }
        }
        if self.since_answer.len() > 2 * WINDOW_BYTES {
            let cut = self.since_answer.ceil_char_boundary(self.since_answer.len() - WINDOW_BYTES);
            self.since_answer.drain(..cut);
        }
        lines
    }

    fn text(&mut self, byte: u8) {
        if byte < 0x80 && !self.partial.is_empty() {
            self.partial.clear();
            self.character(char::REPLACEMENT_CHARACTER);
        }
        match byte {
            0x1b => self.state = State::Escape,
            b'\r' => self.state = State::Return,
            0x08 => {
                self.line.pop();
                if !self.since_answer.ends_with('\n') {
                    self.since_answer.pop();
                }
            }
            b'\t' | b' '..=b'~' => self.character(char::from(byte)),
            0x80.. => self.part_of_character(byte),
            _ => {} // other control characters move nothing that we keep
        }
    }

    fn part_of_character(&mut self, byte: u8) {
        self.partial.push(byte);
        match std::str::from_utf8(&self.partial) {
            Ok(text) => {
                if let Some(whole) = text.chars().next() {
                    self.character(whole);
                }
                self.partial.clear();
            }
            // Too long, or wrong from the start.
            Err(error) if error.error_len().is_some() || self.partial.len() >= 4 => {
                self.partial.clear();
                self.character(char::REPLACEMENT_CHARACTER);
            }
            Err(_) => {}
        }
    }

    fn character(&mut self, c: char) {
        self.line.push(c);
        self.since_answer.push(c);
    }

    fn end_line(&mut self, lines: &mut Vec<String>) {
        self.state = State::Text;
        if !self.partial.is_empty() {
            self.partial.clear();
            self.character(char::REPLACEMENT_CHARACTER);
        }
        self.since_answer.push('\n');
        lines.push(std::mem::take(&mut self.line));
    }

    /// What was written since the last answer, as far as a rule may look.
    pub(super) fn since_answer(&self) -> &str {
        let cut = self.since_answer.len().saturating_sub(WINDOW_BYTES);
        &self.since_answer[self.since_answer.ceil_char_boundary(cut)..]
    }

    /// Nothing before now belongs to the next question.
    pub(super) fn answered(&mut self) {
        self.since_answer.clear();
    }

    /// The line that has no end yet.
    pub(super) fn open_line(&self) -> &str {
        &self.line
    }

    /// Ends the line being written, as an answer's newline does on a real terminal.
    pub(super) fn take_open_line(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.line);
        (!line.is_empty()).then_some(line)
    }

    /// The last few lines, the open one included: what a person would see as the question.
    pub(super) fn question(&self) -> String {
        let text = self.since_answer().trim_end();
        let mut lines: Vec<&str> = text.lines().rev().take(3).collect();
        lines.reverse();
        lines.join("\n").trim().to_owned()
    }
}

/// Output as its reader would see it, line by line.
pub fn plain_lines(bytes: &[u8]) -> Vec<String> {
    let mut screen = Screen::default();
    let mut lines = screen.write(bytes, 0);
    lines.extend(screen.take_open_line());
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(chunks: &[&[u8]]) -> (Vec<String>, String) {
        let mut screen = Screen::default();
        let lines = chunks.iter().flat_map(|chunk| screen.write(chunk, 0)).collect();
        (lines, screen.open_line().to_owned())
    }

    #[test]
    fn colours_and_cursor_movements_are_gone() {
        let (done, open) =
            lines(&[b"\x1b[31;1mred\x1b[0m\r\n\x1b]0;title\x07a\x08b\x1b[2Kc\n\x1b(Bend"]);
        assert_eq!(done, ["red", "bc"]);
        assert_eq!(open, "end");
    }

    #[test]
    fn a_progress_line_becomes_lines() {
        assert_eq!(lines(&[b"10%\r50%\r100%\n"]).0, ["10%", "50%", "100%"]);
    }

    #[test]
    fn a_character_may_come_in_pieces_and_garbage_is_marked() {
        assert_eq!(lines(&[b"caf\xc3", b"\xa9\n", b"\xff\xfe\n"]).0, ["café", "\u{fffd}\u{fffd}"]);
    }

    #[test]
    fn a_question_ends_the_window_of_the_one_before() {
        let mut screen = Screen::default();
        screen.write(b"first?\n[n] > ", 0);
        assert_eq!(screen.since_answer(), "first?\n[n] > ");
        screen.answered();
        screen.write(b"second? ", 0);
        assert_eq!(screen.question(), "second?");
    }

    #[test]
    fn output_without_newlines_is_cut() {
        let mut screen = Screen::default();
        let endless = vec![b'x'; 3 * LINE_BYTES_MAX];
        let done = screen.write(&endless, 10);
        assert!(done.len() >= 2 && screen.open_line().len() < LINE_BYTES_MAX);
        assert!(screen.since_answer().len() <= WINDOW_BYTES);
    }

    proptest! {
        #[test]
        fn how_output_is_cut_into_pieces_changes_nothing(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            cut in 0usize..200,
        ) {
            let cut = cut.min(bytes.len());
            prop_assert_eq!(lines(&[&bytes]), lines(&[&bytes[..cut], &bytes[cut..]]));
        }
    }
}
