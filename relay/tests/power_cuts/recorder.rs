//! The process whose store is cut: commits batch after batch, and says so before it goes on.
//!
//! It is another process than the disk's server, because a server that waits for itself could not be killed. It says one
//! word a line and goes on when it is answered, so what it said stands in the list of events before anything that follows.

use std::io::{BufRead, BufReader, Write, stdin, stdout};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

use postern_relay::store::{DiskStore, Profile, Store};

use super::super::store_explorer::life::{Event, History, Plan, Sabotage, Standing};
use super::super::store_explorer::random::Random;
use super::super::store_explorer::records::Shape;
use super::fuse::Recording;

/// The first argument of a recorder.
pub const RECORD: &str = "record";

const PROFILES: [(&str, Profile); 2] = [("device", Profile::Device), ("server", Profile::Server)];

/// How a life of the store ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Closed,
    Exited,
}

impl Ending {
    fn word(self) -> &'static str {
        match self {
            Self::Closed => "close",
            Self::Exited => "exit",
        }
    }
}

/// The arguments of a recorder, as words.
pub fn arguments(file: &Path, plan: Plan, commits: usize, ending: Ending) -> Vec<String> {
    let profile = PROFILES.iter().find(|(_, one)| *one == plan.profile);
    let early = plan.sabotage == Sabotage::AcknowledgedBeforeFlush;
    vec![
        RECORD.to_owned(),
        file.to_str().unwrap().to_owned(),
        profile.unwrap().0.to_owned(),
        plan.shape.name().to_owned(),
        plan.seed.to_string(),
        commits.to_string(),
        ending.word().to_owned(),
        early.to_string(),
    ]
}

/// Is a recorder: commits what it was told to.
#[expect(clippy::exit, reason = "a life that ends without closing its store")]
pub fn record(arguments: &[String]) {
    let [file, profile, shape, seed, commits, ending, early] = arguments else {
        unreachable!("`arguments` makes seven words");
    };
    let named = |(name, _): &&(&str, Profile)| name == profile;
    let profile = PROFILES.iter().find(named).unwrap().1;
    let shape = Shape::ALL.into_iter().find(|one| one.name() == shape);
    let (shape, seed) = (shape.unwrap(), seed.parse().unwrap());
    let early: bool = early.parse().unwrap();
    let store = DiskStore::open(Path::new(file), profile).unwrap();
    let (mut n, mut model) = shape.read(&store).unwrap();
    say(&format!("opened {n}"));
    for _ in 0..commits.parse::<usize>().unwrap() {
        n += 1;
        let draft = shape.draft(&model, n, &mut Random(seed).nth(n as u64));
        say("begin");
        if early {
            say("acknowledged");
        }
        let _durable = store.commit(draft.batch()).unwrap();
        if !early {
            say("acknowledged");
        }
        model = draft.model;
    }
    if ending == Ending::Closed.word() {
        store.close().unwrap();
    } else {
        std::process::exit(0);
    }
}

/// Says a line and waits until it is written down.
fn say(line: &str) {
    println!("{line}");
    stdout().flush().unwrap();
    let read = stdin().lines().next();
    assert!(read.is_some_and(|line| line.is_ok()), "nobody listens");
}

/// The other side of a recorder: writes down what it says, and knows which records that makes.
#[derive(Debug)]
pub struct Listener {
    child: Child,
    lines: BufReader<ChildStdout>,
    answers: ChildStdin,
}

impl Listener {
    pub fn start(arguments: &[String]) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let answers = child.stdin.take().unwrap();
        Self {
            child,
            lines,
            answers,
        }
    }

    /// Listens until the recorder ends; returns the records after each batch.
    pub fn listen(mut self, plan: Plan, recording: &Recording, standing: &Standing) -> History {
        let mut history = standing.history.clone();
        let mut line = String::new();
        while self.lines.read_line(&mut line).unwrap() > 0 {
            match line.trim().split_once(' ') {
                Some(("opened", newest)) => {
                    let newest = newest.parse().unwrap();
                    assert!(newest >= standing.at_least, "the start was checked");
                    history.truncate(newest + 1);
                    recording.note(Event::Opened(newest));
                }
                Some(_) => unreachable!("only an opening has a number"),
                None if line.trim() == "begin" => {
                    let n = history.len();
                    let mut random = Random(plan.seed).nth(n as u64);
                    let draft = plan.shape.draft(&history[n - 1], n, &mut random);
                    history.push(Arc::new(draft.model));
                    recording.note(Event::Begin);
                }
                None => recording.note(Event::Acknowledged),
            }
            line.clear();
            self.answers.write_all(b"\n").unwrap();
        }
        let status = self.child.wait().unwrap();
        assert!(status.success(), "the recorder: {status}");
        history
    }
}
