//! A way that can be cut: a port that leads to another one until it is closed.
//!
//! Refuses to open again.

use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The way.
pub struct Gate {
    address: SocketAddr,
    closed: watch::Sender<bool>,
}

impl Gate {
    /// Opens a way to `target`; to be called inside a runtime.
    pub async fn open(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (closed, mut closing) = watch::channel(false);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = closing.changed() => return,
                    Ok((stream, _)) = listener.accept() => {
                        tokio::spawn(pass(stream, target, closing.clone()));
                    }
                }
            }
        });
        Self { address, closed }
    }

    pub const fn port(&self) -> u16 {
        self.address.port()
    }

    /// Ends every connection and takes no other.
    pub fn close(&self) {
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
