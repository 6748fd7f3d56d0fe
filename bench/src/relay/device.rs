//! A device with a real session: ask, hello, welcome, then polls.
//!
//! All devices have one key and one tenant and differ by name, which is what their channels are
//! made of. Refuses answers that do not verify.

use super::door::{Carrier, Door, Doors};
use crate::error::BenchError;
use postern_protocol::Reject;
use postern_protocol::frame::{Poll, UpFrame};
use postern_protocol::id::{Channel, DeviceName, Incarnation, Tenant, Thumbprint};
use postern_protocol::key::MemorySigner;
use postern_protocol::revision::{BundleNumber, Revision};
use postern_protocol::session::{Asking, ClientSession, Identity};
use postern_relay::exchange::MailboxSigner;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// Seconds for which a waiting device's poll is held: longer than the benchmark takes.
const HOLD_S: u16 = 300;

/// The key of every device.
pub fn device_signer() -> MemorySigner {
    MemorySigner::from_seed(&[2; 32])
}

/// The key of the server.
pub fn mailbox_signer() -> MailboxSigner {
    Arc::new(MemorySigner::from_seed(&[3; 32]))
}

/// The channel of one device. # Errors: none that can occur; the names are good.
pub fn channel(number: usize) -> Result<Channel, Reject> {
    Ok(Channel {
        root: Thumbprint::from_bytes([1; 32]),
        tenant: Tenant::parse("acme")?,
        device: DeviceName::parse(&format!("press-{number}"))?,
    })
}

/// A device with a session.
pub struct Device {
    carrier: Carrier,
    session: ClientSession,
}

/// A device whose poll waits; it hangs up when it is dropped.
pub struct Held(JoinHandle<()>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Device {
    /// Connects and greets. # Errors: those of the network, and answers that do not verify.
    pub async fn open(doors: &Doors, door: Door, number: usize) -> Result<Self, BenchError> {
        let mut carrier = doors.open(door).await?;
        let (asking, ask) = Asking::start(BundleNumber::new(0))?;
        let challenge = carrier.exchange(ask).await?;
        let (channel, signer, mailbox) = (channel(number)?, device_signer(), mailbox_signer());
        let identity = Identity::device(&channel, Incarnation::from_bytes([4; 16]), &signer);
        let mut seed = [0; 32];
        let mark = number.to_be_bytes();
        seed.iter_mut().zip(mark).for_each(|(to, from)| *to = from);
        let keys = [mailbox.public_key()];
        let (greeting, hello) = asking.handle_challenge(&challenge, keys, identity, &seed)?;
        let welcome = carrier.exchange(hello).await?;
        let session = greeting.handle_welcome(&welcome, 0)?;
        Ok(Self { carrier, session })
    }

    fn seal(&mut self, hold_s: u16) -> Result<(u16, Vec<u8>), Reject> {
        let poll = Poll {
            hold_s,
            bundle: BundleNumber::new(0),
            acked: None,
            desired: Revision::NONE,
            actual: None,
            receipt: None,
        };
        let request = self.session.seal_request(&UpFrame::Poll(poll))?;
        Ok((request.counter, request.bytes))
    }

    /// One poll that is answered at once. # Errors: as [`Self::open`].
    pub async fn poll(&mut self) -> Result<(), BenchError> {
        let (counter, bytes) = self.seal(0)?;
        let frame = self.carrier.exchange(bytes).await?;
        self.session.open_answer(counter, &frame)?;
        Ok(())
    }

    /// Begins to wait.
    pub fn hold(mut self) -> Held {
        Held(tokio::spawn(async move {
            if let Ok((_, bytes)) = self.seal(HOLD_S) {
                // It ends with the benchmark; a poll that fails is missed among the holds.
                let _ = self.carrier.exchange(bytes).await;
            }
        }))
    }
}
