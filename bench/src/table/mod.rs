//! Rows: a number, its unit, its target, and whether it is reached; as text and as JSON.
//!
//! Every target is a ceiling, but that of a rate is a floor. A row without a value was skipped; a row without a target is only
//! reported. Refuses to call either of them passed.

#[cfg(test)]
mod tests;

use serde_json::{Value, json};

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes on the wire.
    Bytes,
    /// 1024 bytes of memory.
    Kibibytes,
    /// Instructions, as callgrind counts them.
    Instructions,
    /// One count over another of the same run.
    Ratio,
    /// One time over another of the same run: busy neighbours move it.
    TimeRatio,
    /// Milliseconds on this machine, now.
    Milliseconds,
    /// Microseconds of a processor.
    Microseconds,
    /// Things.
    Count,
    /// Things in a second on this machine, now: its target is a floor.
    PerSecond,
}

impl Unit {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Bytes => "B",
            Self::Kibibytes => "KiB",
            Self::Instructions => "Ir",
            Self::Ratio | Self::TimeRatio => "x",
            Self::Milliseconds => "ms",
            Self::Microseconds => "us",
            Self::Count => "#",
            Self::PerSecond => "/s",
        }
    }

    /// Busy neighbours move it.
    const fn is_time(self) -> bool {
        match self {
            Self::TimeRatio | Self::Milliseconds | Self::PerSecond => true,
            Self::Bytes
            | Self::Kibibytes
            | Self::Instructions
            | Self::Ratio
            | Self::Microseconds
            | Self::Count => false,
        }
    }

    fn format(self, number: f64) -> String {
        match self {
            Self::Bytes | Self::Instructions | Self::Count | Self::PerSecond => {
                format!("{number:.0}")
            }
            Self::Kibibytes => format!("{number:.1}"),
            Self::Ratio | Self::TimeRatio | Self::Milliseconds | Self::Microseconds => {
                format!("{number:.3}")
            }
        }
    }
}

/// One number.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// What was measured.
    pub name: String,
    /// The number; `None` when it was skipped.
    pub value: Option<f64>,
    /// What it counts.
    pub unit: Unit,
    /// The highest number that is good enough, if one is promised; the lowest of [`Unit::PerSecond`].
    pub target: Option<f64>,
    /// What must be known to compare the number with another.
    pub note: Option<String>,
}

impl Row {
    /// Makes a row.
    pub fn new(
        name: impl Into<String>,
        unit: Unit,
        value: Option<f64>,
        target: Option<f64>,
    ) -> Self {
        Self {
            name: name.into(),
            value,
            unit,
            target,
            note: None,
        }
    }

    /// Says what must be known to compare the number; text has it once for all rows that share it.
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// Makes a row whose number could not be had here.
    pub fn skipped(name: impl Into<String>) -> Self {
        Self::new(name, Unit::Ratio, None, None)
    }

    /// Makes a row of bytes.
    pub fn bytes(name: impl Into<String>, count: usize, target: Option<u32>) -> Self {
        Self {
            name: name.into(),
            // A frame has at most 49152 bytes; the largest sum here is below a million.
            value: u32::try_from(count).ok().map(f64::from),
            unit: Unit::Bytes,
            target: target.map(f64::from),
            note: None,
        }
    }

    /// Tells whether the target is reached; `None` without a value or without a target.
    pub fn ok(&self) -> Option<bool> {
        let (value, target) = (self.value?, self.target?);
        Some(if self.unit == Unit::PerSecond {
            value >= target
        } else {
            value <= target
        })
    }

    fn cells(&self) -> [String; 5] {
        let verdict = match (self.ok(), self.value) {
            (Some(true), _) => "ok",
            (Some(false), _) => "MISSED",
            (None, None) => "SKIPPED",
            (None, Some(_)) => "reported",
        };
        let format = |number: Option<f64>| {
            number.map_or_else(|| "-".to_owned(), |number| self.unit.format(number))
        };
        let target = match self.unit {
            Unit::PerSecond if self.target.is_some() => format!("least {}", format(self.target)),
            Unit::PerSecond
            | Unit::Bytes
            | Unit::Kibibytes
            | Unit::Instructions
            | Unit::Ratio
            | Unit::TimeRatio
            | Unit::Milliseconds
            | Unit::Microseconds
            | Unit::Count => format(self.target),
        };
        [
            self.name.clone(),
            format(self.value),
            self.unit.as_str().to_owned(),
            target,
            verdict.to_owned(),
        ]
    }
}

/// Tells whether no target is missed; times count only where they are judged.
pub fn is_passed(rows: &[Row], judges_times: bool) -> bool {
    rows.iter()
        .filter(|row| judges_times || !row.unit.is_time())
        .all(|row| row.ok() != Some(false))
}

/// Aligns rows for people; their notes stand below, each once.
pub fn to_text(rows: &[Row]) -> String {
    let mut notes: Vec<&str> = rows.iter().filter_map(|row| row.note.as_deref()).collect();
    notes.dedup();
    let notes = notes.iter().map(|note| format!("{note}\n"));
    aligned(rows).chain(notes).collect()
}

fn aligned(rows: &[Row]) -> impl Iterator<Item = String> {
    let head = ["what", "value", "unit", "at most", "verdict"].map(str::to_owned);
    let cells: Vec<_> = std::iter::once(head)
        .chain(rows.iter().map(Row::cells))
        .collect();
    let mut widths = [0; 5];
    for row in &cells {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let [name_width, value_width, unit_width, target_width, _] = widths;
    cells.into_iter().map(move |[name, value, unit, target, verdict]| {
        format!(
            "{name:name_width$}  {value:>value_width$} {unit:unit_width$}  {target:>target_width$}  {verdict}\n"
        )
    })
}

/// Lists rows for programs: an array of name, value, unit, target, ok, and note where there is one.
pub fn to_json(rows: &[Row]) -> Value {
    let to_value = |row: &Row| {
        let mut value = json!({
            "name": row.name,
            "value": row.value,
            "unit": row.unit.as_str(),
            "target": row.target,
            "ok": row.ok(),
        });
        if let (Some(note), Some(fields)) = (&row.note, value.as_object_mut()) {
            fields.insert("note".to_owned(), json!(note));
        }
        value
    };
    rows.iter().map(to_value).collect()
}
