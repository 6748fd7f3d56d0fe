//! The small clients: what they make, and what they refuse.

use super::iroh::{self, Length};
use super::load;
use super::mqtt::{self, Packet};
use super::nats::{self, Line};
use super::server::{Peer, version_in};

#[test]
fn mqtt_packet_is_known_only_in_the_form_that_is_due() {
    let cases: [(u8, &[u8], Option<Packet>); 12] = [
        (0x20, &[0, 0], Some(Packet::Connack(0))),
        (0x20, &[0, 5], Some(Packet::Connack(5))),
        (0x20, &[0], None),
        (0x90, &[0, 1, 1], Some(Packet::Suback(1))),
        (0x90, &[0, 1], None),
        (0x40, &[0, 1], Some(Packet::Puback)),
        (0x40, &[0, 1, 0], None),
        (0x30, &[0, 1, b'a', 7], Some(Packet::Publish(None, vec![7]))),
        (
            0x32,
            &[0, 1, b'a', 0, 9, 7],
            Some(Packet::Publish(Some([0, 9]), vec![7])),
        ),
        (0x32, &[0, 1, b'a', 0], None),
        (0x30, &[0, 9, b'a'], None),
        (0xd0, &[], None),
    ];
    for (first, body, expected) in cases {
        assert_eq!(mqtt::parse(first, body), expected, "{first:#x} {body:?}");
    }
}

#[test]
fn mqtt_length_comes_back_and_a_fifth_byte_is_none() {
    for (body_bytes, head_bytes) in [(0, 2), (127, 2), (128, 3), (1_100, 3), (16_383, 3)] {
        let packet = mqtt::packet(0x30, &[&vec![0; body_bytes]]).unwrap();
        assert_eq!(packet.len(), head_bytes + body_bytes);
        let mut length = 0;
        let ends: Vec<_> = (0..4)
            .zip(packet.iter().skip(1))
            .filter_map(|(place, byte)| mqtt::add_length(&mut length, place, *byte))
            .collect();
        assert_eq!(ends.first(), Some(&body_bytes));
    }
    assert!(mqtt::packet(0x30, &[&vec![0; 16_384]]).is_err());
    let mut length = 0;
    assert!((0..4).all(|place| mqtt::add_length(&mut length, place, 0xff).is_none()));
}

#[test]
fn nats_line_is_known_or_refused() {
    let cases = [
        ("PING\r\n", Some(Line::Ping)),
        ("PONG\r\n", Some(Line::Pong)),
        ("+OK\r\n", Some(Line::Other)),
        ("MSG up.1.2 1 1024\r\n", Some(Line::Message(None, 1_024))),
        (
            "MSG up.1.2 1 back 0\r\n",
            Some(Line::Message(Some("back".to_owned()), 0)),
        ),
        ("MSG up.1.2 1 -1\r\n", None),
        ("MSG up.1.2 1 8192\r\n", None),
        ("MSG up.1.2 1 99999999999999999999\r\n", None),
        ("MSG up.1.2\r\n", None),
        ("-ERR 'Authorization Violation'\r\n", None),
        ("HTTP/1.1 400 Bad Request\r\n", None),
        ("\r\n", None),
    ];
    for (line, expected) in cases {
        assert_eq!(nats::parse(line).ok(), expected, "{line:?}");
    }
}

#[test]
fn websocket_head_of_a_fragment_a_text_an_end_or_a_huge_frame_is_refused() {
    let cases = [
        ([0x82, 0], Some(Length::Known(0))),
        ([0x82, 125], Some(Length::Known(125))),
        ([0x82, 126], Some(Length::Two)),
        ([0x82, 127], None),
        ([0x82, 0x81], None),
        ([0x02, 5], None),
        ([0x80, 5], None),
        ([0x81, 5], None),
        ([0x88, 2], None),
    ];
    for (head, expected) in cases {
        assert_eq!(iroh::parse_head(head), expected, "{head:?}");
    }
}

#[test]
fn websocket_frame_is_masked_and_of_the_shortest_form() {
    for (body_bytes, head_bytes) in [(0, 6), (125, 6), (126, 8), (1_058, 8)] {
        let frame = iroh::frame(&vec![7; body_bytes]).unwrap();
        assert_eq!(frame.len(), head_bytes + body_bytes);
        assert_eq!(frame[1] & 0x80, 0x80);
    }
    assert!(iroh::frame(&vec![7; 65_536]).is_err());
}

#[test]
fn message_that_is_cut_or_longer_has_no_sender() {
    for length in [0, 7, 8, 1_023, 1_025] {
        assert_eq!(load::sender(&vec![0; length]), None, "{length}");
    }
    assert_eq!(load::sender(&vec![0; 1_024]), Some(0));
}

#[test]
fn version_is_the_first_number_with_a_dot() {
    let cases = [
        (
            "mosquitto version 2.0.11\n\nmosquitto is an MQTT v5.0 broker",
            Some("2.0.11"),
        ),
        ("nats-server: v2.15.1", Some("2.15.1")),
        ("iroh-relay 1.4.1", Some("1.4.1")),
        ("error: no such option", None),
        ("exit code 3", None),
        ("", None),
    ];
    for (said, expected) in cases {
        assert_eq!(version_in(said), expected, "{said:?}");
    }
}

#[test]
fn program_that_tells_no_version_is_refused() {
    for program in ["/nonexistent", "/dev/null"] {
        for peer in Peer::ALL {
            assert!(peer.version(std::path::Path::new(program)).is_err());
        }
    }
}

#[test]
fn every_peer_says_what_it_does_not_do_and_how_it_can_be_had() {
    for peer in Peer::ALL {
        assert!(peer.note().contains("Signs no"), "{peer:?}");
        assert!(peer.how_to().contains("bench/provide-peers"), "{peer:?}");
    }
}
