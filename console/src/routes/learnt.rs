//! What the way in use has learnt about holds and bodies, and what taught it.
//!
//! Numbers for people: the ladder and the sizes decide. Refuses to guess what an earlier process knew and did not
//! write down.

use super::{Routes, Way, moment, random};
use postern_egress::canary::Believed;
use postern_egress::hold::{Hold, HoldEnd};
use postern_egress::ladder::memory::Limits;
use postern_egress::limits::{BODY_BYTES_FLOOR, BODY_BYTES_START};
use postern_egress::{TransportError, codes};
use serde::{Deserialize, Serialize};
use std::fmt::{self, Write as _};

/// The bodies that a way carries, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Largest request.
    pub up_bytes_max: usize,
    /// Largest answer to ask for; 0 when not even the smallest useful one passes.
    pub down_bytes_max: usize,
}

/// How long polls live on the way in use, and which bodies pass there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldFacts {
    /// The label of the way.
    pub route: String,
    /// The hold that is asked for, in seconds.
    pub rung_s: u64,
    /// The longest hold that the way lets live, in seconds, where one was cut.
    pub cap_s: Option<u64>,
    /// The longest hold that is tried at all, in seconds.
    pub ceiling_s: u64,
    /// True where holds are given up for plain polls.
    pub is_polling: bool,
    /// The cuts that taught the cap; `None` also where an earlier process learnt it.
    pub taught_by: Option<String>,
    /// Largest request that is sent, in bytes.
    pub request_bytes_max: u64,
    /// Largest answer that is asked for, in bytes.
    pub answer_bytes_max: u64,
}

impl HoldFacts {
    /// Says which bodies do not pass, with the code for each direction; `None` where none was lost.
    #[must_use]
    pub fn bodies(&self) -> Option<String> {
        let start = u64::try_from(BODY_BYTES_START).unwrap_or(u64::MAX);
        let mut lost = Vec::new();
        for (what, bytes, code) in [
            ("requests", self.request_bytes_max, codes::LARGE_BODY_LOST),
            ("answers", self.answer_bytes_max, codes::LARGE_ANSWER_LOST),
        ] {
            if bytes < start {
                lost.push(format!("{what} above {bytes} bytes do not pass ({code})"));
            }
        }
        (!lost.is_empty()).then(|| lost.join("; "))
    }
}

impl fmt::Display for HoldFacts {
    /// Says how long polls live, as one sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_polling {
            f.write_str("no request may wait here: it asks about once a minute instead")?;
        } else {
            write!(
                f,
                "a request waits up to {} s for news ({})",
                self.rung_s, self.route
            )?;
        }
        match (self.cap_s, &self.taught_by) {
            (Some(cap_s), Some(taught)) => {
                write!(f, ", more than {cap_s} s does not survive: {taught}")
            }
            (Some(cap_s), None) => {
                write!(
                    f,
                    ", more than {cap_s} s does not survive, as an earlier run learnt"
                )
            }
            (None, _) => write!(
                f,
                ", nothing was cut yet; up to {} s are tried",
                self.ceiling_s
            ),
        }
    }
}

impl Way {
    /// What is worth remembering of this way.
    pub(super) fn limits(&self) -> Limits {
        let bytes = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        Limits {
            way: self.key,
            hold: self.ladder.learnt(moment()),
            up_bytes_max: bytes(self.sizes.up_bytes_max()),
            down_bytes_max: bytes(self.sizes.down_bytes_max()),
            canary: self.push.believed(moment()),
        }
    }

    /// Goes on from what is remembered of this way in this network.
    pub(super) fn resume(&mut self, known: Option<Limits>) {
        let Some(known) = known else {
            return;
        };
        self.ladder.resume(moment(), random(), known.hold);
        self.sizes = known.sizes();
        self.resume_streams(known.canary);
    }

    /// The same for streams alone.
    pub(super) fn resume_streams(&mut self, known: Option<Believed>) {
        if let Some(known) = known {
            self.push.resume(moment(), known);
        }
    }

    /// Remembers the status of a failed exchange until its hold ends.
    pub(super) fn note_status(&mut self, error: &TransportError) {
        self.last_status = error.status();
    }

    /// Takes the end of a hold, and remembers the status that taught a cap.
    pub(super) fn end_hold(&mut self, hold: Hold, end: HoldEnd) {
        let before = self.ladder.taught();
        self.ladder.handle_end(moment(), random(), hold, end);
        let status = self.last_status.take();
        if self.ladder.taught() != before {
            self.taught_status = status;
        }
    }

    fn hold_facts(&self) -> HoldFacts {
        let bytes = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
        let taught_by = self.ladder.taught().map(|taught| {
            let mut text = taught.to_string();
            if let Some(status) = self.taught_status {
                let _infallible = write!(text, ", with status {status}");
            }
            text
        });
        HoldFacts {
            route: self.label().to_owned(),
            rung_s: self.ladder.settled().as_secs(),
            cap_s: self.ladder.cap().map(|cap| cap.as_secs()),
            ceiling_s: self.ladder.ceiling().as_secs(),
            is_polling: self.ladder.is_polling(),
            taught_by,
            request_bytes_max: bytes(self.sizes.up_bytes_max()),
            answer_bytes_max: bytes(self.sizes.down_bytes_max()),
        }
    }
}

impl Routes {
    /// The bodies that the way in use carries.
    #[must_use]
    pub fn sizes(&self) -> Option<Sizes> {
        let sizes = &self.used()?.sizes;
        let down = Some(sizes.down_bytes_max()).filter(|bytes| *bytes >= BODY_BYTES_FLOOR);
        Some(Sizes {
            up_bytes_max: sizes.up_bytes_max(),
            down_bytes_max: down.unwrap_or_default(),
        })
    }

    /// Tells what the way in use has learnt; `None` while none is in use.
    #[must_use]
    pub fn hold_facts(&self) -> Option<HoldFacts> {
        let current = self.ladder.current()?.id;
        self.way(current).map(Way::hold_facts)
    }
}

/// The word for the end of a hold, of a closed set.
pub(super) const fn end_name(end: HoldEnd) -> &'static str {
    match end {
        HoldEnd::Answered { .. } => "ok",
        HoldEnd::Carried => "data",
        HoldEnd::Cut { .. } => "cut",
        HoldEnd::Silent => "silent",
        HoldEnd::Other => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> HoldFacts {
        HoldFacts {
            route: "proxy".into(),
            rung_s: 55,
            cap_s: None,
            ceiling_s: 115,
            is_polling: false,
            taught_by: None,
            request_bytes_max: 49_152,
            answer_bytes_max: 49_152,
        }
    }

    #[test]
    fn sentence_says_the_hold_and_what_taught_its_cap() {
        let check = |facts: HoldFacts, expected: &str| assert_eq!(facts.to_string(), expected);
        check(
            facts(),
            "a request waits up to 55 s for news (proxy), nothing was cut yet; up to 115 s are tried",
        );
        check(
            HoldFacts {
                cap_s: Some(55),
                taught_by: Some("cut after 60.1 s, twice, with status 504".into()),
                ..facts()
            },
            "a request waits up to 55 s for news (proxy), more than 55 s does not survive: cut after 60.1 s, twice, with status 504",
        );
        check(
            HoldFacts {
                cap_s: Some(55),
                ..facts()
            },
            "a request waits up to 55 s for news (proxy), more than 55 s does not survive, as an earlier run learnt",
        );
        let polling = HoldFacts {
            is_polling: true,
            ..facts()
        };
        assert!(
            polling
                .to_string()
                .starts_with("no request may wait here: "),
            "{polling}"
        );
    }

    #[test]
    fn bodies_are_named_only_where_some_are_lost() {
        assert_eq!(facts().bodies(), None);
        let larger = HoldFacts {
            answer_bytes_max: 1 << 20,
            ..facts()
        };
        assert_eq!(larger.bodies(), None);
        let lost = HoldFacts {
            answer_bytes_max: 24_576,
            ..facts()
        };
        assert_eq!(
            lost.bodies().as_deref(),
            Some("answers above 24576 bytes do not pass (PST-L04)")
        );
        let both = HoldFacts {
            request_bytes_max: 4_096,
            ..lost
        };
        let text = both.bodies().unwrap();
        assert!(
            text.contains("PST-L02") && text.contains("PST-L04"),
            "{text}"
        );
    }
}
