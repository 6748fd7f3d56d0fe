//! `postern device join`: one signed request, one signed answer, and the trust that it pins.
//!
//! The key, the incarnation and the request are durable before the request is sent, so that the
//! same device may ask again after a crash. The secret of the join line proves itself in a MAC; it
//! is neither sent nor stored. Refuses an answer that the pinned root does not vouch for.

use super::agreement;
use super::first_way;
use super::identity::{Stage, StoredIdentity};
use super::patience::{Patience, Pause, Refusal};
use super::time::{self, TimeFault, is_witnessed};
use crate::config::DeviceConfig;
use crate::exit::CommandError;
use crate::random::OsRandom;
use crate::routes::{Address, Brought, Outlet, Routes, TimeAsk};
use crate::{keys, records};
use postern_protocol::context::draw;
use postern_protocol::device::Identity;
use postern_protocol::encryption::AgreementKey;
use postern_protocol::enrol::{EnrolRequest, Enrolling, SealedEnrolRequest, accept_enrolled};
use postern_protocol::frame::{Direction, FrameType, PlainFrame, frame_type};
use postern_protocol::id::{Channel, Incarnation, MessageId, Thumbprint};
use postern_protocol::join_line::JoinLine;
use postern_protocol::key::{Algorithm, MemorySigner, Signer as _};
use postern_protocol::record::{Table, Write};
use postern_protocol::reject::Reject;
use postern_protocol::signed_time::SignedTime;
use postern_protocol::trust::Trust;
use postern_relay::store::{DiskStore, Profile, Store};

/// What a join ended in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinReport {
    /// The device's name.
    pub device: String,
    /// Its tenant.
    pub tenant: String,
    /// The route that worked.
    pub route: &'static str,
    /// The number of the bundle that it holds.
    pub bundle: u64,
}

/// Enrols this device by its join line.
///
/// # Errors
/// A folder that belongs to another device, a way that fails, a refusal of the controller, an
/// answer that does not verify.
pub async fn join(
    config: &DeviceConfig,
    line: &JoinLine,
    key_type: Option<Algorithm>,
) -> Result<JoinReport, CommandError> {
    let store = DiskStore::open(&config.store, Profile::Device)?;
    let stored = prepare(config, line, key_type, &store)?;
    let signer = keys::read(&config.key, keys::KeyRole::Device)?;
    check_type(config, &signer, key_type)?;
    let request = EnrolRequest {
        token: line.token,
        device: line.device.clone(),
        incarnation: stored.identity.incarnation,
        nonce: draw(&mut OsRandom),
        agreement: bound(config, &store)?,
    };
    let sealed = request
        .seal(line.root, &line.tenant, &line.secret, &signer)
        .map_err(|reject| refused(reject, "ask for a new join line"))?;
    let addresses = Address::of_one(&stored.urls);
    let mut routes = Outlet::from(config).routes(&addresses, stored.tls_ca.as_deref())?;
    let asked = enrol(&mut routes, &stored, line, &signer, &sealed).await;
    routes.close().await;
    let report = confirm(
        &store,
        line,
        &stored,
        &signer,
        &sealed,
        &asked?,
        routes.current_name(),
    )?;
    let time = routes.time().report();
    if time.ahead_s.is_some() {
        let _durable = records::commit(&store, vec![time::to_write(time.checked_s)])?;
    }
    store.close()?;
    Ok(report)
}

/// Brings the request along the way that answers first, and returns the frame that enrols this device. Takes the time
/// that comes with it.
async fn enrol(
    routes: &mut Routes,
    stored: &StoredIdentity,
    line: &JoinLine,
    signer: &MemorySigner,
    sealed: &SealedEnrolRequest,
) -> Result<Vec<u8>, CommandError> {
    if let Some(preparation) = routes.preparation() {
        let _later = preparation.run().await;
        let _first = routes.handle_prepared();
    }
    if let Err(failures) = first_way::choose(routes, line.mailbox).await {
        return Err(unreachable(&failures));
    }
    let judge = |frame: &[u8]| verify(stored, line.mailbox, signer, sealed.message_id, frame);
    let frame = ask(routes, sealed, judge).await?;
    if let Ok(Enrolled {
        time: Some(time), ..
    }) = judge(&frame)
        && is_witnessed(routes.period(), time)
        && let Err(early) = routes.take_time(time.unix_s())
    {
        tracing::warn!(reason = %early, "time not taken");
    }
    Ok(frame)
}

/// Refuses a key of an earlier attempt that is not of the wanted type.
pub(super) fn check_type(
    config: &DeviceConfig,
    signer: &MemorySigner,
    wanted: Option<Algorithm>,
) -> Result<(), CommandError> {
    let found = signer.public_key().algorithm();
    if wanted.is_none_or(|wanted| wanted == found) {
        return Ok(());
    }
    Err(CommandError::configuration(
        "key-type-differs",
        format!(
            "{}: this is a key of type {}",
            config.key.display(),
            found.as_str()
        ),
        format!(
            "leave out --key-type to use it, or forget it with `postern device reset --yes --dir {}`",
            config.dir.display()
        ),
    ))
}

/// Makes key and incarnation durable, or finds those of an earlier attempt with the same line.
pub(super) fn prepare(
    config: &DeviceConfig,
    line: &JoinLine,
    key_type: Option<Algorithm>,
    store: &dyn Store,
) -> Result<StoredIdentity, CommandError> {
    let records = records::load(store)?;
    let find = |stage| {
        StoredIdentity::find(records::lend(&records), stage)
            .map_err(|error| CommandError::from_record(&config.store, &error))
    };
    if let Some(joined) = find(Stage::Confirmed)? {
        let channel = &joined.identity.channel;
        return Err(CommandError::configuration(
            "device-joined",
            format!(
                "{} is joined as {}/{}",
                config.dir.display(),
                channel.tenant,
                channel.device
            ),
            format!(
                "postern device run --dir {}, or join in another folder",
                config.dir.display()
            ),
        ));
    }
    if !config.key.exists() {
        let algorithm = key_type.unwrap_or(Algorithm::Ed25519);
        let role = keys::KeyRole::Device;
        let _signer = keys::create_of(&config.key, role, algorithm, &mut OsRandom)?;
    }
    let channel = Channel {
        root: line.root,
        tenant: line.tenant.clone(),
        device: line.device.clone(),
    };
    let pending = find(Stage::Pending)?.filter(|pending| pending.identity.channel == channel);
    let incarnation = pending.map_or_else(
        //= spec/postern.md#incarnation
        //# A device MUST draw a new incarnation of 16 random bytes at each enrolment and each reset
        //# that loses its state.
        || Incarnation::from_bytes(draw(&mut OsRandom)),
        |pending| pending.identity.incarnation,
    );
    let held = agreement::find(records::lend(&records))
        .map_err(|error| CommandError::from_record(&config.store, &error))?;
    let secret = held.unwrap_or_else(agreement::make);
    let stored = StoredIdentity {
        identity: Identity {
            channel,
            incarnation,
        },
        recovery: line.recovery,
        urls: line.urls.clone(),
        tls_ca: line.tls_ca.clone(),
    };
    let writes = vec![
        stored.to_write(Stage::Pending),
        agreement::to_write(&secret),
    ];
    let _durable = records::commit(store, writes)?;
    Ok(stored)
}

//= spec/encryption.md#agreement-key
//# A device that can decrypt MUST make an X25519 key at enrolment and put it as the sixth member
//# into its enrol-request.
/// The public half of the key that [`prepare`] made durable.
pub(super) fn bound(
    config: &DeviceConfig,
    store: &dyn Store,
) -> Result<Option<AgreementKey>, CommandError> {
    let records = records::load(store)?;
    let secret = agreement::find(records::lend(&records))
        .map_err(|error| CommandError::from_record(&config.store, &error))?;
    Ok(secret.map(|secret| secret.public()))
}

/// Tries every way once; the first Postern answer counts. A relay that waits for its controller is asked
/// again, with the same frame, for a while, and so is a mailbox that has no room. Where a certificate fails by its period alone, the same frame is sent
/// over a relaxed connection first, only to learn the time: what comes back there enrols nobody.
async fn ask(
    routes: &mut Routes,
    sealed: &SealedEnrolRequest,
    judge: impl Fn(&[u8]) -> Result<Enrolled, Reject>,
) -> Result<Vec<u8>, CommandError> {
    let mut failures = Vec::new();
    let mut patience = Patience::new();
    let mut left = routes.len();
    if left == 0 {
        failures = routes.explain();
    }
    while left > 0 {
        let Some(carrier) = routes.carrier(&sealed.frame, None) else {
            break;
        };
        let way = carrier.sent.way;
        match carrier.carry(sealed.frame.clone()).await {
            Ok(Brought { body: frame, .. }) => match frame_type(&frame) {
                Ok(FrameType::Enrolled) => return Ok(frame),
                Ok(FrameType::Refused) => {
                    let refusal = Refusal::of(&frame);
                    let Some(pause) = refusal.pause().filter(|_| patience.is_left()) else {
                        return Err(refused(refusal.reject(), refusal.next_step()));
                    };
                    patience.wait(pause).await;
                    continue;
                }
                Ok(_) | Err(_) => failures.push(format!(
                    "{}: an answer of {} bytes that is no Postern frame ({})",
                    routes.current_name(),
                    frame.len(),
                    Reject::NotPostern
                )),
            },
            Err(error) => {
                if let Some(pause) = Pause::of_status(&error).filter(|_| patience.is_left()) {
                    patience.wait(pause).await;
                    continue;
                }
                failures.push(error.to_string());
                let time_ask = error.is_period().then(|| routes.time_ask(way)).flatten();
                if let Some(time_ask) = time_ask {
                    match learn(routes, &time_ask, sealed, &judge, &mut patience).await {
                        // Taken: this way is not asked for the time again, so that this ends.
                        Ok(()) => continue,
                        Err(fault) => failures.push(format!("time not taken: {fault}")),
                    }
                }
            }
        }
        routes.advance_from(way);
        left -= 1;
    }
    Err(unreachable(&failures))
}

fn unreachable(failures: &[String]) -> CommandError {
    CommandError::unreachable(
        "mailbox-unreachable",
        format!("no route reached the mailbox:\n  {}", failures.join("\n  ")),
        "fix the hop that is named first, then join again with the same line",
    )
}

//= spec/freshness.md#signed-time
//# A device MUST take a time that came over such a connection only after a handshake that is strict at
//# that time has succeeded.
/// Sends the request over a relaxed connection and takes the time of the answer, once the way is right at it.
async fn learn(
    routes: &Routes,
    way: &TimeAsk,
    sealed: &SealedEnrolRequest,
    judge: impl Fn(&[u8]) -> Result<Enrolled, Reject>,
    patience: &mut Patience,
) -> Result<(), TimeFault> {
    let frame = loop {
        let frame = way.carry(sealed.frame.clone()).await?;
        match Refusal::of(&frame).pause().filter(|_| patience.is_left()) {
            Some(pause) => patience.wait(pause).await,
            None => break frame,
        }
    };
    let time = judge(&frame)?.time.ok_or(TimeFault::Unstated)?;
    way.prove(time.unix_s()).await?;
    Ok(routes.take_time(time.unix_s())?)
}

fn refused(reject: Reject, next: &str) -> CommandError {
    let message = format!(
        "the enrolment was refused: {} ({reject})",
        reject.sentence()
    );
    CommandError::new(crate::exit::Exit::Refused, reject.as_str(), message, next)
}

/// Verifies the answer and makes identity and bundles durable in one commit.
pub(super) fn confirm(
    store: &dyn Store,
    line: &JoinLine,
    stored: &StoredIdentity,
    signer: &MemorySigner,
    sealed: &SealedEnrolRequest,
    frame: &[u8],
    route: &'static str,
) -> Result<JoinReport, CommandError> {
    let next = "something on the way answers for the controller: compare the join line with the operator's, then look at the route";
    let Enrolled { trust, writes, .. } =
        verify(stored, line.mailbox, signer, sealed.message_id, frame)
            .map_err(|reject| refused(reject, next))?;
    let _durable = records::commit(store, writes)?;
    let channel = &stored.identity.channel;
    Ok(JoinReport {
        device: channel.device.as_str().to_owned(),
        tenant: channel.tenant.as_str().to_owned(),
        route,
        bundle: trust.number().number(),
    })
}

/// What an answer that verified makes of a device.
pub(super) struct Enrolled {
    /// The trust that follows.
    pub(super) trust: Trust,
    /// What makes this device a member, for one commit.
    pub(super) writes: Vec<Write>,
    /// The time that the controller stated in its answer to this request.
    pub(super) time: Option<SignedTime>,
}

/// Verifies the answer to a request from what the join line pinned.
///
/// # Errors
/// Those of [`accept_enrolled`]; `mailbox-mismatch`.
pub(super) fn verify(
    stored: &StoredIdentity,
    mailbox: Option<Thumbprint>,
    signer: &MemorySigner,
    request: MessageId,
    frame: &[u8],
) -> Result<Enrolled, Reject> {
    let enrolling = Enrolling {
        channel: &stored.identity.channel,
        incarnation: stored.identity.incarnation,
        device_key: signer.public_key().thumbprint(),
        request,
    };
    let (trust, answer) = accept_enrolled(frame, stored.recovery, &enrolling)?;
    let mut named = trust.mailboxes().iter();
    //= spec/lives.md#join-line
    //# When field 9 is present a device MUST refuse with `mailbox-mismatch` an enrolment whose
    //# bundles name no mailbox key with that thumbprint.
    if mailbox.is_some_and(|mailbox| !named.any(|held| held.key.thumbprint() == mailbox)) {
        return Err(Reject::MailboxMismatch);
    }
    let Ok(PlainFrame::Enrolled { bundles, .. }) = PlainFrame::decode(frame, Direction::Down)
    else {
        return Err(Reject::Shape);
    };
    //= spec/postern.md#enrolment
    //# The device MUST persist key, incarnation and bundle before it opens a session.
    let mut writes = vec![stored.to_write(Stage::Confirmed)];
    for (number, bundle) in (1_u64..).zip(bundles) {
        let key = number.to_be_bytes().to_vec();
        writes.push(Write {
            table: Table::Bundles,
            key,
            value: Some(bundle.to_vec()),
        });
    }
    Ok(Enrolled {
        trust,
        writes,
        time: answer.time,
    })
}
