//! What can be told of a node by its shape alone.

use tree_sitter::Node;

use crate::app::config::php::expression::{Scope, parts};
use crate::app::config::value::Value;

pub(super) const INCLUDES: [&str; 4] = [
    "include_expression",
    "include_once_expression",
    "require_expression",
    "require_once_expression",
];

/// A call of `define`: its name if literal, and its value.
pub(super) struct Define<'t> {
    pub(super) name: Option<String>,
    pub(super) value: Option<Node<'t>>,
}

pub(super) fn define_call<'t>(scope: &Scope<'_>, node: Node<'t>) -> Option<Define<'t>> {
    let function = node.child_by_field_name("function")?;
    let called = scope.text_of(function).trim_start_matches('\\');
    if node.kind() != "function_call_expression" || !called.eq_ignore_ascii_case("define") {
        return None;
    }
    let arguments = parts(node.child_by_field_name("arguments")?);
    let plain = |index: usize| -> Option<Node<'t>> {
        match parts(*arguments.get(index)?)[..] {
            [one] => Some(one),
            _ => None,
        }
    };
    let name = plain(0).and_then(|name| match scope.eval(name).value {
        Value::Text(text) => Some(text),
        _ => None,
    });
    // A third argument makes the name case-insensitive, and PHP 8 ignores it.
    Some(Define { name, value: plain(1).filter(|_| arguments.len() == 2) })
}

/// Whether a node may change variables or constants that it does not name.
pub(super) fn may_change_anything(scope: &Scope<'_>, node: Node<'_>) -> bool {
    match node.kind() {
        "dynamic_variable_name" | "global_declaration" => true,
        "variable_name" => scope.text_of(node) == "$GLOBALS",
        "function_call_expression" => {
            let called = node.child_by_field_name("function").map(|name| scope.text_of(name));
            called.is_some_and(|called| {
                let called = called.trim_start_matches('\\').to_ascii_lowercase();
                matches!(&*called, "eval" | "extract" | "parse_str" | "import_request_variables")
            })
        }
        kind => INCLUDES.contains(&kind),
    }
}

/// Calls `see` for `node` and all below it, in order; not below nodes of the kinds in `skip`.
pub(super) fn visit<'t>(node: Node<'t>, skip: &[&str], see: &mut dyn FnMut(Node<'t>)) {
    let mut todo = vec![node];
    while let Some(node) = todo.pop() {
        see(node);
        if !skip.contains(&node.kind()) {
            let mut below = parts(node);
            below.reverse();
            todo.extend(below);
        }
    }
}
