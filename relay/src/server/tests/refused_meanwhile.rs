use super::{certificate, config};
use crate::exchange::{AdmittedDevice, ExchangeLimits};
use crate::fixtures::{admitted, ask, greet, mailbox_signer};
use crate::mailbox::Chunk;
use crate::server::tests::client::{Site, refusal};
use crate::server::{Host, HostAnswer, Mailbox, Server, ServerLimits, Taken};
use postern_protocol::Reject;
use postern_protocol::id::{ChannelId, Plane};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A host that admits a device for one look, as if it were withdrawn right behind it.
struct FickleHost(AtomicBool);

impl Host for FickleHost {
    fn admitted(&self, _: ChannelId) -> Vec<AdmittedDevice> {
        match self.0.swap(true, Ordering::SeqCst) {
            false => vec![admitted()],
            true => Vec::new(),
        }
    }

    fn enrol(&self, _: Vec<u8>) -> HostAnswer<Vec<u8>> {
        Box::pin(async { Err(Reject::NotAdmitted) })
    }

    fn posted(&self, _: ChannelId, _: Option<Plane>, _: Vec<u8>) -> HostAnswer<Taken> {
        Box::pin(async { Err(Reject::NotAdmitted) })
    }

    fn put(&self, _: ChannelId, _: Plane, _: Vec<Chunk>) -> HostAnswer<Taken> {
        Box::pin(async { Err(Reject::NotAdmitted) })
    }

    fn heartbeat_wanted(&self, _: ChannelId) -> HostAnswer<()> {
        Box::pin(async { Err(Reject::NotAdmitted) })
    }
}

#[tokio::test]
async fn device_that_is_withdrawn_while_it_greets_is_left_without_a_session() {
    let certificate = certificate();
    let mailbox = Mailbox::new(mailbox_signer(), ExchangeLimits::default()).unwrap();
    let config = config(&certificate, ServerLimits::default());
    let host = Arc::new(FickleHost(AtomicBool::new(false)));
    let server = Server::start(&config, mailbox.clone(), host).unwrap();
    let site = Site::new(server.local_address(), &certificate.certificate_pem);
    let mut client = site.h1().await;
    let challenge = client.exchange(ask()).await;
    let (_, hello) = greet(&challenge, 1);
    let answer = client.exchange(hello.clone()).await;
    assert_eq!(refusal(&answer), Reject::Overloaded.code());
    assert_eq!(mailbox.sessions(), 0);
    let again = client.exchange(hello).await;
    assert_eq!(refusal(&again), Reject::NotAdmitted.code());
}
