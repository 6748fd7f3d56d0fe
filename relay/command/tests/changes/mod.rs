//! What an operator changes at a running relay, and where it stands afterwards.
//!
//! Each change is looked for in the answer, in the audit log and in the next process. Refuses to
//! look inside the program.

use super::support::Site;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt as _;

#[test]
fn audit_tells_who_changed_what_and_verifies() {
    let site = Site::make();
    let running = site.start();
    site.ask(&["drain"]);
    site.ask(&["undrain"]);
    assert_eq!(site.ask(&["quota", "plant-9", "7"]).code, 5);
    assert_eq!(site.ask(&["disconnect", "plant-9"]).code, 5);
    let lines = site.ask(&["audit", "--json"]).json();
    let shown: Vec<String> = lines["lines"]
        .as_array()
        .expect("lines")
        .iter()
        .map(|line| format!("{} {}", line["op"], line["outcome"]).replace('"', ""))
        .collect();
    let expected = [
        "start done",
        "drain asked",
        "drain done",
        "undrain asked",
        "undrain done",
        "set-quota asked",
        "set-quota refused",
        "disconnect asked",
        "disconnect refused",
    ];
    assert_eq!(shown, expected);
    let own = fs::metadata(site.dir()).expect("a folder").uid();
    assert_eq!(lines["lines"][1]["who"]["uid"], own);
    assert_eq!(site.ask(&["audit", "--verify"]).code, 0);
    drop(running);
    let file = site.dir().join("audit.log");
    let text = fs::read_to_string(&file).expect("a log");
    fs::write(&file, text.replacen("undrain", "drain", 1)).expect("written");
    let broken = site.ask(&["audit", "--verify"]);
    assert_eq!(broken.code, 1);
    assert!(
        broken.err.contains("audit.log:4: this line was changed"),
        "{broken:?}"
    );
}

#[test]
fn quota_is_shown_changed_and_kept_over_kill_and_restart() {
    let site = Site::make();
    let mut running = site.start();
    let quota = |words: &[&str]| {
        let ended = site.ask(&[&["quota", "plant-1", "--json"], words].concat());
        assert_eq!(ended.code, 0, "{ended:?}");
        ended.json()["quota"].clone()
    };
    let usual = serde_json::json!({ "bytes_max": 1_u64 << 30, "is_usual": true });
    let own = serde_json::json!({ "bytes_max": 500_000, "is_usual": false });
    assert_eq!(quota(&[]), usual);
    assert_eq!(quota(&["500000"]), own);
    let tenants = site.ask(&["tenants"]);
    assert!(tenants.out.contains("QUOTA"), "{tenants:?}");
    let tenants = site.ask(&["tenants", "--json"]).json();
    assert_eq!(tenants["tenants"][0]["quota_bytes"], 500_000);
    assert!(tenants["tenants"][1]["quota_bytes"].is_null());
    running.signal("-KILL");
    running.end();
    let _again = site.start();
    assert_eq!(quota(&[]), own);
    assert_eq!(quota(&["--usual"]), usual);
    let (_, metrics) = site.get("/metrics");
    assert!(metrics.contains("postern_relay_tenant_refusals_total 0\n"));
}

#[test]
fn quotas_that_make_no_sense_are_refused_by_name() {
    let site = Site::make();
    let _running = site.start();
    let check = |words: &[&str], code: i32, found: &str| {
        let ended = site.ask(words);
        assert_eq!(ended.code, code, "{ended:?}");
        assert!(ended.err.contains(found), "{ended:?}");
    };
    check(&["quota", "plant-1", "0"], 2, "0 is not in 1..");
    check(&["quota", "plant-1", "many"], 2, "invalid value 'many'");
    check(
        &["quota", "plant-1", "7", "--usual"],
        2,
        "cannot be used with",
    );
    check(&["quota", "plant-9", "7"], 5, "there is no tenant plant-9");
    check(&["quota", "plant-9"], 5, "there is no tenant plant-9");
    let quota = site.ask(&["quota", "plant-1", "--json"]).json();
    assert_eq!(quota["quota"]["is_usual"], true);
}

#[test]
fn load_balancer_that_states_no_address_is_cut_off_and_counted() {
    let site = Site::make();
    let from = "# proxy_protocol_from = []";
    site.edit(from, "proxy_protocol_from = [\"127.0.0.1\"]");
    let _running = site.start();
    let limits = site.ask(&["limits", "--json"]).json();
    let key = &limits["limits"]["server.proxy_protocol_from"];
    assert_eq!(key, "127.0.0.1/32", "{limits}");
    let mut stream = TcpStream::connect(site.listen).expect("a connection");
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("sent");
    let mut rest = Vec::new();
    let _cut = stream.read_to_end(&mut rest);
    assert_eq!(rest, b"");
    let (_, metrics) = site.get("/metrics");
    let counted = "postern_connections_refused_total{reason=\"proxy-header\"} 1\n";
    assert!(metrics.contains(counted), "{metrics}");
}
