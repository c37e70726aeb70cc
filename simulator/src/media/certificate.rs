//! A certificate authority of one process, and one certificate for the media host.

use std::net::IpAddr;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::MediaError;

pub(super) struct Certificate {
    pub(super) ca_pem: String,
    pub(super) server: Arc<ServerConfig>,
}

pub(super) fn make(address: IpAddr) -> Result<Certificate, MediaError> {
    let refused = |error: rcgen::Error| MediaError::Certificate(error.to_string());
    let ca_key = KeyPair::generate().map_err(refused)?;
    let mut ca = CertificateParams::new(Vec::new()).map_err(refused)?;
    ca.distinguished_name = named("Simulator media authority");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca_certificate = ca.self_signed(&ca_key).map_err(refused)?;
    let ca_pem = ca_certificate.pem();

    let key = KeyPair::generate().map_err(refused)?;
    let mut leaf = CertificateParams::new(vec!["localhost".to_owned()]).map_err(refused)?;
    leaf.distinguished_name = named("Simulator media host");
    leaf.subject_alt_names.push(SanType::IpAddress(address));
    let issuer = Issuer::new(ca, ca_key);
    let certificate = leaf.signed_by(&key, &issuer).map_err(refused)?;

    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder
                .with_no_client_auth()
                .with_single_cert(vec![certificate.der().clone()], private)
        })
        .map_err(|error| MediaError::Certificate(error.to_string()))?;
    Ok(Certificate {
        ca_pem,
        server: Arc::new(server),
    })
}

/// OpenSSL takes a certificate whose issuer has its own name for self-signed, so each has a name.
fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}
