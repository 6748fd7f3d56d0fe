//! What the store acknowledges on a disk that fails: nothing, from the first failure on.
//!
//! Every write, every change of length and every flush of a workload fails in turn, with an error
//! of the medium or for want of space, once or for good; a failing flush may drop what it should
//! have written and report success the next time. Whatever then becomes of the process and the
//! power, the next start holds every acknowledged batch whole. A system that swallows the error
//! is found.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test"
)]

mod store_explorer;

use std::io::ErrorKind;
use std::sync::Arc;

use postern_relay::store::limits::QUEUE_BYTES_MAX;
use postern_relay::store::{Batch, DiskStore, Profile, Store, StoreError, Table, Writer};
use store_explorer::disk::{Call, Fault, RecordingDisk};
use store_explorer::life::{Plan, Sabotage, Standing};
use store_explorer::random::Random;
use store_explorer::records::Shape;
use store_explorer::tail::{Tail, Unit};
use store_explorer::verify::{Failure, open};

const PROFILES: [Profile; 2] = [Profile::Device, Profile::Server];
const CALLS: [Call; 3] = [Call::Write, Call::SetLength, Call::Flush];
const SEED: u64 = 0x0ea5_1e57;
const COMMITS: usize = 6;
/// Fails once, and the disk works again at once: nothing but the store remembers.
const ONCE: Fault = Fault {
    call: Call::Write,
    nth: 0,
    error: ErrorKind::Other,
    lasts: false,
    dropping: None,
    silent: false,
};

fn plan(profile: Profile, shape: Shape) -> Plan {
    Plan {
        profile,
        shape,
        sabotage: Sabotage::Nothing,
        seed: SEED,
    }
}

/// A store at work on a disk that can fail.
struct Work {
    plan: Plan,
    disk: Arc<RecordingDisk>,
    store: Option<Arc<DiskStore>>,
    standing: Standing,
    states: u64,
}

impl Work {
    fn start(plan: Plan) -> Self {
        let disk = Arc::new(RecordingDisk::default());
        let store = DiskStore::open_on(disk.clone(), "faulty", plan.profile).unwrap();
        Self {
            plan,
            disk,
            store: Some(Arc::new(store)),
            standing: Standing::of_nothing(),
            states: 0,
        }
    }

    /// Commits through a writer until a commit fails; returns that failure.
    fn commit_until_failure(&mut self) -> Option<StoreError> {
        let store = self.store.clone().unwrap();
        let writer = Writer::start(store.clone(), QUEUE_BYTES_MAX).unwrap();
        let mut random = Random(SEED);
        let mut failure = None;
        for n in 1..=COMMITS {
            let before = self.standing.history.last().unwrap();
            let draft = self.plan.shape.draft(before, n, &mut random);
            self.standing.at_most = n;
            let outcome = writer.commit(draft.batch());
            self.standing.history.push(Arc::new(draft.model));
            match outcome {
                Ok(_durable) => self.standing.at_least = n,
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        if failure.is_some() {
            assert!(writer.submit(one_more()).is_err());
            let refused = store.commit(one_more());
            assert!(matches!(refused, Err(StoreError::Poisoned { .. })));
        }
        failure
    }

    /// Cuts the power now, whether or not the process has ended, and starts again.
    fn check_starts(&mut self, nth: u64) -> Result<(), Failure> {
        let mut random = Random(SEED).nth(nth);
        let unit = random.pick(&Unit::ALL);
        let window = self.disk.window();
        for tail in [Tail::Nothing, Tail::All, Tail::drawn(unit, &mut random)] {
            self.states += 1;
            let disk = Arc::new(RecordingDisk::holding(window.after(&tail)));
            open(&disk, self.plan, &self.standing)?;
        }
        Ok(())
    }

    /// Ends the process in order on a disk that works again; the next start goes on.
    fn check_restart(mut self, nth: u64) -> Result<u64, Failure> {
        self.check_starts(nth)?;
        self.disk.heal();
        // What the engine writes while it is dropped must do no harm either.
        self.store = None;
        self.check_starts(nth)?;
        let opened = open(&self.disk, self.plan, &self.standing)?;
        let _durable = opened.store.commit(one_more()).unwrap();
        Ok(self.states + 1)
    }
}

fn one_more() -> Batch {
    let mut batch = Batch::new();
    batch.insert(Table::new("more"), "key", "value");
    batch
}

/// Lets each call of a kind fail in turn, and looks at every start that can follow.
fn fail_each(plan: Plan, fault: Fault) {
    let mut starts = 0;
    for nth in 0.. {
        let fault = Fault { nth, ..fault };
        let mut work = Work::start(plan);
        work.disk.fail(fault);
        let failure = work.commit_until_failure();
        if work.disk.faults_met() == 0 {
            let Plan { profile, shape, .. } = plan;
            let Fault { call, error, .. } = fault;
            println!("{profile:?} {shape} {call:?} {error:?}: {nth} calls, {starts} starts");
            return assert!(nth > 0 || call == Call::SetLength);
        }
        match failure {
            Some(StoreError::Io { source, .. }) => assert_eq!(source.kind(), fault.error),
            other => panic!("{plan:?} {fault:?}: {other:?}"),
        }
        match work.check_restart(nth) {
            Ok(states) => starts += states,
            Err(failure) => panic!("{plan:?} {fault:?}: {failure:?}"),
        }
    }
}

#[test]
fn store_whose_nth_call_fails_once_acknowledges_nothing_more_and_keeps_the_rest() {
    for profile in PROFILES {
        for shape in Shape::ALL {
            for call in CALLS {
                fail_each(plan(profile, shape), Fault { call, ..ONCE });
            }
        }
    }
}

#[test]
fn store_whose_disk_is_full_acknowledges_nothing_more_and_goes_on_with_room() {
    for profile in PROFILES {
        let plan = plan(profile, Shape::Mailbox);
        for call in CALLS {
            let error = ErrorKind::StorageFull;
            fail_each(
                plan,
                Fault {
                    call,
                    error,
                    lasts: true,
                    ..ONCE
                },
            );
        }
        let full = |length_max: usize| {
            let mut work = Work::start(plan);
            work.disk.limit_length(length_max);
            let failure = work.commit_until_failure();
            assert!(
                matches!(failure, Some(StoreError::Io { .. })),
                "{failure:?}"
            );
            work.check_restart(length_max as u64).unwrap();
        };
        let empty = Work::start(plan).disk.image().length();
        (0..empty).step_by(empty / 16).for_each(full);
    }
}

#[test]
fn store_whose_failed_flush_drops_writes_is_not_fooled_by_the_next_one() {
    for profile in PROFILES {
        for shape in Shape::ALL {
            for tail in ["nothing", "512.half.ordered.7", "write.few.shuffled.8"] {
                let dropping = Some(tail.parse().unwrap());
                let call = Call::Flush;
                fail_each(
                    plan(profile, shape),
                    Fault {
                        call,
                        dropping,
                        ..ONCE
                    },
                );
            }
        }
    }
}

#[test]
fn store_whose_close_fails_has_lost_nothing() {
    for profile in PROFILES {
        for call in CALLS {
            for nth in 0..8 {
                let mut work = Work::start(plan(profile, Shape::Device));
                assert!(work.commit_until_failure().is_none());
                work.disk.fail(Fault { call, nth, ..ONCE });
                work.store = None;
                work.check_restart(nth).unwrap();
            }
        }
    }
}

#[test]
fn store_whose_recovery_fails_opens_when_the_disk_works_again() {
    for profile in PROFILES {
        for call in CALLS {
            for nth in 0..8 {
                let mut work = Work::start(plan(profile, Shape::Device));
                assert!(work.commit_until_failure().is_none());
                work.disk = Arc::new(RecordingDisk::holding(work.disk.image()));
                work.disk.fail(Fault { call, nth, ..ONCE });
                let met = DiskStore::open_on(work.disk.clone(), "faulty", profile);
                let refused = matches!(met, Err(StoreError::Io { .. }));
                assert_eq!(refused, work.disk.faults_met() > 0, "{met:?}");
                drop(met);
                work.check_restart(nth).unwrap();
            }
        }
    }
}

/// A system that swallows an error: the explorer has to notice.
fn swallowed(profile: Profile, call: Call, nth: u64) -> Option<Failure> {
    let mut work = Work::start(plan(profile, Shape::Device));
    let (silent, lasts) = (true, call == Call::Flush);
    work.disk.fail(Fault {
        call,
        nth,
        silent,
        lasts,
        ..ONCE
    });
    assert!(work.commit_until_failure().is_none());
    work.check_starts(nth).err()
}

#[test]
fn system_that_swallows_a_failed_flush_or_write_is_found() {
    for profile in PROFILES {
        let lost = swallowed(profile, Call::Flush, 0);
        assert!(matches!(lost, Some(Failure::Lost(_))), "{lost:?}");
        let found = (0..60).filter(|nth| swallowed(profile, Call::Write, *nth).is_some());
        assert!(found.count() > 0, "{profile:?}");
    }
}
