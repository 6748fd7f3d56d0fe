use super::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use tokio::net::TcpListener;

/// Opens a connection to loopback, whose packets may be 65536 bytes, and returns the segments of both ends.
async fn segments(host: IpAddr) -> (u32, u32) {
    let listener = TcpListener::bind((host, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let traffic = Arc::new(Traffic::default());
    let budgets = Budgets::default();
    let (opened, accepted) =
        tokio::join!(open(vec![address], &budgets, &traffic), listener.accept(),);
    let (opened, (accepted, _peer)) = (opened.unwrap(), accepted.unwrap());
    let bytes = |socket: SockRef<'_>| socket.tcp_mss().unwrap();
    (
        bytes(SockRef::from(&opened.stream.tcp)),
        bytes(SockRef::from(&accepted)),
    )
}

/// Whether both ends send segments of a kind that leaves room for options, and nothing larger.
fn is_small((own, far): (u32, u32)) -> bool {
    let small = SEGMENT_BYTES_MAX - 20..=SEGMENT_BYTES_MAX;
    small.contains(&own) && small.contains(&far)
}

#[tokio::test]
async fn both_ends_of_a_connection_over_ipv4_send_small_segments() {
    let found = segments(Ipv4Addr::LOCALHOST.into()).await;
    assert!(is_small(found), "{found:?}");
}

#[tokio::test]
async fn both_ends_of_a_connection_over_ipv6_send_small_segments() {
    let found = segments(Ipv6Addr::LOCALHOST.into()).await;
    assert!(is_small(found), "{found:?}");
}

#[tokio::test]
async fn connection_that_nobody_made_small_is_told_apart() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let plain = TcpStream::connect(address).await.unwrap();
    let bytes = SockRef::from(&plain).tcp_mss().unwrap();
    assert!(!is_small((bytes, bytes)), "{bytes}");
}

#[tokio::test]
async fn port_without_a_listener_is_still_refused_at_once() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let traffic = Arc::new(Traffic::default());
    let refused = open(vec![address], &Budgets::default(), &traffic).await;
    assert_eq!(
        refused.map(|_opened| ()),
        Err(Fault::Tcp(io::ErrorKind::ConnectionRefused))
    );
}
