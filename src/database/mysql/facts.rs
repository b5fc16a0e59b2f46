//! Who views and triggers run as, and whether that account is still there.

use super::catalog::Catalog;
use super::session::Session;
use super::text::literal;
use crate::database::{Fact, ObjectKind};

/// "The user specified as a definer does not exist", in the server's words.
const NO_SUCH_USER: u16 = 1449;

/// Views and triggers whose definer does not exist, as far as the account may see.
pub(super) fn orphans(session: &mut Session, catalog: &Catalog) -> Vec<Fact> {
    let views = catalog.views.iter().filter_map(|view| {
        let (_, message) = view.warnings.iter().find(|(code, _)| *code == NO_SUCH_USER)?;
        let definer = message.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
        let definer = definer.map_or(message.as_str(), |(name, _)| name).to_owned();
        Some(Fact::OrphanDefiner { kind: ObjectKind::View, name: view.name.clone(), definer })
    });
    let mut facts: Vec<_> = views.collect();
    for trigger in &catalog.triggers {
        let sql = format!(
            "SELECT COUNT(*) FROM mysql.user WHERE CONCAT(User, '@', Host) = {}",
            literal(&trigger.definer)
        );
        // Without the right to look nothing is known.
        if session.value("look for a definer", &sql).is_ok_and(|count| count == "0") {
            facts.push(Fact::OrphanDefiner {
                kind: ObjectKind::Trigger,
                name: trigger.name.clone(),
                definer: trigger.definer.clone(),
            });
        }
    }
    facts
}
