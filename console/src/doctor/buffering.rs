//! Whether answers come one by one on a way, as the device's canaries found out.
//!
//! Only a session can ask for a canary, so a diagnosis repeats what the device knows and says where it knows nothing.
//! Refuses to call a way bad for it: held polls carry the same news.

use super::remedy;
use super::report::HopReport;
use postern_egress::canary::{Believed, Verdict};
use postern_egress::ladder::WayKey;
use postern_egress::push::PushMode;
use postern_egress::push::limits::STREAM_HOLD_CAP;
use postern_egress::{Route, codes};
use std::time::Duration;

/// What a device knows of streams on its ways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canaries {
    /// What its operator wants.
    pub mode: PushMode,
    /// The ways on which a canary was asked, and what it showed.
    pub known: Vec<(WayKey, Believed)>,
}

/// Says whether answers come one by one from `place` on a way. `canaries` is `None` before a device has joined.
pub(super) fn hop(
    canaries: Option<&Canaries>,
    way: WayKey,
    route: Route,
    place: &str,
) -> HopReport {
    let mut known = canaries.into_iter().flat_map(|it| &it.known);
    let believed = known.find(|(known, _)| *known == way);
    let hop = HopReport {
        stage: "buffering".into(),
        place: place.to_owned(),
        is_ok: true,
        is_tried: believed.is_some(),
        took_us: 0,
        evidence: String::new(),
        code: None,
        what: None,
        next: None,
    };
    let Some((_, believed)) = believed else {
        let evidence = why_unknown(canaries.map(|it| it.mode), route);
        return HopReport { evidence, ..hop };
    };
    let tested = format!("tested {} ago", span(believed.age()));
    match believed.verdict {
        Verdict::Flows { pad: 0 } => HopReport {
            evidence: format!("answers come one by one, {tested}"),
            ..hop
        },
        Verdict::Flows { pad } => HopReport {
            evidence: format!("answers of {pad} bytes or more come one by one, {tested}"),
            ..hop
        },
        Verdict::Buffers => HopReport {
            is_ok: false,
            code: Some(codes::ANSWERS_HELD_BACK.into()),
            what: Some(format!(
                "answers are held back until they are complete, {tested}"
            )),
            next: Some(remedy::of_buffering(route, place)),
            ..hop
        },
    }
}

fn why_unknown(mode: Option<PushMode>, route: Route) -> String {
    let cap_s = STREAM_HOLD_CAP.as_secs();
    match (route, mode) {
        (Route::Quic, _) => "not asked: over QUIC answers come whole".into(),
        (_, None) => format!(
            "not known yet: a device tests it after it has joined, where requests may wait {cap_s} s at most, or with push = \"stream\""
        ),
        (_, Some(PushMode::Auto)) => format!(
            "not known yet: the device tests it where requests may wait {cap_s} s at most, or with push = \"stream\""
        ),
        (_, Some(PushMode::Held)) => "not asked: push = \"held\" wants no streams".into(),
        (_, Some(PushMode::Stream)) => {
            "not known yet: the device tests it before its first stream on this way".into()
        }
    }
}

/// A span of time for people, in one unit.
fn span(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postern_egress::push::limits::CANARY_AGE;

    const PLACE: &str = "m.test:443";

    fn way(route: Route) -> WayKey {
        WayKey::of("https://m.test", route)
    }

    fn canaries(mode: PushMode, verdict: Verdict, age: Duration) -> Canaries {
        let left = CANARY_AGE.saturating_sub(age);
        Canaries {
            mode,
            known: vec![(way(Route::Direct), Believed { verdict, left })],
        }
    }

    #[test]
    fn way_that_lets_answers_through_says_since_when_that_is_known() {
        let check = |pad, age_s, expected: &str| {
            let age = Duration::from_secs(age_s);
            let known = canaries(PushMode::Auto, Verdict::Flows { pad }, age);
            let hop = hop(Some(&known), way(Route::Direct), Route::Direct, PLACE);
            assert_eq!((hop.is_ok, hop.is_tried, hop.code), (true, true, None));
            assert_eq!(hop.evidence, expected);
        };
        check(0, 0, "answers come one by one, tested 0 s ago");
        check(0, 119, "answers come one by one, tested 119 s ago");
        check(0, 7_199, "answers come one by one, tested 119 min ago");
        check(
            1_024,
            18_000,
            "answers of 1024 bytes or more come one by one, tested 5 h ago",
        );
    }

    #[test]
    fn way_that_holds_answers_back_has_a_code_and_names_whom_to_ask() {
        let check = |route, whom: &str| {
            let known = Canaries {
                mode: PushMode::Auto,
                known: vec![(
                    way(route),
                    Believed {
                        verdict: Verdict::Buffers,
                        left: CANARY_AGE,
                    },
                )],
            };
            let hop = hop(Some(&known), way(route), route, PLACE);
            assert_eq!((hop.is_ok, hop.is_tried), (false, true));
            assert_eq!(hop.code.as_deref(), Some("PST-L05"));
            let next = hop.next.unwrap_or_default();
            assert!(next.contains(whom) && next.contains(PLACE), "{next}");
        };
        check(Route::Proxy(0), "the proxy's administrator");
        check(Route::Direct, "the network team");
    }

    #[test]
    fn way_of_which_nothing_is_known_says_why_and_is_never_called_tested() {
        let check = |mode: Option<PushMode>, route, words: &str| {
            // What is known of one way says nothing about another one.
            let known = mode.map(|mode| canaries(mode, Verdict::Buffers, Duration::ZERO));
            let hop = hop(known.as_ref(), way(route), route, PLACE);
            assert_eq!((hop.is_ok, hop.is_tried, hop.code), (true, false, None));
            assert!(hop.evidence.contains(words), "{}", hop.evidence);
        };
        check(None, Route::Direct, "after it has joined");
        check(None, Route::Proxy(1), "after it has joined");
        check(Some(PushMode::Auto), Route::Proxy(0), "28 s at most");
        check(Some(PushMode::Stream), Route::Proxy(0), "first stream");
        check(Some(PushMode::Held), Route::Proxy(0), "wants no streams");
        check(Some(PushMode::Stream), Route::Quic, "come whole");
    }
}
