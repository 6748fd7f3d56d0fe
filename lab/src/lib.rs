//! Real proxies and real processes, as a library for tests.
//!
//! ```text
//!  test ──▶ Process(postern device) ──CONNECT──▶ Squid ──▶ Process(postern controller) or Origin
//!    │         or HTTPS─▶ Apache, a front ────────┤
//!    │                                            │
//!    └─ reads captured output, kills by pid       └─ access log, corporate certificates from Pki
//! ```
//!
//! Everything listens on loopback, on ports chosen when the test runs, in a temporary folder of its own, and ends
//! when its value is dropped. The crate refuses to fetch or install anything (`./test` provisions), to end a process
//! that it did not start, and to wait without a bound: the only sleep stands in [`wait`].

mod apache;
pub mod clock;
pub mod config;
pub mod dated;
pub mod doors;
mod error;
pub mod failpoint;
mod fleet;
mod folder;
mod inspector;
mod kerberos;
pub mod kills;
pub mod netns;
mod origin;
mod pki;
mod port;
mod process;
pub mod scenarios;
mod squid;
mod stranger;
mod udp_front;
pub mod wait;
mod winbind;
pub mod wire;

pub use apache::{Apache, ApacheTree, FRONT_BODY_BYTES_MAX, Front, FrontLine, FrontPlan};
pub use dated::DatedPki;
pub use error::LabError;
pub use fleet::{
    Daemon, Device, DeviceFolder, DeviceSettings, Fleet, LocalAnswer, Operator, Relay, Revision,
    local,
};
pub use folder::Folder;
pub use inspector::{Inspector, Trick};
pub use kerberos::{DEVICE_PRINCIPAL, Kerberos, KerberosTree, PROXY_NAME, REALM, TICKET_USER};
pub use origin::Origin;
pub use pki::Pki;
pub use port::free_address;
pub use process::{Binary, Finished, Process};
pub use squid::{
    AccessLine, Asking, BASIC_PASSWORD, BASIC_USER, HOSTILE_READ_S, Kind, Plan, SLOW_BYTES_PER_S,
    Squid, Tree,
};
pub use stranger::{Implementation, Language, Stranger};
pub use udp_front::UdpFront;
pub use winbind::{NTLM_DOMAIN, NTLM_PASSWORD, NTLM_USER, SambaTree, Winbind};
