//! Where mailboxes are: each URL with the place of its mailbox in the bundle's order.
//!
//! Refuses to take an answer for a proof: a challenge only says who answers.

use postern_egress::codes;
use postern_protocol::frame::{Direction, PlainFrame};
use postern_protocol::id::Thumbprint;

/// One URL of a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The base URL.
    pub url: String,
    /// The place of the mailbox; all but the first count as relays.
    pub mailbox: u8,
    /// The place of the URL among those of its mailbox.
    pub place: u8,
}

impl Address {
    /// Lists the URLs of one mailbox.
    #[must_use]
    pub fn of_one(urls: &[String]) -> Vec<Self> {
        Self::of_all([urls])
    }

    /// Lists the URLs of mailboxes in their order, each URL once.
    #[must_use]
    pub fn of_all<'u>(mailboxes: impl IntoIterator<Item = &'u [String]>) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for (mailbox, urls) in mailboxes.into_iter().enumerate() {
            for (place, url) in urls.iter().enumerate() {
                if !all.iter().any(|known| known.url == *url) {
                    all.push(Self {
                        url: url.clone(),
                        mailbox: u8::try_from(mailbox).unwrap_or(u8::MAX),
                        place: u8::try_from(place).unwrap_or(u8::MAX),
                    });
                }
            }
        }
        all
    }
}

/// Tells whether an answer to an ask is the challenge of one of these mailboxes. It proves nothing yet:
/// the welcome that follows does.
#[must_use]
pub fn is_challenge(body: &[u8], listed: &[Thumbprint]) -> bool {
    match PlainFrame::decode(body, Direction::Down) {
        Ok(PlainFrame::Challenge { mailbox, .. }) => listed.contains(&mailbox),
        Ok(_) | Err(_) => false,
    }
}

/// Returns the code for an answer to an ask that is not the challenge of a listed mailbox.
pub(super) fn why_no_challenge(body: &[u8]) -> &'static str {
    match PlainFrame::decode(body, Direction::Down) {
        Ok(PlainFrame::Challenge { .. }) => codes::STRANGER,
        Ok(PlainFrame::Refused { .. }) => codes::BUSY,
        Ok(_) | Err(_) => codes::NO_MAILBOX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postern_protocol::Reject;
    use postern_protocol::id::Challenge;

    fn urls(urls: &[&str]) -> Vec<String> {
        urls.iter().map(|url| (*url).to_owned()).collect()
    }

    #[test]
    fn addresses_keep_the_order_of_mailboxes_and_name_each_url_once() {
        let (first, second) = (
            urls(&["https://a", "https://b"]),
            urls(&["https://a", "https://c"]),
        );
        let all = Address::of_all([first.as_slice(), second.as_slice()]);
        let shown: Vec<_> = all
            .iter()
            .map(|one| (one.url.as_str(), one.mailbox, one.place))
            .collect();
        assert_eq!(
            shown,
            [
                ("https://a", 0, 0),
                ("https://b", 0, 1),
                ("https://c", 1, 1)
            ]
        );
        assert_eq!(Address::of_one(&[]), []);
    }

    #[test]
    fn only_the_challenge_of_a_listed_mailbox_counts() {
        let (ours, other) = (
            Thumbprint::from_bytes([1; 32]),
            Thumbprint::from_bytes([2; 32]),
        );
        let challenge = |mailbox| {
            let frame = PlainFrame::Challenge {
                challenge: Challenge::from_bytes([1; 16]),
                ephemeral: [2; 32],
                mailbox,
            };
            frame.encode().unwrap()
        };
        let refused = PlainFrame::Refused {
            code: Reject::Overloaded.code(),
            retry_ms: None,
        };
        assert_eq!(why_no_challenge(&challenge(other)), "PST-A02");
        assert_eq!(why_no_challenge(&refused.encode().unwrap()), "PST-A03");
        assert_eq!(why_no_challenge(b"<html>"), "PST-A01");
        assert!(is_challenge(&challenge(ours), &[ours]));
        assert!(!is_challenge(&challenge(other), &[ours]));
        assert!(!is_challenge(&challenge(ours), &[]));
        assert!(!is_challenge(&refused.encode().unwrap(), &[ours]));
        assert!(!is_challenge(b"<html>", &[ours]));
        assert!(!is_challenge(b"", &[ours]));
    }
}
