//! What a migration may do that is declared to only add ([`Change::Expand`](crate::Change)): programs of the previous
//! version continue to work with its tables.
//!
//! Owns: the list of such statements. Refuses to understand SQL: every statement that is not on the list counts as more.

use std::collections::BTreeSet;

/// Constraints that make a new column mandatory for rows of the previous version, or have such rows
/// refused.
const DEMANDS: [&str; 7] = [
    ",",
    "CHECK",
    "CONSTRAINT",
    "GENERATED",
    "PRIMARY",
    "REFERENCES",
    "UNIQUE",
];

/// The first statement that does more than add, in upper case, if there is one.
pub(crate) fn more_than_added(sql: &str) -> Option<String> {
    let (plain, mut made) = (without_comments(sql), BTreeSet::new());
    let mut statements = plain
        .split(';')
        .map(|statement| statement.split_whitespace().collect::<Vec<_>>());
    let found = statements.find(|words| !adds(words, &mut made));
    found.map(|words| words.join(" "))
}

/// The text that PostgreSQL runs, in upper case, with every bracket and comma as a word.
fn without_comments(sql: &str) -> String {
    let lines = sql
        .lines()
        .map(|line| line.strip_prefix("--pg ").unwrap_or(line));
    let plain = lines.map(|line| line.split("--").next().unwrap_or_default());
    let mut text = plain.collect::<Vec<_>>().join("\n").to_uppercase();
    for (sign, word) in [
        ("/*", ""),
        ("*/", ""),
        ("(", " ( "),
        (")", " ) "),
        (",", " , "),
    ] {
        text = text.replace(sign, word);
    }
    text
}

/// Whether a statement only adds. `made` are the tables that the same migration has created before.
fn adds<'a>(words: &[&'a str], made: &mut BTreeSet<&'a str>) -> bool {
    match words {
        [] | ["CREATE", "INDEX", _, "ON", ..] => true,
        ["CREATE", "TABLE", "IF", ..] => false,
        ["CREATE", "TABLE", table, ..] => {
            made.insert(*table);
            true
        }
        ["CREATE", "UNIQUE", "INDEX", _, "ON", table, ..] | ["INSERT", "INTO", table, ..] => {
            made.contains(table)
        }
        ["ALTER", "TABLE", table, "ADD", "COLUMN", _, rest @ ..] => {
            made.contains(table) || may_be_left_out(rest)
        }
        _ => false,
    }
}

/// Whether rows may be written without a column of this type and these constraints.
fn may_be_left_out(column: &[&str]) -> bool {
    let is_said = |word: &&str| column.contains(word);
    let filled = is_said(&"DEFAULT") || !is_said(&"NOT");
    filled && !DEMANDS.iter().any(is_said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_adds_is_told_from_what_does_more() {
        for adds in [
            "",
            "-- DROP TABLE rows;\nCREATE TABLE more (id BIGINT NOT NULL PRIMARY KEY)\n--pg PARTITION BY HASH (id)\n;",
            "--pg CREATE TABLE rows_2027 PARTITION OF rows FOR VALUES FROM (1) TO (2);",
            "CREATE INDEX rows_by_note ON rows (note); create index b on rows (id)",
            "ALTER TABLE rows ADD COLUMN extra TEXT",
            "alter table rows add column extra bigint not null default 0;",
            "CREATE TABLE more (id BIGINT); CREATE UNIQUE INDEX one ON more(id); INSERT INTO more (id) VALUES (1)",
            "CREATE TABLE more (id BIGINT); ALTER TABLE more ADD COLUMN extra TEXT NOT NULL UNIQUE",
        ] {
            assert_eq!(more_than_added(adds), None, "{adds}");
        }
        for more in [
            "DROP TABLE rows",
            "DROP INDEX rows_by_note",
            "ALTER TABLE rows DROP COLUMN note",
            "ALTER TABLE rows RENAME COLUMN note TO text",
            "ALTER TABLE rows RENAME TO lines",
            "ALTER TABLE rows ALTER COLUMN note SET NOT NULL",
            "ALTER TABLE rows ADD COLUMN extra TEXT NOT NULL",
            "ALTER TABLE rows ADD COLUMN extra TEXT UNIQUE",
            "ALTER TABLE rows ADD COLUMN extra BIGINT CHECK (extra > 0)",
            "ALTER TABLE rows ADD COLUMN extra TEXT, DROP COLUMN note",
            "ALTER TABLE rows ADD CONSTRAINT one UNIQUE (note)",
            "CREATE UNIQUE INDEX one ON rows (note)",
            "INSERT INTO rows (id) VALUES (1)",
            "UPDATE rows SET note = NULL",
            "DELETE FROM rows",
            "CREATE TABLE IF NOT EXISTS rows (id BIGINT)",
            "--pg DO $$\n--pg BEGIN\n--pg     DROP TABLE rows;\n--pg END $$;",
            "CREATE TABLE more (id BIGINT); DROP TABLE rows;",
        ] {
            assert!(more_than_added(more).is_some(), "{more}");
        }
        let told = more_than_added("CREATE TABLE more (id BIGINT);\n-- Why.\nDROP   TABLE rows;");
        assert_eq!(told.as_deref(), Some("DROP TABLE ROWS"));
    }
}
