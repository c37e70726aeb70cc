use super::*;

fn refusal(value: &str, simulator: bool) -> String {
    WsUrl::parse_for(value, simulator)
        .expect_err("refused")
        .to_string()
}

#[test]
fn plain_web_sockets_reach_loopback_hosts_only() {
    for here in [
        "ws://127.0.0.1:8080/ws/chat",
        "ws://localhost:1/",
        "ws://sim.localhost/",
        "ws://[::1]:9/",
        "ws://[::ffff:127.0.0.1]:9/",
    ] {
        let url = WsUrl::parse_for(here, false).expect(here);
        assert!(url.is_loopback() && !url.is_tls(), "{here}");
    }
    for elsewhere in [
        "ws://example.com/",
        "ws://192.168.1.5/",
        "ws://127.0.0.1.example.com/",
        "ws://localhost.example.com/",
        "ws://0.0.0.0/",
        "ws://[::ffff:10.0.0.1]/",
    ] {
        assert!(
            matches!(
                WsUrl::parse_for(elsewhere, false),
                Err(EndpointError::PlainRemote {
                    setting: "WHATSAPP_WS_URL",
                    ..
                })
            ),
            "{elsewhere}"
        );
    }
    let url = WsUrl::parse_for("wss://example.com/x", false).expect("any host over TLS");
    assert!(url.is_tls() && !url.is_loopback());
    assert_eq!(url.port(), 443);
}

#[test]
fn a_simulator_build_refuses_whatsapps_hosts() {
    for own in [
        "wss://web.whatsapp.com/ws/chat",
        "wss://WEB.WhatsApp.com/ws/chat",
        "wss://web.whatsapp.com./ws/chat",
        "wss://whatsapp.net/",
        "wss://a.b.whatsapp.net:5222/",
    ] {
        assert!(
            matches!(
                WsUrl::parse_for(own, true),
                Err(EndpointError::WhatsAppHost { .. })
            ),
            "{own}"
        );
        assert!(WsUrl::parse_for(own, false).expect(own).is_tls(), "{own}");
    }
    let other = WsUrl::parse_for("wss://notwhatsapp.com/", true).expect("not WhatsApp's");
    assert_eq!(other.host(), Host::Domain("notwhatsapp.com"));
}

#[test]
fn refusals_name_the_setting_the_value_and_the_fix() {
    assert_eq!(
        refusal("http://example.com/", false),
        "WHATSAPP_WS_URL is \"http://example.com/\", whose scheme \"http\" is not supported: use wss://, or ws:// for a loopback host"
    );
    let text = refusal("web.whatsapp.com", false);
    assert!(
        text.starts_with("WHATSAPP_WS_URL is \"web.whatsapp.com\", which is not a URL ("),
        "{text}"
    );
    assert!(
        text.ends_with("write it like wss://web.whatsapp.com/ws/chat"),
        "{text}"
    );
    let text = refusal("wss://", false);
    assert!(text.contains("which is not a URL"), "{text}");
}

#[test]
fn credentials_are_never_shown() {
    for (value, shown) in [
        ("http://user:pa@ss@proxy:3128/x", "http://…@proxy:3128/x"),
        ("http://user:pa/ss@proxy:3128", "http://…@proxy:3128"),
        ("user:pass@proxy:3128", "…@proxy:3128"),
        ("http://proxy:3128/?mail=x", "http://proxy:3128/?mail=x"),
    ] {
        assert_eq!(without_credentials(value), shown);
    }
    let text = refusal("ws://joe:secret@example.com/", false);
    assert!(
        !text.contains("secret") && text.contains("…@example.com"),
        "{text}"
    );
}
