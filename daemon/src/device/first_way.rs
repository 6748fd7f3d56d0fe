//! The way that a join uses: the one that answers an ask first.
//!
//! A join sends its request on one way at a time, because a mailbox counts requests; an ask costs it nothing and
//! may go out on all ways as the ladder orders them. Refuses the answer of any mailbox but the one that the join
//! line names.

use crate::routes::{Loss, Routes};
use postern_protocol::frame::PlainFrame;
use postern_protocol::id::Thumbprint;

/// Puts the routes on the way that answers first; where nobody answers, they stay as they are, and the failures
/// are returned if they are certain: each way failed before a word of HTTP came back.
pub(super) async fn choose(
    routes: &mut Routes,
    mailbox: Option<Thumbprint>,
) -> Result<(), Vec<String>> {
    let ask = PlainFrame::Ask { bundle: None }.encode();
    let (Some(mailbox), Ok(ask)) = (mailbox, ask) else {
        return Ok(());
    };
    if routes.len() < 2 {
        return Ok(());
    }
    let contest = routes.race(ask, vec![mailbox]);
    let raced = contest.run().await;
    match routes.handle_raced(raced) {
        Some(Ok(won)) => {
            routes.handle_won(won.way);
            Ok(())
        }
        Some(Err(losses)) => match losses.iter().map(|(_, loss)| certain(loss)).collect() {
            Some(failures) => Err(failures),
            None => Ok(()),
        },
        None => Ok(()),
    }
}

/// Says why a way failed, unless the request itself may fare better or say more: the time may be wrong, or
/// somebody else may answer.
fn certain(loss: &Loss) -> Option<String> {
    match loss {
        Loss::Failed(error) if !error.is_period() => Some(error.to_string()),
        Loss::Failed(_) | Loss::Refused(_) | Loss::NoMailbox { .. } => None,
    }
}
