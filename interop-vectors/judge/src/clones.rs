//! The operation `clone.show`: reports of one incarnation, as a controller that admitted it judges them.
//!
//! A real controller with one member, enrolled as always. Refuses to show anything that it does not.

use crate::engine::Draws;
use crate::published::{self, signer};
use crate::request::{Fault, Given, Outputs, flag, scenario, uint, wrong};
use postern_protocol::context::{Keyring, Now};
use postern_protocol::controller::{Context, Controller, Event, Input, Output, Ticket};
use postern_protocol::enrol::{EnrolRequest, JoinSecret};
use postern_protocol::envelope::{Binding, Draft, Header};
use postern_protocol::id::{Channel, Incarnation, Tenant, TokenId};
use postern_protocol::key::{MemorySigner, Signer};
use postern_protocol::kind::{MessageKind, Role};
use postern_protocol::message::Report;
use postern_protocol::revision::{Epoch, Revision, Seq};
use serde_json::Value as Json;

/// Holds the writer key of one tenant.
struct Writer(MemorySigner);

impl Keyring for Writer {
    fn writer(&self, _: &Tenant) -> Option<&dyn Signer> {
        Some(&self.0)
    }
}

/// A controller and its one device.
struct Domain {
    controller: Controller,
    channel: Channel,
    incarnation: Incarnation,
    draws: Draws,
    keys: Writer,
}

impl Domain {
    /// Enrols the device. # Errors: [`Fault`].
    fn new() -> Result<Self, Fault> {
        let (trust, _) = published::trust()?;
        let controller =
            Controller::restore(trust, []).map_err(|_| wrong("an empty store was not read"))?;
        let mut domain = Self {
            controller,
            channel: published::channel()?,
            incarnation: Incarnation::from_bytes(published::INCARNATION),
            draws: Draws::new(vec![], vec![]),
            keys: Writer(signer("writer")),
        };
        domain.enrol()?;
        Ok(domain)
    }

    fn enrol(&mut self) -> Result<(), Fault> {
        let (token, secret) = (TokenId::from_bytes([1; 8]), JoinSecret::from_bytes([2; 32]));
        let (tenant, device) = (self.channel.tenant.clone(), self.channel.device.clone());
        self.input(Input::Start);
        self.input(Input::Invite {
            ticket: Ticket(1),
            tenant: tenant.clone(),
            device: device.clone(),
            token,
            secret: secret.clone(),
            expires_unix_s: None,
        });
        let request = EnrolRequest {
            token,
            device,
            incarnation: self.incarnation,
            nonce: [3; 16],
            agreement: None,
        };
        let sealed = request.seal(self.channel.root, &tenant, &secret, &signer("device-a"))?;
        self.input(Input::Enrol {
            ticket: Ticket(2),
            frame: &sealed.frame,
        });
        Ok(())
    }

    /// Gives one input and drains. Returns the events.
    fn input(&mut self, input: Input<'_>) -> Vec<Event> {
        let mut context = Context {
            now: Now {
                mono_ms: 0,
                unix_s: None,
            },
            random: &mut self.draws,
            keys: &self.keys,
        };
        self.controller.handle_input(&mut context, input);
        let mut events = Vec::new();
        while let Some(output) = self.controller.poll_output() {
            if let Output::Event(event) = output {
                events.push(event);
            }
        }
        events
    }

    /// Seals a report of the device; its content is told apart by what it received.
    fn report(&self, step: &Json) -> Result<Vec<u8>, Fault> {
        let content = uint(step, "content")?.saturating_add(1);
        let report = Report {
            received: Revision::new(Epoch::new(1), Seq::new(content)),
            ..Report::default()
        };
        let header = Header {
            kind: MessageKind::Report,
            epoch: Epoch::new(uint(step, "epoch")?),
            seq: Seq::new(uint(step, "rseq")?),
            base: Seq::new(0),
            digest: None,
        };
        let binding = Binding::Device {
            channel: &self.channel,
            incarnation: self.incarnation,
        };
        let payload = report.encode();
        let sealed = Draft { header, payload }.seal(Role::Device, binding, &signer("device-a"))?;
        Ok(sealed.into_bytes())
    }
}

/// Reports of one incarnation, in order.
pub(crate) fn show(request: &Json) -> Given {
    let mut domain = Domain::new()?;
    let channel = domain.channel.id();
    scenario(request, |step| {
        let envelope = domain.report(step)?;
        let events = domain.input(Input::Received {
            channel,
            envelope: &envelope,
            is_live: flag(step, "live")?,
        });
        let (mut word, mut refusal) = ("duplicate", None);
        for event in &events {
            if let Event::Rejected { reject, .. } = event {
                (word, refusal) = ("refuse", Some(*reject));
            } else if matches!(event, Event::Reported { .. }) {
                word = "accept";
            }
        }
        let member = domain.controller.member_of(channel);
        let member = member.ok_or_else(|| wrong("the device is no member"))?;
        let outputs = Outputs::from_iter([
            ("outcome".to_owned(), word.into()),
            ("cloned".to_owned(), member.is_cloned().into()),
        ]);
        match refusal {
            Some(reject) => Err(Fault::RefusedWith(reject, outputs)),
            None => Ok(outputs),
        }
    })
}
