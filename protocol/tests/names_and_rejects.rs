//! Names and rejects as types: what never becomes one, and what there is no room for.
//!
//! Both are closed grammars that peers choose from. Refuses to look at anything that is decoded.

use postern_protocol::Reject;
use postern_protocol::id::{DeviceName, Tenant};

//= spec/postern.md#names type=test
//# A tenant name and a device name MUST be 1 to 63 bytes of `a-z 0-9 . _ -` that begin with a
//# letter or a digit, else `name-invalid`.
#[test]
fn name_outside_the_grammar_is_invalid() {
    let long = "a".repeat(64);
    for text in [
        "",
        ".",
        "-a",
        "_a",
        "A",
        "Press",
        "a b",
        "a/b",
        "a\\b",
        "\u{fc}ber",
        "a\0",
        " a",
        "a ",
        &long,
    ] {
        assert_eq!(Tenant::parse(text), Err(Reject::NameInvalid), "{text:?}");
        assert_eq!(DeviceName::parse(text), Err(Reject::NameInvalid));
    }
}

#[test]
fn name_inside_the_grammar_is_kept_as_it_is() {
    let longest = "a".repeat(63);
    for text in ["a", "7", "press-7", "hall.b_2", "0..", &longest] {
        assert_eq!(Tenant::parse(text).expect("a name").as_str(), text);
        assert_eq!(DeviceName::parse(text).expect("a name").as_str(), text);
    }
}

//= spec/postern.md#rejects type=test
//# A number of a reject MUST NOT be used again for another.
#[test]
fn reject_numbers_ascend_and_none_is_used_twice() {
    for pair in Reject::ALL.windows(2) {
        assert!(pair[0].code() < pair[1].code(), "{} {}", pair[0], pair[1]);
        let names = Reject::ALL
            .iter()
            .filter(|it| it.as_str() == pair[0].as_str());
        assert_eq!(names.count(), 1, "{}", pair[0]);
    }
}

//= spec/postern.md#rejects type=test
//# A reject MUST NOT carry text that a peer sent.
#[test]
fn reject_has_room_for_its_number_only() {
    assert_eq!(size_of::<Reject>(), 1);
    for reject in Reject::ALL {
        assert_eq!(format!("{reject}"), reject.as_str());
    }
}

//= spec/postern.md#rejects type=test
//# A receiver MUST accept a reject number that it does not know, in a report, a hint or frame 22,
//# as an unknown reason.
#[test]
fn reject_number_outside_the_registry_is_none() {
    for code in [0, 17, 99, 999, 65_535, 65_536, u64::MAX] {
        assert_eq!(Reject::from_code(code), None, "{code}");
    }
    for reject in Reject::ALL {
        assert_eq!(Reject::from_code(reject.code().into()), Some(*reject));
    }
}
