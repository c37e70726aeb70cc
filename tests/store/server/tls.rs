//! TLS to the server, with a certificate authority of one's own.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use whatsapp_worker::rehearsal::postgres::{Postgres, PostgresOptions};
use whatsapp_worker::store::StoreError;

use super::Witness;
use crate::store::open;

/// An authority's PEM, and a certificate for `localhost` with its key.
fn certificates() -> (String, String, String) {
    let authority_key = KeyPair::generate().expect("key");
    let mut authority = CertificateParams::new(Vec::new()).expect("params");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = authority.self_signed(&authority_key).expect("signs").pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().expect("key");
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("params");
    let certificate = params.signed_by(&key, &issuer).expect("signs");
    (pem, certificate.pem(), key.serialize_pem())
}

#[tokio::test]
async fn the_servers_certificate_is_checked_as_sslmode_says() {
    let (authority, certificate, key) = certificates();
    let (other_authority, ..) = certificates();
    let dir = tempfile::tempdir().expect("temporary directory");
    let file = |name: &str, pem: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, pem).expect("writes");
        path.display().to_string()
    };
    let right = file("right.pem", &authority);
    let wrong = file("wrong.pem", &other_authority);
    let options = PostgresOptions {
        settings: [
            ("ssl", "on"),
            ("ssl_cert_file", "server.crt"),
            ("ssl_key_file", "server.key"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec(),
        files: vec![
            ("server.crt".to_owned(), certificate),
            ("server.key".to_owned(), key),
        ],
        ..PostgresOptions::default()
    };
    let server = Postgres::start_with(options).await.expect("starts");
    let by_address = server.url();
    let by_name = by_address.replace("127.0.0.1", "localhost");
    let store = open(&format!(
        "{by_name}?sslmode=verify-full&sslrootcert={right}"
    ))
    .await
    .expect("opens");
    let connection = <sqlx::PgConnection as sqlx::Connection>::connect(&by_address).await;
    let mut witness = Witness(connection.expect("connects"));
    let open_text = "SELECT COUNT(*) FROM pg_stat_activity JOIN pg_stat_ssl USING (pid)
         WHERE application_name = 'whatsapp-worker' AND NOT ssl";
    assert_eq!(witness.count(open_text).await, 0);
    let sealed = "SELECT COUNT(*) FROM pg_stat_activity JOIN pg_stat_ssl USING (pid)
         WHERE application_name = 'whatsapp-worker' AND ssl";
    assert!(witness.count(sealed).await > 0);
    store.close().await;
    for url in [
        format!("{by_name}?sslmode=verify-full&sslrootcert={wrong}"),
        format!("{by_address}?sslmode=verify-full&sslrootcert={right}"),
        format!("{by_name}?sslmode=verify-full"),
        format!("{by_name}?sslmode=verify-full&sslrootcert=/nowhere.pem"),
    ] {
        match open(&url).await {
            Err(StoreError::Unusable(text)) => {
                assert!(text.contains("sslrootcert"), "{text}");
                assert!(!text.contains("rehearsal"), "no password: {text}");
            }
            other => panic!("{url} must be refused: {other:?}"),
        }
    }
    let any_name = format!("{by_address}?sslmode=verify-ca&sslrootcert={right}");
    open(&any_name).await.expect("opens").close().await;
}
