use super::Site;
use crate::applier::tail::{TAIL_BYTES_MAX, Tail, end_of};
use crate::applier::{
    Program, STATUS_NOT_RENDERED, STATUS_NOT_STARTED, STATUS_SIGNAL, STATUS_TIME_LIMIT,
};
use serde_json::{Value as Json, json};
use std::fs;
use std::time::Duration;
use tokio::test;

const SHORT: Duration = Duration::from_millis(200);

fn parse(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
async fn command_is_told_revision_folder_and_changes() {
    let site = Site::new(Some("cat; test \"$POSTERN_EPOCH.$POSTERN_SEQ\" = 7.1"));
    let applied = site.apply(1, &[("a/b", "1"), ("c", "1")]).await;
    assert_eq!(applied.status, 0, "{}", applied.output);
    let told = parse(&applied.output);
    assert_eq!((&told["epoch"], &told["seq"]), (&json!(7), &json!(1)));
    assert_eq!(told["folder"], site.current().to_str().expect("text"));
    assert_eq!(told["digest"].as_str().map(str::len), Some(64));
    assert_eq!(
        (&told["changed"], &told["removed"]),
        (&json!(["a/b", "c"]), &json!([]))
    );
}

#[test]
async fn changes_are_told_until_the_command_takes_them() {
    let site = Site::new(Some(
        "cat; test -e \"$(dirname \"$POSTERN_FOLDER\")/../ready\" || exit 3",
    ));
    let ready = site.outside("ready");
    assert_eq!(site.apply(1, &[("a", "1"), ("b", "1")]).await.status, 3);
    fs::write(&ready, "").expect("a file");
    let taken = site.apply(1, &[("a", "1"), ("b", "1")]).await;
    assert_eq!(
        (taken.status, &parse(&taken.output)["changed"]),
        (0, &json!(["a", "b"]))
    );
    fs::remove_file(&ready).expect("our file");
    assert_eq!(site.apply(2, &[("a", "2"), ("b", "1")]).await.status, 3);
    let third = site.apply(3, &[("a", "2")]).await;
    let told = parse(&third.output);
    assert_eq!(
        (&told["changed"], &told["removed"]),
        (&json!(["a"]), &json!(["b"]))
    );
    fs::write(&ready, "").expect("a file");
    assert_eq!(site.apply(3, &[("a", "2")]).await.status, 0);
    let again = parse(&site.apply(3, &[("a", "2")]).await.output);
    assert_eq!(
        (&again["changed"], &again["removed"]),
        (&json!([]), &json!([]))
    );
}

#[test]
async fn end_of_the_command_becomes_the_status() {
    let cases = [
        ("exit 0", 0, ""),
        ("echo out; echo err >&2; exit 7", 7, "err"),
        ("printf bad; exit 255", 255, "bad"),
        ("kill -9 $$", STATUS_SIGNAL - 9, ""),
        ("kill -15 $$", STATUS_SIGNAL - 15, ""),
        ("exec <&-; exit 4", 4, ""),
    ];
    for (script, status, part) in cases {
        let applied = Site::new(Some(script)).apply(1, &[("a", "1")]).await;
        assert_eq!(applied.status, status, "{script}: {}", applied.output);
        assert!(
            applied.output.contains(part),
            "{script}: {}",
            applied.output
        );
    }
}

#[test]
async fn command_that_cannot_start_is_named() {
    for command in [
        vec![],
        vec!["".to_owned()],
        vec!["/nonexistent/postern-hook".to_owned()],
    ] {
        let site = Site::running(Some(Program {
            words: command,
            time_limit: SHORT,
            account: None,
        }));
        let applied = site.apply(1, &[("a", "1")]).await;
        assert_eq!(applied.status, STATUS_NOT_STARTED);
        assert!(
            applied.output.contains("cannot start"),
            "{}",
            applied.output
        );
        assert_eq!(site.text("a"), "1");
    }
}

#[test]
async fn command_over_its_time_limit_is_ended_with_its_group() {
    for script in [
        "echo begun; sleep 1000",
        "echo begun; trap '' TERM; while :; do sleep 1000; done",
        "echo begun; sleep 1000 & wait",
    ] {
        let site = Site::limited(Some(script), SHORT);
        let applied = site.apply(1, &[("a", "1")]).await;
        assert_eq!(applied.status, STATUS_TIME_LIMIT, "{script}");
        assert_eq!(applied.output, "begun\n", "{script}");
    }
}

#[test]
async fn command_that_leaves_something_in_the_background_ends_at_once() {
    let applied = Site::new(Some("echo done; sleep 5 & exit 0"))
        .apply(1, &[("a", "1")])
        .await;
    assert_eq!((applied.status, applied.output.as_str()), (0, "done\n"));
}

#[test]
async fn huge_output_keeps_its_end() {
    let script = "cat >/dev/null; head -c 3000000 /dev/zero | tr '\\0' 'x'; echo the end";
    let applied = Site::new(Some(script)).apply(1, &[("a", "1")]).await;
    assert_eq!(applied.status, 0);
    assert_eq!(applied.output.len(), 512);
    assert!(applied.output.ends_with("xxthe end\n"));
}

#[test]
async fn input_that_is_not_read_harms_nothing() {
    let site = Site::new(Some("exec <&-; echo fine"));
    let names: Vec<String> = (0..5_000).map(|n| format!("section/{n:040}")).collect();
    let entries: Vec<_> = names
        .iter()
        .take(500)
        .map(|name| (name.as_str(), ""))
        .collect();
    let applied = site.apply(1, &entries).await;
    assert_eq!((applied.status, applied.output.as_str()), (0, "fine\n"));
}

#[test]
async fn command_does_not_run_after_failed_rendering() {
    let site = Site::new(Some("echo ran; exit 1"));
    fs::write(site.root(), "a file").expect("a file");
    let applied = site.apply(1, &[("a", "1")]).await;
    assert_eq!(applied.status, STATUS_NOT_RENDERED);
    assert!(!applied.output.contains("ran"), "{}", applied.output);
}

#[test]
async fn output_that_is_not_utf8_becomes_text() {
    let applied = Site::new(Some("printf '\\377\\376ok'"))
        .apply(1, &[("a", "1")])
        .await;
    assert_eq!(applied.output, "\u{fffd}\u{fffd}ok");
}

#[std::prelude::v1::test]
fn tail_keeps_no_more_than_its_limit() {
    let mut tail = Tail::default();
    for piece in [1, TAIL_BYTES_MAX, 3, TAIL_BYTES_MAX * 2, 5] {
        tail.push(&vec![b'a'; piece]);
        assert!(tail.to_text().len() <= TAIL_BYTES_MAX);
    }
    tail.push(b"end");
    let text = tail.to_text();
    assert_eq!(
        (text.len(), text.ends_with("aaend")),
        (TAIL_BYTES_MAX, true)
    );
}

#[std::prelude::v1::test]
fn end_never_cuts_a_character() {
    for (text, bytes_max, end) in [
        ("abc", 5, "abc"),
        ("abc", 2, "bc"),
        ("aüü", 3, "ü"),
        ("ü", 1, ""),
        ("", 0, ""),
    ] {
        assert_eq!(end_of(text, bytes_max), end);
    }
}
