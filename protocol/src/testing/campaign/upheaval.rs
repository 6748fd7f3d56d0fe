//! Keys that are replaced or revoked, lives that end, units that are copied.
//!
//! Refuses what no operator could do: without a controller no bundle is handed over, and no name is enrolled.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "operations are parted by whom they befall; `perform` names every one"
)]

use super::super::DeviceNode;
use super::{Operation, Run};
use crate::context::draw;
use crate::controller::{self, Event};
use crate::device::Input;
use crate::enrol::seal_rotation_request;
use crate::key::Signer as _;
use crate::limits::MAILBOX_KEYS_MAX;
use alloc::format;

impl Run {
    pub(super) fn perform_upheaval(&mut self, operation: &Operation) {
        if self.world.is_controller_down {
            return;
        }
        let makes_a_bundle = matches!(
            operation,
            Operation::RotateWriter | Operation::RotateMailbox | Operation::Revoke { .. }
        );
        if makes_a_bundle && !self.world.keys.have_room() {
            return;
        }
        self.totals.upheavals += 1;
        self.keys += 1;
        match *operation {
            Operation::RotateWriter => {
                let name = format!("writer {}", self.keys);
                let generation = self.world.keys.generation() + 1;
                let before = self.world.keys.rotate_writer(&name, generation);
                if !self.hand_bundle() {
                    self.world.keys.take_back(before);
                }
            }
            Operation::RotateMailbox if self.world.mailbox.keys() < MAILBOX_KEYS_MAX => {
                let name = format!("mailbox {}", self.keys);
                self.world.keys.rotate_mailbox(&name);
                let first = self.world.keys.bundles.len() as u64;
                let key = self.world.keys.signing.signer(&name);
                self.world.mailbox.rotate(key, first);
                let _is_taken = self.hand_bundle();
            }
            Operation::RotateDevice { device } => self.rotate_device(device),
            Operation::Revoke { device } => {
                let device = self.place(device);
                let Some(node) = self.world.devices.get(device) else {
                    return;
                };
                let key = node.signer.public_key().thumbprint();
                let generation = self.world.keys.generation();
                self.world.keys.push_bundle(generation, &[key]);
                let _is_taken = self.hand_bundle();
                self.backup = None;
                self.to_enrol.insert(device);
            }
            Operation::Reset { device } => {
                let device = self.place(device);
                self.enrol_again(device);
            }
            Operation::Copy { device } => self.copy(device),
            Operation::FileOut { device } => self.file_out(device),
            Operation::FileIn => self.file_in(),
            _ => {}
        }
    }

    /// Hands over the newest bundle. Returns false when the controller said that it has to wait.
    fn hand_bundle(&mut self) -> bool {
        let ticket = self.world.ticket();
        let Some(envelope) = self.world.keys.bundles.last().cloned() else {
            return true;
        };
        self.world.control(controller::Input::Bundle {
            ticket,
            envelope: &envelope,
            is_urgent: false,
        });
        let mut events = self.world.controller.events.iter();
        !events
            .any(|event| matches!(event, Event::Refused { ticket: about, .. } if *about == ticket))
    }

    fn rotate_device(&mut self, device: usize) {
        let device = self.place(device);
        let nonce = draw(&mut self.world.dice);
        let name = format!("device key {}", self.keys);
        let next = self.world.keys.signing.signer(&name);
        let Some(node) = self.world.devices.get_mut(device) else {
            return;
        };
        if node.engine.is_none() || node.next_key.is_some() {
            return;
        }
        let current = node.signer.public_key().thumbprint();
        let identity = &node.identity;
        let sealed = seal_rotation_request(
            &identity.channel,
            identity.incarnation,
            &current,
            nonce,
            &next,
        );
        node.next_key = Some(name);
        self.backup = None;
        if let Ok(sealed) = sealed {
            let request = sealed.into_bytes();
            self.world.input(device, Input::RotateKey { request });
        }
    }

    /// Ends the life of a device and begins another under a new key.
    pub(super) fn enrol_again(&mut self, device: usize) {
        self.keys += 1;
        let key_name = format!("device key {}", self.keys);
        self.backup = None;
        if self.world.enrol_again(device, &key_name) {
            self.to_enrol.remove(&device);
        } else {
            self.to_enrol.insert(device);
        }
    }

    fn copy(&mut self, device: usize) {
        let device = self.place(device);
        let Some(node) = self.world.devices.get(device) else {
            return;
        };
        let key = node.signing.signer(&node.key_name);
        let mut copy = DeviceNode::new(node.identity.clone(), key, node.joined.clone());
        copy.signing = node.signing;
        copy.key_name.clone_from(&node.key_name);
        copy.store = node.store.clone();
        (copy.clock, copy.hold_s) = (node.clock, node.hold_s);
        copy.watched = node.watched;
        copy.is_copy = true;
        let channel = node.channel;
        if let Some(oracle) = &mut self.world.oracle {
            oracle.note_cloned(channel);
        }
        self.world.devices.push(copy);
        self.world.restart(self.world.devices.len() - 1);
        self.to_enrol.insert(device);
    }
}
