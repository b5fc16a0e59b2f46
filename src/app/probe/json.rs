//! Answers in JSON, strict from the first byte: a warning before them is a failure.

use serde_json::Value;

use crate::app::AppError;
use crate::app::profile::{JsonValue, Vars};

use super::Outcome;

/// Whether `raw` is one JSON value that has every wanted key (parts joined by dots) and value.
pub(super) fn compare(
    raw: &[u8],
    wanted: &[(String, JsonValue)],
    vars: &Vars,
) -> Result<Outcome, AppError> {
    if wanted.is_empty() {
        return Ok(Outcome::Passed);
    }
    let Ok(found) = serde_json::from_slice::<Value>(raw) else {
        return Ok(Outcome::Failed("the answer is not JSON from its first byte on".to_owned()));
    };
    for (key, wanted) in wanted {
        let wanted = match wanted {
            JsonValue::Text(text) => Value::from(text.fill(vars)?),
            JsonValue::Int(int) => Value::from(*int),
            JsonValue::Bool(flag) => Value::from(*flag),
        };
        let value =
            found.get(key).or_else(|| found.pointer(&format!("/{}", key.replace('.', "/"))));
        match value {
            Some(value) if *value == wanted => {}
            Some(value) => {
                return Ok(Outcome::Failed(format!("{key} is {value}, not {wanted}")));
            }
            None => return Ok(Outcome::Failed(format!("the answer has no {key}"))),
        }
    }
    Ok(Outcome::Passed)
}
