//! Every bound of this crate in one place: what it limits, the unit, and why that number.
//!
//! Numbers called "measured" come from the egress test bed (Squid 5.7, HAProxy, nginx, tinyproxy,
//! privoxy, dante, mitmproxy on loopback and in network namespaces). Numbers called "arbitrary"
//! only have to be finite.

pub use crate::pac::limits::*;
use std::time::Duration;

/// Longest time for one name lookup. System resolvers retry for up to 30 s; a name that takes
/// longer than this will not become usable inside one round of attempts.
pub const DNS_BUDGET: Duration = Duration::from_secs(3);

/// Longest time for one TCP connect, over all addresses of a name. Two SYN retransmissions
/// (1 s, 3 s) fit; a firewall that drops silently costs no more than this.
pub const TCP_BUDGET: Duration = Duration::from_secs(5);

/// Longest time for a proxy to answer CONNECT, all authentication legs together. Proxies ask
/// directory services, which is slow; ten seconds covers the ones that work at all.
pub const CONNECT_BUDGET: Duration = Duration::from_secs(10);

/// Longest time for one TLS handshake: two round trips at 2 s each, twice.
pub const TLS_BUDGET: Duration = Duration::from_secs(8);

/// Head start of one address over the next (RFC 8305, "Connection Attempt Delay").
pub const ADDRESS_STAGGER: Duration = Duration::from_millis(250);

/// Most addresses of one name that are tried, each with a connection of its own. Arbitrary; more than any sane round robin.
pub const ADDRESSES_MAX: usize = 8;

/// Idle time before the first TCP keepalive probe: below every firewall idle limit seen.
pub const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);

/// Time between TCP keepalive probes.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// Unanswered keepalive probes after which the connection is dead: 15 + 3 x 10 = 45 s.
pub const KEEPALIVE_RETRIES: u32 = 3;

/// Longest time that sent bytes may stay unacknowledged (`TCP_USER_TIMEOUT`); without it a
/// send into a dropped flow hangs for 15 minutes.
pub const USER_TIMEOUT: Duration = Duration::from_secs(30);

/// Largest TCP segment that is sent or asked for (`TCP_MAXSEG`), in bytes: the smallest packet that every IPv6 path
/// carries (1280, RFC 8200, section 5) less the heads of IPv6 (40) and TCP (20). Paths through tunnels that swallow
/// larger packets without a word are so never met. Twelve of them are options, so that a full packet carries 1208
/// bytes instead of 1448: a mebibyte costs 144 packets and 7.5 KB of heads more, what fits into one packet nothing.
pub const SEGMENT_BYTES_MAX: u32 = 1_220;

/// Largest head of a proxy's answer to CONNECT, in bytes. Squid refuses heads over 64 KiB too.
pub const CONNECT_HEAD_BYTES_MAX: usize = 64 * 1024;

/// Largest body of a 407 that is read so that the connection can be used again, in bytes.
/// Squid's is 3 073 bytes; beyond this a new connection is cheaper.
pub const DRAIN_BYTES_MAX: usize = 64 * 1024;

/// Most header lines in a proxy's answer. Arbitrary; Squid sends about ten.
pub const CONNECT_HEADERS_MAX: usize = 128;

/// Most challenges read from one 407, over all header lines. Arbitrary; proxies offer four at most.
pub const CHALLENGES_MAX: usize = 16;

/// Most parameters read of one challenge. Arbitrary; Digest has eight.
pub const CHALLENGE_PARAMETERS_MAX: usize = 32;

/// Most requests with credentials in one CONNECT, over all its connections. NTLM needs two, Negotiate one or two, a stale
/// nonce one more; a proxy that falls from one scheme to the next needs no more than this.
pub const AUTHENTICATION_LEGS_MAX: u32 = 8;

/// Most nonces in one CONNECT that a proxy may call stale. The second one is fresh already.
pub const STALE_NONCES_MAX: u32 = 2;

/// Largest client keytab that is told apart by its content, in bytes. Arbitrary; real ones have 1 KiB.
pub const KEYTAB_BYTES_MAX: u64 = 256 * 1024;

/// Largest NTLM challenge, in bytes, decoded. Those of Active Directory have about 300.
pub const NTLM_CHALLENGE_BYTES_MAX: usize = 16 * 1024;

/// Most attributes (entries with a name and a value) of an NTLM challenge's target. Ten are defined.
pub const NTLM_ATTRIBUTES_MAX: usize = 32;

/// Seconds from 1601, where file times begin, to 1970.
pub const NTLM_TIME_OFFSET_S: u64 = 11_644_473_600;

/// Largest Negotiate token sent or taken, in bytes. A ticket with the groups of a large directory
/// has 48 KiB; Squid refuses heads over 64 KiB, and base64 takes a third more.
pub const NEGOTIATE_TOKEN_BYTES_MAX: usize = 48 * 1024;

/// Longest time for the GSS-API library to make one token. It may ask several key distribution
/// centres; what takes longer leaves no time for the rest of CONNECT.
pub const NEGOTIATE_BUDGET: Duration = Duration::from_secs(8);

/// Longest pause after a connect for which there was no ticket. A renewed one is to be used within
/// ten seconds; nothing but a CONNECT without credentials is spent on finding out.
pub const TICKET_PAUSE: Duration = Duration::from_secs(8);

/// Most interim (1xx) answers before the final one. Arbitrary.
pub const INTERIM_ANSWERS_MAX: u32 = 4;

/// Longest text of a proxy or server shown in an error, in bytes, before escaping.
pub const FOREIGN_TEXT_BYTES_MAX: usize = 200;

/// Largest proxy value accepted from a file or the environment, in bytes. Arbitrary.
pub const PROXY_VALUE_BYTES_MAX: usize = 2048;

/// Most entries of a `no_proxy` list. Arbitrary; real lists stay below a hundred.
pub const NO_PROXY_ENTRIES_MAX: usize = 1024;

/// Largest secret file, in bytes: one line `user:password`.
pub const SECRET_BYTES_MAX: usize = 4096;

/// Largest CA file, in bytes. A full system bundle has 220 KiB.
pub const CA_FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Most files read from a CA folder. Arbitrary.
pub const CA_FILES_MAX: usize = 256;

/// Deepest nesting followed in a certificate. Issuer and key lie at depth 4.
pub const DER_DEPTH_MAX: usize = 8;

/// Largest certificate of an unknown issuer that is kept to be shown to people, in bytes. Arbitrary; those of inspecting
/// proxies have 1 to 2 KiB.
pub const SHOWN_CERTIFICATE_BYTES_MAX: usize = 8 * 1024;

/// Pauses after the first, the second and every later rejection of the same proxy secret.
/// Directory services lock an account after 3 to 10 bad tries, counted over 15 to 30 minutes.
pub const LOCKOUT_PAUSES: [Duration; 3] = [
    Duration::from_secs(15 * 60),
    Duration::from_secs(60 * 60),
    Duration::from_secs(6 * 60 * 60),
];

/// Proxy secrets remembered, each as an entry of a few bytes. Arbitrary; a device has one, and its
/// operator tries a few others.
pub const LOCKOUT_ENTRIES_MAX: usize = 16;

/// Connections of one client over HTTP/1.1: one for a held exchange, one for everything else.
/// Proxies cap connections per source; the measured hostile one allows three.
pub const H1_CONNECTIONS_MAX: usize = 2;

/// Largest head of an HTTP answer, in bytes.
pub const ANSWER_HEAD_BYTES_MAX: usize = 16 * 1024;

/// Most header lines of an HTTP/1.1 answer. Inspectors add about ten.
pub const ANSWER_HEADERS_MAX: usize = 64;

/// Longest pause between two pieces of an answer's body. A rate-limiting proxy (measured at
/// 16 kB/s) still delivers a piece a second.
pub const BODY_PROGRESS: Duration = Duration::from_secs(20);

/// Slowest rate at which a body counts as arriving, in bytes per second. Arbitrary; a fifteenth
/// of the slowest measured proxy. It bounds a body that drips one byte at a time.
pub const BODY_BYTES_PER_S_MIN: u64 = 1024;

/// Largest body of an answer other than 200, in bytes: a problem document (RFC 9457).
pub const PROBLEM_BYTES_MAX: usize = 4096;

/// Longest `Retry-After` obeyed, in seconds; a forged one must not silence a device for days.
pub const RETRY_AFTER_S_MAX: u64 = 3600;

/// First step of the reconnect backoff.
pub const BACKOFF_BASE: Duration = Duration::from_secs(1);

/// Cap of the reconnect backoff, applied before the jitter.
pub const BACKOFF_CAP: Duration = Duration::from_secs(60);

/// The rungs of the hold ladder, in seconds: each just below a well-known cut-off
/// (6, 15, 30, 60, 120, 180, 240 and 300 s).
pub const HOLD_RUNGS_S: [u64; 8] = [5, 12, 25, 55, 115, 170, 230, 285];

/// Rung where an unknown route starts (25 s: many fronts cut at 30).
pub const HOLD_START_RUNG: usize = 2;

/// Highest rung unless configured otherwise (115 s): behind an inspector a silently dead
/// second hop delays news by one hold.
pub const HOLD_CEILING_RUNG: usize = 4;

/// Extra time after the hold before its silence counts as a failure.
pub const HOLD_GRACE: Duration = Duration::from_secs(8);

/// Survived holds at one rung before the next rung is probed.
pub const HOLD_GOOD_BEFORE_PROBE: u32 = 3;

/// Two failures are of similar age when they differ by at most this many per cent.
pub const HOLD_SIMILAR_PERCENT: u64 = 15;

/// A hold counts as survived when its age is at least this many per cent of what was asked
/// (servers answer up to 7 % early) and at most the same amount over.
pub const HOLD_OK_PERCENT: u64 = 10;

/// Survivals of a rung after which three similar failures are needed to leave it, not two.
/// Simulated: 64 seeds of 500 holds with 5 % random resets sink no rung more than one step.
pub const HOLD_PROOF: u32 = 20;

/// Age at which a learnt cap is forgotten, on average; the jitter is [`HOLD_CAP_JITTER`].
pub const HOLD_CAP_AGE: Duration = Duration::from_secs(24 * 3600);

/// Largest deviation from [`HOLD_CAP_AGE`] to either side, so that a fleet does not probe at once.
pub const HOLD_CAP_JITTER: Duration = Duration::from_secs(2 * 3600);

/// Consecutive failures at the lowest rung before holding is given up for plain polls.
pub const HOLD_FLOOR_FAILURES: u32 = 3;

/// Pause between plain polls, on average (+-20 %).
pub const POLL_PAUSE: Duration = Duration::from_secs(60);

/// Time after which plain polling tries to hold again.
pub const POLL_RETRY_HOLD: Duration = Duration::from_secs(30 * 60);

/// Largest body that an unknown route is given, in bytes: one frame. The smallest cap found in the
/// field (64 KB) carries it.
pub const BODY_BYTES_START: usize = 48 * 1024;

/// Smallest bound that a route is taught by halving, in bytes. What the binding cannot do without
/// (polls, handshakes, plain reports) stays far below it.
pub const BODY_BYTES_FLOOR: usize = 4 * 1024;

/// Cut connections in a row, each with a large body, after which the size is the cause although nothing smaller
/// passed in between. Arbitrary.
pub const BODY_CUTS_MAX: u32 = 3;

/// Head start of QUIC over a direct connection, and of that over the best proxy, in a race: one
/// round trip to a far mailbox and a half.
pub const RACE_DIRECT_DELAY: Duration = Duration::from_millis(250);

/// When the best proxy starts in a race.
pub const RACE_PROXY_DELAY: Duration = Duration::from_millis(500);

/// Time from one proxy, further address or further relay to the next in a race.
pub const RACE_NEXT_DELAY: Duration = Duration::from_secs(1);

/// When the first relay starts in a race: its quota is a limit that users see.
pub const RACE_RELAY_DELAY: Duration = Duration::from_secs(3);

/// Longest a race lets any way wait, in a round of [`RACE_BUDGET`]. It also is the place of the ways
/// that flapped: tried only where nothing else answers.
pub const RACE_LAST_DELAY: Duration = Duration::from_secs(10);

/// Longest time of one race: lookup, TCP, CONNECT, TLS and one answer of the last way to start.
pub const RACE_BUDGET: Duration = Duration::from_secs(25);

/// Number of ways under way in a race at a time. Arbitrary; each costs two sockets at most.
pub const RACE_WAYS_MAX: usize = 6;

/// Number of ways that a ladder knows. Arbitrary: sixteen mailboxes along four routes; what is beyond is left out.
pub const LADDER_WAYS_MAX: usize = 64;

/// First step of the pause after a race that nobody won; doubled each time, with full jitter.
pub const ROUND_BASE: Duration = Duration::from_secs(2);

/// Cap of that step.
pub const ROUND_CAP: Duration = Duration::from_secs(5 * 60);

/// Cap of that step in the first minutes in which something answers that is no mailbox: somebody is
/// about to click through a captive portal.
pub const PORTAL_CAP_FIRST: Duration = Duration::from_secs(5);

/// Those minutes. Arbitrary: as long as people would keep trying.
pub const PORTAL_TIME: Duration = Duration::from_secs(10 * 60);

/// Cap of the step after them.
pub const PORTAL_CAP: Duration = Duration::from_secs(60);

/// Failures of a way that count together.
pub const FAILURE_WINDOW: Duration = Duration::from_secs(60);

/// Number of failures inside [`FAILURE_WINDOW`] after which a way is left.
pub const FAILURES_MAX: u32 = 2;

/// A held exchange that is cut earlier than this was cut by no idle timer: the lowest rung is 5 s.
pub const TIMER_AGE_MIN: Duration = Duration::from_secs(2);

/// Pause between two probes of a better way, on average (+-20 %).
pub const PROBE_PAUSE: Duration = Duration::from_secs(10 * 60);

/// Longest pause between two probes, reached by doubling after each that failed.
pub const PROBE_PAUSE_MAX: Duration = Duration::from_secs(6 * 3600);

/// Number of good probes in a row that a better way owes before it is taken.
pub const PROBES_NEEDED: u32 = 3;

/// Time from the first to the last of them at least.
pub const PROBES_SPAN: Duration = Duration::from_secs(2 * 60);

/// Time for which the way that was left by a promotion is kept, and in which the new one may not fail once.
pub const WARM_TIME: Duration = Duration::from_secs(60);

/// Points of one demotion in the damping of ways that flap (RFC 2439 uses the same shape).
pub const PENALTY_STEP: u64 = 1_000;

/// Half-life of that weight.
pub const PENALTY_HALF_LIFE: Duration = Duration::from_secs(15 * 60);

/// Points from which a way is suppressed: neither probed nor promoted, and last in a race.
pub const PENALTY_SUPPRESS: u64 = 2_500;

/// Weight below which the way is used again.
pub const PENALTY_REUSE: u64 = 1_000;

/// Networks remembered, each an entry of the record; the one unused for longest is forgotten first. Arbitrary: sites of a van.
pub const NETWORKS_MAX: usize = 32;

/// Age after which a network is forgotten, in seconds.
pub const NETWORK_AGE_S_MAX: u64 = 30 * 24 * 3600;

/// Number of ways of one network whose limits are remembered. Arbitrary; a device uses one or two.
pub const NETWORK_WAYS_MAX: usize = 4;

/// Seconds by which two dates of the same thing may differ: the wall clock and the one that counts intervals are read one
/// after the other, and drift apart. Arbitrary.
pub const NETWORK_DATE_SLACK_S: u64 = 60;

/// Time for which QUIC is left out on a network where it met silence, in seconds: six hours.
pub const UDP_HOSTILE_S: u64 = 6 * 3600;

/// Largest record of networks that is read, in bytes: a full one has under 6 KiB.
pub const NETWORK_RECORD_BYTES_MAX: usize = 8 * 1024;

/// Largest file of the system that is read to tell networks apart, in bytes. Arbitrary; what is beyond
/// does not count.
pub const NETWORK_FILE_BYTES_MAX: usize = 64 * 1024;

/// Lines of such a file that are looked at. Arbitrary; a default route stands near the top.
pub const NETWORK_LINES_MAX: usize = 512;

/// Entries of `resolv.conf` that count for a network, resolvers and search domains each. Arbitrary; resolvers use three.
pub const NETWORK_NAMES_MAX: usize = 8;

/// Time between two looks at the signs of the network. A device that sleeps or moves finds out with its
/// next look; what broke before that is found by its failures.
pub const NETWORK_LOOK: Duration = Duration::from_secs(30);

/// Time for which other signs have to stand before they count: interfaces come up piece by piece.
pub const NETWORK_SETTLE: Duration = Duration::from_secs(1);
/// Most hops of one client that are written down for a diagnosis, each an entry of some hundred bytes. Arbitrary; a proxy that asks for
/// three legs and reopens makes about ten.
pub const TRAIL_HOPS_MAX: usize = 64;

/// Attempts that are remembered for a diagnosis, each an entry of [`ATTEMPT_BYTES_MAX`] bytes at most. Arbitrary: a night of
/// failures with a pause of five minutes.
pub const ATTEMPTS_MAX: usize = 200;

/// Bytes of such an entry at most: all of them fit into 20 KiB of a small device.
pub const ATTEMPT_BYTES_MAX: usize = 96;

/// Bounds in milliseconds of the buckets in which stages are counted: a LAN, a WAN, a slow proxy, and the budgets.
pub const STAGE_BUCKETS_MS: [u64; 5] = [10, 50, 250, 1_000, 5_000];

/// Packets in bytes that a path should carry at least: the minimum of IPv6 (RFC 8200, section 5).
pub const PACKET_BYTES_MIN: u32 = 1280;

/// Longest time for a QUIC handshake, over all addresses, TLS included. On a network that drops UDP quinn's own
/// defaults wait for 30 s (measured); with the first round trip guessed as below three packets fit.
pub const QUIC_BUDGET: Duration = Duration::from_secs(3);

/// First guess of a round trip: packets go out after 0, 0.75 and 2.25 s, so that two may be lost.
pub const QUIC_INITIAL_RTT: Duration = Duration::from_millis(250);

/// Silence after which a QUIC connection on which nothing is under way is over. Nobody is told; the next exchange
/// connects again. Below it stands every ping, above it no NAT that matters.
pub const QUIC_IDLE: Duration = Duration::from_secs(45);

/// Time between two signs of life while an exchange waits, on a path that is not proven yet: a network that lets
/// QUIC begin and then drops it is noticed within 4 + 3 s and a round trip.
pub const QUIC_PING_UNPROVEN: Duration = Duration::from_secs(4);

/// Age at which a path counts as proven. Arbitrary; what looks into QUIC and ends it does so in the first packets.
pub const QUIC_UNPROVEN: Duration = Duration::from_secs(5 * 60);

/// Time between two signs of life while an exchange waits, on a proven path: just below the shortest UDP timers
/// of firewalls (30 s), above half a hold of 55 s and a fourth of one of 115 s, so that held polls cost one and
/// three. Measured at 55 s: 223 bytes a poll with its sign of life, of which that is 73.
pub const QUIC_PING: Duration = Duration::from_millis(28_800);

/// Silence after a packet that must be acknowledged, a round trip not counted, after which the path is dead. quinn
/// has sent it five times by then on a path of 50 ms: at 5 % loss that happens once in ten million times.
pub const QUIC_SILENCE: Duration = Duration::from_secs(3);

/// Bytes of a UDP payload that a path must carry, as RFC 9000 (section 14) says.
pub const QUIC_UDP_BYTES: u16 = 1200;

/// Largest UDP payload that is tried: what fits into 1500 bytes with IPv6.
pub const QUIC_UDP_BYTES_MAX: u16 = 1452;

/// Bytes of UDP payload for which another probe is not worth its packet: three probes find 1452 (measured).
pub const QUIC_UDP_BYTES_STEP: u16 = 60;

/// Time after which a larger payload is tried again. Arbitrary; each try costs packets of 1.4 KB that are lost.
pub const QUIC_UDP_BYTES_AGAIN: Duration = Duration::from_secs(6 * 3600);

/// Bytes of a QUIC stream that came and were not read: a full answer and a little.
pub const QUIC_STREAM_BYTES_MAX: u32 = 64 << 10;

/// Bytes of a QUIC connection that came and were not read: four full answers.
pub const QUIC_RECEIVE_BYTES_MAX: u32 = 256 << 10;

/// Bytes of a QUIC connection that are sent and not acknowledged: two full frames and a little.
pub const QUIC_SEND_BYTES_MAX: u64 = 128 << 10;

/// Turns of other tasks, no time at all where none has something to do, for which the end of a connection is let leave:
/// one is enough, unless the socket takes nothing. Counts calls of the scheduler. Arbitrary.
pub const QUIC_CLOSE_TURNS_MAX: u32 = 10_000;

/// TLS sessions kept for the next handshake, which is then without certificates. Servers give two.
pub const QUIC_TICKETS_MAX: usize = 4;

/// Most entries of the list of proxies that a dialer knows at a time: more than any script names for the targets of one process.
pub const PROXIES_MAX: usize = 16;

/// Most entries of `proxy.credentials_for`. Arbitrary.
pub const CREDENTIALS_FOR_ENTRIES_MAX: usize = 64;

/// The first second of the year of this release, 2026, in seconds since 1970: no clock that is earlier is believed,
/// and no time that is earlier is taken. A constant and not the time of the build, so that the same source makes
/// the same program. A test compares it with the newest release that the changelog dates.
pub const RELEASE_UNIX_S: u64 = 1_767_225_600;

/// Seconds by which a time that is taken may differ from the one that was believed without anything being
/// opened anew. Arbitrary, above the delay of an answer and below what any certificate's period turns on.
pub const TIME_JUMP_S: u64 = 60;

/// Time after one was taken for which no other is asked for with a relaxed period. Arbitrary: long enough that
/// an expired certificate is refused once and not looked at again by each attempt.
pub const TIME_ASK_INTERVAL: Duration = Duration::from_secs(3600);
