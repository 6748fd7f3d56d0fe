//! Where WPAD looks, when an operator asked for it: `http://wpad.DOMAIN/wpad.dat`, once and nowhere else.
//!
//! The domain is that of the machine's name, or the first that the resolver's configuration
//! searches. No DHCP option, no climbing towards the root, no domain of a single label: whoever
//! registers `wpad` in a public zone must not be asked. What remains is that whoever writes the
//! resolver's configuration (a DHCP server) chooses the script. Pure but for [`domain`].

use crate::host::Host;
use std::io::Read as _;
use std::path::Path;

/// Largest resolver configuration that is read, in bytes. Arbitrary.
const CONFIGURATION_BYTES_MAX: u64 = 64 * 1024;

/// Returns the URL to ask in a domain; none for a domain of fewer than two labels or an odd one.
pub(crate) fn url(domain: &str) -> Option<String> {
    match Host::parse(domain).ok()? {
        Host::Name(name) if name.contains('.') => Some(format!("http://wpad.{name}/wpad.dat")),
        Host::Name(_) | Host::Address(_) => None,
    }
}

/// Reads the machine's domain.
pub(crate) fn domain() -> Option<String> {
    let name = read(Path::new("/proc/sys/kernel/hostname")).unwrap_or_default();
    let resolver = read(Path::new("/etc/resolv.conf")).unwrap_or_default();
    domain_of(&name, &resolver)
}

fn read(path: &Path) -> Option<String> {
    let mut text = String::new();
    let file = std::fs::File::open(path).ok()?;
    let mut bounded = file.take(CONFIGURATION_BYTES_MAX);
    bounded.read_to_string(&mut text).ok()?;
    Some(text)
}

fn domain_of(name: &str, resolver: &str) -> Option<String> {
    if let Some((_host, domain)) = name.trim().trim_end_matches('.').split_once('.') {
        return Some(domain.to_owned());
    }
    // As the resolver reads it: the last of these lines counts.
    let line = resolver.lines().rev().find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        matches!(words.next(), Some("search" | "domain")).then(|| words.next())
    });
    line.flatten().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_url_for_a_real_domain_and_none_for_others() {
        let check = |domain, expected: Option<&str>| {
            assert_eq!(url(domain).as_deref(), expected, "{domain:?}");
        };
        check("corp.test", Some("http://wpad.corp.test/wpad.dat"));
        check("Corp.Test.", Some("http://wpad.corp.test/wpad.dat"));
        check("test", None);
        check("com", None);
        check(".", None);
        check("", None);
        check("10.0.0.1", None);
        check("a/b.test", None);
        check("evil@corp.test", None);
    }

    #[test]
    fn domain_is_that_of_the_name_then_of_the_resolver() {
        let check = |name, resolver, expected: Option<&str>| {
            assert_eq!(domain_of(name, resolver).as_deref(), expected, "{name:?}");
        };
        check(
            "dev1.hall.corp.test\n",
            "search other.test\n",
            Some("hall.corp.test"),
        );
        check("dev1\n", "search a.test b.test\n", Some("a.test"));
        check("dev1", "domain a.test\nsearch b.test\n", Some("b.test"));
        check(
            "dev1",
            "# search x.test\nnameserver 10.0.0.1\ndomain a.test",
            Some("a.test"),
        );
        check("dev1", "nameserver 10.0.0.1\n", None);
        check("", "", None);
    }
}
