//! Every complaint names file, line, column and, where there is one, the word that was meant.

use super::*;

/// The smallest profile, to which a test adds its mistake.
const SMALL: &str = "\
schema = 1
app = \"wiki\"
versions = \"semver\"
[version]
file = \"VERSION\"
regex = '(.+)'
[[layout]]
id = \"one\"
require = [\"VERSION\"]
";

fn complaint(added: &str) -> String {
    let text = format!("{SMALL}{added}");
    match Profile::parse(&text, "/etc/apps.d/wiki.toml") {
        Ok(_) => panic!("accepted: {added}"),
        Err(error) => error.to_string().replace("/etc/apps.d/wiki.toml", "wiki.toml"),
    }
}

#[test]
fn the_smallest_profile_has_careful_defaults() {
    let profile = Profile::parse(SMALL, "/etc/apps.d/wiki.toml").unwrap();
    assert_eq!((profile.name.as_str(), profile.app.as_str()), ("wiki", "wiki"));
    assert_eq!(profile.path, PathRule::SameMajor);
    assert_eq!((profile.files.edited, profile.files.extra), (Edited::Stop, Extra::Keep));
    assert_eq!(profile.text(), SMALL);
    assert!(profile.maintenance.is_empty() && profile.runtime.run_as.is_none());
}

#[test]
fn complaints_read_like_this() {
    let cases = [
        (
            "[files]\nperserve = []\n",
            "wiki.toml:11:1: unknown key \"perserve\" in [files]; it may hold after_commit_delete, edited, extra, merge, preserve, purge, review, secret, semantic, perms; nearest: \"preserve\"",
        ),
        (
            "[fiels]\n",
            "wiki.toml:10:2: unknown key \"fiels\" in the profile; it may hold app, counter, database, extends, files, hook, layout, maintenance, migrate, path, pending, probe, quiesce, release, root, runtime, schema, snapshot, vars, version, versions, before_migrate, task; nearest: \"files\"",
        ),
        ("[files]\npreserve = \"a\"\n", "wiki.toml:11:12: preserve wants a list, this is a string"),
        (
            "[files]\npreserve = [\"{admn}/x\"]\n[vars]\nadmin = \"a\"\n",
            "wiki.toml:11:13: no variable is called \"admn\"; nearest: \"admin\"",
        ),
        (
            "[files]\npreserve = [\"a[\"]\n",
            "wiki.toml:11:13: this is no pattern: unclosed character class; missing ']'",
        ),
        (
            "[files]\nedited = \"stpo\"\n",
            "wiki.toml:11:10: \"stpo\" is none of stop, take, keep; nearest: \"stop\"",
        ),
        (
            "[files]\nafter_commit_delete = [\"install/\"]\n",
            "wiki.toml:11:23: after_commit_delete is not supported by this version",
        ),
        ("[files]\nperms = {}\n", "wiki.toml:11:1: perms is not supported by this version"),
        ("[[task]]\nid = \"plugins\"\n", "wiki.toml:10:3: task is not supported by this version"),
        (
            "[[migrate]]\nkind = \"http-chain\"\n",
            "wiki.toml:11:8: kind = \"http-chain\" is not supported by this version",
        ),
        (
            "[[migrate]]\nkind = \"comand\"\n",
            "wiki.toml:11:8: \"comand\" is none of command, sql, http-chain, copy, template, service; nearest: \"command\"",
        ),
        (
            "[[migrate]]\nkind = \"command\"\nargv = []\n",
            "wiki.toml:10:1: argv must name a program",
        ),
        (
            "[[migrate]]\nkind = \"command\"\nargv = [\"x\"]\ntimeout = \"10\"\n",
            "wiki.toml:13:11: \"10\" is no duration like 90s, 10m or 2h",
        ),
        (
            "[[migrate]]\nkind = \"command\"\nargv = [\"x\"]\n[[migrate.prompt]]\nmatch = '('\nanswer = \"y\"\n",
            "wiki.toml:14:9: this is no regular expression: error: unclosed group",
        ),
        (
            "[[migrate]]\nkind = \"command\"\nargv = [\"x\"]\nunknown_prompt = \"yes\"\n",
            "wiki.toml:13:18: unknown_prompt = \"yes\" is not supported by this version",
        ),
        (
            "[[pending]]\nscan = { files = \"m/*\", in = \"name\", id = 'x', table = \"t\", column = \"c\" }\n",
            "wiki.toml:11:43: the expression has no group that is the id",
        ),
        (
            "[[pending]]\nscan = { files = \"m/*\", in = \"name\", id = '(x)', table = \"t\", column = \"c\" }\n",
            "wiki.toml:11:8: the profile declares no default database",
        ),
        (
            "[[database]]\nparser = \"php-clas\"\nfiles = [\"c.php\"]\n",
            "wiki.toml:11:10: \"php-clas\" is none of php-define, php-var, php-array, php-return, php-class, ini, dotenv; nearest: \"php-class\"",
        ),
        (
            "[[database]]\nparser = \"php-return\"\nfiles = [\"c.php\"]\n",
            "wiki.toml:10:1: neither driver nor map.driver says what kind of database it is",
        ),
        (
            "[database]\nparser = \"php-return\"\n",
            "wiki.toml:10:1: databases are written as [[database]]",
        ),
        (
            "[runtime]\nrun_as = { first_of = [\"www-data\", \"root\"] }\n",
            "wiki.toml:11:36: an application's commands never run as root",
        ),
        (
            "[snapshot]\nroots = [\".\", \"/var/data\"]\n",
            "wiki.toml:11:15: roots other than \".\" is not supported by this version",
        ),
        (
            "[[maintenance]]\nkind = \"row\"\n",
            "wiki.toml:10:1: the profile declares no default database",
        ),
        ("[quiesce]\nunits = [\"--now\"]\n", "wiki.toml:11:10: \"--now\" is no name of a unit"),
        (
            "[path]\nwaypoints = [\"9.0\"]\n",
            "wiki.toml:11:13: waypoints is not supported by this version",
        ),
        (
            "[[layout]]\nid = \"one\"\nrequire = [\"x\"]\n",
            "wiki.toml:11:6: two layouts are called \"one\"",
        ),
        (
            "[[layout]]\nid = \"two\"\nrequire = [\"../x\"]\n",
            "wiki.toml:12:12: \"../x\" is no path below the root: part 0 of the path is empty, . or ..",
        ),
        (
            "[[layout]]\nid = \"two\"\nrequire = [\"x\"]\nrange = \"4\"\n",
            "wiki.toml:13:9: \"4\" is no semver version",
        ),
        (
            "[[hook]]\nat = \"before:migrate\"\nrun = [\"x\"]\nshell = true\n",
            "wiki.toml:13:1: shell is not supported by this version",
        ),
        ("root = 1.5\n", "wiki.toml:10:8: no key of a profile takes a fraction or a date"),
        ("broken\n", "wiki.toml:10:7: key with no value, expected `=`"),
    ];
    for (added, expected) in cases {
        assert_eq!(complaint(added), expected, "{added}");
    }
}

#[test]
fn a_scheme_that_cannot_count_has_no_counter() {
    let text = SMALL.replace("versions = \"semver\"", "versions = \"semver\"\ncounter = 4");
    let error = Profile::parse(&text, "w.toml").unwrap_err();
    assert_eq!(error.to_string(), "w.toml:4:11: counter can only be 4, of dotted4 versions");
}

#[test]
fn a_newer_schema_is_refused_by_number() {
    let error = Profile::parse(&SMALL.replace("schema = 1", "schema = 2"), "w.toml").unwrap_err();
    assert_eq!(error.what, "schema 2 is not known; this version reads schema 1");
}

#[test]
fn what_extends_a_built_in_overrides_key_by_key() {
    let text = "extends = \"builtin:passbolt-v1\"\nroot = \"/srv/passbolt\"\n\
        [vars]\nbase_url = \"https://pass.example\"\n\
        [[maintenance]]\nkind = \"units\"\nunits = [\"nginx.service\"]\n";
    let profile = Profile::parse(text, "/etc/apps.d/passbolt.toml").unwrap();
    assert_eq!((profile.name.as_str(), profile.app.as_str()), ("passbolt", "passbolt"));
    assert_eq!(profile.root.as_deref(), Some(std::path::Path::new("/srv/passbolt")));
    assert_eq!(profile.vars.len(), 2);
    assert!(
        matches!(&profile.maintenance[..], [Switch::Units(units)] if units == &["nginx.service"])
    );
    // Kept with a plan, it means the same without the file it came from.
    let again = Profile::parse(profile.text(), "plan").unwrap();
    assert_eq!(format!("{:?}", again.migrate), format!("{:?}", profile.migrate));
    assert_eq!(again.text(), profile.text());
}

#[test]
fn a_mistake_in_an_extending_file_is_placed_in_that_file() {
    let text = "extends = \"builtin:passbolt-v1\"\n[files]\npurge = [\"{x}\"]\n";
    let error = Profile::parse(text, "/etc/apps.d/p.toml").unwrap_err();
    assert_eq!((error.file.as_str(), error.line), ("/etc/apps.d/p.toml", 3));
    let error = Profile::parse("extends = \"builtin:passbolt-v2\"\n", "p.toml").unwrap_err();
    assert_eq!(error.nearest.as_deref(), Some("builtin:passbolt-v1"));
}

#[test]
fn a_prompt_matches_the_two_wordings_of_the_vendor() {
    let profile = &crate::app::builtin::all().unwrap()[0];
    let prompts = &profile.migrate[0].prompts;
    let guide = "\nAllow sending anonymous usage statistics? (y/n)\n[n] > ";
    let code = "We need you to help make passbolt better by sending anonymous usage statistics. \
        Ok?\n(see: https://example.org) (y/n) \n[n] > ";
    let failed = "Do you want to mark the migration as successful?. [y]es or [a]bort. (y/a) \n> ";
    assert!(prompts[0].pattern.is_match(guide) && prompts[0].pattern.is_match(code));
    assert!(prompts[1].pattern.is_match(failed) && prompts[1].fails);
    assert_eq!((prompts[0].answer.as_str(), prompts[1].answer.as_str()), ("n", "a"));
}
