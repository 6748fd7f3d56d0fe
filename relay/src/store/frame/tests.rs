use super::{caller_key, engine_key, engine_range, seal, unseal};
use crate::store::{KeyRange, Table};

const ITEMS: Table = Table::new("items");
const ITEM: Table = Table::new("item");

#[test]
fn frame_unsealed_under_its_own_key_returns_the_value() {
    for value in [&b""[..], b"x", &[0; 70_000]] {
        let key = engine_key(ITEMS, b"key");
        assert_eq!(unseal(&key, &seal(&key, value)), Some(value));
    }
}

#[test]
fn frame_with_any_bit_flipped_is_refused() {
    let key = engine_key(ITEMS, b"key");
    let sealed = seal(&key, b"some value");
    for bit in 0..sealed.len() * 8 {
        let mut flipped = sealed.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(unseal(&key, &flipped), None, "bit {bit}");
    }
}

#[test]
fn frame_cut_or_extended_is_refused() {
    let key = engine_key(ITEMS, b"key");
    let sealed = seal(&key, b"some value");
    for length in 0..sealed.len() {
        assert_eq!(unseal(&key, &sealed[..length]), None, "{length} bytes");
    }
    let mut longer = sealed;
    longer.push(0);
    assert_eq!(unseal(&key, &longer), None);
}

#[test]
fn frame_under_another_key_or_table_is_refused() {
    let sealed = seal(&engine_key(ITEMS, b"key"), b"value");
    for other in [
        engine_key(ITEMS, b"kez"),
        engine_key(ITEMS, b"ke"),
        engine_key(ITEMS, b"keyv"),
        engine_key(ITEM, b"skey"),
    ] {
        assert_eq!(unseal(&other, &sealed), None);
    }
}

#[test]
fn engine_range_of_a_table_excludes_its_neighbours() {
    let (from, to) = engine_range(ITEMS, &KeyRange::all());
    for inside in [engine_key(ITEMS, b""), engine_key(ITEMS, &[0xff; 40])] {
        assert!(inside >= from && inside < to);
    }
    for outside in [
        engine_key(ITEM, b"s"),
        engine_key(Table::new("itemt"), b""),
        engine_key(Table::new("itemr"), b"\xff"),
        engine_key(Table::META, b"schema"),
    ] {
        assert!(outside < from || outside >= to);
        assert_eq!(caller_key(ITEMS, &outside), None);
    }
}
