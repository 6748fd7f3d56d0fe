//! A byte string as a list of events: `selector(1) ‖ length(2, big endian) ‖ bytes`, again and again.
//!
//! Refuses nothing: a length beyond the end means what is left.

/// The steps of an input, in order.
pub(super) fn steps(input: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = input;
    core::iter::from_fn(move || {
        let ([selector, high, low], tail) = rest.split_first_chunk::<3>()?;
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (chunk, next) = tail.split_at(tail.len().min(length));
        rest = next;
        Some((*selector, chunk))
    })
}
