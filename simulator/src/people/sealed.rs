//! What travels between devices: ciphertexts, and the public keys to make them.

use wacore_binary::Jid;

/// How a ciphertext is encrypted: the `type` attribute of `<enc>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EncKind {
    /// `pkmsg`: opens a session; a companion that sends it adds its `<device-identity>`.
    PreKey,
    /// `msg`: continues a session.
    Whisper,
    /// `skmsg`: for a whole group.
    SenderKey,
}

impl EncKind {
    /// The wire form of the `type` attribute.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PreKey => "pkmsg",
            Self::Whisper => "msg",
            Self::SenderKey => "skmsg",
        }
    }

    /// The kind of a `type` attribute, `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "pkmsg" => Some(Self::PreKey),
            "msg" => Some(Self::Whisper),
            "skmsg" => Some(Self::SenderKey),
            _ => None,
        }
    }
}

/// One ciphertext, ready for an `<enc v="2">`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The `type` attribute.
    pub kind: EncKind,
    /// The content of the node.
    pub ciphertext: Vec<u8>,
}

/// A message for a group: the sender key for those who lack it, and one ciphertext for all.
#[derive(Debug, Clone)]
pub struct GroupSealed {
    /// Envelopes with the sender key, one for each device that had none.
    pub distributions: Vec<(Jid, Sealed)>,
    /// The message itself.
    pub payload: Sealed,
}

/// The signed pre-key of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedKey {
    /// Key id, 24 bits on the wire.
    pub id: u32,
    /// Raw Curve25519 public key.
    pub public: [u8; 32],
    /// Signature by the identity key over `05 ‖ public`.
    pub signature: [u8; 64],
}

/// A one-time pre-key of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneTimeKey {
    /// Key id, 24 bits on the wire.
    pub id: u32,
    /// Raw Curve25519 public key.
    pub public: [u8; 32],
}

/// What the server hands out about one device so that others can write to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyBundle {
    /// Registration id of the device.
    pub registration_id: u32,
    /// Raw identity public key.
    pub identity: [u8; 32],
    /// The signed pre-key.
    pub signed: SignedKey,
    /// A one-time pre-key; absent when the device's stock is empty.
    pub one_time: Option<OneTimeKey>,
}
