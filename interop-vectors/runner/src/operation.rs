//! Which members of a vector are outputs, in the order in which an implementation makes them.
//!
//! A request holds none of them. Refuses to know what they mean.

/// The outputs of one operation.
#[derive(Debug)]
pub(crate) struct Operation {
    name: &'static str,
    /// Members that only a reply holds, first what is made first.
    pub(crate) outputs: &'static [&'static str],
    /// The same of each step.
    pub(crate) steps: &'static [&'static str],
}

const fn row(
    name: &'static str,
    outputs: &'static [&'static str],
    steps: &'static [&'static str],
) -> Operation {
    Operation {
        name,
        outputs,
        steps,
    }
}

const SESSION: &[&str] = &["preimage", "transcript", "shared", "key_up", "key_down"];

const TABLE: &[Operation] = &[
    row("key.thumbprint", &["cose_key", "thumbprint", "kid"], &[]),
    row("channel.id", &["preimage", "channel_id"], &[]),
    row("greeter.id", &["preimage", "id"], &[]),
    row(
        "sign1.verify",
        &[
            "protected",
            "payload",
            "tbs",
            "message_id",
            "signature",
            "diag",
        ],
        &[],
    ),
    row("state.digest", &["sections", "digest"], &[]),
    row("state.apply", &["before", "after", "sections"], &[]),
    row("frame.parse", &["type", "bytes"], &[]),
    row("session.derive", SESSION, &[]),
    row("session.hello", SESSION, &[]),
    row(
        "session.greeting",
        &["greeter", "transcript", "key_up", "key_down"],
        &[],
    ),
    row(
        "session.welcome",
        &["session_id", "key_up", "key_down", "unix_s"],
        &[],
    ),
    row("bundle.accept", &["message_id"], &[]),
    row("enrol.request", &["mac", "message_id"], &[]),
    row("enrol.answer", &["bundle_number", "unix_s"], &[]),
    row("enrol.rotation", &["message_id", "next"], &[]),
    row("evidence.verify", &["proved"], &[]),
    row("file.read", &["frames"], &[]),
    row(
        "revision.accept",
        &["row", "outcome", "superseded", "freezes"],
        &[],
    ),
    row("report.accept", &["outcome"], &[]),
    row("admission.compare", &["outcome"], &[]),
    row(
        "line.read",
        &["root", "recovery", "bundles", "thumbprint", "urls"],
        &[],
    ),
    row("encryption.digest", &["sections", "digest"], &[]),
    row("encryption.open", &["plaintext"], &[]),
    row(
        "plane-key.open",
        &["outcome", "digest_key", "desired", "actual"],
        &[],
    ),
    row("freshness.watch", &[], &["hearing", "stale"]),
    row("intent.take", &[], &["actions", "notes"]),
    row("clone.show", &[], &["outcome", "cloned"]),
    row("engine.step", &[], &["expect"]),
];

/// What an operation gives that has no outputs.
const NOTHING: Operation = row("", &[], &[]);

/// Returns the outputs of an operation; one that is not known has none.
pub(crate) fn of(name: &str) -> &'static Operation {
    TABLE
        .iter()
        .find(|row| row.name == name)
        .unwrap_or(&NOTHING)
}

/// The member of a reply that holds an output: `id` in a reply is the id of its request.
pub(crate) fn member_of(operation: &str, output: &'static str) -> &'static str {
    match (operation, output) {
        ("greeter.id", "id") => "greeter_id",
        (_, output) => output,
    }
}
