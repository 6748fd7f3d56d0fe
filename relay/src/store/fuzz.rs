//! What must hold for whatever bytes lie under a key: one plain function for the fuzzer and for the tests.
//!
//! Refuses to know a disk: the frame around a value is all that stands between its bytes and their owner.

use super::Table;
use super::frame::{engine_key, seal, unseal};

const TABLE: Table = Table::new("fuzz");

/// `key length(1) ‖ key ‖ frame`: what is taken is what would be written, and no bit of it may turn.
pub(crate) fn frame(input: &[u8]) {
    let Some((length, rest)) = input.split_first() else {
        return;
    };
    let (key, bytes) = rest.split_at(rest.len().min(usize::from(*length)));
    let key = engine_key(TABLE, key);
    if let Some(value) = unseal(&key, bytes) {
        assert_eq!(seal(&key, value), bytes, "two frames of one value");
    }
    let sealed = seal(&key, bytes);
    assert_eq!(unseal(&key, &sealed), Some(bytes));
    assert_eq!(unseal(&engine_key(TABLE, b"another key"), &sealed), None);
    let bit = bytes.iter().map(|byte| usize::from(*byte)).sum::<usize>() % (sealed.len() * 8);
    let mut turned = sealed;
    if let Some(byte) = turned.get_mut(bit / 8) {
        *byte ^= 1 << (bit % 8);
    }
    assert_eq!(unseal(&key, &turned), None, "bit {bit} may turn");
}
