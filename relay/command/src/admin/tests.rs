use super::{Desk, Order, Request, Response};
use crate::audit::{Asker, Audit, tail};
use crate::config::{NewRelay, RelayConfig, template};
use crate::health::{Health, Moment};
use crate::operable::memory::InMemory;
use crate::operable::{Operable, Quota};
use postern_console::exit::Exit;
use postern_protocol::id::Thumbprint;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::mpsc;

const WHO: Asker = Asker {
    uid: Some(1_000),
    pid: Some(42),
};

struct Office {
    _folder: tempfile::TempDir,
    audit: PathBuf,
    desk: Arc<Desk>,
    orders: mpsc::Receiver<Order>,
}

fn config() -> RelayConfig {
    let text = template(&NewRelay {
        listen: "127.0.0.1:8443".parse().unwrap(),
        urls: &["https://relay.example".into()],
        cert: "c",
        key: "k",
        ca: None,
        root: Thumbprint::from_bytes([1; 32]),
        recovery: Thumbprint::from_bytes([2; 32]),
        upstream: None,
        admin_listen: "127.0.0.1:1".parse().unwrap(),
    });
    RelayConfig::parse(Path::new("r"), Path::new("r/relay.toml"), &text).unwrap()
}

fn office() -> Office {
    let folder = tempfile::tempdir().unwrap();
    let audit = folder.path().join("audit.log");
    let relay: Arc<dyn Operable> = Arc::new(InMemory::with(&[
        ("plant-1", &["press-1", "press-2"]),
        ("plant-2", &["mill"]),
    ]));
    let now = Moment {
        mono_ms: 0,
        unix_s: Some(1_795_831_800),
    };
    let health = Arc::new(Health::new(Arc::clone(&relay), now));
    let (sender, orders) = mpsc::channel(4);
    let open = Audit::open(&audit, now.unix_s).unwrap();
    let desk = Arc::new(Desk::new(relay, health, open, Arc::new(config()), sender));
    Office {
        _folder: folder,
        audit,
        desk,
        orders,
    }
}

fn ops(office: &Office) -> Vec<String> {
    let lines = tail(&office.audit, 100).unwrap().into_iter();
    lines
        .map(|line| {
            format!("{} {} {}", line["op"], line["outcome"], line["detail"]).replace('"', "")
        })
        .collect()
}

fn name_of(response: &Response) -> &str {
    let Response::Error { name, .. } = response else {
        panic!("no error: {response:?}");
    };
    name
}

#[test]
fn looking_changes_nothing_and_is_not_audited() {
    let office = office();
    let ask = |request| office.desk.answer(&WHO, request);
    let Response::Status { status } = ask(Request::Status {}) else {
        panic!("no status");
    };
    assert!(status.is_ready);
    assert_eq!(status.relay.sessions, 3);
    let Response::Tenants { tenants } = ask(Request::Tenants {}) else {
        panic!("no tenants");
    };
    assert_eq!(tenants.len(), 2);
    let tenant = Some("plant-1".to_owned());
    let Response::Mailboxes { mailboxes, next } = ask(Request::Mailboxes {
        tenant,
        after: None,
    }) else {
        panic!("no mailboxes");
    };
    assert_eq!((mailboxes.len(), next), (2, None));
    let Response::Limits { limits } = ask(Request::Limits {}) else {
        panic!("no limits");
    };
    assert_eq!(limits["drain.within_s"], "120");
    let Response::Metrics { text } = ask(Request::Metrics {}) else {
        panic!("no metrics");
    };
    assert!(text.contains("postern_relay_ready 1\n"));
    assert!(!text.contains("press-1") && !text.contains("plant-1"));
    assert!(ops(&office).is_empty());
}

#[test]
fn change_is_written_before_and_after() {
    let office = office();
    let quota = Quota {
        bytes_max: 5,
        is_usual: false,
    };
    let tenant = "plant-1".to_owned();
    let answer = office.desk.answer(
        &WHO,
        Request::SetQuota {
            tenant: tenant.clone(),
            bytes_max: Some(5),
        },
    );
    assert_eq!(answer, Response::Quota { tenant, quota });
    let found = ops(&office);
    assert!(found[0].starts_with("set-quota asked"), "{found:?}");
    assert!(found[0].contains("bytes_max:5"), "{found:?}");
    assert!(found[1].starts_with("set-quota done"), "{found:?}");
    let line = &tail(&office.audit, 1).unwrap()[0];
    assert_eq!(
        (&line["who"]["uid"], &line["who"]["pid"]),
        (&1_000.into(), &42.into())
    );
}

#[test]
fn change_that_is_refused_says_so_in_answer_and_audit() {
    let office = office();
    for request in [
        Request::SetQuota {
            tenant: "plant-9".into(),
            bytes_max: None,
        },
        Request::Disconnect {
            tenant: "plant-9".into(),
            device: None,
        },
        Request::Disconnect {
            tenant: "plant-1".into(),
            device: Some("mill".into()),
        },
    ] {
        let answer = office.desk.answer(&WHO, request);
        assert_eq!(name_of(&answer), "unknown");
        assert_eq!(answer.into_result().unwrap_err().exit, Exit::Refused);
        assert!(ops(&office).last().unwrap().contains("refused"));
    }
    let answer = office.desk.answer(
        &WHO,
        Request::Quota {
            tenant: "plant-9".into(),
        },
    );
    assert_eq!(name_of(&answer), "unknown");
}

#[test]
fn order_to_a_loop_that_has_ended_is_refused() {
    let mut office = office();
    office.orders.close();
    let answer = office
        .desk
        .answer(&WHO, Request::Drain { within_s: Some(1) });
    assert_eq!(name_of(&answer), "relay-stopping");
    assert_eq!(ops(&office).len(), 2);
}

#[test]
fn requests_read_back_as_written_and_unknown_ones_are_refused() {
    for request in [
        Request::Status {},
        Request::Mailboxes {
            tenant: Some("a".into()),
            after: Some("b".into()),
        },
        Request::SetQuota {
            tenant: "a".into(),
            bytes_max: Some(7),
        },
        Request::Drain { within_s: Some(7) },
        Request::Reload {},
    ] {
        assert_eq!(Request::parse(&request.to_line()), Ok(request));
    }
    for text in [
        "",
        "{}",
        "{\"op\":\"shutdown\"}",
        "{\"op\":\"status\",\"more\":1}",
        "{\"op\":\"drain\",\"within_s\":-1}",
        "{\"op\":\"set-quota\",\"tenant\":\"a\",\"quota\":{\"bytes_max\":1}}",
        "{\"op\":\"set-quota\",\"tenant\":\"a\",\"bytes_max\":-1}",
    ] {
        assert!(Request::parse(text).is_err(), "{text}");
    }
}

#[test]
fn answers_read_back_as_written() {
    let office = office();
    for request in [
        Request::Status {},
        Request::Tenants {},
        Request::Sessions { tenant: None },
    ] {
        let answer = office.desk.answer(&WHO, request);
        assert_eq!(Response::parse(&answer.to_line()), Ok(answer));
    }
    assert!(Response::parse("{\"answer\":\"better\"}").is_err());
}

#[test]
fn values_that_make_no_sense_are_refused() {
    let office = office();
    let tenant = "plant-1".to_owned();
    let request = Request::SetQuota {
        tenant,
        bytes_max: Some(0),
    };
    let answer = office.desk.answer(&WHO, request);
    assert_eq!(name_of(&answer), "quota-zero");
    for within_s in [0, 3_601, u64::MAX] {
        let within_s = Some(within_s);
        let answer = office.desk.answer(&WHO, Request::Drain { within_s });
        assert_eq!(name_of(&answer), "drain-window");
    }
}
