//! Seeded loops: differences lead where they should, bytes come back, changed bytes never panic.

use super::assembly::feed;
use super::{int, path, reference};
use crate::cbor::decode_all;
use crate::id::Digest;
use crate::state::{Delta, DeltaView, Finite, Path, SectionTable, SnapshotAssembly, State, Value};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

/// Small deterministic generator for the loops below.
struct Lcg(u64);

impl Lcg {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

fn random_value(random: &mut Lcg) -> Value {
    match random.below(7) {
        0 => Value::Null,
        1 => Value::Bool(random.below(2) == 0),
        2 => int(i64::try_from(random.below(1 << 30)).unwrap() - (1 << 29)),
        3 => Value::Float(
            Finite::new(f64::from(u32::try_from(random.below(99)).unwrap()) / 8.0).unwrap(),
        ),
        4 => Value::Text("x".repeat(random.below(300) as usize)),
        5 => Value::Bytes(vec![7; random.below(300) as usize]),
        _ => reference("a/b"),
    }
}

/// Paths collide often, so that removals, moves and conflicts all happen.
fn random_state(random: &mut Lcg) -> State {
    let mut entries: BTreeMap<Path, Value> = BTreeMap::new();
    for _ in 0..random.below(20) {
        let segments = 1 + random.below(3);
        let names: Vec<String> = (0..segments)
            .map(|_| format!("{:x}", random.below(12)))
            .collect();
        let path = path(&names.join("/"));
        entries.retain(|other, _| {
            !other.ancestors().any(|ancestor| ancestor == path.as_str())
                && !path.ancestors().any(|ancestor| ancestor == other.as_str())
        });
        entries.insert(path, random_value(random));
    }
    State::from_entries(entries).unwrap()
}

#[test]
fn random_states_reach_each_other_by_their_difference() {
    let mut random = Lcg(1);
    for round in 0..1_000 {
        let (from, to) = (random_state(&mut random), random_state(&mut random));
        let Some(delta) = from.diff(&to) else {
            assert_eq!(from, to);
            continue;
        };
        let payload = delta.encode();
        assert_eq!(Delta::decode(&payload), Ok(delta.clone()), "round {round}");
        let view = DeltaView::decode(&payload).unwrap();
        assert_eq!(
            view.sets_count() + view.removals_count(),
            delta.set().len() + delta.remove().len()
        );
        let applied = from.apply_view(&view, to.root()).unwrap();
        assert!(applied.iter().eq(to.iter()), "round {round}");
        assert_eq!(from.apply(&delta, to.root()), Ok(to), "round {round}");
    }
}

#[test]
fn random_states_come_back_from_table_and_bodies() {
    let mut random = Lcg(2);
    for _ in 0..300 {
        let (held, target) = (random_state(&mut random), random_state(&mut random));
        let mut writer = crate::cbor::Writer::new();
        target.section_table().encode(&mut writer);
        let table = decode_all(writer.as_bytes(), SectionTable::decode).unwrap();
        assert_eq!(table.root(), *target.root());
        let mut assembly = SnapshotAssembly::new(&table, &held);
        feed(&mut assembly, &target, 1 + random.below(400) as usize).unwrap();
        let state = assembly.finish().unwrap();
        assert!(state.iter().eq(target.iter()));
        assert_eq!(state.len_bytes(), target.len_bytes());
    }
}

#[test]
fn changed_delta_payloads_never_panic_and_decode_to_their_own_bytes() {
    let mut random = Lcg(3);
    let mut decoded = 0;
    for _ in 0..4_000 {
        let (from, to) = (random_state(&mut random), random_state(&mut random));
        let Some(delta) = from.diff(&to) else {
            continue;
        };
        let mut payload = delta.encode();
        let at = random.below(payload.len() as u64) as usize;
        payload[at] ^= 1 << random.below(8);
        if let Ok(delta) = Delta::decode(&payload) {
            decoded += 1;
            assert_eq!(delta.encode(), payload);
            let wrong = Digest::from_bytes([0; 32]);
            assert!(from.apply(&delta, &wrong).is_err());
        }
    }
    assert!(decoded > 0);
}
