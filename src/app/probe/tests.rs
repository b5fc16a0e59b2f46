use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use crate::app::profile::{HttpProbe, JsonValue, Profile};

use super::*;

fn result(name: &str, outcome: Outcome) -> ProbeResult {
    ProbeResult { name: name.to_owned(), outcome, failing: BTreeSet::new(), rows: BTreeMap::new() }
}

fn failed(why: &str) -> Outcome {
    Outcome::Failed(why.to_owned())
}

#[test]
fn only_what_got_worse_is_a_regression() {
    let before = [
        result("good", Outcome::Passed),
        result("red", failed("no network")),
        result("unseen", Outcome::Skipped("no base_url".to_owned())),
    ];
    let after = [
        result("good", failed("500")),
        result("red", failed("no network")),
        result("unseen", failed("500")),
        result("new", Outcome::Passed),
    ];
    let comparison = compare(&before, &after);
    assert_eq!(comparison.regressions, ["good: 500", "unseen: 500"]);
    assert_eq!(comparison.red_before, ["red: no network"]);
    assert_eq!(comparison.passed, 1);
}

#[test]
fn a_list_of_failures_is_compared_check_by_check() {
    let list = |items: &[&str]| ProbeResult {
        failing: items.iter().map(|item| identity(item)).collect(),
        ..result("list", failed("some"))
    };
    let before = [list(&["the cron ran 3 days ago", "no SSL"])];
    let same = compare(&before, &[list(&["the cron ran 14 days ago", "no SSL"])]);
    assert_eq!((same.regressions.len(), same.red_before.len()), (0, 1));
    let worse = compare(&before, &[list(&["no SSL", "the key is unreadable"])]);
    assert_eq!(worse.regressions, ["list: the key is unreadable"]);
    let better = compare(&before, &[result("list", Outcome::Passed)]);
    assert_eq!((better.regressions.len(), better.passed), (0, 1));
}

#[test]
fn a_table_that_lost_rows_is_a_regression() {
    let rows = |rows: &[(&str, u64)]| ProbeResult {
        rows: rows.iter().map(|(table, count)| ((*table).to_owned(), *count)).collect(),
        ..result("rows", Outcome::Passed)
    };
    let before = [rows(&[("users", 5), ("logs", 9)])];
    let comparison = compare(&before, &[rows(&[("users", 4), ("logs", 10)])]);
    assert_eq!(comparison.regressions, ["rows: users has 4 rows, 5 before"]);
    let gone = ProbeResult { outcome: failed("there is no table users"), ..rows(&[("logs", 9)]) };
    assert_eq!(
        compare(&before, &[gone]).regressions,
        ["rows: users had 5 rows, and cannot be counted now"]
    );
}

#[test]
fn results_survive_being_kept() {
    let kept = [
        ProbeResult { failing: BTreeSet::from(["x".to_owned()]), ..result("a", failed("why")) },
        ProbeResult { rows: BTreeMap::from([("t".to_owned(), 1)]), ..result("b", Outcome::Passed) },
    ];
    let text = serde_json::to_string(&kept).unwrap();
    assert_eq!(serde_json::from_str::<Vec<ProbeResult>>(&text).unwrap(), kept);
}

/// Answers one request with exactly this.
fn serve(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).unwrap();
        stream.write_all(answer.as_bytes()).unwrap();
    });
    url
}

fn page(lines: &str) -> HttpProbe {
    let text = format!(
        "schema = 1\napp = \"a\"\nversions = \"semver\"\n[version]\nfile = \"V\"\nregex = '(.)'\n\
         [[layout]]\nid = \"one\"\nrequire = [\"V\"]\n[[probe]]\nkind = \"http\"\n{lines}\n"
    );
    let profile = Profile::parse(&text, "a.toml").unwrap_or_else(|error| panic!("{error}"));
    match profile.probes.into_iter().next().map(|probe| probe.kind) {
        Some(ProbeKind::Http(page)) => page,
        other => panic!("{other:?}"),
    }
}

fn look_at(answer: &'static str, lines: &str, is_shut: bool) -> String {
    let mut vars = Vars::default();
    vars.set("base_url", format!("{}/", serve(answer)));
    match http::look(&page(lines), &vars, is_shut).unwrap() {
        Outcome::Passed => "passed".to_owned(),
        Outcome::Failed(why) => {
            why.split_once(' ').map_or(why.clone(), |(_, rest)| rest.to_owned())
        }
        Outcome::Skipped(why) => format!("skipped: {why}"),
    }
}

#[test]
fn a_page_is_judged_by_more_than_its_status() {
    const OK: &str =
        "HTTP/1.1 200 OK\r\nContent-Length: 22\r\nConnection: close\r\n\r\n<title>Shop</title>OK!";
    const ERROR: &str =
        "HTTP/1.1 200 OK\r\nContent-Length: 15\r\nConnection: close\r\n\r\nError No: 1054 ";
    const MOVED: &str =
        "HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    const DOWN: &str = "HTTP/1.1 503 Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let lines = "url = \"/x\"\nmin_bytes = 10\nmust = '<title>'\nmust_not = 'Error No: \\d+'";
    assert_eq!(look_at(OK, lines, false), "passed");
    assert_eq!(look_at(ERROR, lines, false), "shows \"Error No: 1054\"");
    assert_eq!(
        look_at(OK, "url = \"/\"\nmin_bytes = 500", false),
        "is 22 bytes long, not 500 or more"
    );
    assert_eq!(look_at(OK, "url = \"/\"\nmust = 'Cart'", false), "does not show \"Cart\"");
    assert_eq!(look_at(MOVED, "url = \"/\"", false), "answers 302, not 200");
    assert_eq!(look_at(MOVED, "url = \"/\"\nstatus = [200, 302]", false), "passed");
    assert_eq!(look_at(DOWN, "url = \"/\"\nshut = { status = [503] }", true), "passed");
    assert_eq!(
        look_at(DOWN, "url = \"/\"\nshut = { status = [503] }", false),
        "answers 503, not 200"
    );
    assert_eq!(look_at(OK, "url = \"/\"", true), "skipped: the site is shut");
}

#[test]
fn json_is_strict_from_its_first_byte() {
    let wanted = [
        ("version".to_owned(), JsonValue::Text(Template::new("{new.version}"))),
        ("db.upgrade".to_owned(), JsonValue::Bool(false)),
    ];
    let mut vars = Vars::default();
    vars.set("new.version", "1.3.2");
    let say = |raw: &str| match json::compare(raw.as_bytes(), &wanted, &vars).unwrap() {
        Outcome::Passed => "passed".to_owned(),
        Outcome::Failed(why) | Outcome::Skipped(why) => why,
    };
    assert_eq!(say(r#"{"version":"1.3.2","db":{"upgrade":false}}"#), "passed");
    assert_eq!(
        say(r#"{"version":"1.3.1","db":{"upgrade":false}}"#),
        "version is \"1.3.1\", not \"1.3.2\""
    );
    assert_eq!(say(r#"{"version":"1.3.2"}"#), "the answer has no db.upgrade");
    let warned = "<b>Warning</b>: x\n{\"version\":\"1.3.2\"}";
    assert_eq!(say(warned), "the answer is not JSON from its first byte on");
}

#[test]
fn a_site_that_nothing_says_how_to_reach_is_not_asked() {
    let outcome = http::look(&page("url = \"/\""), &Vars::default(), false).unwrap();
    assert!(matches!(outcome, Outcome::Skipped(_)), "{outcome:?}");
    let mut vars = Vars::default();
    vars.set("base_url", "http://127.0.0.1:1");
    let outcome = http::look(&page("url = \"/\""), &vars, false).unwrap();
    assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
}
