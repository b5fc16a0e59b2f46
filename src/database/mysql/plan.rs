//! What must be dropped, loaded and created so that a live schema becomes a stored one. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::objects::kind_number;
use crate::database::ObjectKind;
use crate::database::state::ObjectRecord;

/// What becomes of a schema, in the order in which it is done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Whether the schema's own defaults differ.
    pub(super) schema: bool,
    pub(super) drop_triggers: Vec<String>,
    pub(super) drop_views: Vec<String>,
    /// Routines, events, sequences, packages: no state holds any.
    pub(super) drop_others: Vec<(ObjectKind, String)>,
    pub(super) drop_tables: Vec<String>,
    pub(super) load_tables: Vec<String>,
    /// AUTO_INCREMENT marks of tables that are otherwise equal.
    pub(super) counters: Vec<(String, Option<u64>)>,
    pub(super) create_views: Vec<String>,
    pub(super) create_triggers: Vec<String>,
}

/// One side of the comparison.
#[derive(Clone, Copy, Debug)]
pub(super) struct Side<'a> {
    /// Sorted by kind and name.
    pub(super) objects: &'a [ObjectRecord],
    /// The table of each trigger.
    pub(super) trigger_tables: &'a BTreeMap<String, String>,
}

impl<'a> Side<'a> {
    fn of(self, kind: ObjectKind) -> BTreeMap<&'a str, &'a ObjectRecord> {
        let number = kind_number(kind);
        let objects = self.objects.iter().filter(|one| one.kind == number);
        objects.map(|one| (one.name.as_str(), one)).collect()
    }

    /// The triggers of a table.
    fn triggers_of(self, table: &str) -> BTreeSet<(&'a str, [u8; 32])> {
        let triggers = self.of(ObjectKind::Trigger).into_iter();
        triggers
            .filter(|(name, _)| self.trigger_tables.get(*name).is_some_and(|of| of == table))
            .map(|(name, record)| (name, record.definition))
            .collect()
    }
}

/// The tables whose definition is equal: only of these must the rows be read.
pub(super) fn same_definition(wanted: &[ObjectRecord], live: &[ObjectRecord]) -> BTreeSet<String> {
    let table = kind_number(ObjectKind::Table);
    let live: BTreeMap<_, _> =
        live.iter().filter(|one| one.kind == table).map(|one| (&one.name, one)).collect();
    let wanted = wanted.iter().filter(|one| one.kind == table);
    wanted
        .filter(|one| live.get(&one.name).is_some_and(|live| live.definition == one.definition))
        .map(|one| one.name.clone())
        .collect()
}

/// Compares what is wanted with what is live.
pub(super) fn plan(wanted: Side<'_>, live: Side<'_>) -> Plan {
    let mut plan = Plan::default();
    let defaults = |side: Side<'_>| side.of(ObjectKind::Schema).get("").map(|one| one.definition);
    plan.schema = defaults(wanted) != defaults(live);

    let (want, have) = (wanted.of(ObjectKind::View), live.of(ObjectKind::View));
    let differs = |a: &BTreeMap<&str, &ObjectRecord>, b: &BTreeMap<&str, &ObjectRecord>| {
        let other = |name: &str| b.get(name).map(|one| one.definition);
        let names = a.iter().filter(|(name, one)| other(name) != Some(one.definition));
        names.map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>()
    };
    plan.drop_views = differs(&have, &want);
    plan.create_views = differs(&want, &have);

    plan.drop_others = [
        ObjectKind::Procedure,
        ObjectKind::Function,
        ObjectKind::Package,
        ObjectKind::Event,
        ObjectKind::Sequence,
    ]
    .into_iter()
    .flat_map(|kind| live.of(kind).into_keys().map(move |name| (kind, name.to_owned())))
    .collect();

    let (want, have) = (wanted.of(ObjectKind::Table), live.of(ObjectKind::Table));
    let rows = |one: &ObjectRecord| (one.definition, one.rows_digest, one.rows);
    let is_equal = |name: &str| match (want.get(name), have.get(name)) {
        (Some(want), Some(have)) => rows(want) == rows(have),
        _ => false,
    };
    let named = |name: &&str| (*name).to_owned();
    plan.drop_tables = have.keys().filter(|name| !is_equal(name)).map(named).collect();
    plan.load_tables = want.keys().filter(|name| !is_equal(name)).map(named).collect();
    for (name, one) in want.iter().filter(|(name, _)| is_equal(name)) {
        if one.auto_increment != have[name].auto_increment {
            plan.counters.push(((*name).to_owned(), one.auto_increment));
        }
    }

    // The triggers of a table are one ordered list: kept whole, or made anew whole.
    let tables: BTreeSet<&str> = want.keys().chain(have.keys()).copied().collect();
    for table in tables {
        let (want, have) = (wanted.triggers_of(table), live.triggers_of(table));
        if want != have || !is_equal(table) {
            plan.drop_triggers.extend(have.into_iter().map(|(name, _)| name.to_owned()));
            plan.create_triggers.extend(want.into_iter().map(|(name, _)| name.to_owned()));
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Schema {
        objects: Vec<ObjectRecord>,
        trigger_tables: BTreeMap<String, String>,
    }

    impl Schema {
        /// Each object: kind, name, definition, rows.
        fn of(objects: &[(ObjectKind, &str, u8, u8)]) -> Self {
            let record =
                |(kind, name, definition, rows): &(ObjectKind, &str, u8, u8)| ObjectRecord {
                    kind: kind_number(*kind),
                    name: (*name).to_owned(),
                    definition: [*definition; 32],
                    rows_digest: [*rows; 32],
                    rows: 1,
                    bytes: 1,
                    auto_increment: Some(7),
                    chunk: None,
                };
            let mut objects: Vec<_> = objects.iter().map(record).collect();
            objects.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
            // A trigger `t_x` is of table `t`.
            let trigger = kind_number(ObjectKind::Trigger);
            let triggers = objects.iter().filter(|one| one.kind == trigger);
            let trigger_tables = triggers
                .map(|one| (one.name.clone(), one.name.split('_').next().unwrap().to_owned()))
                .collect();
            Self { objects, trigger_tables }
        }

        fn side(&self) -> Side<'_> {
            Side { objects: &self.objects, trigger_tables: &self.trigger_tables }
        }
    }

    use ObjectKind::{Event, Schema as Defaults, Table, Trigger, View};

    #[test]
    fn nothing_is_done_to_what_is_equal() {
        let both = Schema::of(&[
            (Defaults, "", 1, 0),
            (Table, "a", 1, 1),
            (View, "v", 1, 0),
            (Trigger, "a_1", 1, 0),
        ]);
        assert_eq!(plan(both.side(), both.side()), Plan::default());
    }

    #[test]
    fn what_a_migration_added_changed_or_dropped_is_undone() {
        let wanted = Schema::of(&[
            (Defaults, "", 1, 0),
            (Table, "altered", 1, 1),
            (Table, "dropped", 1, 1),
            (Table, "filled", 1, 1),
            (Table, "same", 1, 1),
            (View, "kept", 1, 0),
            (View, "redefined", 1, 0),
            (Trigger, "filled_t", 1, 0),
            (Trigger, "same_t", 1, 0),
        ]);
        let live = Schema::of(&[
            (Defaults, "", 2, 0),
            (Table, "added", 1, 1),
            (Table, "altered", 2, 1),
            (Table, "filled", 1, 2),
            (Table, "same", 1, 1),
            (View, "kept", 1, 0),
            (View, "redefined", 2, 0),
            (View, "dropped", 1, 0),
            (Trigger, "filled_t", 1, 0),
            (Trigger, "same_t", 1, 0),
            (Trigger, "same_u", 1, 0),
            (Event, "e", 0, 0),
        ]);
        let plan = plan(wanted.side(), live.side());
        assert!(plan.schema);
        assert_eq!(plan.drop_tables, ["added", "altered", "filled"]);
        assert_eq!(plan.load_tables, ["altered", "dropped", "filled"]);
        assert_eq!(plan.drop_views, ["dropped", "redefined"]);
        assert_eq!(plan.create_views, ["redefined"]);
        assert_eq!(plan.drop_triggers, ["filled_t", "same_t", "same_u"]);
        assert_eq!(plan.create_triggers, ["filled_t", "same_t"]);
        assert_eq!(plan.drop_others, [(Event, "e".to_owned())]);
        assert_eq!(plan.counters, []);
    }

    #[test]
    fn a_counter_alone_is_set_and_no_row_is_loaded_for_it() {
        let wanted = Schema::of(&[(Table, "a", 1, 1)]);
        let mut live = Schema::of(&[(Table, "a", 1, 1)]);
        live.objects[0].auto_increment = Some(60);
        let plan = plan(wanted.side(), live.side());
        assert_eq!(plan.counters, [("a".to_owned(), Some(7))]);
        assert_eq!((plan.drop_tables.len(), plan.load_tables.len()), (0, 0));
    }
}
