//! Every bound of the protocol, with its unit, its reason and where the spec states it.
//!
//! Nothing else in this crate may invent a size, count, depth or lifetime.

//= spec/postern.md#limits
//# An implementation MUST accept everything up to a bound and refuse what is beyond it.
/// Arrays and maps that may enclose each other, counted in containers (spec: #cbor-profile).
/// Arbitrary, above the deepest message (5).
pub const CBOR_DEPTH_MAX: usize = 8;
/// Bytes of one free-standing CBOR item (spec: #cbor-profile): the largest section body.
pub const CBOR_ITEM_BYTES_MAX: usize = 65_536;
/// Bytes of one envelope (spec: #envelope): must pass a route that carries bodies of 48 KiB.
pub const ENVELOPE_BYTES_MAX: usize = 48_128;
/// Bytes of an envelope around its payload, at most: header 73, signature 66, heads and map 7, all with
/// their largest numbers.
pub const ENVELOPE_OVERHEAD_BYTES_MAX: usize = 160;
/// Bytes of one frame (spec: #frames): 48 KiB passes the middleboxes we measured.
pub const FRAME_BYTES_MAX: usize = 49_152;
/// Bytes of a frame 17 beside its bundles: an answer has at most 300, the rest are the frame's own heads.
pub const ENROL_ANSWER_BYTES_MAX: usize = 512;
/// Candidate keys tried for one key id (spec: #keys): ids are hints, never identity.
pub const KEY_CANDIDATES_MAX: usize = 4;
/// Bytes of a tenant or device name (spec: #names): one DNS label.
pub const NAME_BYTES_MAX: usize = 63;
/// Bytes of a path (spec: #paths).
pub const PATH_BYTES_MAX: usize = 255;
/// Bytes of text or bytes in one value (spec: #values): half a frame and room for the envelope.
pub const VALUE_BYTES_MAX: usize = 32_768;
/// Runs of the edit of one value, in entries (spec: #edit). Arbitrary, above the changes of one decision.
pub const EDIT_RUNS_MAX: usize = 256;
/// Differences, in entries, after which a writer gives up its search for a short edit and replaces the
/// middle. Arbitrary: the search costs the sizes of both values times this at most.
pub const EDIT_DIFFERENCES_MAX: usize = 128;
/// Bytes of a media type in a reference (spec: #values), as RFC 6838 allows for type and subtype.
pub const MEDIA_TYPE_BYTES_MAX: usize = 127;
/// Bytes of one section body (spec: #digest): two body chunks.
pub const SECTION_BYTES_MAX: usize = 65_536;
/// Sections of one state (spec: #digest): the table with its names stays inside one envelope.
pub const SECTIONS_MAX: usize = 512;
/// Bytes of all section bodies of one state (spec: #digest).
pub const STATE_BYTES_MAX: usize = 1_048_576;
/// Earlier epochs that a snapshot names (spec: #lineage). Arbitrary, above the restarts between two reports.
pub const LINEAGE_MAX: usize = 64;
/// Entries of one list of a report (spec: #report). Arbitrary, keeps a full report below 16 KiB.
pub const REPORT_LIST_MAX: usize = 16;
/// Bytes of one result's output (spec: #report).
pub const RESULT_OUTPUT_BYTES_MAX: usize = 512;
/// Bytes of the envelope in list 6 of a report (spec: #report): above a request of the largest key.
pub const ROTATION_BYTES_MAX: usize = 512;
/// Messages in one evidence (spec: #evidence), whose entries are what was held and what contradicts it.
pub const EVIDENCE_PROOFS_MAX: usize = 2;
/// Keys that one mailbox answers with (spec: #hello): the present one and those that devices which were off still know.
/// A key costs a hello one hash. Arbitrary: a rotation a year for longer than a device lives.
pub const MAILBOX_KEYS_MAX: usize = 64;
/// Bytes of one body chunk (spec: #bodies): fits a frame beside its digest.
pub const BODY_CHUNK_BYTES_MAX: usize = 32_768;
/// Digests asked for in one fetch (spec: #bodies).
pub const FETCH_DIGESTS_MAX: usize = 16;
/// Planes of which one answer asks a writer for snapshots (spec: #deliver). Arbitrary, about 1 KiB.
pub const SNAPSHOTS_WANTED_MAX: usize = 64;
/// Largest frame counter of a session (spec: #sessions): 16 bits keep an idle poll at 34 bytes.
pub const COUNTER_MAX: u64 = 65_535;
/// Seconds that a poll may be held (spec: #poll): above the longest rung of the hold ladder.
pub const HOLD_S_MAX: u64 = 300;
/// Least milliseconds between two idle answers of a stream (spec: #stream): four in a second are a probe's.
pub const STREAM_INTERVAL_MS_MIN: u64 = 250;
/// Largest of them (spec: #stream): above it a held poll costs no more.
pub const STREAM_INTERVAL_MS_MAX: u64 = 60_000;
/// Least milliseconds between two idle answers of a stream that is no probe (spec: #stream).
pub const STREAM_INTERVAL_MS_LONG: u64 = 5_000;
/// Answers of one stream (spec: #stream): more than an hour of idle ones at the usual interval.
pub const STREAM_FRAMES_MAX: u64 = 1_024;
/// Answers of a probe (spec: #stream).
pub const STREAM_PROBE_FRAMES_MAX: u64 = 8;
/// Bytes to which a probe's answers are filled up at most (spec: #stream): the largest buffer seen on a way.
pub const STREAM_PAD_BYTES_MAX: u64 = 16_384;
/// The same for a stream that is no probe (spec: #stream): beyond it polls are cheaper.
pub const STREAM_PAD_BYTES_LONG: u64 = 4_096;
/// Seconds of life of a stream (spec: #stream): above the ten minutes after which a device opens the next.
pub const STREAM_AGE_S_MAX: u64 = 900;
/// Milliseconds in which the reader of a stream takes an answer (spec: #stream).
pub const STREAM_TAKE_MS_MAX: u64 = 20_000;
/// Seconds of life of a session (spec: #sessions).
pub const SESSION_AGE_S_MAX: u64 = 86_400;
/// Latest stated time, in seconds since 1970: the end of the year 9999, the last one that X.509 can name.
pub const UNIX_S_MAX: u64 = 253_402_300_799;
/// Milliseconds between two snapshots served for a `need` of one plane (spec: #need).
pub const NEED_INTERVAL_MS: u64 = 5_000;
/// Milliseconds between two moves to another mailbox because one said so (spec: #answer).
pub const MOVE_INTERVAL_MS: u64 = 60_000;
/// Milliseconds that a peer's retry hint may ask for at most (spec: #answer).
pub const RETRY_MS_MAX: u64 = 3_600_000;
/// Numbers that a bundle may be above the one held (spec: #bundle). Arbitrary: eleven years of one a day, and
/// 2^52 bundles until a thief of the root has used up all numbers.
pub const BUNDLE_SKIP_MAX: u64 = 4_096;
/// Tenants, mailboxes and revoked keys of one bundle, each (spec: #bundle).
pub const BUNDLE_LIST_MAX: usize = 256;
/// Bytes of a mailbox URL (spec: #bundle).
pub const URL_BYTES_MAX: usize = 512;
/// URLs of one mailbox (spec: #bundle).
pub const URLS_MAX: usize = 8;
/// Deltas kept behind the newest snapshot of a chain (spec: #mailboxes). Arbitrary.
pub const CHAIN_DELTAS_MAX: usize = 64;
/// Bytes of deltas kept behind the newest snapshot of a chain (spec: #mailboxes).
pub const CHAIN_BYTES_MAX: usize = 131_072;
/// Milliseconds after which a mailbox takes a new ephemeral key (spec: #hello).
pub const EPHEMERAL_ROTATE_MS: u64 = 30_000;
/// Milliseconds after which a challenge is forgotten (spec: #hello): two windows.
pub const EPHEMERAL_AGE_MS_MAX: u64 = 60_000;
/// Milliseconds that a welcomed session waits for its first frame (spec: #sessions). Arbitrary, as a challenge lives.
pub const PENDING_SESSION_MS_MAX: u64 = 60_000;
/// Characters of a join line (spec: #join-line). Arbitrary, above a certificate and 8 long URLs.
pub const JOIN_LINE_CHARS_MAX: usize = 16_384;
/// Characters of a trust line (spec: #trust-line): the prefix and the base64url of the largest CBOR item.
pub const TRUST_LINE_CHARS_MAX: usize = 15 + (CBOR_ITEM_BYTES_MAX * 4).div_ceil(3);
/// Keys that one admission names (spec: #admission): the present one and the one that replaces it.
pub const ADMISSION_KEYS_MAX: usize = 2;
/// Bytes that a mailbox may keep for one device (spec: #admission): both planes at their largest, chains and slots.
pub const ADMISSION_QUOTA_BYTES: u64 = 4 << 20;
/// Entries of devices that are gone and that a mailbox may still serve. Arbitrary: the oldest is forgotten first.
pub const WITHDRAWN_MAX: usize = 1_024;
/// Bytes of letters that wait for one mailbox. Arbitrary: a few of the largest states; beyond it channels are filled anew.
pub const LINK_BYTES_MAX: usize = 8 << 20;
/// Bytes that wait at most when a channel is filled anew. Arbitrary.
pub const LINK_BYTES_REFILL: usize = 2 << 20;
/// Deltas of one desired plane that wait for one mailbox. Arbitrary: beyond it one snapshot is shorter.
pub const LINK_DELTAS_MAX: usize = 16;
/// Entries of one deliver frame. Arbitrary.
pub const DELIVER_LETTERS_MAX: usize = 64;
/// Answers to enrolments, in frames, that wait for one mailbox. Arbitrary: the device asks again.
pub const LINK_ENROLLED_MAX: usize = 64;
/// Entries of channels of which bodies are to be fetched over one link. Arbitrary: the device posts again.
pub const LINK_FETCHES_MAX: usize = 256;
/// Entries of channels whose last request for a snapshot over one link is remembered. Arbitrary.
pub const LINK_ASKED_MAX: usize = 1_024;
/// Milliseconds between two stores of one mailbox at least: each costs every state. Arbitrary.
pub const STORE_INTERVAL_MS: u64 = 60_000;
/// Milliseconds without contact to a writer after which its quotas shrink (spec: #admission). Arbitrary: a week.
pub const ADMISSION_SILENCE_MS_MAX: u64 = 604_800_000;
/// What a quota is divided by after that silence, leaving a quarter (spec: #admission). Arbitrary.
pub const ADMISSION_SILENT_SHARE: u64 = 4;
/// Highest epoch, a counter, that a reader's word can lift a writer to (spec: #epochs): half of the range,
/// so that no reader can use it up and leave the writer without an epoch to open.
pub const EPOCH_SHOWN_MAX: u64 = u64::MAX / 2;
/// Milliseconds of silence after which the other end is shown as stale, where nobody says otherwise.
/// Arbitrary: three heartbeats of an idle controller.
pub const FRESHNESS_MS_DEFAULT: u64 = 900_000;
/// Milliseconds between two asks for an echo at least, doubled while nobody answers.
pub const FRESHNESS_ASK_MS_MIN: u64 = 5_000;
/// Milliseconds between two asks for an echo at most, while nobody answers. Arbitrary.
pub const FRESHNESS_ASK_MS_MAX: u64 = 60_000;
/// Nonces remembered while nobody repeats them. Arbitrary: an answer may take a few asks.
pub const FRESHNESS_NONCES_MAX: usize = 4;
/// Steps by which one change may raise an intent: a counter that jumps further is damaged.
pub const INTENT_STEP_MAX: u64 = 1 << 20;
/// Entries of verbs that one incarnation keeps. Arbitrary: marks are never forgotten.
pub const INTENT_VERBS_MAX: usize = 64;
/// Milliseconds after which what a mailbox took, and nobody acknowledged, is posted again. Arbitrary.
pub const RESEND_MS: u64 = 60_000;
/// Milliseconds between two posts of one evidence at most, while nothing resolves it. Arbitrary: it may
/// hold a whole envelope, and an operator may take days.
pub const EVIDENCE_RESEND_MS_MAX: u64 = 3_600_000;
/// Milliseconds between two heartbeats that answer asks, of one writer to one reader. Arbitrary.
pub const HEARTBEAT_INTERVAL_MS: u64 = 5_000;
/// Bytes of chunks in one put: a frame without its head, session id, counter, plane and tag.
pub const PUT_BYTES_MAX: usize = FRAME_BYTES_MAX - 64;
/// Exchanges in which bodies are put for one post: twice what the largest state takes.
pub const PUTS_MAX: usize = 128;
/// Bytes of the longest lineage in a snapshot: 64 entries of at most 55 bytes, and their array.
pub const LINEAGE_BYTES_MAX: usize = LINEAGE_MAX * 55 + 2;
/// Entries of evidence kept of one device (spec: #evidence). Arbitrary: the oldest goes first.
pub const EVIDENCE_HELD_MAX: usize = 16;
/// Milliseconds between two pieces of evidence posted to one device. Arbitrary, as a need.
pub const EVIDENCE_INTERVAL_MS: u64 = 5_000;
/// Milliseconds between two further epochs that a device's unproven word opens. Arbitrary: each costs a snapshot.
pub const REOPEN_INTERVAL_MS: u64 = 60_000;
/// Milliseconds for which a device that leaves is still served: time to collect the acknowledgement. Arbitrary.
pub const LEAVE_GRACE_MS: u64 = 60_000;
/// Highest value of an intent, a counter, that a device's word can lift the next one to: half of the range, so that
/// no device can use it up.
pub const INTENT_SHOWN_MAX: u64 = u64::MAX / 2;
/// Bytes of a COSE_Encrypt0 around its plaintext, at most (spec: #encrypted): protected header 30, tag 16, heads.
pub const ENCRYPTED_OVERHEAD_BYTES_MAX: usize = 64;
/// Bytes of one section body of an encrypted plane (spec: #encrypted-snapshot): encrypted it is a body like others.
pub const ENCRYPTED_SECTION_BYTES_MAX: usize = SECTION_BYTES_MAX - ENCRYPTED_OVERHEAD_BYTES_MAX;
/// Bytes that a row of an encrypted section table has more than a readable one: an array and a digest.
pub const ENCRYPTED_ROW_BYTES: usize = 35;
/// Generations of plane keys that one end keeps (spec: #plane-key). Arbitrary: the newest and those whose
/// messages may still be on their way.
pub const KEY_GENERATIONS_MAX: usize = 4;

// What is computed above, as spec/ writes it out, and how it keeps to what it has to fit into.
const _: () = {
    assert!(TRUST_LINE_CHARS_MAX == 87_397);
    assert!(EPOCH_SHOWN_MAX == 9_223_372_036_854_775_807);
    assert!(INTENT_SHOWN_MAX == 9_223_372_036_854_775_807);
    assert!(INTENT_STEP_MAX == 1_048_576);
    assert!(ENCRYPTED_SECTION_BYTES_MAX == 65_472);
    // Two states and their chains are kept for one device.
    assert!(ADMISSION_QUOTA_BYTES > 2 * (STATE_BYTES_MAX + CHAIN_BYTES_MAX) as u64);
    // A whole state fits beside what waits when a channel is filled anew.
    assert!(LINK_BYTES_MAX >= LINK_BYTES_REFILL + 2 * STATE_BYTES_MAX);
    assert!(LINK_BYTES_REFILL >= STATE_BYTES_MAX);
    // A put holds the largest chunk, and a frame the put.
    assert!(PUT_BYTES_MAX > BODY_CHUNK_BYTES_MAX && PUT_BYTES_MAX < FRAME_BYTES_MAX);
    // An entry is an array of two numbers of at most 9 bytes and a digest of 34.
    assert!(LINEAGE_BYTES_MAX == 3_522);
};
