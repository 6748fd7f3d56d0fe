//! The firewall of the demo: a port that leads to the controller until it is closed.
//!
//! Refuses to open again.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The way to the controller.
#[derive(Debug)]
pub(super) struct Gate {
    address: SocketAddr,
    closed: watch::Sender<bool>,
}

impl Gate {
    /// Opens a way to `target`.
    ///
    /// # Errors
    /// No free port.
    pub(super) async fn open(target: SocketAddr) -> Result<Self, io::Error> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (closed, mut closing) = watch::channel(false);
        let _task = crate::tasks::spawn(async move {
            loop {
                tokio::select! {
                    _ = closing.changed() => return,
                    Ok((stream, _)) = listener.accept() => {
                        let _connection = crate::tasks::spawn(pass(stream, target, closing.clone()));
                    }
                }
            }
        });
        Ok(Self { address, closed })
    }

    /// The port that devices know.
    pub(super) const fn port(&self) -> u16 {
        self.address.port()
    }

    /// Ends every connection and lets no other in.
    pub(super) fn close(&self) {
        self.closed.send_replace(true);
    }
}

async fn pass(mut near: TcpStream, target: SocketAddr, mut closing: watch::Receiver<bool>) {
    let Ok(mut far) = TcpStream::connect(target).await else {
        return;
    };
    tokio::select! {
        _ = closing.changed() => {}
        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
    }
}
