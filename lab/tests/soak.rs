//! A minute of random faults for twenty device processes behind one firewall: scenario C16, short.
//!
//! A stage of its own in `./test`. `postern-lab soak` is the long one.

use postern_lab::scenarios::soak::{self, Soak};

#[test]
fn c16_every_message_is_applied_exactly_once_whatever_happens() {
    if let Some(numbers) = soak::run(&Soak::SHORT).unwrap() {
        println!("soak: {numbers}");
    }
}
