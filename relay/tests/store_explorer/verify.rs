//! Opens what a crash left and holds it against what it has to hold.
//!
//! A start is good when the store opens, has every batch that was acknowledged, has nothing that
//! was never begun, equals the model at exactly the batch it claims, and passes its shape's own
//! judgement.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use postern_relay::store::{DiskStore, StoreError};

use super::disk::RecordingDisk;
use super::life::{Plan, Standing};
use super::records::Model;

/// A store that opened and passed.
#[derive(Debug)]
pub struct Opened {
    pub store: DiskStore,
    /// The newest batch it holds.
    pub newest: usize,
    pub model: Model,
}

/// Why a state is not good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It lacks a batch that was acknowledged, or that an earlier opening had shown.
    Lost(String),
    /// It holds other records than the batches made.
    Bad(String),
    Unopenable(String),
}

/// Opens the store on a disk and judges it.
pub fn open(disk: &Arc<RecordingDisk>, plan: Plan, standing: &Standing) -> Result<Opened, Failure> {
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let store = DiskStore::open_on(disk.clone(), "crash state", plan.profile)?;
        let (newest, model) = plan.shape.read(&store)?;
        Ok::<_, StoreError>(Opened {
            store,
            newest,
            model,
        })
    }));
    let opened = match opened {
        Ok(Ok(opened)) => opened,
        Ok(Err(error)) => return Err(Failure::Unopenable(format!("{error:?}"))),
        Err(_) => return Err(Failure::Unopenable("panic".to_owned())),
    };
    standing.check(plan, opened.newest, &opened.model)?;
    Ok(opened)
}

impl Standing {
    /// Judges what a store holds.
    pub fn check(&self, plan: Plan, newest: usize, model: &Model) -> Result<(), Failure> {
        let Self {
            at_least,
            at_most,
            history,
        } = self;
        if newest < *at_least {
            return Err(Failure::Lost(format!("holds {newest}, acked {at_least}")));
        }
        if newest > *at_most {
            return Err(Failure::Bad(format!("holds {newest}, begun {at_most}")));
        }
        plan.shape.judge(model).map_err(Failure::Bad)?;
        let expected = history.get(newest);
        let expected = expected.ok_or_else(|| Failure::Bad("no such batch".to_owned()))?;
        if **expected != *model {
            return Err(Failure::Bad(format!("differs from the model at {newest}")));
        }
        Ok(())
    }
}
