//! PHP configuration files, read and never run.
//!
//! The text is parsed by the language's grammar; of what it says only literals are believed. A
//! value that a condition, an include or a function could change is refused by name and line.

mod expression;
mod statement;

use std::collections::BTreeMap;

use tree_sitter::{Node, Parser};

use crate::app::profile::ConfigParser;

use super::Environment;
use super::value::Literal;
use expression::{Scope, line};

pub(super) use expression::parts as parts_of;

/// Deeper than any configuration, and shallow enough for recursion.
const DEPTH_MAX: usize = 200;

/// Why a whole file cannot be read.
pub(super) struct Unreadable {
    pub(super) line: usize,
    pub(super) what: String,
}

/// Reads `source`: what `wanted` asks for.
pub(super) fn read(
    source: &[u8],
    wanted: &ConfigParser,
    environment: &Environment<'_>,
) -> Result<Literal, Unreadable> {
    let mut parser = Parser::new();
    parser
        .set_language(&tree_sitter_php::LANGUAGE_PHP.into())
        .expect("grammar and parser are of matching versions");
    let tree = parser
        .parse(source, None)
        .ok_or_else(|| Unreadable { line: 1, what: "no PHP".to_owned() })?;
    let program = tree.root_node();
    check(program)?;
    let scope = Scope { source, environment, constants: BTreeMap::new() };
    statement::read(program, wanted, scope)
}

/// Refuses what the grammar could not make sense of, and what is nested too deeply for us.
fn check(program: Node<'_>) -> Result<(), Unreadable> {
    let mut cursor = program.walk();
    let mut depth = 0;
    loop {
        let node = cursor.node();
        if node.is_error() || node.is_missing() {
            return Err(Unreadable { line: line(node), what: "a syntax error".to_owned() });
        }
        if depth > DEPTH_MAX {
            return Err(Unreadable { line: line(node), what: "too deep a nesting".to_owned() });
        }
        if cursor.goto_first_child() {
            depth += 1;
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                return Ok(());
            }
            depth -= 1;
        }
    }
}
