use super::{Rates, left_out_total};
use std::io;
use std::sync::{Arc, Mutex};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};

const HERE: (&str, u32) = ("server/events.rs", 83);
const THERE: (&str, u32) = ("server/events.rs", 87);

fn written(rates: &Rates, call: (&'static str, u32), lines: usize, now_ms: u64) -> usize {
    (0..lines).filter(|_| rates.take(call, now_ms)).count()
}

#[test]
fn flood_of_one_place_is_cut_and_others_are_not() {
    let rates = Rates::new(10);
    let before = left_out_total();
    assert_eq!(written(&rates, HERE, 100_000, 0), 100);
    assert_eq!(written(&rates, THERE, 5, 0), 5);
    assert!(left_out_total() - before >= 99_900);
}

#[test]
fn place_writes_again_at_its_rate_and_no_faster() {
    let rates = Rates::new(10);
    written(&rates, HERE, 1_000, 0);
    assert_eq!(written(&rates, HERE, 1_000, 99), 0);
    assert_eq!(written(&rates, HERE, 1_000, 1_000), 10);
    // After a long pause no more than at first.
    assert_eq!(written(&rates, HERE, 1_000, 10_000_000), 100);
    // A clock that went back earns nothing.
    assert_eq!(written(&rates, HERE, 1_000, 0), 0);
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn log_of_peers_is_cut_and_that_of_the_program_and_errors_are_not() {
    let (lines, rates) = (Lines::default(), Rates::new(1));
    let made = lines.clone();
    let layer = fmt::layer().json().flatten_event(true);
    let layer = layer.with_writer(move || made.clone());
    let subscriber = tracing_subscriber::registry().with(layer.with_filter(rates.clone()));
    tracing::subscriber::with_default(subscriber, || {
        for _ in 0..50 {
            tracing::info!(target: "postern_relay::server::events", "refused request");
            tracing::error!(target: "postern_relay::server::events", "broken");
            tracing::info!(target: "postern_relay::audit", "audited");
        }
        rates.say_left_out();
        rates.say_left_out();
    });
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let count = |words: &str| text.lines().filter(|line| line.contains(words)).count();
    let found = [count("refused request"), count("broken"), count("audited")];
    // Ten after a pause, and perhaps one more while the test ran.
    assert!((10..=11).contains(&found[0]), "{found:?}");
    assert_eq!(found[1..], [50, 50]);
    assert_eq!(count("left lines out of the log"), 1);
}
