//! `creds.json`: the device itself.

use super::name::is_user;
use super::node::{Node, Result};

/// Two halves of a Curve25519 key.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyPair {
    /// The public half.
    pub public: [u8; 32],
    /// The private half.
    pub private: [u8; 32],
}

/// The signed pre-key.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedPreKey {
    /// Its id.
    pub id: u32,
    /// The key.
    pub pair: KeyPair,
    /// By the identity key; not verified here.
    pub signature: [u8; 64],
}

/// How the account's phone and this device vouch for each other.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// The signed details.
    pub details: Vec<u8>,
    /// The phone's key.
    pub account_signature_key: [u8; 32],
    /// The phone's signature.
    pub account_signature: [u8; 64],
    /// This device's signature.
    pub device_signature: [u8; 64],
}

/// A device of the account, in one of its two forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnDevice {
    /// The number or LID.
    pub user: String,
    /// Number of the device, if it is said.
    pub device: Option<u16>,
}

/// The linked device.
#[derive(Clone, PartialEq, Eq)]
pub struct Creds {
    /// The key of the transport.
    pub noise_key: KeyPair,
    /// The device's Signal identity.
    pub identity_key: KeyPair,
    /// The signed pre-key.
    pub signed_pre_key: SignedPreKey,
    /// Signal's registration id.
    pub registration_id: u32,
    /// The secret of the link.
    pub adv_secret: [u8; 32],
    /// The account's signatures.
    pub account: Account,
    /// The account's number.
    pub phone: OwnDevice,
    /// The account's LID; unknown to older releases.
    pub lid: Option<OwnDevice>,
    /// The account's display name.
    pub push_name: Option<String>,
    /// Id of the next one-time pre-key that will be made.
    pub next_pre_key_id: u32,
    /// Id of the first one-time pre-key that the server does not have.
    pub first_unuploaded_pre_key_id: u32,
    /// Id of the newest app-state key.
    pub sync_key_id: Option<Vec<u8>>,
    /// Where the server wants the device to connect.
    pub routing_info: Option<Vec<u8>>,
}

/// What `creds.json` holds: a linked device, or one that is not.
pub(super) fn read(node: &Node<'_>) -> Result<Option<Creds>> {
    let (Some(me), Some(account)) = (node.optional("me")?, node.optional("account")?) else {
        return Ok(None);
    };
    let signed = node.field("signedPreKey")?;
    let id = "a number of 32 bits";
    Ok(Some(Creds {
        noise_key: key_pair(&node.field("noiseKey")?)?,
        identity_key: key_pair(&node.field("signedIdentityKey")?)?,
        signed_pre_key: SignedPreKey {
            id: signed.field("keyId")?.unsigned(id)?,
            pair: key_pair(&signed.field("keyPair")?)?,
            signature: signed.field("signature")?.exactly("64 bytes")?,
        },
        registration_id: node.field("registrationId")?.unsigned(id)?,
        adv_secret: node.field("advSecretKey")?.exactly("32 bytes")?,
        account: Account {
            details: account.field("details")?.bytes()?,
            account_signature_key: account.field("accountSignatureKey")?.exactly("32 bytes")?,
            account_signature: account.field("accountSignature")?.exactly("64 bytes")?,
            device_signature: account.field("deviceSignature")?.exactly("64 bytes")?,
        },
        phone: own_device(&me.field("id")?, &["s.whatsapp.net", "c.us"])?,
        lid: me
            .optional("lid")?
            .map(|lid| own_device(&lid, &["lid"]))
            .transpose()?,
        push_name: me
            .optional("name")?
            .map(|name| name.text().map(str::to_owned))
            .transpose()?
            .filter(|name| !name.is_empty()),
        next_pre_key_id: node.field("nextPreKeyId")?.unsigned(id)?,
        first_unuploaded_pre_key_id: node.field("firstUnuploadedPreKeyId")?.unsigned(id)?,
        sync_key_id: bytes(node, "myAppStateKeyId")?,
        routing_info: bytes(node, "routingInfo")?,
    }))
}

/// A key pair, also of a one-time pre-key.
pub(super) fn key_pair(node: &Node<'_>) -> Result<KeyPair> {
    Ok(KeyPair {
        public: node.field("public")?.public_key()?,
        private: node.field("private")?.exactly("32 bytes")?,
    })
}

fn bytes(node: &Node<'_>, field: &str) -> Result<Option<Vec<u8>>> {
    let bytes = node.optional(field)?.map(|node| node.bytes()).transpose()?;
    Ok(bytes.filter(|bytes| !bytes.is_empty()))
}

fn own_device(node: &Node<'_>, servers: &[&str]) -> Result<OwnDevice> {
    let bad = || node.not("the account's own JID");
    let (user, server) = node.text()?.split_once('@').ok_or_else(bad)?;
    let (user, device) = match user.split_once(':') {
        Some((user, device)) => (user, Some(device.parse().map_err(|_| bad())?)),
        None => (user, None),
    };
    if !servers.contains(&server) || !is_user(user) {
        return Err(bad());
    }
    Ok(OwnDevice {
        user: user.to_owned(),
        device,
    })
}
