//! Every bound of this crate in one place: what it limits, the unit, and why that number.
//!
//! Numbers called "measured" come from the egress test bed (Squid 5.7, HAProxy, nginx, tinyproxy,
//! privoxy, dante, mitmproxy on loopback and in network namespaces). Numbers called "arbitrary"
//! only have to be finite.

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
