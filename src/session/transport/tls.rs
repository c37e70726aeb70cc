//! The TLS client configuration: ring, the public web's roots, and the operator's own.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::{self, PemObject};

use crate::session::endpoint::EndpointError;

/// Builds the configuration. The provider is given explicitly, so that nothing depends on which
/// one a process installed as its default.
pub fn client_config(extra_ca_file: Option<&Path>) -> Result<ClientConfig, EndpointError> {
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    if let Some(path) = extra_ca_file {
        add_roots(&mut roots, path)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

fn add_roots(roots: &mut RootCertStore, path: &Path) -> Result<(), EndpointError> {
    let unreadable = |source| EndpointError::CaUnreadable {
        path: path.to_owned(),
        source,
    };
    let text = std::fs::read(path).map_err(unreadable)?;
    let mut number = 0;
    for certificate in CertificateDer::pem_slice_iter(&text) {
        number += 1;
        let invalid = |reason: String| EndpointError::CaInvalid {
            path: path.to_owned(),
            number,
            reason,
        };
        let certificate = certificate.map_err(|e| match e {
            pem::Error::Io(e) => unreadable(e),
            other => invalid(other.to_string()),
        })?;
        roots.add(certificate).map_err(|e| invalid(e.to_string()))?;
    }
    if number == 0 {
        return Err(EndpointError::CaEmpty {
            path: path.to_owned(),
        });
    }
    Ok(())
}

/// The protocols to offer over HTTPS, best first.
pub fn http_protocols() -> Vec<Vec<u8>> {
    vec![b"h2".to_vec(), b"http/1.1".to_vec()]
}

/// Why a TLS handshake failed, when the peer's certificate is the reason; the cure is then
/// [`EXTRA_CA_SETTING`](crate::session::endpoint::EXTRA_CA_SETTING) or a clock that is right, not
/// another attempt.
pub fn certificate_problem(error: &io::Error) -> Option<&rustls::Error> {
    let inner = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    matches!(inner, rustls::Error::InvalidCertificate(_)).then_some(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(content: &[u8]) -> EndpointError {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        std::fs::write(file.path(), content).expect("write");
        client_config(Some(file.path())).expect_err("refused")
    }

    fn authority() -> String {
        let key = rcgen::KeyPair::generate().expect("key");
        let params = rcgen::CertificateParams::new(Vec::new()).expect("params");
        params.self_signed(&key).expect("certificate").pem()
    }

    #[test]
    fn a_file_may_hold_several_roots() {
        let both = format!("{}\n# second\n{}", authority(), authority());
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        std::fs::write(file.path(), &both).expect("write");
        let mut roots = RootCertStore::empty();
        add_roots(&mut roots, file.path()).expect("both are certificates");
        assert_eq!(roots.len(), 2);
    }

    #[test]
    fn unusable_files_are_told_apart_and_named() {
        assert!(matches!(refused(b""), EndpointError::CaEmpty { .. }));
        assert!(matches!(
            refused(b"just some text\n"),
            EndpointError::CaEmpty { .. }
        ));
        let damaged = format!(
            "{}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            authority()
        );
        assert!(matches!(
            refused(damaged.as_bytes()),
            EndpointError::CaInvalid { number: 2, .. }
        ));
        let cut = "-----BEGIN CERTIFICATE-----\nAAAA\n";
        assert!(matches!(
            refused(cut.as_bytes()),
            EndpointError::CaInvalid { number: 1, .. }
        ));
        let missing = client_config(Some(Path::new("/nonexistent/ca.pem"))).expect_err("missing");
        assert_eq!(
            missing.to_string(),
            "WHATSAPP_EXTRA_CA_FILE names \"/nonexistent/ca.pem\", which cannot be read: name a readable PEM file, or unset it"
        );
    }
}
