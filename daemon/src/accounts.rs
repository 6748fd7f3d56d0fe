//! Users and groups of this machine by name or number, from /etc/passwd and /etc/group.
//!
//! Refuses directory services: their names are unknown here, their numbers are welcome.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";
/// Bytes of either file that are read. Arbitrary, above thousands of accounts.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// As whom a program runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// User id.
    pub uid: u32,
    /// Group id; no further groups are kept.
    pub gid: u32,
    /// The user's name, where it has one.
    pub name: Option<String>,
    /// The home folder, where one is known.
    pub home: Option<PathBuf>,
}

/// Finds a user by name or number.
///
/// # Errors
/// What is wrong, with the remedy.
pub fn user(wanted: &str) -> Result<Account, String> {
    let passwd =
        read(Path::new(PASSWD)).map_err(|error| format!("cannot be looked up: {error}"))?;
    find_user(&passwd, wanted)
}

/// Finds a group by name or number and returns its id.
///
/// # Errors
/// What is wrong, with the remedy.
pub fn group(wanted: &str) -> Result<u32, String> {
    let groups = read(Path::new(GROUP)).map_err(|error| format!("cannot be looked up: {error}"))?;
    find_group(&groups, wanted)
}

fn read(file: &Path) -> io::Result<String> {
    let mut text = Vec::new();
    File::open(file)?
        .take(FILE_BYTES_MAX)
        .read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Finds a user in the text of a passwd file.
fn find_user(passwd: &str, wanted: &str) -> Result<Account, String> {
    let number: Option<u32> = wanted.parse().ok();
    let found = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let uid: u32 = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        let home = fields.nth(1).filter(|home| home.starts_with('/'));
        (name == wanted || Some(uid) == number).then(|| Account {
            uid,
            gid,
            name: Some(name.to_owned()),
            home: home.map(PathBuf::from),
        })
    });
    match (found, number) {
        (Some(account), _) => Ok(account),
        (None, Some(uid)) => Ok(Account {
            uid,
            gid: uid,
            name: None,
            home: None,
        }),
        (None, None) => Err(format!(
            "names no user of {PASSWD}: \"{wanted}\"; create it, or write its number"
        )),
    }
}

/// Finds a group in the text of a group file.
fn find_group(groups: &str, wanted: &str) -> Result<u32, String> {
    if let Ok(gid) = wanted.parse() {
        return Ok(gid);
    }
    let found = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let gid = fields.nth(1)?.parse().ok()?;
        (name == wanted).then_some(gid)
    });
    found.ok_or_else(|| {
        format!("names no group of {GROUP}: \"{wanted}\"; create it, or write its number")
    })
}

#[cfg(test)]
mod tests {
    use super::{find_group, find_user};

    const PASSWD: &str = "root:x:0:0:root:/root-home:/bin/sh\nbroken\napp:x:101:102::/srv/app:\n";
    const GROUPS: &str = "root:x:0:\nbroken:x\napp:x:102:one,two\n";

    #[test]
    fn user_is_found_by_name_and_number() {
        for wanted in ["app", "101"] {
            let account = find_user(PASSWD, wanted).unwrap();
            assert_eq!((account.uid, account.gid), (101, 102), "{wanted}");
            assert_eq!(account.home.unwrap().to_str(), Some("/srv/app"));
        }
        let stranger = find_user(PASSWD, "4711").unwrap();
        assert_eq!(
            (stranger.uid, stranger.gid, stranger.name),
            (4711, 4711, None)
        );
    }

    #[test]
    fn user_and_group_that_are_absent_are_refused() {
        for wanted in ["", "ap", "broken", "-1", "4294967296"] {
            assert!(find_user(PASSWD, wanted).is_err(), "{wanted}");
            assert!(find_group(GROUPS, wanted).is_err(), "{wanted}");
        }
    }

    #[test]
    fn group_is_found_by_name_and_number() {
        assert_eq!(find_group(GROUPS, "app"), Ok(102));
        assert_eq!(find_group(GROUPS, "7"), Ok(7));
    }
}
