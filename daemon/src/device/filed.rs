//! A device whose controller no network reaches: it joins, learns and reports by files.
//!
//! ```text
//!  join --to-file --> request ... answer --import--> identity, bundles, first snapshot: one commit
//!  export --> report, actual state, heartbeat, evidence
//! ```
//!
//! An import is one commit: whatever is refused of a file, nothing of it is kept. What was taken is
//! applied when the device runs. Refuses to work beside a running device, and to take a file for
//! anything that the engine would not take from a mailbox.

use super::agreement;
use super::identity::{Stage, StoredIdentity, StoredRequest};
use super::join::{self, Enrolled};
use super::rotation::read_key;
use super::start::{not_joined, trust_of};
use crate::config::DeviceConfig;
use crate::exit::CommandError;
use crate::filed::{FrameReader, Outcome, Row};
use crate::random::OsRandom;
use crate::records::Loaded;
use crate::{clock, keys, records};
use postern_protocol::context::draw;
use postern_protocol::device::{Context, Device, Event, Input, Output, Settings};
use postern_protocol::enrol::EnrolRequest;
use postern_protocol::envelope::ReceivedEnvelope;
use postern_protocol::frame::{Direction, FrameType, PlainFrame, frame_type};
use postern_protocol::id::Plane;
use postern_protocol::join_line::JoinLine;
use postern_protocol::key::{Algorithm, MemorySigner};
use postern_protocol::kind::MessageKind;
use postern_protocol::record::Write;
use postern_protocol::reject::Reject;
use postern_protocol::revision::Revision;
use postern_protocol::trust::Trust;
use postern_relay::store::{DiskStore, Profile, Store as _, StoreError};
use std::fs::File;
use std::path::Path;

/// What an import ended in.
#[derive(Debug)]
pub struct Imported {
    /// Every frame that was read.
    pub rows: Vec<Row>,
    /// Why the file is refused; then nothing of it was kept.
    pub refused: Option<CommandError>,
    /// What the device holds of the desired plane afterwards.
    pub accepted: Option<Revision>,
    /// True when this file made it a member.
    pub is_enrolment: bool,
}

/// An engine without routes and applier, and what it wants to be kept.
struct Offline {
    engine: Device,
    signer: MemorySigner,
    writes: Vec<Write>,
}

/// Makes the request of a device that joins by file, or gives the same one again.
///
/// # Errors
/// A folder that belongs to another device; a store that fails.
pub fn request(
    config: &DeviceConfig,
    line: &JoinLine,
    key_type: Option<Algorithm>,
) -> Result<Vec<u8>, CommandError> {
    let store = open(config)?;
    let stored = join::prepare(config, line, key_type, &store)?;
    let records = records::load(&store)?;
    let found = StoredRequest::find(records::lend(&records))
        .map_err(|error| CommandError::from_record(&config.store, &error))?;
    if let Some(pending) = found.filter(|pending| pending.token == line.token) {
        store.close()?;
        return Ok(pending.frame);
    }
    let signer = keys::read(&config.key, keys::KeyRole::Device)?;
    join::check_type(config, &signer, key_type)?;
    let request = EnrolRequest {
        token: line.token,
        device: line.device.clone(),
        incarnation: stored.identity.incarnation,
        nonce: draw(&mut OsRandom),
        agreement: join::bound(config, &store)?,
    };
    let sealed = request
        .seal(line.root, &line.tenant, &line.secret, &signer)
        .map_err(|reject| CommandError::refused(reject, "ask for a new join line"))?;
    let pending = StoredRequest {
        token: line.token,
        frame: sealed.frame,
        message_id: sealed.message_id,
        mailbox: line.mailbox,
    };
    let _durable = records::commit(&store, vec![pending.to_write()])?;
    store.close()?;
    Ok(pending.frame)
}

/// Gives the frames of a file for the controller.
///
/// # Errors
/// A device that runs or has not joined; a store that fails.
pub fn export(config: &DeviceConfig) -> Result<Vec<Vec<u8>>, CommandError> {
    let store = open(config)?;
    let records = records::load(&store)?;
    let mut offline = Offline::restore(config, &records)?.ok_or_else(|| not_joined(config))?;
    offline.feed(Input::Start);
    let mut random = OsRandom;
    let mut context = Context {
        now: clock::now(),
        random: &mut random,
        signer: &offline.signer,
    };
    let frames = offline.engine.export(&mut context);
    offline.drain();
    // A report's number is spent for good before the report leaves.
    let _durable = records::commit(&store, offline.writes)?;
    store.close()?;
    Ok(frames)
}

/// Takes a file of the controller, all of it or nothing.
///
/// # Errors
/// A file that cannot be read; a device that runs, or neither joined nor asked to; a store that fails.
pub fn import(config: &DeviceConfig, file: &Path) -> Result<Imported, CommandError> {
    let mut reader = FrameReader::open(file)?;
    let store = open(config)?;
    let records = records::load(&store)?;
    let mut import = Import::default();
    let joined = Offline::restore(config, &records)?;
    let offline = match joined {
        Some(offline) => Some(offline),
        None => import.enrol(config, &records, file, &mut reader)?,
    };
    let Some(mut offline) = offline else {
        return Ok(import.end(file, None));
    };
    let before = offline.head();
    offline.feed(Input::Start);
    import.read(file, &mut reader, &mut offline)?;
    let accepted = offline.head();
    let ended = import.end(file, Some((before, accepted)));
    let has_news = ended.rows.iter().any(|row| row.outcome == Outcome::Taken);
    if ended.refused.is_none() && (has_news || ended.is_enrolment) {
        let _durable = records::commit(&store, offline.writes)?;
    }
    store.close()?;
    Ok(ended)
}

/// A file that is being read.
#[derive(Default)]
struct Import {
    rows: Vec<Row>,
    refused: Option<(Reject, String)>,
    /// The newest snapshot or delta of the desired plane that the file holds.
    newest: Option<Revision>,
    is_enrolment: bool,
}

impl Import {
    /// Takes the confirmation at the head of a file for a device that only asked.
    fn enrol(
        &mut self,
        config: &DeviceConfig,
        records: &[Loaded],
        file: &Path,
        reader: &mut FrameReader<File>,
    ) -> Result<Option<Offline>, CommandError> {
        let damaged = |error| CommandError::from_record(&config.store, &error);
        let stored =
            StoredIdentity::find(records::lend(records), Stage::Pending).map_err(damaged)?;
        let asked = StoredRequest::find(records::lend(records)).map_err(damaged)?;
        let (Some(stored), Some(asked)) = (stored, asked) else {
            return Err(not_joined(config));
        };
        let signer = keys::read(&config.key, keys::KeyRole::Device)?;
        let Some(first) = self.next(file, reader)? else {
            return Ok(None);
        };
        let row = Row::of(&first);
        if !matches!(frame_type(&first), Ok(FrameType::Enrolled)) {
            let reject = Reject::EnrolAnswerMismatch;
            self.refuse(
                row,
                reject,
                "the file does not begin with the answer to this device's request",
            );
            return Ok(None);
        }
        match join::verify(&stored, asked.mailbox, &signer, asked.message_id, &first) {
            Ok(Enrolled {
                trust, mut writes, ..
            }) => {
                writes.push(StoredRequest::no_write());
                self.rows.push(row);
                self.is_enrolment = true;
                let begun = Offline::begin(stored, trust, signer, writes, &config.store)?;
                let engine = agreement::give(config, begun.engine, records)?;
                Ok(Some(Offline { engine, ..begun }))
            }
            Err(reject) => {
                self.refuse(
                    row,
                    reject,
                    "the answer is not the controller's to this device's request",
                );
                Ok(None)
            }
        }
    }

    fn read(
        &mut self,
        file: &Path,
        reader: &mut FrameReader<File>,
        offline: &mut Offline,
    ) -> Result<(), CommandError> {
        while let Some(frame) = self.next(file, reader)? {
            let row = Row::of(&frame);
            let offered = desired_of(&frame);
            let before = offline.head().unwrap_or(Revision::NONE);
            let (reject, has_news) = offline.feed(Input::Filed { frame: &frame });
            self.newest = self.newest.max(offered);
            match (reject, offered) {
                (Some(reject), _) => self.refuse(row, reject, reject.sentence()),
                (None, Some(offered)) if offered < before && !has_news => {
                    self.rows.push(row.ended(Outcome::Older));
                }
                (None, Some(offered)) if offered == before => {
                    self.rows.push(row.ended(Outcome::Known))
                }
                (None, Some(_)) => self.rows.push(row),
                (None, None) if has_news => self.rows.push(row),
                (None, None) => self.rows.push(row.ended(Outcome::Known)),
            }
        }
        Ok(())
    }

    /// Gives the next frame; notes one that cannot be told apart.
    fn next(
        &mut self,
        file: &Path,
        reader: &mut FrameReader<File>,
    ) -> Result<Option<Vec<u8>>, CommandError> {
        match reader
            .next_frame()
            .map_err(|error| broken_medium(file, &error))?
        {
            Some(Ok(frame)) => Ok(Some(frame)),
            Some(Err(reject)) => {
                let place = reader.position();
                let why = format!("at byte {place}: {}", reject.sentence());
                self.refuse(Row::broken(reject), reject, &why);
                Ok(None)
            }
            None => Ok(None),
        }
    }

    fn refuse(&mut self, row: Row, reject: Reject, why: &str) {
        let place = self.rows.len();
        self.rows.push(row.refused(reject));
        if self.refused.is_none() {
            self.refused = Some((reject, format!("frame {place}: {why}")));
        }
    }

    /// Judges the file as a whole. `heads` are what was held before and would be held after it.
    fn end(self, file: &Path, heads: Option<(Option<Revision>, Option<Revision>)>) -> Imported {
        let file = file.display();
        let next = "nothing of it was kept; ask the controller's operator for a new file";
        let refuse = |name: &str, what: String| {
            CommandError::configuration(name, format!("{file}: {what}; the file is refused"), next)
        };
        let (before, accepted) = heads.unwrap_or((None, None));
        let refused = if let Some((reject, why)) = &self.refused {
            Some(refuse(reject.as_str(), why.clone()))
        } else if self.newest.is_some_and(|newest| Some(newest) < before) {
            Some(refuse(
                "file-older",
                "it is older than what this device holds".into(),
            ))
        } else if self.newest > accepted {
            let what = "bodies of its snapshot are missing: the file is not complete";
            Some(refuse("file-incomplete", what.into()))
        } else {
            None
        };
        let accepted = if refused.is_some() { before } else { accepted };
        Imported {
            is_enrolment: self.is_enrolment && refused.is_none(),
            rows: self.rows,
            refused,
            accepted,
        }
    }
}

impl Offline {
    /// Rebuilds the engine of a device that has joined; `None` when it has not.
    fn restore(config: &DeviceConfig, records: &[Loaded]) -> Result<Option<Self>, CommandError> {
        let damaged = |error| CommandError::from_record(&config.store, &error);
        let stored =
            StoredIdentity::find(records::lend(records), Stage::Confirmed).map_err(damaged)?;
        let Some(stored) = stored else {
            return Ok(None);
        };
        let trust = trust_of(config, &stored, records)?;
        let lent = records::lend(records);
        let engine =
            Device::restore(stored.identity, trust, Settings::default(), lent).map_err(damaged)?;
        let engine = agreement::give(config, engine, records)?;
        let signer = read_key(config, engine.confirmed_key())?;
        Ok(Some(Self {
            engine,
            signer,
            writes: Vec::new(),
        }))
    }

    /// Begins the engine of a device that was confirmed a moment ago.
    fn begin(
        stored: StoredIdentity,
        trust: Trust,
        signer: MemorySigner,
        writes: Vec<Write>,
        store: &Path,
    ) -> Result<Self, CommandError> {
        let engine = Device::restore(stored.identity, trust, Settings::default(), [])
            .map_err(|error| CommandError::from_record(store, &error))?;
        Ok(Self {
            engine,
            signer,
            writes,
        })
    }

    fn head(&self) -> Option<Revision> {
        self.engine.head().map(|head| head.revision)
    }

    /// Gives the engine one input. Returns why it was refused, and whether anything came of it.
    fn feed(&mut self, input: Input<'_>) -> (Option<Reject>, bool) {
        let mut random = OsRandom;
        let mut context = Context {
            now: clock::now(),
            random: &mut random,
            signer: &self.signer,
        };
        self.engine.handle_input(&mut context, input);
        self.drain()
    }

    /// Keeps what is to be made durable. Applying and acting wait for a device that runs: its start
    /// asks for them again.
    fn drain(&mut self) -> (Option<Reject>, bool) {
        let (mut refused, mut has_news) = (None, false);
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Persist(writes) => {
                    has_news = true;
                    self.writes.extend(writes);
                }
                Output::Event(Event::Rejected { reject }) => refused = refused.or(Some(reject)),
                Output::Event(_) => has_news = true,
                Output::Exchange(_)
                | Output::Apply { .. }
                | Output::Act { .. }
                | Output::Reconnect => {}
            }
        }
        (refused, has_news)
    }
}

/// The revision of the desired plane that a frame offers, if it offers one.
fn desired_of(frame: &[u8]) -> Option<Revision> {
    let Ok(PlainFrame::Posted {
        plane: Some(Plane::Desired),
        envelope,
        ..
    }) = PlainFrame::decode(frame, Direction::File)
    else {
        return None;
    };
    let received = ReceivedEnvelope::parse(envelope).ok()?;
    let header = received.unverified_header();
    let is_state = matches!(header.kind, MessageKind::Snapshot | MessageKind::Delta);
    is_state.then(|| Revision::new(header.epoch, header.seq))
}

fn open(config: &DeviceConfig) -> Result<DiskStore, CommandError> {
    DiskStore::open(&config.store, Profile::Device).map_err(|error| {
        if matches!(error, StoreError::Locked { .. }) {
            CommandError::store(
                "device-running",
                format!("{}: the device of this folder runs", config.dir.display()),
                "stop it, repeat this command, then start it again",
            )
        } else {
            error.into()
        }
    })
}

fn broken_medium(file: &Path, error: &std::io::Error) -> CommandError {
    CommandError::configuration(
        "file-unreadable",
        format!("{}: cannot be read: {error}", file.display()),
        "copy the file to another medium; nothing of it was kept",
    )
}
