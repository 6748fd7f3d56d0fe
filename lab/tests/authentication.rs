//! The release binary behind a real Squid that asks for Digest, NTLM or Kerberos, checked by the real thing behind it.
//!
//! Without Squid, Kerberos, winbind or the release binary each test says that it is skipped. Basic stands in
//! `proxies.rs`.

use std::path::Path;
use std::time::{Duration, Instant};

use postern_lab::{
    Asking, Device, DeviceSettings, Finished, Fleet, Kerberos, KerberosTree, Kind, LabError,
    NTLM_DOMAIN, NTLM_PASSWORD, NTLM_USER, PROXY_NAME, Pki, Plan, REALM, SambaTree, Squid, Tree,
    Winbind,
};

/// Only the proxies resolve this name.
const NAME: &str = "controller.test";

struct Scene {
    fleet: Fleet,
    squid: Squid,
}

/// Returns `None` when a part was not provisioned; the skip has been announced.
fn scene(scenario: &str, asking: &Asking<'_>) -> Result<Option<Scene>, LabError> {
    let Some(tree) = Tree::find_or_skip(scenario)? else {
        return Ok(None);
    };
    let Some(fleet) = Fleet::start_or_skip(scenario, NAME)? else {
        return Ok(None);
    };
    let pki = Pki::new(&[NAME])?;
    let plan = Plan {
        kind: Kind::Plain,
        allowed_ports: &[fleet.address().port()],
        names: &[NAME],
        pki: &pki,
        trusted_pem: &pki.origin_ca_pem,
    };
    let squid = Squid::start_asking(&tree, &plan, asking)?;
    Ok(Some(Scene { fleet, squid }))
}

impl Scene {
    /// The proxy by its name, with or without a secret.
    fn settings(&self, secret: Option<&str>) -> DeviceSettings {
        let port = self.squid.address().port();
        let settings = DeviceSettings::behind(format!("http://{PROXY_NAME}:{port}"));
        secret.map_or(settings.clone(), |_| settings.with_secret("proxy.secret"))
    }

    fn join(&self, name: &str, secret: Option<&str>) -> Result<(Device, Finished), LabError> {
        self.fleet.try_join(name, &self.settings(secret), |folder| {
            secret.map_or(Ok(()), |secret| folder.write("proxy.secret", secret))
        })
    }

    /// Joins, decides a value, and the device applies and reports it; then the proxy knows this user.
    fn assert_works(&self, secret: Option<&str>, user: &str) -> Result<Device, LabError> {
        let (mut device, joined) = self.join("hall-1", secret)?;
        assert!(joined.status.success(), "{}", joined.stderr);
        device.daemon.start()?;
        let revision = self.fleet.set(&device.name, "fan/speed", "3")?;
        device.wait_applied(revision)?;
        device.daemon.terminate()?;
        // Squid doubles the backslash of a domain.
        let user = user.replace('\\', r"\\");
        let is_users = |line: &postern_lab::AccessLine| line.user.as_deref() == Some(&user);
        self.squid
            .wait_for_access(&format!("a tunnel of {user}"), is_users)?;
        Ok(device)
    }

    /// Joins in vain; returns what the command said.
    fn assert_refused(&self, secret: Option<&str>, code: &str) -> Result<String, LabError> {
        let (_device, joined) = self.join("refused-1", secret)?;
        assert_eq!(joined.status.code(), Some(4), "{}", joined.stderr);
        assert!(joined.stderr.contains(code), "{}", joined.stderr);
        Ok(joined.stderr)
    }
}

/// MD5 of `alice:Corp Proxy:s3cret` behind user and realm.
const DIGEST_FILE: &[u8] = b"alice:Corp Proxy:95c471a34ea75dba2c741d149c7c7f0a\n";

fn digest() -> Asking<'static> {
    Asking {
        helper: "digest_file_auth",
        files: &[("digests", DIGEST_FILE)],
        lines: "auth_param digest program {at}/digest_file_auth -c {at}/digests\n\
                auth_param digest children 2 startup=1 idle=1\n\
                auth_param digest realm Corp Proxy\n\
                auth_param digest nonce_max_count 3\n\
                auth_param digest nonce_max_duration 5 minutes",
        beside: None,
    }
}

#[test]
fn b03_digest_with_the_right_password_applies_and_outlives_its_nonce_and_the_proxy() {
    let Some(mut scene) = scene("B03", &digest()).unwrap() else {
        return;
    };
    let mut device = scene.assert_works(Some("alice:s3cret\n"), "alice").unwrap();
    device.daemon.start().unwrap();
    for round in 0..3 {
        // Nonces of before mean nothing to the proxy that comes back.
        scene.squid.restart().unwrap();
        let revision = scene
            .fleet
            .set("hall-1", "fan/speed", &format!("{round}"))
            .unwrap();
        device.wait_applied(revision).unwrap();
    }
    assert_eq!(device.folder.count("failures", "PST-P03"), 0);
}

#[test]
fn b03_digest_with_a_wrong_password_is_rejected() {
    let Some(scene) = scene("B03 wrong", &digest()).unwrap() else {
        return;
    };
    let said = scene
        .assert_refused(Some("alice:wrong\n"), "PST-P03")
        .unwrap();
    assert!(!said.contains("wrong\""), "{said}");
}

/// Returns `None` when a part was not provisioned; the skip has been announced.
fn winbind(scenario: &str) -> Result<Option<(Winbind, Scene)>, LabError> {
    let Some(tree) = SambaTree::find_or_skip(scenario)? else {
        return Ok(None);
    };
    let winbind = Winbind::start(&tree)?;
    let lines = winbind.helper_line();
    let asking = Asking {
        helper: "",
        files: &[],
        lines: &lines,
        beside: Some(winbind.pid()),
    };
    Ok(scene(scenario, &asking)?.map(|scene| (winbind, scene)))
}

#[test]
fn b04_ntlmv2_with_the_right_password_applies() {
    let Some((winbind, scene)) = winbind("B04").unwrap() else {
        return;
    };
    let user = format!("{NTLM_DOMAIN}\\{NTLM_USER}");
    let secret = format!("{user}:{NTLM_PASSWORD}\n");
    let _device = scene.assert_works(Some(&secret), &user).unwrap();
    let (good, bad) = winbind.logons();
    assert!(good >= 1 && bad == 0, "{good} good, {bad} bad");
}

#[test]
fn b04_ntlmv2_without_a_domain_takes_that_of_the_proxy() {
    let Some((_winbind, scene)) = winbind("B04 domain").unwrap() else {
        return;
    };
    let secret = format!("{NTLM_USER}:{NTLM_PASSWORD}\n");
    let user = format!("{NTLM_DOMAIN}\\{NTLM_USER}");
    let _device = scene.assert_works(Some(&secret), &user).unwrap();
}

#[test]
fn b04_wrong_password_is_one_logon() {
    let Some((winbind, scene)) = winbind("B04 wrong").unwrap() else {
        return;
    };
    let user = format!("{NTLM_DOMAIN}\\{NTLM_USER}");
    let good = format!("{user}:{NTLM_PASSWORD}\n");
    let (mut device, joined) = scene.join("hall-1", Some(&good)).unwrap();
    assert!(joined.status.success(), "{}", joined.stderr);
    device
        .folder
        .write("proxy.secret", format!("{user}:wrong\n"))
        .unwrap();
    device.daemon.start().unwrap();
    device.wait_count("failures", "PST-P03", 4).unwrap();
    assert_eq!(winbind.logons().1, 1, "one wrong logon");
    device.folder.write("proxy.secret", &good).unwrap();
    let revision = scene.fleet.set("hall-1", "fan/speed", "3").unwrap();
    device.wait_applied(revision).unwrap();
    assert_eq!(winbind.logons().1, 1, "still one wrong logon");
    assert!(!device.daemon.log().contains("wrong"));
}

/// Returns `None` when a part was not provisioned; the skip has been announced.
fn kerberos(scenario: &str) -> Result<Option<(Kerberos, Scene)>, LabError> {
    let Some(tree) = KerberosTree::find_or_skip(scenario)? else {
        return Ok(None);
    };
    let kerberos = Kerberos::start(&tree)?;
    let (keytab, configuration) = (kerberos.proxy_keytab()?, kerberos.configuration()?);
    let asking = Asking {
        helper: "negotiate_kerberos_auth",
        files: &[
            ("proxy.keytab", &keytab),
            ("krb5.conf", configuration.as_bytes()),
        ],
        lines: &format!(
            "auth_param negotiate program /usr/bin/env KRB5_CONFIG={{at}}/krb5.conf KRB5_KTNAME={{at}}/proxy.keytab \
             KRB5RCACHETYPE=none LD_LIBRARY_PATH={{at}}/libraries {{at}}/negotiate_kerberos_auth -s HTTP/{PROXY_NAME}@{REALM} -k {{at}}/proxy.keytab\n\
             auth_param negotiate children 2 startup=1 idle=1\n\
             auth_param negotiate keep_alive on"
        ),
        beside: None,
    };
    Ok(scene(scenario, &asking)?.map(|scene| (kerberos, scene)))
}

#[test]
fn b05_ticket_opens_the_proxy() {
    let Some((kerberos, mut scene)) = kerberos("B05").unwrap() else {
        return;
    };
    kerberos.kinit("1h").unwrap();
    scene.fleet.set_environment(kerberos.with_tickets());
    let _device = scene.assert_works(None, &format!("alice@{REALM}")).unwrap();
}

#[test]
fn b06_client_keytab_opens_the_proxy_without_kinit() {
    let Some((kerberos, mut scene)) = kerberos("B06").unwrap() else {
        return;
    };
    scene.fleet.set_environment(kerberos.with_keytab());
    let user = format!("{}@{REALM}", postern_lab::DEVICE_PRINCIPAL);
    let _device = scene.assert_works(None, &user).unwrap();
    assert!(!Path::new(&kerberos.cache()).exists());
}

#[expect(
    clippy::disallowed_methods,
    reason = "the promise is one about time, kept by another process"
)]
#[test]
fn b07_expired_ticket_is_named_and_a_renewed_one_is_used_within_10_s() {
    let Some((kerberos, mut scene)) = kerberos("B07").unwrap() else {
        return;
    };
    scene.fleet.set_environment(kerberos.with_tickets());
    let none = scene.assert_refused(None, "PST-P14").unwrap();
    assert!(
        none.contains("there is no ticket") && none.contains("kinit"),
        "{none}"
    );

    kerberos.kinit("1h").unwrap();
    let mut device = scene.assert_works(None, &format!("alice@{REALM}")).unwrap();
    kerberos.destroy_ticket().unwrap();
    kerberos.kinit_expired().unwrap();
    device.daemon.start().unwrap();
    // Long enough for a pause between two tries to have grown beyond ten seconds.
    device.wait_count("failures", "PST-P14", 6).unwrap();
    assert!(
        device.daemon.log().contains("expired"),
        "{}",
        device.daemon.log()
    );

    kerberos.kinit("1h").unwrap();
    let renewed = Instant::now();
    let revision = scene.fleet.set("hall-1", "fan/speed", "4").unwrap();
    device.wait_applied(revision).unwrap();
    let took = renewed.elapsed();
    assert!(took <= Duration::from_secs(10), "{took:?}");
}
