//! Free ports. A port is free when it is chosen, not when it is used: whoever listens later must be ready to find it
//! taken, as [`crate::Squid`] does by choosing again. Prefer port 0 where the program under test accepts it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use crate::LabError;

/// Returns a loopback address on which nothing listens now.
///
/// # Errors
/// [`LabError::Io`] when the system has no port left.
pub fn free_address() -> Result<SocketAddr, LabError> {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(LabError::io("find a free port"))?;
    listener.local_addr().map_err(LabError::io("read the port"))
}

#[cfg(test)]
mod tests {
    use super::free_address;

    #[test]
    fn free_address_refuses_connections_and_can_be_listened_on() {
        let address = free_address().unwrap();
        assert!(address.ip().is_loopback());
        assert!(std::net::TcpStream::connect(address).is_err());
        std::net::TcpListener::bind(address).unwrap();
    }
}
