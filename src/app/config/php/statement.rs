//! Statements: which of a file's literals count in the end.
//!
//! Only what stands at the top level happens for certain. Whatever else may touch a value (a
//! condition, an include, a reference, a function that reaches for globals) makes it refused:
//!
//! ```text
//! for each top-level statement, in order:
//!     sets the value plainly            -> that is the value now
//!     mentions it in any other way      -> refused from here on
//!     may change anything (include …)   -> everything set so far is refused
//! ```

mod shape;

use tree_sitter::Node;

use crate::app::config::value::{Key, Literal, Value};
use crate::app::profile::ConfigParser;

use self::shape::{INCLUDES, define_call, may_change_anything, visit};
use super::Unreadable;
use super::expression::{Scope, line, parts};

/// Bodies that do not run where they stand.
const BODIES: [&str; 7] = [
    "function_definition",
    "method_declaration",
    "anonymous_function",
    "arrow_function",
    "class_declaration",
    "trait_declaration",
    "interface_declaration",
];

pub(super) fn read(
    program: Node<'_>,
    parser: &ConfigParser,
    scope: Scope<'_>,
) -> Result<Literal, Unreadable> {
    let mut reading = Reading { scope, found: Literal::new(Value::Array(Vec::new()), 1) };
    match parser {
        ConfigParser::PhpDefine => reading.defines(program),
        ConfigParser::PhpVar => reading.variables(program),
        ConfigParser::PhpArray { variable } => {
            reading.variables(program);
            return reading.variable(variable);
        }
        ConfigParser::PhpReturn => return reading.returned(program),
        ConfigParser::PhpClass { class, property } => {
            return reading.property(program, class, property);
        }
        ConfigParser::Ini | ConfigParser::Dotenv => {
            unreachable!("files of other languages are not read as PHP")
        }
    }
    Ok(reading.found)
}

struct Reading<'a> {
    scope: Scope<'a>,
    /// An array: constants, or variables without their `$`.
    found: Literal,
}

impl Reading<'_> {
    fn set(&mut self, name: &str, item: Literal) {
        self.found.set(&[Key::Text(name.to_owned())], item);
    }

    fn has(&self, name: &str) -> bool {
        self.found.get(name).is_some()
    }

    // Constants. The first definition counts, so what comes after one cannot change it.

    fn defines(&mut self, program: Node<'_>) {
        let mut doubt: Option<String> = None;
        for statement in parts(program) {
            if let Some((name, value)) = self.plain_define(statement) {
                let item = match &doubt {
                    Some(doubt) => Literal::refused(doubt.clone(), line(statement)),
                    None => self.scope.eval(value),
                };
                self.define(&name, item);
                continue;
            }
            let mut names = Vec::new();
            visit(statement, &[], &mut |node| {
                if let Some(call) = define_call(&self.scope, node) {
                    names.push((call.name, line(node)));
                } else if may_change_anything(&self.scope, node) {
                    doubt.get_or_insert_with(|| format!("after an include in line {}", line(node)));
                }
            });
            for (name, at) in names {
                match name {
                    Some(name) if !self.has(&name) => {
                        self.set(&name, Literal::refused("defined under a condition", at));
                    }
                    Some(_) => {}
                    None => {
                        doubt
                            .get_or_insert_with(|| format!("after a computed define in line {at}"));
                    }
                }
            }
        }
    }

    fn plain_define<'t>(&self, statement: Node<'t>) -> Option<(String, Node<'t>)> {
        match statement.kind() {
            "expression_statement" => {
                let call = define_call(&self.scope, *parts(statement).first()?)?;
                Some((call.name?, call.value?))
            }
            "const_declaration" => match parts(statement)[..] {
                [element] if element.kind() == "const_element" => match parts(element)[..] {
                    [name, value] => Some((self.scope.text_of(name).to_owned(), value)),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        }
    }

    fn define(&mut self, name: &str, item: Literal) {
        let item = match self.found.get(name) {
            Some(old) if old.value == item.value => return,
            Some(_) => Literal::refused("defined twice", item.line),
            None => item,
        };
        self.scope.constants.insert(name.to_owned(), item.clone());
        self.set(name, item);
    }

    // Variables. The last assignment counts.

    fn variables(&mut self, program: Node<'_>) {
        let statements = parts(program);
        for (index, statement) in statements.iter().enumerate() {
            // A configuration may end by handing over to the application.
            let hands_over = index + 1 == statements.len()
                && parts(*statement).first().is_some_and(|only| INCLUDES.contains(&only.kind()));
            if !hands_over {
                self.statement(*statement);
            }
        }
    }

    fn statement(&mut self, statement: Node<'_>) {
        let inner = parts(statement).first().copied();
        let assignment = inner.filter(|inner| {
            statement.kind() == "expression_statement" && inner.kind() == "assignment_expression"
        });
        let target = assignment.and_then(|assignment| {
            let (left, right) = assignment
                .child_by_field_name("left")
                .zip(assignment.child_by_field_name("right"))?;
            let (name, path) = self.target(left)?;
            Some((name, path, right))
        });
        // A body does not run where it stands; its variables are its own unless it says `global`.
        let is_body = BODIES.contains(&statement.kind());
        let mut mentioned = Vec::new();
        let mut changes_anything = None;
        let mut by_reference = false;
        visit(statement, &[], &mut |node| {
            by_reference |= node.kind() == "by_ref";
            if may_change_anything(&self.scope, node) {
                changes_anything.get_or_insert(line(node));
            } else if node.kind() == "variable_name" && !is_body {
                mentioned.push((self.scope.text_of(node).to_owned(), line(node)));
            }
        });
        if let Some(at) = changes_anything {
            self.doubt_all(at);
        }
        let is_return = statement.kind() == "return_statement";
        let written = target.as_ref().map(|(name, ..)| name.clone());
        for (name, at) in mentioned {
            // Another variable's plain assignment only reads this one, unless by reference.
            let plainly_read =
                !by_reference && (is_return || written.as_ref().is_some_and(|to| *to != name));
            if !plainly_read && written.as_deref() != Some(&name) {
                self.doubt(&name, at);
            }
        }
        if let Some((name, path, right)) = target {
            let value = self.scope.eval(right);
            let mut keys = vec![Key::Text(name.trim_start_matches('$').to_owned())];
            keys.extend(path);
            self.found.set(&keys, value);
        }
    }

    /// The variable and the literal keys that an assignment sets.
    fn target(&self, left: Node<'_>) -> Option<(String, Vec<Key>)> {
        match left.kind() {
            "variable_name" => Some((self.scope.text_of(left).to_owned(), Vec::new())),
            "subscript_expression" => match parts(left)[..] {
                [inner, key] => {
                    let (name, mut path) = self.target(inner)?;
                    path.push(self.scope.key(key)?);
                    Some((name, path))
                }
                _ => None,
            },
            _ => None,
        }
    }

    fn doubt(&mut self, variable: &str, at: usize) {
        let name = variable.trim_start_matches('$');
        if self.has(name) {
            self.set(name, Literal::refused("changed by more than plain assignments", at));
        }
    }

    fn doubt_all(&mut self, at: usize) {
        let Value::Array(items) = &mut self.found.value else { return };
        for (_, item) in items {
            *item = Literal::refused("followed by code that may change it", at);
        }
    }

    fn variable(&self, variable: &str) -> Result<Literal, Unreadable> {
        let name = variable.trim_start_matches('$');
        let found = self.found.get(name).cloned();
        found.ok_or_else(|| Unreadable { line: 1, what: format!("no assignment to {variable}") })
    }

    // A returned value.

    fn returned(&mut self, program: Node<'_>) -> Result<Literal, Unreadable> {
        for statement in parts(program) {
            if statement.kind() == "return_statement" {
                return match parts(statement).first() {
                    Some(value) if value.kind() == "variable_name" => {
                        let name = self.scope.text_of(*value).to_owned();
                        self.variable(&name)
                    }
                    Some(value) => Ok(self.scope.eval(*value)),
                    None => Ok(Literal::new(Value::Null, line(statement))),
                };
            }
            let mut early = None;
            visit(statement, &BODIES, &mut |node| {
                if node.kind() == "return_statement" {
                    early.get_or_insert(line(node));
                }
            });
            if let Some(line) = early {
                return Err(Unreadable { line, what: "a conditional return".to_owned() });
            }
            self.statement(statement);
        }
        Err(Unreadable { line: 1, what: "no return".to_owned() })
    }

    // A class property.

    fn property(
        &self,
        program: Node<'_>,
        class: &str,
        property: &str,
    ) -> Result<Literal, Unreadable> {
        let missing = |line, what: String| Err(Unreadable { line, what });
        let is_it = |node: &Node<'_>| {
            let name = node.child_by_field_name("name").map(|name| self.scope.text_of(name));
            node.kind() == "class_declaration"
                && name.is_some_and(|name| name.eq_ignore_ascii_case(class))
        };
        let statements = parts(program);
        let Some(declaration) = statements.iter().copied().find(is_it) else {
            return missing(1, format!("no class {class}"));
        };
        for statement in statements.into_iter().filter(|statement| *statement != declaration) {
            if self.reaches(statement, class) {
                return missing(line(statement), format!("code that may change {class}"));
            }
        }
        let Some(body) = declaration.child_by_field_name("body") else {
            return missing(line(declaration), format!("an empty class {class}"));
        };
        let mut found = None;
        for member in parts(body) {
            match member.kind() {
                "property_declaration" => {
                    for element in parts(member) {
                        let name = element.child_by_field_name("name");
                        if name.is_some_and(|name| self.scope.text_of(name) == property) {
                            let value = element.child_by_field_name("default_value");
                            found = value.map(|value| self.scope.eval(value));
                        }
                    }
                }
                "method_declaration" if self.touches(member, property) => {
                    return missing(line(member), format!("a method that may change {property}"));
                }
                "use_declaration" => return missing(line(member), "a trait".to_owned()),
                _ => {}
            }
        }
        if parts(declaration).iter().any(|part| part.kind() == "base_clause") {
            return missing(line(declaration), "a parent class".to_owned());
        }
        found.map_or_else(|| missing(line(body), format!("no literal {property}")), Ok)
    }

    /// Whether a method mentions the property, or one whose name it computes.
    fn touches(&self, method: Node<'_>, property: &str) -> bool {
        let bare = property.trim_start_matches('$');
        let mut touches = false;
        visit(method, &[], &mut |node| {
            let access = matches!(
                node.kind(),
                "member_access_expression" | "scoped_property_access_expression"
            );
            if access {
                let name = node.child_by_field_name("name");
                let plain = name.filter(|name| matches!(name.kind(), "name" | "variable_name"));
                let text = plain.map(|name| self.scope.text_of(name).to_owned());
                touches |= text.is_none_or(|text| {
                    let computed =
                        node.kind() == "member_access_expression" && text.starts_with('$');
                    computed || text.trim_start_matches('$') == bare
                });
            }
            // `foreach ($this as …)` and `extract` reach everything.
            touches |= may_change_anything(&self.scope, node)
                || (node.kind() == "foreach_statement"
                    && parts(node).first().is_some_and(|of| self.scope.text_of(*of) == "$this"));
        });
        touches
    }

    /// Whether a statement outside the class names it.
    fn reaches(&self, statement: Node<'_>, class: &str) -> bool {
        let mut reaches = false;
        visit(statement, &[], &mut |node| {
            reaches |=
                node.kind() == "name" && self.scope.text_of(node).eq_ignore_ascii_case(class);
        });
        reaches
    }
}
