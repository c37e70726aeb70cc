//! The responder's side of the Noise handshake.
//!
//! Three shapes reach a server. A first connection runs **XX**: client ephemeral, then the server's
//! ephemeral, static key and certificate chain, then the client's static key and its payload. A
//! reconnect runs **IK**: everything is in the client's first message, and one answer completes it.
//! A client whose remembered server key is stale is answered in the XX shape under
//! `Noise_XXfallback`, reusing the ephemeral of its refused IK hello.
//!
//! The certificate chain is signed by a root of the simulator's own: real clients must be told to
//! trust it or to skip the check. A client that already holds the leaf key (IK) needs neither.

use rand::rngs::StdRng;
use thiserror::Error;
use wacore::libsignal::protocol::KeyPair;
use wacore::store::device::{CachedNoiseCert, CachedServerCertChain};
use wacore_binary::consts::{
    NOISE_PATTERN_IK, NOISE_PATTERN_XX, NOISE_PATTERN_XXFALLBACK, WA_CONN_HEADER,
};
use wacore_noise::{NoiseCipher, NoiseHandshake};
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp::{self as wa, cert_chain::noise_certificate};

const VALID_FROM: u64 = 1_700_000_000;
const VALID_UNTIL: u64 = 4_000_000_000;
const INTERMEDIATE_SERIAL: u32 = 1;
const LEAF_SERIAL: u32 = 2;

/// Why a handshake ended. Every variant closes the connection.
#[derive(Debug, Error)]
pub(crate) enum HandshakeError {
    #[error("undecodable handshake message: {0}")]
    Undecodable(&'static str),
    #[error("handshake message lacks {0}")]
    Missing(&'static str),
    #[error("{what} has {got} bytes instead of 32")]
    KeyLength { what: &'static str, got: usize },
    #[error("handshake cryptography failed: {0}")]
    Crypto(#[from] wacore_noise::HandshakeError),
}

/// The server's static key and the chain that vouches for it.
pub(crate) struct ServerIdentity {
    static_key: KeyPair,
    root_key: KeyPair,
    intermediate_key: KeyPair,
    chain: Vec<u8>,
}

impl ServerIdentity {
    /// Derives keys and chain from `rng`: one seed always gives one server.
    pub(crate) fn generate(rng: &mut StdRng) -> Self {
        let root_key = KeyPair::generate(rng);
        let intermediate_key = KeyPair::generate(rng);
        let static_key = KeyPair::generate(rng);
        let intermediate = certificate(&root_key, 0, INTERMEDIATE_SERIAL, &intermediate_key, rng);
        let leaf = certificate(
            &intermediate_key,
            INTERMEDIATE_SERIAL,
            LEAF_SERIAL,
            &static_key,
            rng,
        );
        let chain = wa::CertChain {
            leaf: MessageField::some(leaf),
            intermediate: MessageField::some(intermediate),
        }
        .encode_to_vec();
        Self {
            static_key,
            root_key,
            intermediate_key,
            chain,
        }
    }

    /// The key that signs the intermediate certificate, for clients with a replaceable trust root.
    pub(crate) fn root_public_key(&self) -> [u8; 32] {
        key_bytes(&self.root_key)
    }

    /// What a client stores after a verified handshake, and needs in order to start with IK.
    pub(crate) fn cached_chain(&self) -> CachedServerCertChain {
        let cert = |key| CachedNoiseCert {
            key,
            not_before: VALID_FROM as i64,
            not_after: VALID_UNTIL as i64,
        };
        CachedServerCertChain {
            intermediate: cert(key_bytes(&self.intermediate_key)),
            leaf: cert(key_bytes(&self.static_key)),
        }
    }
}

fn certificate(
    issuer: &KeyPair,
    issuer_serial: u32,
    serial: u32,
    subject: &KeyPair,
    rng: &mut StdRng,
) -> wa::cert_chain::NoiseCertificate {
    let details = noise_certificate::Details {
        serial: Some(serial),
        issuer_serial: Some(issuer_serial),
        key: Some(subject.public_key.public_key_bytes().to_vec()),
        not_before: Some(VALID_FROM),
        not_after: Some(VALID_UNTIL),
    }
    .encode_to_vec();
    let signature = issuer
        .private_key
        .calculate_signature(&details, rng)
        .expect("a generated key signs");
    wa::cert_chain::NoiseCertificate {
        details: Some(details),
        signature: Some(signature.to_vec()),
    }
}

fn key_bytes(key: &KeyPair) -> [u8; 32] {
    key.public_key
        .public_key_bytes()
        .try_into()
        .expect("a curve25519 public key has 32 bytes")
}

/// How the first client message was answered.
pub(crate) enum Answer {
    /// IK accepted: after `reply` both sides hold the transport keys.
    Established {
        reply: Vec<u8>,
        session: Box<Established>,
    },
    /// XX or XXfallback: the client's finish must follow `reply`.
    Await {
        reply: Vec<u8>,
        finish: Box<AwaitFinish>,
    },
}

/// A completed handshake: who the client claims to be and the two ciphers.
pub(crate) struct Established {
    pub(crate) client_static: [u8; 32],
    pub(crate) payload: wa::ClientPayload,
    pub(crate) seal: NoiseCipher,
    pub(crate) open: NoiseCipher,
}

/// A handshake that waits for the client's finish.
pub(crate) struct AwaitFinish {
    noise: NoiseHandshake,
    ephemeral: KeyPair,
}

/// Answers a client hello. With `refuse_ik` an IK hello is answered by XXfallback, as a server
/// that rotated its key would.
///
/// # Errors
/// The hello is malformed, or its cryptography fails outside the refusable IK part.
pub(crate) fn answer_hello(
    identity: &ServerIdentity,
    hello: &[u8],
    refuse_ik: bool,
) -> Result<Answer, HandshakeError> {
    let hello = waproto::codec::handshake_message_decode(hello)
        .map_err(|_| HandshakeError::Undecodable("client hello"))?
        .client_hello
        .into_option()
        .ok_or(HandshakeError::Missing("clientHello"))?;
    let client_ephemeral = key32(hello.ephemeral, "the client's ephemeral key")?;
    match (hello.r#static, hello.payload) {
        (Some(sealed_static), Some(sealed_payload)) => {
            if !refuse_ik
                && let Ok(answer) =
                    answer_ik(identity, &client_ephemeral, &sealed_static, &sealed_payload)
            {
                return Ok(answer);
            }
            answer_xx(identity, NOISE_PATTERN_XXFALLBACK, &client_ephemeral)
        }
        _ => answer_xx(identity, NOISE_PATTERN_XX, &client_ephemeral),
    }
}

fn answer_ik(
    identity: &ServerIdentity,
    client_ephemeral: &[u8; 32],
    sealed_static: &[u8],
    sealed_payload: &[u8],
) -> Result<Answer, HandshakeError> {
    let own_static = identity.static_key.private_key.serialize();
    let mut noise = NoiseHandshake::new(NOISE_PATTERN_IK, &WA_CONN_HEADER)?;
    noise.authenticate(identity.static_key.public_key.public_key_bytes());
    noise.authenticate(client_ephemeral);
    noise.mix_shared_secret(own_static, client_ephemeral)?;
    let client_static = key32(
        Some(noise.decrypt(sealed_static)?),
        "the client's static key",
    )?;
    noise.mix_shared_secret(own_static, &client_static)?;
    let payload = decode_payload(&noise.decrypt(sealed_payload)?)?;

    let ephemeral = KeyPair::generate(&mut rand::rng());
    noise.authenticate(ephemeral.public_key.public_key_bytes());
    noise.mix_shared_secret(ephemeral.private_key.serialize(), client_ephemeral)?;
    noise.mix_shared_secret(ephemeral.private_key.serialize(), &client_static)?;
    let sealed_chain = noise.encrypt(&identity.chain)?;
    let reply = server_hello(&ephemeral, None, sealed_chain);
    let session = establish(noise, client_static, payload)?;
    Ok(Answer::Established {
        reply,
        session: Box::new(session),
    })
}

fn answer_xx(
    identity: &ServerIdentity,
    pattern: &str,
    client_ephemeral: &[u8; 32],
) -> Result<Answer, HandshakeError> {
    let mut noise = NoiseHandshake::new(pattern, &WA_CONN_HEADER)?;
    noise.authenticate(client_ephemeral);
    let ephemeral = KeyPair::generate(&mut rand::rng());
    noise.authenticate(ephemeral.public_key.public_key_bytes());
    noise.mix_shared_secret(ephemeral.private_key.serialize(), client_ephemeral)?;
    let sealed_static = noise.encrypt(identity.static_key.public_key.public_key_bytes())?;
    noise.mix_shared_secret(
        identity.static_key.private_key.serialize(),
        client_ephemeral,
    )?;
    let sealed_chain = noise.encrypt(&identity.chain)?;
    Ok(Answer::Await {
        reply: server_hello(&ephemeral, Some(sealed_static), sealed_chain),
        finish: Box::new(AwaitFinish { noise, ephemeral }),
    })
}

impl AwaitFinish {
    /// Reads the client's finish.
    ///
    /// # Errors
    /// The finish is malformed or was not sealed for this handshake.
    pub(crate) fn complete(self, finish: &[u8]) -> Result<Established, HandshakeError> {
        let Self {
            mut noise,
            ephemeral,
        } = self;
        let finish = waproto::codec::handshake_message_decode(finish)
            .map_err(|_| HandshakeError::Undecodable("client finish"))?
            .client_finish
            .into_option()
            .ok_or(HandshakeError::Missing("clientFinish"))?;
        let sealed_static = finish
            .r#static
            .ok_or(HandshakeError::Missing("clientFinish.static"))?;
        let sealed_payload = finish
            .payload
            .ok_or(HandshakeError::Missing("clientFinish.payload"))?;
        let client_static = key32(
            Some(noise.decrypt(&sealed_static)?),
            "the client's static key",
        )?;
        noise.mix_shared_secret(ephemeral.private_key.serialize(), &client_static)?;
        let payload = decode_payload(&noise.decrypt(&sealed_payload)?)?;
        establish(noise, client_static, payload)
    }
}

fn establish(
    noise: NoiseHandshake,
    client_static: [u8; 32],
    payload: wa::ClientPayload,
) -> Result<Established, HandshakeError> {
    // The first key of the split is the initiator's sending key.
    let (open, seal) = noise.finish()?;
    Ok(Established {
        client_static,
        payload,
        seal,
        open,
    })
}

fn server_hello(ephemeral: &KeyPair, sealed_static: Option<Vec<u8>>, payload: Vec<u8>) -> Vec<u8> {
    let message = wa::HandshakeMessage {
        server_hello: MessageField::some(wa::handshake_message::ServerHello {
            ephemeral: Some(ephemeral.public_key.public_key_bytes().to_vec()),
            r#static: sealed_static,
            payload: Some(payload),
            ..Default::default()
        }),
        ..Default::default()
    };
    waproto::codec::handshake_message_to_vec(&message)
}

fn decode_payload(bytes: &[u8]) -> Result<wa::ClientPayload, HandshakeError> {
    wa::ClientPayload::decode_from_slice(bytes)
        .map_err(|_| HandshakeError::Undecodable("client payload"))
}

fn key32(bytes: Option<Vec<u8>>, what: &'static str) -> Result<[u8; 32], HandshakeError> {
    let bytes = bytes.ok_or(HandshakeError::Missing(what))?;
    let got = bytes.len();
    bytes
        .try_into()
        .map_err(|_| HandshakeError::KeyLength { what, got })
}
