use super::super::DeviceConfig;
use super::{ControllerConfig, NewController, NewListener};
use postern_egress::Variables;
use postern_protocol::id::{Tenant, Thumbprint};
use std::path::Path;

fn template(listens: bool) -> String {
    let listener = NewListener {
        listen: "127.0.0.1:8443".parse().unwrap(),
        cert: "tls/server.crt",
        key: "tls/server.key",
        ca: None,
    };
    ControllerConfig::template(&NewController {
        listener: listens.then_some(listener),
        urls: &["https://controller.example:8443".into()],
        root: Thumbprint::from_bytes([1; 32]),
        recovery: Thumbprint::from_bytes([2; 32]),
        writers: &[(Tenant::parse("default").unwrap(), "w.key".into())],
    })
}

/// The secret of the QUIC door and whether QUIC may be tried, or the refusal.
fn controller(text: &str) -> Result<(Option<String>, bool), String> {
    let file = Path::new("c/controller.toml");
    let config = ControllerConfig::parse(Path::new("c"), file, text, &Variables::default());
    let config = config.map_err(|error| format!("{error:?}"))?;
    let key = config.quic_key.map(|key| key.display().to_string());
    Ok((key, config.has_quic))
}

fn device(text: &str) -> Result<bool, String> {
    let file = Path::new("d/device.toml");
    let config = DeviceConfig::parse(Path::new("d"), file, text, &Variables::default());
    config
        .map(|config| config.has_quic)
        .map_err(|error| format!("{error:?}"))
}

#[test]
fn controller_offers_quic_at_its_port_unless_it_is_told_not_to() {
    let text = template(true);
    assert_eq!(controller(&text), Ok((Some("c/quic.key".into()), true)));
    let shown = text.replace("# quic = true", "quic = true");
    assert_eq!(controller(&shown), controller(&text));
    let off = text.replace("[server]", "[server]\nquic = false");
    assert_eq!(controller(&off), Ok((None, true)));
    let off = text.replace("[transport]", "[transport]\nquic = false");
    assert_eq!(controller(&off), Ok((Some("c/quic.key".into()), false)));
}

#[test]
fn controller_that_only_dials_out_has_no_quic_door() {
    assert_eq!(controller(&template(false)), Ok((None, true)));
}

#[test]
fn device_tries_quic_unless_it_is_told_not_to() {
    assert_eq!(device(&DeviceConfig::template()), Ok(true));
    assert_eq!(device("[transport]\nquic = false\n"), Ok(false));
}

#[test]
fn what_is_no_flag_is_refused_with_its_place() {
    for text in [
        "[transport]\nquic = \"only\"\n",
        "[transport]\nquik = true\n",
        "transport = 1\n",
    ] {
        let refused = device(text).unwrap_err();
        assert!(
            refused.contains("transport") || refused.contains("quic"),
            "{refused}"
        );
    }
    for (from, to) in [
        ("[server]", "[server]\nquic = 1"),
        ("[transport]", "[transport]\nudp = true"),
    ] {
        assert!(
            controller(&template(true).replace(from, to)).is_err(),
            "{to}"
        );
    }
}
