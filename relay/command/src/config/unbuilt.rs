//! Keys that this version knows of and would not obey: saying so is better than doing nothing.
//!
//! A limit that is accepted and not kept is worse than none. Refuses them as errors, with what to
//! do instead; a key leaves this list in the commit that builds it.

use postern_console::config::reader::Section;

/// Tables that a later version will read, and what to do today.
const TABLES: &[(&str, &str)] = &[
    (
        "quotas",
        "`postern-relay quota TENANT BYTES` keeps them in the store; remove the table",
    ),
    (
        "acme",
        "let an ACME client write tls.cert_file and tls.key_file: they are read again when they change",
    ),
];

/// Keys of tables that exist, and what to do today.
const KEYS: &[(&str, &str, &str)] = &[
    (
        "drain",
        "move_url",
        "a drain names the other relays of the bundle by itself; remove the line",
    ),
    (
        "server",
        "proxy_protocol",
        "name the load balancers: proxy_protocol_from = [\"10.0.0.0/24\"]",
    ),
];

/// Refuses tables that nobody would obey.
pub(super) fn refuse_tables(root: &mut Section<'_, '_>) {
    for (name, remedy) in TABLES {
        let section = root.section(name);
        if section.is_present() {
            root.refuse(section.line(), name, not_built(remedy));
        }
    }
}

/// Refuses keys of one table that nobody would obey.
pub(super) fn refuse_keys(section: &mut Section<'_, '_>, name: &str) {
    for (table, key, remedy) in KEYS {
        if *table == name && section.has(key) {
            section.refuse(section.line(), key, not_built(remedy));
        }
    }
}

fn not_built(remedy: &str) -> String {
    format!("is known, but this version does not obey it: {remedy}")
}

/// Returns the name of every key and table of this list.
#[cfg(test)]
pub(super) fn names() -> Vec<String> {
    let tables = TABLES.iter().map(|(name, _)| format!("[{name}]\n"));
    let keys = KEYS
        .iter()
        .map(|(table, key, _)| format!("[{table}]\n{key} = 1\n"));
    tables.chain(keys).collect()
}
