//! Expressions: literals, arrays, joined texts and a handful of constants. Nothing else.

use std::collections::BTreeMap;

use tree_sitter::Node;

use crate::app::config::Environment;
use crate::app::config::value::{Key, Literal, Value};

/// What an expression may refer to.
pub(super) struct Scope<'a> {
    pub(super) source: &'a [u8],
    pub(super) environment: &'a Environment<'a>,
    /// Constants that the same file defined before.
    pub(super) constants: BTreeMap<String, Literal>,
}

pub(super) fn line(node: Node<'_>) -> usize {
    node.start_position().row + 1
}

/// The children that mean something: no punctuation, no comments.
pub(in crate::app::config) fn parts(node: Node<'_>) -> Vec<Node<'_>> {
    let mut cursor = node.walk();
    node.named_children(&mut cursor).filter(|child| child.kind() != "comment").collect()
}

impl Scope<'_> {
    pub(super) fn text_of(&self, node: Node<'_>) -> &str {
        node.utf8_text(self.source).unwrap_or_default()
    }

    /// The value of `node`, or what it is instead of a literal.
    pub(super) fn eval(&self, node: Node<'_>) -> Literal {
        let at = line(node);
        match node.kind() {
            "string" | "encapsed_string" | "heredoc" | "nowdoc" => self.text(node),
            "integer" => self.integer(node),
            "float" => Literal::new(Value::Fraction(self.text_of(node).to_owned()), at),
            "boolean" => {
                let yes = self.text_of(node).eq_ignore_ascii_case("true");
                Literal::new(Value::Bool(yes), at)
            }
            "null" => Literal::new(Value::Null, at),
            "parenthesized_expression" => match parts(node)[..] {
                [inner] => self.eval(inner),
                _ => Literal::refused("an expression in parentheses", at),
            },
            "name" => self.constant(node),
            "array_creation_expression" => self.array(node),
            "binary_expression" => self.binary(node),
            "conditional_expression" => self.conditional(node),
            "unary_op_expression" => self.unary(node),
            "function_call_expression" => self.call(node, None),
            "scoped_property_access_expression"
                if self.text_of(node).trim_start_matches('\\') == "OC::$SERVERROOT" =>
            {
                Literal::new(Value::Text(self.environment.root.to_owned()), at)
            }
            _ => Literal::refused(self.describe(node), at),
        }
    }

    /// How messages call what is no literal. Never its text: that may hold a secret.
    pub(super) fn describe(&self, node: Node<'_>) -> String {
        match node.kind() {
            "function_call_expression" => {
                let name = node.child_by_field_name("function").filter(|f| f.kind() == "name");
                name.map_or_else(
                    || "a computed call".to_owned(),
                    |name| format!("a call of {}()", self.text_of(name)),
                )
            }
            "variable_name" => format!("the variable {}", self.text_of(node)),
            "name" => format!("the constant {}", self.text_of(node)),
            kind => kind.trim_end_matches("_expression").replace('_', " "),
        }
    }

    fn text(&self, node: Node<'_>) -> Literal {
        let at = line(node);
        let double = matches!(node.kind(), "encapsed_string" | "heredoc");
        let holder = node.child_by_field_name("value").unwrap_or(node);
        if node.kind() == "heredoc" || node.kind() == "nowdoc" {
            // Their indentation rules are subtle, and no application's configuration uses them.
            return Literal::refused("a heredoc", at);
        }
        let mut bytes = Vec::new();
        for part in parts(holder) {
            let raw = &self.source[part.byte_range()];
            match part.kind() {
                "string_content" => bytes.extend_from_slice(raw),
                "escape_sequence" if double => match unescape_double(raw) {
                    Some(plain) => bytes.extend(plain),
                    None => return Literal::refused("an unknown escape", at),
                },
                "escape_sequence" => bytes.extend_from_slice(&raw[1..]),
                _ => return Literal::refused("a text with a variable in it", at),
            }
        }
        match String::from_utf8(bytes) {
            Ok(text) => Literal::new(Value::Text(text), at),
            Err(_) => Literal::refused("a text that is not UTF-8", at),
        }
    }

    fn integer(&self, node: Node<'_>) -> Literal {
        let digits = self.text_of(node).replace('_', "").to_ascii_lowercase();
        let parsed = match digits.as_bytes() {
            [b'0', b'x', ..] => i64::from_str_radix(&digits[2..], 16),
            [b'0', b'b', ..] => i64::from_str_radix(&digits[2..], 2),
            [b'0', b'o', ..] => i64::from_str_radix(&digits[2..], 8),
            [b'0', _, ..] => i64::from_str_radix(&digits, 8),
            _ => digits.parse(),
        };
        match parsed {
            Ok(int) => Literal::new(Value::Int(int), line(node)),
            Err(_) => Literal::refused("a number that does not fit", line(node)),
        }
    }

    fn constant(&self, node: Node<'_>) -> Literal {
        let name = self.text_of(node);
        let environment = self.environment;
        let text = match name {
            "DIRECTORY_SEPARATOR" | "DS" => "/".to_owned(),
            "CONFIG" => format!("{}/config/", environment.root),
            _ if name.eq_ignore_ascii_case("__DIR__") => environment.dir.clone(),
            _ => {
                let known = self.constants.get(name).cloned();
                return known.unwrap_or_else(|| Literal::refused(self.describe(node), line(node)));
            }
        };
        Literal::new(Value::Text(text), line(node))
    }

    fn array(&self, node: Node<'_>) -> Literal {
        let mut items: Vec<(Key, Literal)> = Vec::new();
        let mut next = 0;
        for element in parts(node) {
            let (key, value) = match (element.kind(), &parts(element)[..]) {
                ("array_element_initializer", [value]) if value.kind() != "by_ref" => {
                    (Some(Key::Int(next)), *value)
                }
                ("array_element_initializer", [key, value]) if value.kind() != "by_ref" => {
                    (self.key(*key), *value)
                }
                _ => return Literal::refused(self.describe(element), line(element)),
            };
            let Some(key) = key else {
                return Literal::refused("an array with a computed key", line(element));
            };
            if let Key::Int(int) = key {
                next = next.max(int.saturating_add(1));
            }
            let value = self.eval(value);
            match items.iter_mut().find(|(old, _)| *old == key) {
                Some((_, old)) => *old = value, // as PHP: the last one counts
                None => items.push((key, value)),
            }
        }
        Literal::new(Value::Array(items), line(node))
    }

    /// What PHP makes of a literal as an array's key.
    pub(super) fn key(&self, node: Node<'_>) -> Option<Key> {
        match self.eval(node).value {
            Value::Text(text) => Some(Key::from_text(text)),
            Value::Int(int) => Some(Key::Int(int)),
            Value::Bool(flag) => Some(Key::Int(i64::from(flag))),
            _ => None,
        }
    }

    fn binary(&self, node: Node<'_>) -> Literal {
        let operator = node.child_by_field_name("operator").map(|op| self.text_of(op));
        let sides = node.child_by_field_name("left").zip(node.child_by_field_name("right"));
        match (operator, sides) {
            (Some("."), Some((left, right))) => join(self.eval(left), self.eval(right)),
            (Some("??"), Some((left, right))) => self.or_default(node, left, right),
            _ => Literal::refused("a computed value", line(node)),
        }
    }

    /// `getenv('X') ?: 'default'`
    fn conditional(&self, node: Node<'_>) -> Literal {
        let condition = node.child_by_field_name("condition");
        let body = node.child_by_field_name("body");
        match (condition, body, node.child_by_field_name("alternative")) {
            (Some(left), None, Some(right)) => self.or_default(node, left, right),
            _ => Literal::refused("a condition", line(node)),
        }
    }

    fn or_default(&self, whole: Node<'_>, left: Node<'_>, right: Node<'_>) -> Literal {
        if left.kind() == "function_call_expression" {
            self.call(left, Some(right))
        } else {
            Literal::refused("a condition", line(whole))
        }
    }

    fn unary(&self, node: Node<'_>) -> Literal {
        let operator = node.child_by_field_name("operator").map(|op| self.text_of(op));
        let value = node.child_by_field_name("argument").map(|inner| self.eval(inner).value);
        let value = match (operator, value) {
            (Some("-"), Some(Value::Int(int))) => int.checked_neg().map(Value::Int),
            (Some("-"), Some(Value::Fraction(text))) => Some(Value::Fraction(format!("-{text}"))),
            (Some("+"), Some(value @ (Value::Int(_) | Value::Fraction(_)))) => Some(value),
            _ => None,
        };
        value.map_or_else(
            || Literal::refused("a computed value", line(node)),
            |value| Literal::new(value, line(node)),
        )
    }

    /// `env('K', default)`, `getenv('K'[, true])`, or one of them with a default behind it.
    fn call(&self, node: Node<'_>, default: Option<Node<'_>>) -> Literal {
        let refused = || Literal::refused(self.describe(node), line(node));
        let function = node.child_by_field_name("function").map(|name| self.text_of(name));
        let Some(arguments) = node.child_by_field_name("arguments") else { return refused() };
        let arguments: Option<Vec<_>> = parts(arguments)
            .into_iter()
            .map(|argument| match parts(argument)[..] {
                [plain] if argument.kind() == "argument" => Some(plain),
                _ => None, // named, spread or by reference
            })
            .collect();
        let (Some(function), Some(arguments)) = (function, arguments) else { return refused() };
        let (name, inner) = match (function.trim_start_matches('\\'), &arguments[..]) {
            ("env", [name]) | ("getenv", [name] | [name, _]) => (*name, None),
            ("env", [name, default]) => (*name, Some(*default)),
            _ => return refused(),
        };
        let Value::Text(name) = self.eval(name).value else { return refused() };
        if let Some(value) = (self.environment.variable)(&name) {
            return Literal::new(Value::Text(value), line(node));
        }
        match inner.or(default) {
            Some(default) => {
                Literal { default_of: Some(name), line: line(node), ..self.eval(default) }
            }
            None => Literal::refused(format!("the environment variable {name}"), line(node)),
        }
    }
}

fn join(left: Literal, right: Literal) -> Literal {
    let text = |side: &Literal| match &side.value {
        Value::Text(text) => Some(text.clone()),
        Value::Int(int) => Some(int.to_string()),
        _ => None,
    };
    if let (Some(a), Some(b)) = (text(&left), text(&right)) {
        return Literal {
            value: Value::Text(a + &b),
            line: left.line,
            default_of: left.default_of.or(right.default_of),
        };
    }
    let refused = [&left, &right].into_iter().find_map(|side| match &side.value {
        Value::Refused(what) => Some(what.clone()),
        _ => None,
    });
    Literal::refused(refused.unwrap_or_else(|| "a computed value".to_owned()), left.line)
}

/// One escape of a double-quoted text, with its backslash.
fn unescape_double(raw: &[u8]) -> Option<Vec<u8>> {
    let number =
        |digits: &[u8], radix| u32::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok();
    // As PHP: octal escapes beyond a byte lose what is above it.
    let byte = |value: u32| vec![u8::try_from(value & 0xff).expect("masked to a byte")];
    Some(match raw.get(1..)? {
        b"n" => vec![b'\n'],
        b"r" => vec![b'\r'],
        b"t" => vec![b'\t'],
        b"v" => vec![0x0b],
        b"e" => vec![0x1b],
        b"f" => vec![0x0c],
        b"\\" => vec![b'\\'],
        b"$" => vec![b'$'],
        b"\"" => vec![b'"'],
        [b'x', digits @ ..] => byte(number(digits, 16)?),
        [b'u', b'{', digits @ .., b'}'] => {
            char::from_u32(number(digits, 16)?)?.to_string().into_bytes()
        }
        digits @ [b'0'..=b'7', ..] => byte(number(digits, 8)?),
        _ => return None,
    })
}
