//! Every fault that this version must survive has a test by name, or a written reason.

use std::fs;
use std::path::Path;

/// Whether a test of that name is written somewhere: `it::file::name`, `tests::file::name` for
/// the other test binaries, `lib::…::name` for a test beside the code.
pub(crate) fn exists(name: &str) -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut parts: Vec<&str> = name.split("::").collect();
    let function = parts.pop().expect("a name has parts");
    let (place, module) =
        (parts.first().copied().unwrap_or_default(), parts.get(1..).unwrap_or_default());
    let dir = match place {
        "it" => root.join("tests/it"),
        "tests" => root.join("tests"),
        "lib" => root.join("src"),
        _ => return false,
    };
    let wanted = module.join("/");
    walkdir::WalkDir::new(dir).into_iter().flatten().any(|entry| {
        let path = entry.path().display().to_string();
        entry.path().extension().is_some_and(|ending| ending == "rs")
            && path.contains(&wanted)
            && fs::read_to_string(entry.path()).is_ok_and(|text| is_test(&text, function))
    })
}

/// Whether `text` holds a function of that name that is a test.
fn is_test(text: &str, function: &str) -> bool {
    let head = format!("fn {function}()");
    text.match_indices(&head).any(|(at, _)| {
        let before = &text[..at];
        let attributes = before.rsplit("\n\n").next().unwrap_or(before);
        attributes.contains("#[test]") || before.contains("proptest!")
    })
}

/// The list: `[[fault]]` with `id`, `what`, and `test` (one or more) or `reason`.
fn list() -> Vec<toml::Value> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults.toml"));
    let value: toml::Table = text.expect("the list is there").parse().expect("it is TOML");
    value["fault"].as_array().expect("faults are a list").clone()
}

#[test]
fn every_fault_has_tests_that_exist_or_a_reason() {
    let (mut tested, mut reasoned) = (0, 0);
    for fault in list() {
        let id = fault["id"].as_str().expect("an id is text");
        assert!(fault["what"].as_str().is_some_and(|what| !what.is_empty()), "{id} says what");
        let tests = fault.get("test").and_then(toml::Value::as_array);
        for test in tests.into_iter().flatten() {
            let test = test.as_str().expect("a test's name is text");
            assert!(exists(test), "{id}: there is no test {test}");
        }
        match (tests, fault.get("reason").and_then(toml::Value::as_str)) {
            (Some(tests), _) if !tests.is_empty() => tested += 1,
            (_, Some(reason)) if reason.len() > 20 => reasoned += 1,
            _ => panic!("{id} has neither a test nor a reason"),
        }
    }
    eprintln!("{tested} faults have tests, {reasoned} a reason");
    assert!(tested >= 60, "only {tested} faults have tests");
}

#[test]
fn no_fault_is_listed_twice_and_none_is_forgotten() {
    let faults = list();
    let ids: Vec<&str> = faults.iter().map(|fault| fault["id"].as_str().expect("text")).collect();
    let families = [("P", 17), ("S", 20), ("TR", 13), ("D", 24), ("MC", 12), ("A", 16), ("T", 36)];
    let all: Vec<String> =
        families.iter().flat_map(|(f, n)| (1..=*n).map(move |i| format!("{f}{i}"))).collect();
    assert_eq!(ids, all);
}

#[test]
fn every_file_of_tests_is_part_of_the_binary() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let main = fs::read_to_string(root.join("main.rs")).expect("ours");
    for entry in fs::read_dir(root).expect("ours") {
        let name = entry.expect("ours").file_name().to_string_lossy().into_owned();
        let module = name.trim_end_matches(".rs");
        let declared = module == "main" || main.contains(&format!("mod {module};"));
        assert!(declared, "{name} is never compiled");
    }
}
