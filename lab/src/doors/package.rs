//! Programs that `./test` unpacks: where each stands, and a command that runs it there or inside a namespace.
//!
//! It refuses to use what the machine has installed, so that versions and configurations are the lab's own.

use std::path::PathBuf;
use std::process::Command;

use crate::netns::{Namespace, command_inside};
use crate::process::or_skip;
use crate::{LabError, config};

/// A program that `./test` unpacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Package {
    /// A small CONNECT proxy.
    Tinyproxy,
    /// A filtering CONNECT proxy.
    Privoxy,
    /// A web server as a CONNECT proxy.
    Apache,
    /// A load balancer.
    Haproxy,
    /// A web server as an edge.
    Nginx,
    /// A SOCKS server.
    Dante,
    /// An inspector that buffers.
    Mitmproxy,
    /// Firewall rules.
    Nft,
    /// Tracked connections.
    Conntrack,
}

/// An unpacked program.
#[derive(Clone, Debug)]
pub struct Unpacked {
    root: PathBuf,
    program: PathBuf,
}

impl Package {
    /// Finds the program.
    ///
    /// # Errors
    /// [`LabError::Missing`] with the command that fetches it.
    pub fn find(self) -> Result<Unpacked, LabError> {
        let (name, program) = self.place();
        let root = config::unpacked(name);
        let program = root.join(program);
        if program.is_file() {
            return Ok(Unpacked { root, program });
        }
        Err(LabError::Missing {
            what: name,
            path: program,
            remedy: "run `./test`, which unpacks it there",
        })
    }

    /// Finds the program, or says loudly that `scenario` is skipped without it.
    ///
    /// # Errors
    /// [`LabError::Missing`] instead of `None` when `POSTERN_LAB_REQUIRED` is `1`.
    pub fn find_or_skip(self, scenario: &str) -> Result<Option<Unpacked>, LabError> {
        or_skip(scenario, self.find())
    }

    /// Its folder in the cache, and the program in that folder.
    const fn place(self) -> (&'static str, &'static str) {
        match self {
            Self::Tinyproxy => ("tinyproxy", "usr/bin/tinyproxy"),
            Self::Privoxy => ("privoxy", "usr/sbin/privoxy"),
            Self::Apache => ("apache", "usr/sbin/apache2"),
            Self::Haproxy => ("haproxy", "usr/sbin/haproxy"),
            Self::Nginx => ("nginx", "usr/sbin/nginx"),
            Self::Dante => ("dante", "usr/sbin/danted"),
            Self::Mitmproxy => ("mitmproxy", "bin/mitmdump"),
            Self::Nft => ("nft", "usr/sbin/nft"),
            Self::Conntrack => ("conntrack", "usr/sbin/conntrack"),
        }
    }
}

impl Unpacked {
    /// Prepares the program with its own libraries, inside the namespace of this name if there is one.
    #[must_use]
    pub fn command(&self, namespace: Option<&str>) -> Command {
        let mut command = match namespace {
            None => Command::new(&self.program),
            Some(namespace) => command_inside(namespace, &self.program),
        };
        let libraries = format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH);
        let libraries = self.root.join(libraries);
        if libraries.is_dir() {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        command
    }

    /// Returns a file or folder of the unpacked packages.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }
}

/// Returns the name of a namespace, if there is one.
pub(super) fn name_of(namespace: Option<&Namespace>) -> Option<&str> {
    namespace.map(Namespace::name)
}
