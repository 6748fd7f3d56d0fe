//! Where a crash state is found again: one line that a failing test prints and a replay reads.
//!
//! `device/mailbox-records/1d5ea5e/1@17@all/3@nothing` reads: the settings of a device, mailbox
//! records, the seed of the run; cut its life 1 before event 17 and keep all unflushed writes;
//! cut the recovery from that before its write 3 and keep none. A last word `commit` commits one
//! more batch to what recovered and cuts the power when it is acknowledged.

use std::fmt;
use std::str::FromStr;

use postern_relay::store::Profile;

use super::life::{Plan, Sabotage};
use super::records::Shape;
use super::tail::Tail;

/// A crash state of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    pub plan: Plan,
    pub life: usize,
    pub cut: usize,
    pub tail: Tail,
    pub steps: Vec<Step>,
}

/// What happens to a store that has recovered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The power is cut again while it recovers.
    Recovery { cut: usize, tail: Tail },
    /// It commits another batch; the power is cut at the acknowledgement.
    Commit,
}

const PROFILES: [(Profile, &str); 2] = [(Profile::Device, "device"), (Profile::Server, "server")];

impl fmt::Display for Schedule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan {
            profile,
            shape,
            sabotage: _,
            seed,
        } = self.plan;
        let profile = PROFILES.iter().find(|(of, _)| *of == profile);
        let profile = profile.map_or("?", |(_, name)| name);
        let (life, cut, tail) = (self.life, self.cut, self.tail);
        write!(out, "{profile}/{shape}/{seed:x}/{life}@{cut}@{tail}")?;
        for step in &self.steps {
            match step {
                Step::Recovery { cut, tail } => write!(out, "/{cut}@{tail}")?,
                Step::Commit => write!(out, "/commit")?,
            }
        }
        Ok(())
    }
}

impl FromStr for Schedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.trim().split('/');
        let mut next = |what: &str| words.next().ok_or(format!("{text}: no {what}"));
        let profile = next("profile")?;
        let profile = PROFILES.iter().find(|(_, name)| *name == profile);
        let shape = next("records")?;
        let shape = Shape::ALL.into_iter().find(|one| one.name() == shape);
        let seed = u64::from_str_radix(next("seed")?, 16).map_err(|_| "no such seed")?;
        let (life, place) = next("cut")?.split_once('@').ok_or("no life")?;
        let (cut, tail) = read_cut(place)?;
        let steps = words.map(|word| match word {
            "commit" => Ok(Step::Commit),
            _ => read_cut(word).map(|(cut, tail)| Step::Recovery { cut, tail }),
        });
        Ok(Self {
            plan: Plan {
                profile: profile.ok_or("no such profile")?.0,
                shape: shape.ok_or("no such records")?,
                sabotage: Sabotage::Nothing,
                seed,
            },
            life: life.parse().map_err(|_| "no such life")?,
            cut,
            tail,
            steps: steps.collect::<Result<_, _>>()?,
        })
    }
}

fn read_cut(word: &str) -> Result<(usize, Tail), String> {
    let (cut, tail) = word.split_once('@').ok_or("no tail")?;
    Ok((cut.parse().map_err(|_| "no such cut")?, tail.parse()?))
}
