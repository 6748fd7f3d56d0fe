//! Plays every row of events that leads to another state, and draws where each leads.
//!
//! What changes no state is left out. Refuses to know what states and events mean.

use std::borrow::ToOwned as _;
use std::collections::{BTreeMap, VecDeque};
use std::string::String;
use std::vec::Vec;
use std::{format, vec};

/// Draws what `play` reaches: it plays a row of events, given by their places, from the beginning and names the state
/// in which that ends.
pub(crate) fn draw(events: &[&str], play: &dyn Fn(&[usize]) -> String) -> String {
    let mut names = vec![play(&[])];
    let mut waiting = VecDeque::from([Vec::new()]);
    let mut arrows: BTreeMap<(usize, usize), Vec<&str>> = BTreeMap::new();
    while let Some(row) = waiting.pop_front() {
        let from = place(&mut names, play(&row));
        for (event, shown) in events.iter().enumerate() {
            let further = [row.as_slice(), &[event]].concat();
            let known = names.len();
            let to = place(&mut names, play(&further));
            if to == known {
                waiting.push_back(further);
            }
            if to != from {
                arrows.entry((from, to)).or_default().push(shown);
            }
        }
    }
    let mut lines = vec!["stateDiagram-v2".to_owned()];
    let states = names.iter().enumerate();
    lines.extend(states.map(|(place, name)| format!("  state \"{name}\" as s{place}")));
    lines.push("  [*] --> s0".to_owned());
    let drawn = arrows.iter();
    lines.extend(drawn.map(|((from, to), by)| format!("  s{from} --> s{to}: {}", by.join(" / "))));
    lines.join("\n")
}

/// The place of a state, which is new when nobody was in it before.
fn place(names: &mut Vec<String>, name: String) -> usize {
    let known = names.iter().position(|held| *held == name);
    known.unwrap_or_else(|| {
        names.push(name);
        names.len() - 1
    })
}
