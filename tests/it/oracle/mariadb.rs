//! A MariaDB schema's fingerprint: a text dump, a checksum a table, and what the catalogue says.

use std::fmt::Write as _;

use crate::server::Server;

/// What of the catalogue must come back; times and estimates are left out.
const CATALOGUE: &[&str] = &[
    "SELECT table_name, table_type, engine, row_format, auto_increment, table_collation, create_options, table_comment FROM information_schema.tables WHERE table_schema = '{}' ORDER BY 1",
    "SELECT * FROM information_schema.columns WHERE table_schema = '{}' ORDER BY table_name, ordinal_position",
    "SELECT table_name, non_unique, index_name, seq_in_index, column_name, collation, sub_part, nullable, index_type, index_comment FROM information_schema.statistics WHERE table_schema = '{}' ORDER BY 1, 3, 4",
    "SELECT table_name, constraint_name, unique_constraint_name, update_rule, delete_rule, referenced_table_name FROM information_schema.referential_constraints WHERE constraint_schema = '{}' ORDER BY 1, 2",
    "SELECT table_name, constraint_name, check_clause FROM information_schema.check_constraints WHERE constraint_schema = '{}' ORDER BY 1, 2",
    "SELECT table_name, view_definition, check_option, is_updatable, definer, security_type, character_set_client, collation_connection FROM information_schema.views WHERE table_schema = '{}' ORDER BY 1",
    "SELECT trigger_name, event_manipulation, event_object_table, action_order, action_statement, action_timing, sql_mode, definer, character_set_client, collation_connection, database_collation FROM information_schema.triggers WHERE trigger_schema = '{}' ORDER BY 1",
    "SELECT default_character_set_name, default_collation_name FROM information_schema.schemata WHERE schema_name = '{}'",
];

/// Everything there is to tell of one schema.
pub(crate) fn schema(server: &Server, name: &str) -> String {
    let mut text = server.dump(name);
    let tables = server.ask(&format!(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = '{name}' AND table_type = 'BASE TABLE' ORDER BY 1"
    ));
    for table in tables.lines() {
        let sum =
            server.ask(&format!("CHECKSUM TABLE `{name}`.`{}` EXTENDED", table.replace('`', "``")));
        let _ = writeln!(text, "checksum {}", sum.trim().replace(&format!("{name}."), ""));
    }
    for question in CATALOGUE {
        let answer = server.ask(&question.replace("{}", name));
        // The same schema under another name is the same schema. And SHOW CREATE TABLE names Aria's
        // default, which the catalogue then shows for whatever was made from that text.
        let answer = answer.replace(name, "SCHEMA").replace("page_checksum=1 ", "");
        text.push_str(&answer);
    }
    text
}
