//! Every bound of mailboxes and of the HTTPS server, with its unit and its reason.
//!
//! Numbers marked "arbitrary" come from judgement, the others from a measurement or from a bound
//! of the protocol. What an operator may change stands in [`crate::mailbox::MailboxLimits`] and
//! [`crate::server::ServerLimits`], whose defaults are these. The store keeps its own limits.

use postern_protocol::limits::{
    CHAIN_BYTES_MAX, ENVELOPE_BYTES_MAX, FRAME_BYTES_MAX, STATE_BYTES_MAX,
};

/// Bytes of one mailbox: a full state, its snapshot, a full chain of deltas, one largest evidence,
/// and the small ones (acknowledgement, heartbeat, enrolment answer) in the room of another envelope.
/// Below this a device with the largest legal state could not be served.
pub const MAILBOX_BYTES_MAX: usize = STATE_BYTES_MAX + CHAIN_BYTES_MAX + 3 * ENVELOPE_BYTES_MAX;
/// Bytes of all mailboxes together. Arbitrary: a quarter of the smallest machine we plan for (4 GB).
pub const MAILBOXES_BYTES_MAX: usize = 1 << 30;
/// Bytes of the bundles kept for readers that are behind. Arbitrary: 20 full or thousands of usual ones.
pub const BUNDLES_BYTES_MAX: usize = 1 << 20;
/// Part of a chain's bounds, in quarters, at which its writer is asked for a snapshot: early
/// enough that the snapshot arrives before the chain must refuse a delta.
pub const CHAIN_FULL_QUARTERS: usize = 3;
/// Bytes of an answer that are not items: type, session, counter, hints and tag, rounded up
/// (hints with a retry, a hold and 64 refused items take less than 600).
pub const ANSWER_OVERHEAD_BYTES: usize = 1_000;
/// Bytes that items of one answer may take: one largest envelope with its plane always fits.
pub const ANSWER_ITEMS_BYTES_MAX: usize = FRAME_BYTES_MAX - ANSWER_OVERHEAD_BYTES;
/// Bytes that an item takes beside its envelope: the array head and the plane.
pub const ITEM_OVERHEAD_BYTES: usize = 2;
/// Bytes that a body chunk takes beside its content: array head, digest, size, offset, byte head.
pub const CHUNK_OVERHEAD_BYTES: usize = 56;

/// Bytes of entries in one collected frame: a frame without type, session, counter, hints (two
/// small ones), store and tag.
pub const COLLECTED_BYTES_MAX: usize = FRAME_BYTES_MAX - 64;
/// Bytes that an entry of a collected frame takes beside its envelope: array head, arrival, channel
/// and plane, or knock and the head of its frame.
pub const COLLECT_ENTRY_BYTES: usize = 28;

/// Answers with the same content for the same heads that are given at once: the first may have
/// been lost on the way, twice in a row is still likely on a bad radio link.
pub const REPEATS_AT_ONCE: u32 = 2;
/// Milliseconds between further repeats: a reader that cannot use what it gets must not spin.
/// As slow as a `need` (spec: #need).
pub const REPEAT_INTERVAL_MS: u64 = 5_000;
/// Milliseconds after which a device that shows another actual head is asked for a snapshot again;
/// doubled each time the same head is shown. As slow as a `need` (spec: #need).
pub const ACTUAL_ASK_INTERVAL_MS: u64 = 5_000;
/// Doublings of that interval at most: 5 s become 320 s, as long as the longest hold.
pub const ACTUAL_ASK_DOUBLINGS_MAX: u32 = 6;
/// Age in milliseconds from which an idle answer asks the writer for a newer heartbeat: a third of
/// the 900 s after which a reader calls its writer stale.
pub const BEAT_WANTED_AGE_MS: u64 = 300_000;
/// Milliseconds between two questions for a heartbeat: no writer signs them more often.
pub const BEAT_ASK_INTERVAL_MS: u64 = 5_000;
/// Milliseconds for which a heartbeat that its device waits for is kept from others. As long as
/// the longest pause before the device asks again.
pub const BEAT_AWAITED_MS_MAX: u64 = 60_000;
/// Milliseconds that an idle answer waits for the heartbeat it asked for. Arbitrary: far above one
/// signature, and nobody misses an idle answer.
pub const BEAT_WAIT_MS_MAX: u64 = 1_000;
/// Seconds that this server holds a poll at most. Arbitrary, above the longest rung of the hold
/// ladder (285 s); the poll's own hold is the usual bound.
pub const HOLD_S_MAX: u64 = 300;
/// Polls held at once. 50 KiB for each connection stay within 1 GB.
pub const HOLDS_MAX: usize = 20_000;
/// Sessions at once, as many as polls that can be held and as many again being replaced.
pub const SESSIONS_MAX: usize = 2 * HOLDS_MAX;
/// Milliseconds that the host may take to make a post durable before the device is told to try
/// again. Arbitrary: far above a commit on a bad disk, below the shortest proxy timeout (30 s).
pub const HOST_ANSWER_MS_MAX: u64 = 20_000;
/// Calls to the host at once: a group commit takes all of them together. A host that hangs must not
/// gather tasks without bound.
pub const HOST_CALLS_AT_ONCE: usize = 256;
/// Calls that wait for the host; at 3,000 a second they wait a third of a second.
pub const HOST_CALLS_WAITING_MAX: usize = 1_024;
/// Places of one tenant at the host at least, however many tenants there are: one commit is made of several calls.
pub const HOST_SHARE_LEAST: usize = 8;
/// Tenants, writers and mailboxes that have a line at the host at once: as many as limits know tenants.
pub const HOST_LINES_MAX: usize = 4_096;
/// Milliseconds for which a line counts after its last call: two commits of a slow disk and a pause between.
pub const HOST_LINE_SEEN_MS: u64 = 1_000;
/// Bytes of an answer that leaves without a place: acknowledgements, idle answers, small changes.
pub const OUT_FREE_BYTES: usize = 2_048;
/// Larger answers on their way out at once: frames, 12 MB of them.
pub const OUT_AT_ONCE: usize = 256;
/// Larger answers, in frames, that wait for their turn on the way out; their bytes count in the budget.
pub const OUT_WAITING_MAX: usize = 4_096;
/// Least milliseconds for which somebody who asked for too much waits for his refusal, at most three times that: who
/// comes again at once costs as much as who is served, and each connection asks one thing at a time.
pub const SHED_PAUSE_MS_BASE: u64 = 100;
/// Refusals, in answers, that are held back at once. Beyond it they are given at once: memory comes first.
pub const SHED_PAUSES_MAX: usize = 4_096;
/// Least milliseconds of a randomised retry hint; the most is three times that, so that
/// even clients without jitter of their own spread out.
pub const RETRY_MS_BASE: u64 = 2_000;
/// Milliseconds over which reconnects spread after a drain.
pub const DRAIN_RETRY_MS_BASE: u64 = 5_000;

/// Connections at once. At the 37 KiB of a device that waits over HTTP/2 they stay below 1 GB.
pub const CONNECTIONS_MAX: usize = 20_000;
/// Connections at once from one source (IPv4 address or IPv6 /64). A site's devices share one
/// address behind NAT, so this is generous. Arbitrary.
pub const SOURCE_CONNECTIONS_MAX: usize = 512;
/// Connections of one source on which no session has spoken yet: what a stranger can hold open.
pub const SOURCE_UNPROVEN_MAX: usize = 64;
/// Connections at once from one IPv6 /48: as many as four of its /64 may have.
pub const SITE_CONNECTIONS_MAX: usize = 2_048;
/// Connections on which one device alone speaks: one for its held poll, one for its work.
pub const DEVICE_CONNECTIONS_MAX: usize = 2;
/// Sources with a rate cell of their own: 8 MB at 40 bytes each. Beyond it they share buckets.
pub const SOURCE_KEYS_MAX: usize = 200_000;
/// Slots (buckets) that sources without a cell share: fixed memory whatever an attacker sends.
pub const SHARED_BUCKETS: u16 = 16_384;
/// Bytes of one cell in its map: 9 of the key, 8 of the time, and the map's own. Measured with
/// 200,000 sources: 29 in random order, 36 in ascending order (a hash map: 33).
pub const CELL_BYTES: usize = 40;
/// Keys whose cells each use looks at, to drop them when they are full again: more than one, so that a
/// flood of newcomers always sweeps faster than it adds.
pub const CELLS_SWEPT_EACH: usize = 2;
/// Keys whose cells each look at the memory sweeps, too: a full map is empty after 25 seconds.
pub const CELLS_SWEPT_TICK: usize = 4_096;
/// Exchanges of an IPv6 /48, in multiples of those of a /64. Arbitrary.
pub const NETWORK_RATE_FACTOR: u32 = 8;
/// Public-key exchanges (ask, hello, enrol) of one source at once: 100 devices behind one address.
pub const SOURCE_HANDSHAKES_BURST: u32 = 200;
/// Public-key exchanges of one source per second: 50 x 0.2 ms are 1 % of a core.
pub const SOURCE_HANDSHAKES_PER_S: u32 = 50;
/// Public-key exchanges of all sources at once.
pub const HANDSHAKES_BURST: u32 = 2_000;
/// Public-key exchanges of all sources per second: 1,000 x 0.2 ms are a fifth of a core.
pub const HANDSHAKES_PER_S: u32 = 1_000;
/// Enrol exchanges of all sources at once: a truck of devices that are switched on together.
pub const KNOCKS_BURST: u32 = 100;
/// Enrol exchanges of all sources per second. Each costs the host signatures and a commit, and may come
/// from anybody: enrolled devices must not feel them.
pub const KNOCKS_PER_S: u32 = 20;
/// Enrolments that a host answers at once. A relay holds each for 10 s until its operator decides, so
/// these have places of their own; at 20 a second they are never more than 300.
pub const KNOCKS_AT_ONCE: usize = 512;
/// Bytes of an enrol frame: three times what the largest key, name and hash take.
pub const KNOCK_BYTES_MAX: usize = 4_096;
/// Exchanges in one device's sessions at once. Arbitrary.
pub const DEVICE_MESSAGES_BURST: u32 = 4_000;
/// Exchanges in one device's sessions per second: as many as loopback allows one after the other.
pub const DEVICE_MESSAGES_PER_S: u32 = 1_000;
/// Bytes of one device at once: a full state and its snapshot, four times.
pub const DEVICE_BYTES_BURST: u32 = 8 << 20;
/// Bytes of one device per second. Arbitrary: 20 full frames.
pub const DEVICE_BYTES_PER_S: u32 = 1 << 20;
/// Tenants with a rate cell: as many as 16 bundles can name.
pub const TENANT_KEYS_MAX: usize = 4_096;
/// Exchanges of one tenant at once: ten seconds of devices that come back, each with a first poll.
pub const TENANT_MESSAGES_BURST: u32 = 10_000;
/// Exchanges of one tenant per second: a third of what two cores carry. Arbitrary.
pub const TENANT_MESSAGES_PER_S: u32 = 5_000;
/// Bytes of one tenant at once. Arbitrary.
pub const TENANT_BYTES_BURST: u32 = 128 << 20;
/// Bytes of one tenant per second. Arbitrary: a quarter of a gigabit.
pub const TENANT_BYTES_PER_S: u32 = 32 << 20;
/// Exchanges of one tenant's writer at once: two for each of 20,000 devices.
pub const WRITER_MESSAGES_BURST: u32 = 40_000;
/// Exchanges of one tenant's writer per second. A controller that starts delivers a snapshot for each
/// device, and its bodies in 22 frames at most: 20,000 devices are done within two minutes.
pub const WRITER_MESSAGES_PER_S: u32 = 4_000;
/// Bytes of one tenant's writer at once: a full frame for each of 5,000 devices.
pub const WRITER_BYTES_BURST: u32 = 256 << 20;
/// Bytes of one tenant's writer per second: 20,000 snapshots of a full frame take 15 s, and as many
/// devices with the largest legal state seven minutes.
pub const WRITER_BYTES_PER_S: u32 = 64 << 20;
/// Exchanges of any kind from one source at once. Arbitrary.
pub const SOURCE_EXCHANGES_BURST: u32 = 4_000;
/// Exchanges of any kind from one source per second: 2,000 x 6 us are 1.2 % of a core.
pub const SOURCE_EXCHANGES_PER_S: u32 = 2_000;

/// Milliseconds for the TLS handshake: three round trips over a satellite, and slack.
pub const TLS_HANDSHAKE_MS_MAX: u64 = 5_000;
/// Milliseconds for a request head of HTTP/1.1 from its first byte: a client that drips headers
/// holds 11 KiB no longer than this.
pub const HEADER_MS_MAX: u64 = 10_000;
/// Bytes of a request head under HTTP/1.1; hyper's least buffer.
pub const HEADER_BYTES_MAX: usize = 8_192;
/// Header fields of one request: proxies add a dozen.
pub const HEADERS_MAX: usize = 64;
/// Milliseconds of silence allowed at the begin of a body.
pub const BODY_GRACE_MS: u64 = 5_000;
/// Bytes of all bodies being read at once: 1,365 full ones. Taken as bytes arrive, so that filling
/// it costs an attacker the bytes.
pub const BODIES_BYTES_MAX: usize = 64 << 20;
/// Least bytes per second of a body after the grace: 48 KiB take 53 s at most.
pub const BODY_BYTES_PER_S_MIN: u64 = 1_024;
/// Milliseconds for a whole body: what the least rate gives a full frame, and slack.
pub const BODY_MS_MAX: u64 = 60_000;
/// Milliseconds for which a connection without a request is kept.
pub const IDLE_MS_MAX: u64 = 90_000;
/// Milliseconds that a closing connection has to take its last answer.
pub const CLOSE_MS_MAX: u64 = 5_000;
/// HTTP/2 streams of one connection: a poll, a post and a fetch of two channels. (Rapid reset,
/// CVE-2023-44487.)
pub const STREAMS_MAX: u32 = 8;
/// Bytes of an HTTP/2 header list.
pub const HEADER_LIST_BYTES_MAX: u32 = 8_192;
/// Streams that the peer opened and reset before we accepted them.
pub const RESET_STREAMS_MAX: usize = 16;
/// Streams that we reset for the peer's errors before the connection ends.
pub const ERROR_RESETS_MAX: usize = 64;
/// Bytes of an HTTP/2 stream's receive window: one frame of ours and a little.
pub const STREAM_WINDOW_BYTES: u32 = 65_535;
/// Bytes of an HTTP/2 connection's receive window: two full bodies under way.
pub const CONNECTION_WINDOW_BYTES: u32 = 131_072;
/// Bytes queued to send on one HTTP/2 stream: one frame of ours.
pub const STREAM_SEND_BYTES: usize = 65_536;
/// Bytes of a PROXY header behind its first 16. Arbitrary: addresses are 36, the additions of load
/// balancers some hundred.
pub const PROXY_HEADER_BYTES_MAX: usize = 2_048;
/// Connections of load balancers whose PROXY header is read at once. Arbitrary: headers come with the
/// connection, so this many wait only for fronts that do not send them.
pub const PROXY_HEADERS_AT_ONCE: usize = 1_024;
/// Connections that the kernel keeps for us before we accept them.
pub const BACKLOG: u32 = 4_096;
/// Bytes that a connection is counted for. A waiting device was measured with everything: 28 KB over
/// HTTP/1.1, 38 KB over HTTP/2, 35 KB over QUIC (`postern-bench relay`); session and hold are counted apart.
pub const CONNECTION_BYTES: usize = 34 << 10;
/// Bytes that a session is counted for.
pub const SESSION_BYTES: usize = 1 << 10;
/// Bytes that a held poll is counted for: task, timer and place.
pub const HOLD_BYTES: usize = 2 << 10;
/// Devices whose sessions end at once when memory runs out; more follow while it stays so.
pub const DROPPED_AT_ONCE_MAX: usize = 1_024;
/// Milliseconds between two looks at the memory.
pub const PRESSURE_MS: u64 = 500;
/// Milliseconds to wait after the kernel refused to give a connection (no descriptors left).
pub const ACCEPT_PAUSE_MS: u64 = 100;
/// Milliseconds between two sweeps of sessions and ephemeral keys: those must change every 30 s.
pub const SWEEP_MS: u64 = 10_000;
/// Events kept for a slow listener; the oldest are lost first and counted by the receiver.
pub const EVENTS_MAX: usize = 1_024;

/// Bytes that everything in memory may take together: the 4 GB of the smallest machine we plan for,
/// less a quarter for the system, the store's cache and what an allocator wastes.
pub const BUDGET_BYTES_MAX: usize = 3 << 30;
/// Per cent of the budget above which what can wait has to.
pub const BUDGET_SHEDDING_PERCENT: usize = 70;
/// Per cent of the budget above which nobody new is let in.
pub const BUDGET_CLOSED_PERCENT: usize = 85;
/// Per cent of the budget above which the largest tenant's sessions end.
pub const BUDGET_DROPPING_PERCENT: usize = 95;
/// Per cent of the budget that sessions and connections must hold before dropping them helps.
pub const BUDGET_DROPPABLE_PERCENT: usize = 5;
/// Milliseconds that somebody may wait in front of the host: of a commit's 5 to 15 ms the least.
pub const QUEUE_TARGET_MS: u64 = 5;
/// Milliseconds for which every wait has to be longer before it counts as overload: some commits.
pub const QUEUE_INTERVAL_MS: u64 = 100;

/// QUIC connection attempts from unproven addresses at once; beyond it each is answered with Retry.
pub const QUIC_ATTEMPTS_BURST: u32 = 200;
/// QUIC connection attempts from unproven addresses per second: 200 x 150 us are 3 % of a core.
pub const QUIC_ATTEMPTS_PER_S: u32 = 200;
/// Connections whose QUIC handshake is under way, from which on an unproven address must be proven.
pub const QUIC_HALF_OPEN_RETRY: usize = 50;
/// Connections whose QUIC handshake is under way at once; at 27 KiB they take 27 MB.
pub const QUIC_HALF_OPEN_MAX: usize = 1_000;
/// Bytes that a QUIC handshake under way is counted for (measured: 18 to 27 KiB).
pub const QUIC_HALF_OPEN_BYTES: usize = 27 << 10;
/// Connection attempts that wait to be judged: those of a fifth of a second's flood.
pub const QUIC_INCOMING_MAX: usize = 512;
/// Bytes kept for one attempt that waits to be judged.
pub const QUIC_INCOMING_BYTES_MAX: u64 = 64 << 10;
/// Bytes kept for all attempts that wait to be judged.
pub const QUIC_INCOMING_BYTES_TOTAL_MAX: u64 = 4 << 20;
/// Bytes of a QUIC connection that came and were not read: five full frames.
pub const QUIC_RECEIVE_BYTES_MAX: u32 = 256 << 10;
/// Bytes of a QUIC stream that came and were not read: one full frame and a little.
pub const QUIC_STREAM_RECEIVE_BYTES_MAX: u32 = 64 << 10;
/// Bytes of a QUIC connection that are sent and not acknowledged: two full frames and a little.
pub const QUIC_SEND_BYTES_MAX: u64 = 128 << 10;
/// Microseconds between two stateless resets. quinn's 20 ms are 50 a second: after a restart most
/// devices would wait for their timeout (measured: 126 of 200 were told; at 100 us 500 of 500).
pub const QUIC_RESET_INTERVAL_US: u64 = 100;
/// Milliseconds of silence after which a QUIC peer counts as gone: a keepalive of 25 s, as short
/// as NAT needs, may be lost once.
pub const QUIC_IDLE_MS_MAX: u64 = 60_000;
/// Bytes that the kernel keeps of UDP packets for us.
pub const QUIC_SOCKET_BYTES: usize = 4 << 20;
