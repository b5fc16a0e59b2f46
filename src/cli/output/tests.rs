use super::*;
use std::sync::Arc;

/// A place to speak into, and to read from what was said.
#[derive(Clone, Default)]
pub(in crate::cli) struct Ear(Arc<Mutex<Vec<u8>>>);

impl Ear {
    pub(in crate::cli) fn heard(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Ear {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub(in crate::cli) fn listening(json: bool) -> (Output, Ear, Ear) {
    let wish = Wish { json, loudness: Loudness::Normal, color: None, ascii: false };
    let (stdout, stderr) = (Ear::default(), Ear::default());
    let output = Output::new(&Environment::of(&[("LANG", "C.UTF-8")]), wish);
    (output.into_writers(stdout.clone(), stderr.clone()), stdout, stderr)
}

#[test]
fn a_program_hears_one_ordered_stream_that_begins_with_the_version() {
    let (output, stdout, stderr) = listening(true);
    output.speak_as("backup");
    output.print("a table\n");
    output.insist("a warning\n");
    output.message("warning", Level::Warning, "a \u{9b}31m name", json!({}));
    output.fail(&Failure::new(crate::cli::failure::Code::E0110, "no repository at /x"));
    let heard = stdout.heard();
    assert!(!heard.contains('\u{9b}'));
    let lines: Vec<Value> = heard.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines[0]["message_type"], "version");
    assert_eq!(lines[0]["ui"], "1.0");
    assert_eq!(lines[1]["message"], "a \u{9b}31m name");
    assert_eq!(lines[2]["message_type"], "exit_error");
    assert_eq!((&lines[2]["code"], &lines[2]["error_code"]), (&10.into(), &"E0110".into()));
    for (index, line) in lines.iter().enumerate() {
        assert_eq!(line["seq"], index + 1);
        assert_eq!(line["op"], "backup");
        assert!(line["ts"].as_str().unwrap().ends_with('Z') && line["level"].is_string());
    }
    assert_eq!(stderr.heard(), "");
}

#[test]
fn a_person_reads_results_on_stdout_and_remarks_on_stderr() {
    let (output, stdout, stderr) = listening(false);
    output.print("result\n");
    output.remark("remark\n");
    output.message("status", Level::Info, "unheard", json!({}));
    assert_eq!((stdout.heard().as_str(), stderr.heard().as_str()), ("result\n", "remark\n"));
}

#[test]
fn a_line_is_not_drawn_again_off_a_terminal() {
    let (output, _, stderr) = listening(false);
    output.redraw("live");
    assert!(!output.redraws() && stderr.heard().is_empty());
}
