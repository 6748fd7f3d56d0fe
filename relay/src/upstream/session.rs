//! One session with the upstream: greeted as a mailbox, with the key that the bundle names for this relay.
//!
//! Requests are sealed one after the other and may be under way together. Refuses every answer but the one to
//! its own request, and an upstream with another key than the one that it was told.

use super::{Place, Trouble};
use postern_protocol::Reject;
use postern_protocol::frame::{Direction, DownFrame, FrameType, PlainFrame, UpFrame, frame_type};
use postern_protocol::key::PublicKey;
use postern_protocol::session::{Asking, ClientSession, Identity, Request};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An open session.
pub(super) struct Line {
    session: Mutex<ClientSession>,
}

impl Line {
    /// Greets the upstream. # Errors: [`Trouble`].
    pub(super) async fn open(place: &Place, upstream: &PublicKey) -> Result<Self, Trouble> {
        let mailbox = place.durable.mailbox();
        let signer = Arc::clone(mailbox.lock().exchanges.keys().signer());
        let (root, bundle) = {
            let ledger = place.durable.ledger();
            (ledger.trust().root(), ledger.trust().number())
        };
        let (asking, ask) = Asking::start(bundle)?;
        let challenge = place.carry.carry(ask, 0).await?;
        check_refused(&challenge)?;
        let seed = crate::server::random_bytes()?;
        let identity = Identity::mailbox(root, signer.as_ref());
        let greeted = asking.handle_challenge(&challenge, [upstream], identity, &seed);
        let (greeting, hello) = greeted?;
        let welcome = place.carry.carry(hello, 0).await?;
        check_refused(&welcome)?;
        let session = greeting.handle_welcome(&welcome, mailbox.clock().now_ms())?;
        Ok(Self {
            session: Mutex::new(session),
        })
    }

    fn lock(&self) -> MutexGuard<'_, ClientSession> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a request and reads its answer. # Errors: [`Trouble`]; the session is over then.
    pub(super) async fn ask<T>(
        &self,
        place: &Place,
        frame: &UpFrame<'_>,
        hold_s: u64,
        read: impl FnOnce(DownFrame<'_>) -> Result<T, Reject>,
    ) -> Result<T, Trouble> {
        let Request { counter, bytes } = {
            let mut session = self.lock();
            let now_ms = place.durable.mailbox().clock().now_ms();
            if session.is_over(now_ms) || session.is_renewal_due(now_ms) {
                return Err(Trouble::Renewal);
            }
            session.seal_request(frame)?
        };
        let answer = place.carry.carry(bytes, hold_s).await?;
        check_refused(&answer)?;
        let opened = self.lock().open_answer(counter, &answer).and_then(read);
        Ok(opened?)
    }
}

fn check_refused(frame: &[u8]) -> Result<(), Trouble> {
    if frame_type(frame) != Ok(FrameType::Refused) {
        return Ok(());
    }
    let PlainFrame::Refused { code, retry_ms } = PlainFrame::decode(frame, Direction::Down)? else {
        return Err(Reject::Shape.into());
    };
    Err(Trouble::Refused {
        reject: Reject::from_code(code.into()),
        retry_ms,
    })
}
