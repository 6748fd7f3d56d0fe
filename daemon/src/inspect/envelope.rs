//! One envelope, explained; verified when a key and the channel are given.
//!
//! Refuses to call anything valid that was not verified: without a key the tree says so.

use super::diagnostic;
use super::show::Show;
use postern_protocol::Reject;
use postern_protocol::envelope::{Binding, Expected, ReceivedEnvelope};
use postern_protocol::id::{Channel, DeviceName, Incarnation, Plane, Tenant, Thumbprint};
use postern_protocol::key::PublicKey;
use postern_protocol::kind::{MessageKind, Role, Scope};
use postern_protocol::message::check_payload;

/// What the caller believes about the signer.
#[derive(Debug, Clone)]
pub(super) struct Belief {
    pub(super) key: PublicKey,
    pub(super) root: Thumbprint,
    pub(super) tenant: Option<Tenant>,
    pub(super) device: Option<(DeviceName, Incarnation)>,
    pub(super) plane: Option<Plane>,
}

/// How the signature was judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judgement {
    /// No key was given.
    NotChecked,
    /// The signature, header and payload are right for the given channel.
    Valid,
    /// They are not.
    Refused(Reject),
    /// The kind binds more than was given.
    ChannelIncomplete,
}

/// Explains an envelope without its tag. # Errors: the reject of its shape.
pub(super) fn explain(bytes: &[u8], belief: Option<&Belief>) -> Result<(Show, Judgement), Reject> {
    let envelope = ReceivedEnvelope::parse(bytes)?;
    let header = envelope.unverified_header();
    let payload = envelope.unverified_payload();
    let kind = header.kind;
    let algorithm = envelope.unverified_algorithm();
    let (judgement, message_id) = judge(&envelope, belief);
    let (signers, planes) = names_of(kind);
    let digest = header
        .digest
        .map_or("none".to_owned(), |digest| digest.to_string());
    let shown_payload = diagnostic::item(payload)
        .unwrap_or_else(|reject| format!("refused: {reject} ({})", reject.sentence()));
    let mut rows = vec![
        (
            "kind",
            Show::Text(format!("{} ({})", kind.as_str(), kind.number())),
        ),
        ("signed_by", Show::Text(signers)),
        ("plane", Show::Text(planes)),
        ("epoch", Show::Number(header.epoch.number())),
        ("seq", Show::Number(header.seq.number())),
        ("base", Show::Number(header.base.number())),
        ("digest", Show::Text(digest)),
        ("key_id", Show::text(envelope.unverified_key_id())),
        (
            "algorithm",
            Show::Text(format!("{} ({})", algorithm.as_str(), algorithm.number())),
        ),
        ("envelope_bytes", Show::count(bytes.len())),
        ("payload_bytes", Show::count(payload.len())),
        ("payload", Show::Text(shown_payload)),
        ("signature", Show::Text(describe(judgement, kind.scope()))),
    ];
    if let Some(message_id) = message_id {
        rows.push(("message_id", Show::Text(message_id)));
    }
    Ok((Show::Rows(rows), judgement))
}

fn judge(envelope: &ReceivedEnvelope<'_>, belief: Option<&Belief>) -> (Judgement, Option<String>) {
    let Some(belief) = belief else {
        return (Judgement::NotChecked, None);
    };
    let mut judged = rows_for(envelope.unverified_header().kind, belief.plane)
        .map(|(role, plane)| judge_as(envelope, belief, Expected { role, plane }));
    // The plane that was named, or else the first for which the signature holds.
    let Some(first) = judged.next() else {
        return (Judgement::Refused(Reject::PlaneMismatch), None);
    };
    let is_valid = |(judgement, _): &(Judgement, _)| *judgement == Judgement::Valid;
    if is_valid(&first) {
        return first;
    }
    judged.find(is_valid).unwrap_or(first)
}

fn judge_as(
    envelope: &ReceivedEnvelope<'_>,
    belief: &Belief,
    expected: Expected,
) -> (Judgement, Option<String>) {
    let root = belief.root;
    let channel;
    let binding = match (&belief.tenant, &belief.device) {
        (Some(tenant), Some((device, incarnation))) => {
            channel = Channel {
                root,
                tenant: tenant.clone(),
                device: device.clone(),
            };
            Binding::Device {
                channel: &channel,
                incarnation: *incarnation,
            }
        }
        (Some(tenant), None) => Binding::Tenant { root, tenant },
        (None, _) => Binding::Trust { root },
    };
    let Some(message_id) = envelope.unverified_message_id(expected, binding) else {
        return (Judgement::ChannelIncomplete, None);
    };
    let verified = envelope.verify(expected, binding, [&belief.key], |_| false);
    match verified.and_then(|verified| check_payload(&verified)) {
        Ok(()) => (Judgement::Valid, Some(message_id.to_string())),
        Err(reject) => (Judgement::Refused(reject), None),
    }
}

fn describe(judgement: Judgement, scope: Scope) -> String {
    let needed = match scope {
        Scope::Trust => "--root",
        Scope::Tenant => "--root --tenant",
        Scope::Device | Scope::Plane => "--root --tenant --device --incarnation",
    };
    match judgement {
        Judgement::NotChecked => format!("not checked (give --key and {needed})"),
        Judgement::ChannelIncomplete => format!("not checked (this kind needs {needed})"),
        Judgement::Valid => "valid".into(),
        Judgement::Refused(reject) => format!("refused: {reject} ({})", reject.sentence()),
    }
}

/// Every role that signs the kind, and every plane that it is about, in the same order.
fn names_of(kind: MessageKind) -> (String, String) {
    let names = |name: fn(&(Role, Option<Plane>)) -> &'static str| {
        kind.rows()
            .iter()
            .map(name)
            .collect::<Vec<_>>()
            .join(" or ")
    };
    (
        names(|(role, _)| role_name(*role)),
        names(|(_, plane)| plane.map_or("none", Plane::as_str)),
    )
}

/// The rows of the kind for the plane that was named, else all.
fn rows_for(
    kind: MessageKind,
    named: Option<Plane>,
) -> impl Iterator<Item = (Role, Option<Plane>)> {
    let rows = kind.rows().iter().copied();
    rows.filter(move |(_, plane)| plane.is_none() || named.is_none() || *plane == named)
}

const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Writer => "writer",
        Role::Device => "device",
        Role::Enrolling => "the key that asks to be enrolled",
        Role::Root => "root or recovery",
        Role::Mailbox => "mailbox",
    }
}
