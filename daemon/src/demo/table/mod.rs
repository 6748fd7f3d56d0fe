//! The demo's table, as lines of text: one row a device. Pure.
//!
//! Columns are as wide as usual cells need, so that a redrawn table does not jump while digits
//! grow, and fits 80 characters. Refuses to know the terminal.

#[cfg(test)]
mod tests;

/// What stands in place of a value that is not known yet.
const UNKNOWN: &str = "-";
const HEADS: [&str; 8] = [
    "device", "apps", "desired", "applied", "route", "up", "down", "push",
];
/// Least width of each column, in characters.
const WIDTHS_MIN: [usize; 8] = [6, 4, 7, 7, 6, 8, 8, 9];

/// One device as the table shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Row {
    /// Its name.
    pub(super) device: String,
    /// Deployments decided for it.
    pub(super) deployments: usize,
    /// Sequence number of the newest decision.
    pub(super) desired_seq: Option<u64>,
    /// Sequence number of the newest applied decision.
    pub(super) applied_seq: Option<u64>,
    /// The word for its way to the controller.
    pub(super) route: String,
    /// Bytes on its sockets.
    pub(super) bytes_up: u64,
    /// Bytes on its sockets.
    pub(super) bytes_down: u64,
    /// Microseconds from the newest decision to its report.
    pub(super) push_us: Option<u64>,
    /// False while its process is dead.
    pub(super) is_running: bool,
}

/// Renders the head and all rows, one line each, without line ends.
pub(super) fn render(rows: &[Row]) -> Vec<String> {
    let mut cells = vec![HEADS.map(str::to_owned)];
    cells.extend(rows.iter().map(cells_of));
    let mut widths = WIDTHS_MIN;
    for row in &cells {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let ends = std::iter::once("").chain(rows.iter().map(word_of));
    cells
        .iter()
        .zip(ends)
        .map(|(row, end)| line(row, widths, end))
        .collect()
}

/// Says in a word or two how a device stands.
fn word_of(row: &Row) -> &'static str {
    match (row.is_running, row.desired_seq, row.applied_seq) {
        (false, _, _) => "killed",
        (true, None, _) => "waiting",
        (true, Some(desired), Some(applied)) if applied >= desired => "in step",
        (true, Some(_), Some(_) | None) => "behind",
    }
}

fn cells_of(row: &Row) -> [String; 8] {
    let seq = |seq: Option<u64>| seq.map_or_else(|| UNKNOWN.to_owned(), |seq| format!("#{seq}"));
    let route = if row.route.is_empty() {
        UNKNOWN
    } else {
        &row.route
    };
    [
        row.device.clone(),
        row.deployments.to_string(),
        seq(row.desired_seq),
        seq(row.applied_seq),
        route.to_owned(),
        bytes(row.bytes_up),
        bytes(row.bytes_down),
        row.push_us.map_or_else(|| UNKNOWN.to_owned(), millis),
    ]
}

fn line(cells: &[String; 8], widths: [usize; 8], end: &str) -> String {
    let mut text = String::from(" ");
    for (index, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
        // Words stand left, numbers right.
        match index == 0 || index == 4 {
            true => text.extend([cell.as_str(), &padding]),
            false => text.extend([padding.as_str(), cell]),
        }
        text.push_str("  ");
    }
    text.push_str(end);
    text.truncate(text.trim_end().len());
    text
}

/// Writes bytes for people: decimal units, one digit behind the point.
pub(super) fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{} kB", tenths(bytes, 1_000)),
        1_000_000.. => format!("{} MB", tenths(bytes, 1_000_000)),
    }
}

/// Writes microseconds as milliseconds with one digit behind the point.
pub(super) fn millis(micros: u64) -> String {
    format!("{} ms", tenths(micros, 1_000))
}

/// Rounds down: a figure never looks better than it is by rounding to the next unit.
fn tenths(number: u64, unit: u64) -> String {
    format!("{}.{}", number / unit, number % unit / (unit / 10))
}
