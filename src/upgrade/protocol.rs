//! The tables of PROTOCOL.md, made from the code, so that the document cannot drift from it.

use std::fmt::Write;

use super::state::{EventKind, State, after};
use super::step::Step;

const DOCUMENT: &str = include_str!("PROTOCOL.md");

fn states() -> String {
    let mut table = "| state | what is true | what `recover` does |\n|---|---|---|\n".to_owned();
    for state in State::ALL {
        writeln!(table, "| `{state:?}` | {} | {} |", state.truth(), state.resume().says()).unwrap();
    }
    table
}

fn events() -> String {
    let mut table = "| event | from | to |\n|---|---|---|\n".to_owned();
    for event in EventKind::ALL {
        let froms = std::iter::once(None).chain(State::ALL.map(Some));
        let pairs: Vec<(Option<State>, State)> =
            froms.filter_map(|from| Some((from, after(from, event).ok()?))).collect();
        let name = |state: Option<State>| state.map_or("–".to_owned(), |s| format!("{s:?}"));
        let from: Vec<String> = pairs.iter().map(|(from, _)| name(*from)).collect();
        let all_stay = pairs.len() > 1 && pairs.iter().all(|(from, to)| *from == Some(*to));
        let to = match pairs.as_slice() {
            _ if all_stay => "the same".to_owned(),
            [(_, to), ..] => format!("{to:?}"),
            [] => unreachable!("no event is always illegal"),
        };
        assert!(all_stay || pairs.iter().all(|(_, to)| *to == pairs[0].1), "{event:?} splits");
        writeln!(table, "| `{event:?}` | {} | {to} |", from.join(", ")).unwrap();
    }
    table
}

fn steps() -> String {
    let mut table = "| # | step | site |\n|---|---|---|\n".to_owned();
    for step in Step::ALL {
        let site = if step.is_quiet() { "shut" } else { "up" };
        writeln!(table, "| {} | {} | {site} |", step.number(), step.name()).unwrap();
    }
    table
}

#[test]
fn the_protocols_tables_are_those_of_the_code() {
    for (mark, table) in [("states", states()), ("events", events()), ("steps", steps())] {
        let heading = format!("<!-- {mark}: compared with the code by a test -->\n\n");
        let start = DOCUMENT.find(&heading).expect("PROTOCOL.md has the mark") + heading.len();
        let end = DOCUMENT[start..].find("\n\n").map_or(DOCUMENT.len(), |end| start + end + 1);
        assert_eq!(&DOCUMENT[start..end], table, "paste this table below the mark '{mark}'");
    }
}
