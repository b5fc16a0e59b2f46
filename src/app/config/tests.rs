//! A corpus of configuration files: what is read from them, and what is refused.

use super::*;

fn read(parser: &ConfigParser, source: &str) -> Result<Config, AppError> {
    let variable = |name: &str| (name == "SET").then(|| "from .env".to_owned());
    let environment =
        Environment { root: "/srv/app", dir: "/srv/app/config".to_owned(), variable: &variable };
    let file = TreePath::parse(b"config/c.php").unwrap();
    Config::parse(file, source.as_bytes(), parser, &environment)
}

/// The value of `key`, or the complaint about it.
fn value(parser: &ConfigParser, source: &str, key: &str) -> String {
    match read(parser, source).and_then(|config| config.setting(key)) {
        Ok(Some(setting)) => setting.text,
        Ok(None) => "(none)".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn array(variable: &str) -> ConfigParser {
    ConfigParser::PhpArray { variable: variable.to_owned() }
}

fn class() -> ConfigParser {
    ConfigParser::PhpClass { class: "DATABASE_CONFIG".to_owned(), property: "$default".to_owned() }
}

#[test]
fn constants_are_read_as_php_reads_them() {
    let source = r#"<?php
// define('COMMENTED', 'no');
define('PLAIN', 'it\'s \\ \n');
define("DOUBLE", "tab\t\x41\u{20ac} \$x");
DEFINE( 'DIR' , __DIR__ . '/../' . "data" . DS);
define('NUMBER', 0x1F);
define('JOINED', PLAIN . 3);
define('NOTHING', null);
const MODERN = 'yes';
define('LIST', array('a' => array(1, 'b' => true), 7 => 'seven', 'eight'));
?>
trailing html"#;
    let get = |key| value(&ConfigParser::PhpDefine, source, key);
    assert_eq!(get("PLAIN"), r"it's \ \n");
    assert_eq!(get("DOUBLE"), "tab\tA€ $x");
    assert_eq!(get("DIR"), "/srv/app/config/../data/");
    assert_eq!(get("NUMBER"), "31");
    assert_eq!(get("JOINED"), r"it's \ \n3");
    assert_eq!(get("MODERN"), "yes");
    assert_eq!((get("NOTHING"), get("COMMENTED")), ("(none)".to_owned(), "(none)".to_owned()));
    assert_eq!((get("LIST.a.b"), get("LIST.8")), ("true".to_owned(), "eight".to_owned()));
}

#[test]
fn a_constant_that_is_not_certain_is_refused_with_its_line() {
    let cases = [
        ("define('K', get_secret());", "config/c.php:2: K is not literal: a call of get_secret()"),
        ("define('K', $secret);", "config/c.php:2: K is not literal: the variable $secret"),
        ("define('K', \"a$b\");", "config/c.php:2: K is not literal: a text with a variable in it"),
        ("define('K', OTHER);", "config/c.php:2: K is not literal: the constant OTHER"),
        ("define('K', 1 + 1);", "config/c.php:2: K is not literal: a computed value"),
        ("define('K', $x ? 'a' : 'b');", "config/c.php:2: K is not literal: a condition"),
        (
            "define('K', getenv('UNSET'));",
            "config/c.php:2: K is not literal: the environment variable UNSET",
        ),
        (
            "if ($x) { define('K', 'a'); }",
            "config/c.php:2: K is not literal: defined under a condition",
        ),
        (
            "defined('K') || define('K', 'a');",
            "config/c.php:2: K is not literal: defined under a condition",
        ),
        ("define('K', 'a');\ndefine('K', 'b');", "config/c.php:3: K is not literal: defined twice"),
        (
            "require 'x.php';\ndefine('K', 'a');",
            "config/c.php:3: K is not literal: after an include in line 2",
        ),
        (
            "foreach ($a as $n) define($n, 1);\ndefine('K', 'a');",
            "config/c.php:3: K is not literal: after a computed define in line 2",
        ),
        ("define('K', <<<X\na\nX\n);", "config/c.php:2: K is not literal: a heredoc"),
        ("define('K', 'a'", "config/c.php:2: the file is not literal: a syntax error"),
    ];
    for (body, expected) in cases {
        assert_eq!(value(&ConfigParser::PhpDefine, &format!("<?php\n{body}\n"), "K"), expected);
    }
}

#[test]
fn the_first_definition_counts_whatever_follows() {
    let source =
        "<?php\ndefine('K', 'a');\nif (!defined('K')) define('K', 'b');\nrequire 'x.php';\n";
    assert_eq!(value(&ConfigParser::PhpDefine, source, "K"), "a");
}

#[test]
fn an_array_is_read_with_what_is_assigned_later() {
    let source = r"<?php
$CONFIG = [
    'dbhost' => 'localhost:/run/my.sock', // comment
    'mysql.utf8mb4' => true,
    'apps_paths' => array(0 => array('path' => OC::$SERVERROOT . '/apps')),
    'neg' => -5, 'ratio' => 1.5,
];
$CONFIG['dbpassword'] = 'p@ss';
$CONFIG['redis']['host'] = 'r';
$OTHER = $CONFIG;
return $CONFIG;
";
    let get = |key| value(&array("$CONFIG"), source, key);
    assert_eq!(get("dbhost"), "localhost:/run/my.sock");
    assert_eq!(get("mysql.utf8mb4"), "true");
    assert_eq!(get("apps_paths.0.path"), "/srv/app/apps");
    assert_eq!((get("neg"), get("ratio")), ("-5".to_owned(), "1.5".to_owned()));
    assert_eq!((get("dbpassword"), get("redis.host")), ("p@ss".to_owned(), "r".to_owned()));
    assert_eq!(value(&ConfigParser::PhpReturn, source, "dbpassword"), "p@ss");
}

#[test]
fn an_array_that_something_else_may_change_is_refused() {
    let changed = "changed by more than plain assignments";
    let code = "followed by code that may change it";
    let cases = [
        ("if (x()) { $C['k'] = 'b'; }", changed),
        ("$C += ['k' => 'b'];", changed),
        ("$D = &$C;", changed),
        ("unset($C['k']);", changed),
        ("change($C);", changed),
        ("foreach ($C as &$v) { $v = 1; }", changed),
        ("$C[] = 1;", changed),
        ("$C[$x] = 1;", changed),
        ("$f = function () use (&$C) { $C = []; };", changed),
        ("include 'local.php';\n$X = 1;", code),
        ("extract($_ENV);", code),
        ("$$name = 1;", code),
        ("function f() { global $C; }", code),
    ];
    for (body, expected) in cases {
        let source = format!("<?php\n$C = ['k' => 'a'];\n{body}\n");
        let got = value(&array("$C"), &source, "k");
        assert_eq!(got, format!("config/c.php:3: k is not literal: {expected}"), "{body}");
    }
}

#[test]
fn only_the_value_that_is_asked_for_need_be_literal() {
    let source =
        "<?php\n$C = ['path' => APP . 'x', 'k' => 'a', 'f' => function () { return 1; }];\n";
    assert_eq!(value(&array("$C"), source, "k"), "a");
    let refused = value(&array("$C"), source, "path");
    assert_eq!(refused, "config/c.php:2: path is not literal: the constant APP");
    assert_eq!(
        value(&array("$D"), source, "k"),
        "config/c.php:1: the file is not literal: no assignment to $D"
    );
}

#[test]
fn the_environment_is_asked_where_the_application_asks_it() {
    let source = "<?php\nreturn ['a' => env('SET', 'd'), 'b' => env('UNSET', 'd'), \
        'c' => getenv('UNSET', true) ?: 'e', 'd' => env('UNSET') ?? 'f', 'e' => env('UNSET')];\n";
    let get = |key| value(&ConfigParser::PhpReturn, source, key);
    assert_eq!((get("a"), get("b")), ("from .env".to_owned(), "d".to_owned()));
    assert_eq!((get("c"), get("d")), ("e".to_owned(), "f".to_owned()));
    assert!(get("e").ends_with("the environment variable UNSET"), "{}", get("e"));
    let config = read(&ConfigParser::PhpReturn, source).unwrap();
    let setting = config.setting("b").unwrap().unwrap();
    assert_eq!(setting.default_of.as_deref(), Some("UNSET"));
}

#[test]
fn a_return_under_a_condition_decides_nothing() {
    let source = "<?php\nif ($dev) { return ['k' => 'dev']; }\nreturn ['k' => 'live'];\n";
    let expected = "config/c.php:2: the file is not literal: a conditional return";
    assert_eq!(value(&ConfigParser::PhpReturn, source, "k"), expected);
    let closure = "<?php\n$f = function () { return 1; };\nreturn ['k' => 'live'];\n";
    assert_eq!(value(&ConfigParser::PhpReturn, closure, "k"), "live");
}

#[test]
fn a_class_property_is_read_as_cakephp_2_keeps_it() {
    let source = "<?php\nclass DATABASE_CONFIG {\n\tpublic $default = array(\n\t\t\
        'datasource' => 'Database/Mysql',\n\t\t'password' => 'p\\'w',\n\t);\n\tpublic $test = array('password' => 't');\n\
        \tfunction other() { $this->test = 1; }\n}\n";
    assert_eq!(value(&class(), source, "password"), "p'w");
    assert_eq!(value(&class(), source, "datasource"), "Database/Mysql");
}

#[test]
fn a_class_property_that_code_may_change_is_refused() {
    let cases = [
        (
            "function __construct() { $this->default['password'] = getenv('P'); }",
            "a method that may change $default",
        ),
        (
            "function __construct() { foreach ($this as $k => $v) { } }",
            "a method that may change $default",
        ),
        ("function set($n) { $this->$n = 1; }", "a method that may change $default"),
        ("function set($n) { $this->{$n} = 1; }", "a method that may change $default"),
        ("function __construct() { include 'x.php'; }", "a method that may change $default"),
        ("use Secrets;", "a trait"),
    ];
    for (member, expected) in cases {
        let source = format!(
            "<?php\nclass DATABASE_CONFIG {{\n public $default = ['password' => 'a'];\n {member}\n}}\n"
        );
        let got = value(&class(), &source, "password");
        assert_eq!(got, format!("config/c.php:4: the file is not literal: {expected}"), "{member}");
    }
    let parent = "<?php\nclass DATABASE_CONFIG extends P {\n public $default = [];\n}\n";
    assert!(value(&class(), parent, "password").ends_with("a parent class"));
    let outside = "<?php\nclass DATABASE_CONFIG {\n public $default = [];\n}\nDATABASE_CONFIG::$default = 1;\n";
    assert!(value(&class(), outside, "password").ends_with("code that may change DATABASE_CONFIG"));
    let none = "<?php\nclass OTHER {}\n";
    assert!(value(&class(), none, "password").ends_with("no class DATABASE_CONFIG"));
}

#[test]
fn variables_may_end_by_handing_over_to_the_application() {
    let source =
        "<?php\n$table_prefix = 'wp_';\n$x = $y;\nrequire_once ABSPATH . 'wp-settings.php';\n";
    assert_eq!(value(&ConfigParser::PhpVar, source, "table_prefix"), "wp_");
    assert!(value(&ConfigParser::PhpVar, source, "x").ends_with("the variable $y"));
}

#[test]
fn ini_files_are_read_behind_their_line_of_php() {
    let source = "; <?php exit; ?> DO NOT REMOVE\n[database]\nhost = \"127.0.0.1\"\n\
        password = 'a;b$c'\nport = 3306 ; comment\ntables_prefix=\nplugins[] = x\nodd = \"a\\\"b\"\n";
    let get = |key| value(&ConfigParser::Ini, source, key);
    assert_eq!((get("database.host"), get("database.port")), ("127.0.0.1".into(), "3306".into()));
    assert_eq!(
        (get("database.password"), get("database.tables_prefix")),
        ("a;b$c".into(), "(none)".into())
    );
    assert!(get("database.plugins").ends_with("a list"));
    assert!(get("database.odd").ends_with("an escaped or unfinished text"));
}

#[test]
fn dotenv_files_are_read_where_all_readers_agree() {
    let source = "# c\nexport A=plain # comment\nB=\"two words\"\nC='single $x'\nD=\"$A\"\nE=\n";
    let get = |key| value(&ConfigParser::Dotenv, source, key);
    assert_eq!(
        (get("A"), get("B"), get("C")),
        ("plain".into(), "two words".into(), "single $x".into())
    );
    assert!(get("D").ends_with("a text with escapes or variables"));
    assert_eq!(get("E"), "(none)");
}

#[test]
fn a_file_nested_without_end_is_refused_and_harms_nobody() {
    for deep in ["(".repeat(100_000), "[".repeat(100_000), "'a'.".repeat(100_000)] {
        let source = format!("<?php\ndefine('K', {deep}");
        assert!(value(&ConfigParser::PhpDefine, &source, "K").contains("not literal"));
    }
}

#[test]
fn a_secret_is_in_no_message_about_it() {
    let source = "<?php\ndefine('K', 'hunter' . two());\n";
    let config = read(&ConfigParser::PhpDefine, source).unwrap();
    assert!(!format!("{config:?}").contains("hunter"));
    assert!(!value(&ConfigParser::PhpDefine, source, "K").contains("hunter"));
}
