//! A store in which one record is not what the engine wrote: a start refuses it by its name, or works.
//!
//! `how(1) ‖ row(1) ‖ bytes`: the row of a store that engines filled gets the bytes as its value, or is edited by them, three
//! bytes an edit. Refuses to change keys: a record under another key is another record.

use crate::context::Now;
use crate::controller::{self, Controller};
use crate::device::{self, Device, Settings};
use crate::record::RecordError;
use crate::testing::{Dice, Lone, MemoryStore, TestKeys, at, numbers, signer};
use crate::trust::Trust;
use alloc::string::ToString as _;
use alloc::vec::Vec;

/// A start from a damaged store refuses it by its name, or works for a minute.
pub fn records(input: &[u8]) {
    let Some(([how, row], bytes)) = input.split_first_chunk::<2>() else {
        return;
    };
    let damage = |store: &mut MemoryStore| damage(store, *row, how & 2 != 0, bytes);
    if how & 1 == 0 {
        device(damage);
    } else {
        controller(damage);
    }
}

/// Changes the value of a row, counted from the first.
fn damage(store: &mut MemoryStore, row: u8, is_edit: bool, bytes: &[u8]) {
    let count = store.rows().count().max(1);
    let place = store.rows().nth(usize::from(row) % count);
    let place = place.map(|(table, key, value)| (table, key.to_vec(), value.to_vec()));
    let Some((table, key, mut value)) = place else {
        return;
    };
    if is_edit {
        let (edits, _) = bytes.as_chunks::<3>();
        edits.iter().for_each(|edit| apply(&mut value, *edit));
    } else {
        value = bytes.to_vec();
    }
    store.overwrite(table, &key, Some(value));
}

/// Replaces, inserts or removes one byte.
fn apply(value: &mut Vec<u8>, [how, place, byte]: [u8; 3]) {
    let place = usize::from(place) % (value.len() + 1);
    match (how % 3, value.get_mut(place)) {
        (0, Some(held)) => *held = byte,
        (2, Some(_)) => {
            value.remove(place);
        }
        (_, _) => value.insert(place, byte),
    }
}

fn device(damage: impl FnOnce(&mut MemoryStore)) {
    let mut lone = Lone::holding(&numbers(&[("a/x", 1), ("b", 2)]), at(100, 5));
    lone.run(1_000);
    damage(&mut lone.node.store);
    let (identity, trust) = (lone.node.identity.clone(), lone.keys.trust());
    let restored = Device::restore(identity, trust, Settings::default(), lone.node.store.rows());
    let mut engine = match restored {
        Ok(engine) => engine,
        Err(error) => return assert_named(&error),
    };
    let (mut dice, mut now_ms) = (Dice::new(3), 100_000);
    let mut input = device::Input::Start;
    for _ in 0..16 {
        let mut context = device::Context {
            now: at_ms(now_ms),
            random: &mut dice,
            signer: &signer("device"),
        };
        engine.handle_input(&mut context, input);
        while engine.poll_output().is_some() {}
        let Some(due_ms) = engine.poll_timeout().filter(|due| *due < 160_000) else {
            break;
        };
        now_ms = due_ms.max(now_ms);
        input = device::Input::Timeout;
    }
}

fn controller(damage: impl FnOnce(&mut MemoryStore)) {
    let keys = TestKeys::new();
    let mut store = super::controller::filled_store();
    damage(&mut store);
    let trust: Trust = keys.trust();
    let mut engine = match Controller::restore(trust, store.rows()) {
        Ok(engine) => engine,
        Err(error) => return assert_named(&error),
    };
    let (mut dice, mut now_ms) = (Dice::new(3), 100_000);
    let mut input = controller::Input::Start;
    for _ in 0..16 {
        let mut context = controller::Context {
            now: at_ms(now_ms),
            random: &mut dice,
            keys: &keys,
        };
        engine.handle_input(&mut context, input);
        while engine.poll_output().is_some() {}
        let Some(due_ms) = engine.poll_timeout().filter(|due| *due < 160_000) else {
            break;
        };
        now_ms = due_ms.max(now_ms);
        input = controller::Input::Timeout;
    }
}

/// An operator has to find the record.
fn assert_named(error: &RecordError) {
    let said = error.to_string();
    assert!(said.contains(error.table), "{said}");
    assert!(said.contains(error.reject.as_str()), "{said}");
}

const fn at_ms(mono_ms: u64) -> Now {
    Now {
        mono_ms,
        unix_s: Some(1_790_000_000),
    }
}
