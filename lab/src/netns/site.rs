//! The three machines of the lab's namespaces, their addresses, and what firewalls were seen to do.
//!
//! It refuses to invent devices: each rule set is one of the catalogue's, named after what it does.

use std::net::{IpAddr, Ipv4Addr};

use super::{End, Namespace};
use crate::LabError;
use crate::wire::{Shape, Wire};

/// The device's machine.
pub const DEVICE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 99, 1, 2));
/// The firewall, as the site sees it.
pub const FIREWALL_INSIDE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 99, 1, 1));
/// The firewall, as the outside sees it.
pub const FIREWALL_OUTSIDE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 99, 2, 1));
/// Where a proxy stands, outside.
pub const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 99, 2, 2));
/// Where the controller stands, outside.
pub const CONTROLLER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 99, 2, 3));
/// Where a relay stands, outside.
pub const RELAY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 99, 2, 4));

const OUTSIDE: [&str; 4] = [
    "10.99.2.2/24",
    "10.99.2.3/24",
    "10.99.2.4/24",
    "fd99:2::3/64",
];

/// A site, its firewall and the outside.
#[derive(Debug)]
pub struct Site {
    /// Where devices run; interface `eth0`.
    pub device: Namespace,
    /// Forwards between `lan` and `wan`.
    pub firewall: Namespace,
    /// Where proxies, controller and relay run; interface `eth0`.
    pub outside: Namespace,
    /// Declared last: it ends once the namespaces took its interfaces away.
    wire: Option<Wire>,
}

impl Site {
    /// Makes the three machines; names are resolved nowhere inside until [`Site::know`] says so.
    ///
    /// # Errors
    /// [`LabError::Ended`] when `ip` refuses.
    pub fn make() -> Result<Self, LabError> {
        Self::with(None)
    }

    /// As [`Site::make`], with a wire of this shape between firewall and outside.
    ///
    /// # Errors
    /// As [`Site::make`]; [`LabError::Io`] without `/dev/net/tun`.
    pub fn make_behind(shape: Shape) -> Result<Self, LabError> {
        Self::with(Some(shape))
    }

    fn with(shape: Option<Shape>) -> Result<Self, LabError> {
        let device = Namespace::make("device")?;
        let firewall = Namespace::make("firewall")?;
        let outside = Namespace::make("outside")?;
        for machine in [&device, &firewall, &outside] {
            // Before there are interfaces: looking for duplicates would hold their own addresses back for a second.
            machine.sysctl("ipv6/conf/default/accept_dad", "0")?;
            machine.etc(
                "resolv.conf",
                "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
            )?;
            machine.etc("hosts", "127.0.0.1 localhost\n")?;
        }
        let inner = [
            End {
                interface: "eth0",
                addresses: &["10.99.1.2/24", "fd99:1::2/64"],
            },
            End {
                interface: "lan",
                addresses: &["10.99.1.1/24", "fd99:1::1/64"],
            },
        ];
        device.connect(&inner[0], &firewall, &inner[1])?;
        let wan = End {
            interface: "wan",
            addresses: &["10.99.2.1/24", "fd99:2::1/64"],
        };
        let eth = End {
            interface: "eth0",
            addresses: &OUTSIDE,
        };
        let wire = match shape {
            None => firewall.connect(&wan, &outside, &eth).map(|()| None)?,
            Some(shape) => Some(Wire::between(&firewall, &wan, &outside, &eth, shape)?),
        };
        firewall.sysctl("ipv4/ip_forward", "1")?;
        firewall.sysctl("ipv6/conf/all/forwarding", "1")?;
        device.ip(&["route", "add", "default", "via", "10.99.1.1"])?;
        device.ip(&["-6", "route", "add", "default", "via", "fd99:1::1"])?;
        outside.ip(&["route", "add", "default", "via", "10.99.2.1"])?;
        outside.ip(&["-6", "route", "add", "default", "via", "fd99:2::1"])?;
        Ok(Self {
            device,
            firewall,
            outside,
            wire,
        })
    }

    /// Writes the names that programs inside resolve: `hosts` lines for the device, and for the outside.
    ///
    /// # Errors
    /// [`LabError::Io`] when the files cannot be written.
    pub fn know(&self, device: &str, outside: &str) -> Result<(), LabError> {
        self.device
            .etc("hosts", &format!("127.0.0.1 localhost\n{device}\n"))?;
        self.outside
            .etc("hosts", &format!("127.0.0.1 localhost\n{outside}\n"))
    }

    /// Only the proxy's port may be reached: no DNS, no UDP, nothing else. Packets are dropped without a word.
    ///
    /// # Errors
    /// As [`Namespace::firewall`].
    pub fn only(&self, host: IpAddr, port: u16) -> Result<(), LabError> {
        self.firewall.firewall(&forward(
            "drop",
            &format!(
                "ct state established,related accept\nip daddr {host} tcp dport {port} accept"
            ),
        ))
    }

    /// Returns the wire, if the outside is behind one.
    #[must_use]
    pub fn wire(&self) -> Option<&Wire> {
        self.wire.as_ref()
    }

    /// Everything passes.
    ///
    /// # Errors
    /// As [`Namespace::firewall`].
    pub fn open(&self) -> Result<(), LabError> {
        self.firewall.firewall("")
    }

    /// What matches `rules`, one statement a line, is handled so; everything else passes.
    ///
    /// # Errors
    /// As [`Namespace::firewall`].
    pub fn rule(&self, rules: &str) -> Result<(), LabError> {
        self.firewall.firewall(&forward("accept", rules))
    }

    /// Every packet to or from a host is dropped, also of connections that stand.
    ///
    /// # Errors
    /// As [`Namespace::firewall`].
    pub fn drop_host(&self, host: IpAddr) -> Result<(), LabError> {
        self.rule(&format!("ip daddr {host} drop\nip saddr {host} drop"))
    }

    /// TCP connections are forgotten after so many seconds of silence and then dropped without a word.
    ///
    /// # Errors
    /// As [`Namespace::firewall`] and [`Namespace::sysctl`].
    pub fn forget_silent(&self, after_s: u64) -> Result<(), LabError> {
        let established = "netfilter/nf_conntrack_tcp_timeout_established";
        self.firewall
            .sysctl("netfilter/nf_conntrack_tcp_loose", "0")?;
        self.firewall.sysctl(established, &after_s.to_string())?;
        // Named loosely: a flow that was forgotten is new or invalid, by its flags.
        self.rule(
            "tcp flags & (syn|ack) == ack ct state new counter drop\nct state invalid counter drop",
        )
    }

    /// Every TCP connection of the site ends at this port of the firewall: a captive portal.
    ///
    /// # Errors
    /// As [`Namespace::firewall`].
    pub fn capture(&self, port: u16) -> Result<(), LabError> {
        self.firewall.firewall(&format!(
            "table ip lab {{\nchain capture {{\ntype nat hook prerouting priority -100;\n\
             iifname \"lan\" tcp dport 1-65535 dnat to {FIREWALL_INSIDE}:{port}\n}}\n\
             chain closed {{\ntype filter hook forward priority 0;\n\
             iifname \"lan\" udp dport != 53 drop\n}}\n}}"
        ))
    }

    /// Everything passes, and what matches `rules` is counted; see [`Site::counted`].
    ///
    /// # Errors
    /// As [`Namespace::firewall`].
    pub fn count(&self, matches: &str) -> Result<(), LabError> {
        self.rule(&format!("{matches} counter"))
    }

    /// Returns how many packets the counters of the firewall saw.
    ///
    /// # Errors
    /// As [`Namespace::rules`].
    pub fn counted(&self) -> Result<u64, LabError> {
        let rules = self.firewall.rules()?;
        let counts = rules.split("counter packets ").skip(1).filter_map(|rest| {
            let number = rest.split(' ').next()?;
            number.parse::<u64>().ok()
        });
        Ok(counts.sum())
    }

    /// Connections to this port end at another port of the firewall: a transparent proxy, which still learns where
    /// they were to go.
    ///
    /// # Errors
    /// As [`Namespace::firewall`].
    pub fn intercept(&self, port: u16, to: u16) -> Result<(), LabError> {
        self.firewall.firewall(&format!(
            "table ip lab {{\nchain intercept {{\ntype nat hook prerouting priority -100;\n\
             iifname \"lan\" tcp dport {port} redirect to :{to}\n}}\n}}"
        ))
    }

    /// At most so many connections from one address; the next is reset.
    ///
    /// # Errors
    /// As [`Namespace::firewall`].
    pub fn limit_connections(&self, most: u32) -> Result<(), LabError> {
        self.firewall.firewall(&format!(
            "table inet lab {{\nset counted {{\ntype ipv4_addr\nsize 1024\nflags dynamic\n}}\n\
             chain passing {{\ntype filter hook forward priority 0; policy accept;\n\
             iifname \"lan\" tcp flags & (syn|ack) == syn add @counted {{ ip saddr ct count over {most} }} \
             counter reject with tcp reset\n}}\n}}"
        ))
    }

    /// The outside sees the firewall's address only, from changing ports.
    ///
    /// # Errors
    /// As [`Namespace::firewall`].
    pub fn translate(&self) -> Result<(), LabError> {
        self.firewall.firewall(
            "table ip lab {\nchain leaving {\ntype nat hook postrouting priority 100;\n\
             oifname \"wan\" masquerade random\n}\n}",
        )
    }
}

fn forward(policy: &str, rules: &str) -> String {
    format!(
        "table inet lab {{\nchain passing {{\ntype filter hook forward priority 0; policy {policy};\n{rules}\n}}\n}}"
    )
}
