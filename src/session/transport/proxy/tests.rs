use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;

fn proxy(url: &str) -> Proxy {
    url.parse().expect(url)
}

fn refusal(url: &str) -> String {
    url.parse::<Proxy>().expect_err("refused").to_string()
}

/// Opens a tunnel to example.com:443 through a proxy that expects `wanted` and answers `answer`,
/// step by step, and then echoes one byte.
async fn through(url: &str, script: Vec<(Vec<u8>, Vec<u8>)>) -> Result<DuplexStream, ProxyError> {
    let (client, mut server) = duplex(1024);
    let serve = async move {
        for (wanted, answer) in script {
            let mut got = vec![0; wanted.len()];
            server.read_exact(&mut got).await.expect("the request");
            assert_eq!(
                String::from_utf8_lossy(&got),
                String::from_utf8_lossy(&wanted)
            );
            server.write_all(&answer).await.expect("answer");
        }
    };
    let proxy = proxy(url);
    let tunnel = proxy.tunnel(client, Host::Domain("example.com"), 443);
    let (tunnel, ()) = tokio::join!(tunnel, serve);
    tunnel
}

const CONNECT: &str = "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n";

async fn connect_answered(answer: &str) -> Result<DuplexStream, ProxyError> {
    let request = format!("{CONNECT}\r\n").into_bytes();
    through("http://proxy", vec![(request, answer.as_bytes().to_vec())]).await
}

#[tokio::test]
async fn connect_leaves_the_bytes_behind_the_answer_in_the_tunnel() {
    let answer = "HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\nhello";
    let mut tunnel = connect_answered(answer).await.expect("open");
    let mut first = String::new();
    tunnel.read_to_string(&mut first).await.expect("read");
    assert_eq!(first, "hello");
}

#[tokio::test]
async fn connect_sends_decoded_credentials() {
    let request = format!("{CONNECT}Proxy-Authorization: Basic am9lOnBAc3M6dw==\r\n\r\n");
    let answer = b"HTTP/1.0 200 OK\r\n\r\n".to_vec();
    through(
        "http://joe:p%40ss%3Aw@proxy",
        vec![(request.into_bytes(), answer)],
    )
    .await
    .expect("open");
}

#[tokio::test]
async fn answers_that_open_no_tunnel_are_told_apart() {
    let unauthorized = connect_answered("HTTP/1.1 407 No\r\n\r\n").await;
    assert!(matches!(unauthorized, Err(ProxyError::Unauthorized)));
    let refused = connect_answered("HTTP/1.1 503 Unavailable\r\n\r\n").await;
    assert!(matches!(refused, Err(ProxyError::Refused(why)) if why == "HTTP status 503"));
    for nonsense in [
        "SSH-2.0-x\r\n\r\n",
        "HTTP/1.1 \r\n\r\n",
        "HTTP/1.1 200 OK\r\n",
    ] {
        let result = connect_answered(nonsense).await;
        assert!(
            matches!(result, Err(ProxyError::Protocol(_))),
            "{nonsense:?}"
        );
    }
    let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(MAX_ANSWER_BYTES));
    let (client, mut server) = duplex(32 * 1024);
    server.write_all(endless.as_bytes()).await.expect("fits");
    let proxy = proxy("http://proxy");
    let result = proxy.tunnel(client, Host::Domain("example.com"), 443).await;
    assert!(matches!(result, Err(ProxyError::Protocol(_))));
}

fn socks_request(target: &[u8]) -> Vec<u8> {
    [&[5, 1, 0][..], target].concat()
}

fn domain_target() -> Vec<u8> {
    [&[3, 11][..], b"example.com", &[1, 187]].concat()
}

#[tokio::test]
async fn socks5_lets_the_proxy_resolve_the_name() {
    let granted = vec![5, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let script = vec![
        (vec![5, 1, 0], vec![5, 0]),
        (socks_request(&domain_target()), granted),
    ];
    through("socks5://proxy", script).await.expect("open");
}

#[tokio::test]
async fn socks5_authenticates_and_reports_refusals() {
    let greeting = vec![5, 2, 0, 2];
    let login = [&[1, 3][..], b"joe", &[4], b"p@ss"].concat();
    let script = vec![(greeting.clone(), vec![5, 2]), (login.clone(), vec![1, 1])];
    let wrong = through("socks5://joe:p%40ss@proxy", script).await;
    assert!(matches!(wrong, Err(ProxyError::Unauthorized)), "{wrong:?}");
    let refusal = vec![5, 2, 0, 1, 0, 0, 0, 0, 0, 0];
    let script = vec![
        (greeting, vec![5, 2]),
        (login, vec![1, 0]),
        (socks_request(&domain_target()), refusal),
    ];
    let refused = through("socks5://joe:p%40ss@proxy", script).await;
    assert!(
        matches!(&refused, Err(ProxyError::Refused(why)) if why.contains("ruleset")),
        "{refused:?}"
    );
}

#[test]
fn urls_give_host_port_and_what_reqwest_needs() {
    let http = proxy("http://joe:secret@proxy.example.com");
    assert_eq!(
        (http.host(), http.port()),
        (Host::Domain("proxy.example.com"), 80)
    );
    assert_eq!(
        http.for_reqwest().as_str(),
        "http://joe:secret@proxy.example.com/"
    );
    let socks = proxy("socks5://joe:secret@10.0.0.1");
    assert_eq!(socks.port(), 1080);
    assert_eq!(
        socks.for_reqwest().as_str(),
        "socks5h://joe:secret@10.0.0.1:1080"
    );
    assert_eq!(
        format!("{socks} {socks:?}"),
        "socks5://…@10.0.0.1 Proxy(socks5://…@10.0.0.1)"
    );
}

#[test]
fn unusable_proxy_urls_are_refused_without_showing_credentials() {
    assert_eq!(
        refusal("https://joe:secret@proxy"),
        "WHATSAPP_PROXY is \"https://…@proxy\", whose scheme \"https\" is not supported: use http:// or socks5://"
    );
    for bad in [
        "proxy:3128",
        "socks5://",
        "http://joe:%ff@proxy",
        "socks5://joe@proxy",
        "http://a%3Ab:c@proxy",
    ] {
        let text = refusal(bad);
        assert!(text.starts_with("WHATSAPP_PROXY is "), "{text}");
        assert!(!text.contains("joe"), "{text}");
    }
}
