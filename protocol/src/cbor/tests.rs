//! The strict reader against hand-made bytes, against our writer, and against minicbor.

extern crate std;

use super::{KeyOrder, Reader, Writer, check, decode_all};
use crate::reject::Reject;
use alloc::vec;
use alloc::vec::Vec;
use std::{assert_eq, format};

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

#[test]
fn item_that_breaks_one_rule_is_refused_by_name() {
    let cases = [
        //= spec/postern.md#cbor-profile type=test
        //# A decoder MUST refuse input that ends inside an item with `cbor-truncated`.
        ("", Reject::CborTruncated),
        ("18", Reject::CborTruncated),
        ("4200", Reject::CborTruncated),
        //= spec/postern.md#cbor-profile type=test
        //# A decoder MUST NOT allocate memory for a length that the remaining input cannot hold.
        ("9bffffffffffffffff00", Reject::CborTruncated),
        ("bb7fffffffffffffff", Reject::CborTruncated),
        //= spec/postern.md#cbor-profile type=test
        //# A decoder MUST refuse bytes after the item with `cbor-trailing`.
        ("0000", Reject::CborTrailing),
        //= spec/postern.md#cbor-profile type=test
        //# A decoder MUST refuse an integer or a length that is not in its shortest form with
        //# `cbor-not-shortest`.
        ("1817", Reject::CborNotShortest),
        ("1900ff", Reject::CborNotShortest),
        ("1a0000ffff", Reject::CborNotShortest),
        ("1b00000000ffffffff", Reject::CborNotShortest),
        ("580100", Reject::CborNotShortest),
        //= spec/postern.md#cbor-profile type=test
        //# A decoder MUST refuse an indefinite length with `cbor-indefinite`.
        ("5f4100ff", Reject::CborIndefinite),
        ("9fff", Reject::CborIndefinite),
        ("bfff", Reject::CborIndefinite),
        ("ff", Reject::CborIndefinite),
        //= spec/postern.md#cbor-profile type=test
        //# A decoder MUST refuse a repeated map key with `cbor-duplicate-key`.
        ("a201000100", Reject::CborDuplicateKey),
        //= spec/postern.md#cbor-profile type=test
        //# A decoder MUST refuse map keys that do not ascend bytewise by their encodings with
        //# `cbor-unsorted-key`.
        ("a202000100", Reject::CborUnsortedKey),
        ("a2626161006162 00", Reject::CborUnsortedKey),
        //= spec/postern.md#cbor-profile type=test
        //# A decoder MUST refuse a tag with `cbor-tag`.
        ("c000", Reject::CborTag),
        ("a1c0000000", Reject::CborTag),
        ("d28440a04040", Reject::CborTag),
        //= spec/postern.md#cbor-profile type=test
        //# A decoder MUST refuse a simple value other than false, true and null with `cbor-simple`.
        ("f7", Reject::CborSimple),
        ("e0", Reject::CborSimple),
        ("f820", Reject::CborSimple),
        //= spec/postern.md#cbor-profile type=test
        //# A decoder MUST refuse a float that is NaN, infinite, or not in the shortest of the 16,
        //# 32 and 64 bit forms that holds it exactly, with `cbor-float`.
        ("f97e00", Reject::CborFloat),
        ("f97c00", Reject::CborFloat),
        ("fa3fc00000", Reject::CborFloat),
        ("fb3ff8000000000000", Reject::CborFloat),
        //= spec/postern.md#cbor-profile type=test
        //# A decoder MUST refuse text that is not valid UTF-8 with `cbor-utf8`.
        ("61ff", Reject::CborUtf8),
        ("63eda080", Reject::CborUtf8),
        //= spec/postern.md#cbor-profile type=test
        //# A decoder MUST refuse arrays and maps nested deeper than 8 with `cbor-depth`.
        ("818181818181818180", Reject::CborDepth),
        //= spec/postern.md#cbor-profile type=test
        //# A decoder MUST refuse additional information 28, 29 and 30 with `cbor-reserved`.
        ("1c", Reject::CborReserved),
        ("3d", Reject::CborReserved),
        ("3f", Reject::CborIndefinite),
        ("5e", Reject::CborReserved),
        ("fc", Reject::CborReserved),
        //= spec/postern.md#cbor-profile type=test
        //# A decoder MUST refuse a negative integer below -2^63 with `cbor-integer-range`.
        ("3b8000000000000000", Reject::CborIntegerRange),
        //= spec/postern.md#cbor-profile type=test
        //# A decoder MUST refuse a map key that is not an integer, text or byte string with
        //# `cbor-map-key`.
        ("a18000", Reject::CborMapKey),
        ("a1f600", Reject::CborMapKey),
        ("a1f93c0000", Reject::CborMapKey),
    ];
    for (input, reject) in cases {
        assert_eq!(
            check(&unhex(&input.replace(' ', ""))),
            Err(reject),
            "{input}"
        );
    }
}

//= spec/postern.md#cbor-profile type=test
//# A decoder MUST report the first error in reading order.
#[test]
fn item_that_breaks_two_rules_is_refused_for_the_first_in_reading_order() {
    for (input, reject) in [
        ("821817f7", Reject::CborNotShortest),
        ("82f71817", Reject::CborSimple),
        ("8261ffc000", Reject::CborUtf8),
        ("82c00061ff", Reject::CborTag),
        ("a202000100c0", Reject::CborUnsortedKey),
        ("a2020001f7", Reject::CborUnsortedKey),
        ("a202c00100", Reject::CborTag),
        ("f700", Reject::CborSimple),
    ] {
        assert_eq!(check(&unhex(input)), Err(reject), "{input}");
    }
}

#[test]
fn item_at_a_limit_is_accepted() {
    for input in [
        "00",
        "1818",
        "1bffffffffffffffff",
        "3b7fffffffffffffff",
        "40",
        "60",
        "80",
        "a0",
        "f4",
        "f6",
        "f98000",
        "f93e00",
        "fa47800000",
        "fb3fb999999999999a",
        "8181818181818180",
        "a40100200040006000",
    ] {
        assert_eq!(check(&unhex(input)), Ok(()), "{input}");
    }
}

//= spec/postern.md#cbor-profile type=test
//# A decoder MUST refuse an item of more than 65536 bytes with `oversize`.
#[test]
fn item_of_65536_bytes_is_accepted_and_one_more_is_oversize() {
    let mut writer = Writer::new();
    writer.bytes(&vec![0; 65_536 - 3]);
    let mut bytes = writer.into_bytes();
    assert_eq!((bytes.len(), check(&bytes)), (65_536, Ok(())));
    bytes.push(0);
    assert_eq!(check(&bytes), Err(Reject::Oversize));
}

//= spec/postern.md#cbor-profile type=test
//# A decoder MUST refuse a well-formed item of the wrong type, length or number of members for its
//# place with `shape`.
#[test]
fn reader_asked_for_another_type_says_shape() {
    type Ask = fn(&mut Reader<'_>) -> Result<(), Reject>;
    let cases: [(&str, Ask); 9] = [
        ("f6", |reader| reader.uint().map(drop)),
        ("40", |reader| reader.text().map(drop)),
        ("60", |reader| reader.bytes().map(drop)),
        ("00", |reader| reader.array().map(drop)),
        ("80", |reader| reader.map().map(drop)),
        ("00", |reader| reader.bool().map(drop)),
        ("00", |reader| reader.null()),
        ("00", |reader| reader.float().map(drop)),
        ("4100", |reader| reader.bytes_of::<2>().map(drop)),
    ];
    for (input, ask) in cases {
        let input = unhex(input);
        assert_eq!(decode_all(&input, ask), Err(Reject::Shape), "{input:x?}");
    }
}

//= spec/postern.md#cbor-profile type=test
//# A decoder MUST check an item against this profile before it uses any part of it.
#[test]
fn wrong_type_before_a_form_error_gives_the_form_error() {
    let input = unhex("82001817");
    let decoded = decode_all(&input, |reader| reader.text().map(drop));
    assert_eq!(decoded, Err(Reject::CborNotShortest));
}

#[test]
fn reader_that_refuses_stays_within_its_input() {
    let input = unhex("a0");
    let mut reader = Reader::new(&input);
    assert_eq!(reader.map(), Ok(0));
    assert_eq!(reader.uint(), Err(Reject::CborTruncated));
    assert_eq!(reader.peek(), Err(Reject::CborTruncated));
    assert_eq!(reader.position(), 1);
}

#[test]
fn key_order_with_equal_or_lower_key_refuses() {
    let mut order = KeyOrder::new();
    assert_eq!(order.check(&[0x61, b'b']), Ok(()));
    assert_eq!(order.check(&[0x61, b'b']), Err(Reject::CborDuplicateKey));
    assert_eq!(order.check(&[0x61, b'a']), Err(Reject::CborUnsortedKey));
    assert_eq!(order.check(&[0x62, b'a', b'a']), Ok(()));
}

/// Small deterministic generator for the loops below.
struct Lcg(u64);

impl Lcg {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 ^ (self.0 >> 29)
    }
}

fn write_random(writer: &mut Writer, random: &mut Lcg, depth: usize) {
    let shift = u32::try_from(random.next() % 64).unwrap();
    match random.next() % if depth == 0 { 7 } else { 9 } {
        0 => writer.uint(random.next() >> shift),
        1 => writer.int(-1 - i64::try_from(random.next() >> 1 >> (shift / 2)).unwrap()),
        2 => writer.bytes(&random.next().to_be_bytes()[..(random.next() % 8) as usize]),
        3 => writer.text(&format!("{:x}", random.next() >> shift)),
        4 => writer.bool(random.next().is_multiple_of(2)),
        5 => writer.null(),
        6 => {
            let value = f64::from_bits(random.next() << (shift & 31) << (shift & 31));
            writer.float(if value.is_finite() { value } else { 0.1 })
        }
        7 => {
            let length = random.next() % 4;
            writer.array(length as usize);
            (0..length).for_each(|_| write_random(writer, random, depth - 1));
            writer
        }
        _ => {
            let length = random.next() % 4;
            writer.map(length as usize);
            for key in 0..length {
                writer.uint(key * 100);
                write_random(writer, random, depth - 1);
            }
            writer
        }
    };
}

#[test]
fn random_items_of_our_writer_are_strict_and_minicbor_reads_them_all() {
    let mut random = Lcg(1);
    for round in 0..2_000 {
        let mut writer = Writer::new();
        write_random(&mut writer, &mut random, 6);
        let bytes = writer.into_bytes();
        assert_eq!(check(&bytes), Ok(()), "round {round}: {bytes:x?}");
        let mut decoder = minicbor::Decoder::new(&bytes);
        decoder.skip().unwrap();
        assert_eq!(decoder.position(), bytes.len(), "round {round}");
    }
}

#[test]
fn changed_items_are_refused_or_have_one_encoding_and_never_panic() {
    let mut random = Lcg(2);
    for _ in 0..5_000 {
        let mut writer = Writer::new();
        write_random(&mut writer, &mut random, 4);
        let mut bytes = writer.into_bytes();
        let at = random.next() as usize % bytes.len();
        bytes[at] ^= 1 << (random.next() % 8);
        let is_strict = check(&bytes).is_ok();
        let is_read = minicbor::Decoder::new(&bytes).skip().is_ok();
        assert!(!is_strict || is_read, "{bytes:x?}");
    }
}

#[test]
fn floats_in_every_width_come_back_with_the_same_bits() {
    let mut random = Lcg(3);
    let known = [
        0.0,
        -0.0,
        1.5,
        65_504.0,
        65_536.0,
        0.1,
        5e-324,
        f64::MAX,
        5.960_464_477_539_063e-8,
    ];
    let halves = (0..=0x7bff_u16).map(super::float::half_to_f64);
    let doubles = (0..2_000).map(|_| f64::from_bits(random.next()));
    for value in known.into_iter().chain(halves).chain(doubles) {
        if !value.is_finite() {
            continue;
        }
        let mut writer = Writer::new();
        writer.float(value);
        let read = decode_all(writer.as_bytes(), Reader::float).unwrap();
        assert_eq!(read.to_bits(), value.to_bits());
        let other = minicbor::Decoder::new(writer.as_bytes()).f64();
        if let Ok(other) = other {
            assert_eq!(other.to_bits(), value.to_bits());
        }
    }
}

#[test]
fn minicbor_writes_integers_and_texts_as_we_do() {
    let mut random = Lcg(4);
    for _ in 0..1_000 {
        let number = random.next() >> (random.next() % 64);
        let mut ours = Writer::new();
        ours.uint(number)
            .int(!i64::try_from(number >> 1).unwrap())
            .text("a")
            .bytes(b"bc");
        let mut theirs = minicbor::Encoder::new(Vec::new());
        theirs
            .u64(number)
            .unwrap()
            .i64(!i64::try_from(number >> 1).unwrap())
            .unwrap();
        theirs.str("a").unwrap().bytes(b"bc").unwrap();
        assert_eq!(ours.into_bytes(), theirs.into_writer());
    }
}

#[test]
fn skipped_text_is_refused_and_measured_as_read_text_is() {
    let cases: [&[u8]; 10] = [
        &[0x60],
        &[0x63, b'a', b'b', b'c'],
        &[0x63, 0xe2, 0x82, 0xac],
        &[0x62, 0xe2, 0x82],
        &[0x62, 0xc0, 0x80],
        &[0x61, 0x80],
        &[0x63, b'a', 0xff, b'c'],
        &[0x62, b'a'],
        &[0x78, 0x01, b'a'],
        &[0x41, b'a'],
    ];
    for bytes in cases {
        let (mut read, mut skipped) = (Reader::new(bytes), Reader::new(bytes));
        let length = read.text().map(str::len);
        assert_eq!(skipped.skip_text(), length, "{bytes:02x?}");
        assert_eq!(skipped.position(), read.position(), "{bytes:02x?}");
    }
}

//= spec/postern.md#cbor-profile type=test
//# A decoder MUST NOT allocate memory for a length that the remaining input cannot hold.
#[test]
fn length_that_the_rest_cannot_hold_is_refused_wherever_it_stands() {
    for before in [0_u8, 1, 9] {
        let of = |head: u8, rest: usize| {
            let mut bytes = vec![0; usize::from(before)];
            bytes.push(head);
            bytes.extend(vec![0; rest]);
            bytes
        };
        let after = |bytes: &[u8], read: fn(&mut Reader<'_>) -> Result<usize, Reject>| {
            let mut reader = Reader::new(bytes);
            for _ in 0..before {
                assert_eq!(reader.uint(), Ok(0));
            }
            read(&mut reader)
        };
        let truncated = Err(Reject::CborTruncated);
        assert_eq!(after(&of(0x83, 3), |it| it.array()), Ok(3));
        assert_eq!(after(&of(0x83, 2), |it| it.array()), truncated);
        assert_eq!(after(&of(0xa2, 4), |it| it.map()), Ok(2));
        assert_eq!(after(&of(0xa2, 3), |it| it.map()), truncated);
    }
}

#[test]
fn half_at_the_end_of_its_range_is_no_number_of_ours() {
    use super::float::half_to_f64;
    assert_eq!(half_to_f64(0x7c00), f64::INFINITY);
    assert_eq!(half_to_f64(0xfc00), f64::NEG_INFINITY);
    for bits in [0x7c01, 0x7e00, 0x7fff, 0xfc01] {
        assert!(half_to_f64(bits).is_nan(), "{bits:x}");
    }
    assert_eq!(half_to_f64(0x7bff), 65_504.0);
}
