//! What the numbers were taken on: processors, kernel, and the version of what was measured.
//!
//! Refuses to guess: what the kernel does not tell is called unknown.

use crate::table::{Row, Unit};

/// The machine, as its kernel describes it.
pub fn row() -> Row {
    let read = |file| std::fs::read_to_string(file).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let models = processors
        .lines()
        .filter_map(|line| line.strip_prefix("model name"));
    let model = models
        .clone()
        .next()
        .map_or("unknown", |rest| rest.trim_start_matches([':', '\t', ' ']));
    let kernel = read("/proc/sys/kernel/osrelease");
    let name = format!(
        "processors of this machine ({model}, Linux {}), Postern {}",
        kernel.trim(),
        env!("CARGO_PKG_VERSION")
    );
    Row::new(name, Unit::Count, Some(models.count() as f64), None)
}
