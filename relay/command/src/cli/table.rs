//! Tables of plain text: columns as wide as their widest cell, numbers to the right.
//!
//! Refuses control characters in cells: names come from bundles, and a terminal obeys what it is shown.

/// One column.
#[derive(Debug, Clone, Copy)]
pub(super) enum Column {
    /// Text, to the left.
    Text(&'static str),
    /// A number, to the right.
    Number(&'static str),
}

impl Column {
    const fn head(self) -> &'static str {
        match self {
            Self::Text(head) | Self::Number(head) => head,
        }
    }
}

/// Writes a table with its head, one line a row.
#[must_use]
pub(super) fn table(columns: &[Column], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| harmless(cell)).collect())
        .collect();
    let width = |at: usize, column: &Column| {
        let cells = rows.iter().filter_map(|row| row.get(at));
        let widest = cells.map(|cell| cell.chars().count()).max();
        widest.unwrap_or(0).max(column.head().len())
    };
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| width(at, column))
        .collect();
    let heads = columns.iter().map(|column| column.head().to_owned());
    let mut text = String::new();
    for row in std::iter::once(heads.collect::<Vec<_>>()).chain(rows) {
        let cells = row.iter().zip(columns).zip(&widths);
        let cells = cells.map(|((cell, column), width)| match column {
            Column::Text(_) => format!("{cell:<width$}"),
            Column::Number(_) => format!("{cell:>width$}"),
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Replaces what a terminal would obey.
fn harmless(cell: &str) -> String {
    let shown = cell.chars().map(|letter| match letter.is_control() {
        true => '?',
        false => letter,
    });
    shown.collect()
}

/// Shortens bytes for people: 1,234,567 becomes 1.2M.
#[must_use]
pub(super) fn bytes(bytes: u64) -> String {
    let units = [(1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")];
    for (unit, name) in units {
        if bytes >= unit {
            let tenths = bytes.saturating_mul(10) / unit;
            return format!("{}.{}{name}", tenths / 10, tenths % 10);
        }
    }
    format!("{bytes}")
}

/// Shortens seconds for people.
#[must_use]
pub(super) fn age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}
