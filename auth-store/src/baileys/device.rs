//! `creds.json` as the library's device.

use std::sync::Arc;

use auth_format::baileys::{self, Creds};
use wacore::libsignal::protocol::{KeyPair, PrivateKey, PublicKey};
use wacore::store::Device;
use wacore_binary::Jid;
use waproto::whatsapp::ADVSignedDeviceIdentity;

use super::BaileysError;

/// Makes the device, once its keys fit together.
pub(super) fn device(creds: &Creds) -> Result<Device, BaileysError> {
    let wrong = |field, problem| BaileysError::Device { field, problem };
    let pair = |field, pair| key_pair(pair).map_err(|problem| wrong(field, problem));
    let identity_key = pair("signedIdentityKey", &creds.identity_key)?;
    let signed = &creds.signed_pre_key;
    let signed_pre_key = pair("signedPreKey.keyPair", &signed.pair)?;
    let signed_bytes = signed_pre_key.public_key.serialize();
    if !identity_key
        .public_key
        .verify_signature(&signed_bytes, &signed.signature)
    {
        return Err(wrong(
            "signedPreKey.signature",
            "is not by signedIdentityKey",
        ));
    }
    let number = creds.phone.device.unwrap_or_default();
    if number == 0 {
        return Err(wrong("me.id", "names the phone instead of a linked device"));
    }
    let account = &creds.account;
    Ok(Device {
        pn: Some(Jid::pn_device(creds.phone.user.as_str(), number)),
        // Older releases kept the LID without the device.
        lid: creds
            .lid
            .as_ref()
            .map(|lid| Jid::lid_device(lid.user.as_str(), number)),
        registration_id: creds.registration_id,
        noise_key: pair("noiseKey", &creds.noise_key)?,
        identity_key,
        signed_pre_key,
        signed_pre_key_id: signed.id,
        signed_pre_key_signature: signed.signature,
        adv_secret_key: creds.adv_secret,
        account: Some(Arc::new(ADVSignedDeviceIdentity {
            details: Some(account.details.clone()),
            account_signature_key: Some(account.account_signature_key.to_vec()),
            account_signature: Some(account.account_signature.to_vec()),
            device_signature: Some(account.device_signature.to_vec()),
        })),
        push_name: creds.push_name.clone().unwrap_or_default(),
        edge_routing_info: creds.routing_info.clone(),
        next_pre_key_id: creds.next_pre_key_id,
        first_unupload_pre_key_id: creds.first_unuploaded_pre_key_id,
        server_has_prekeys: creds.first_unuploaded_pre_key_id > 1,
        // The library begins to count from its first start.
        last_signed_pre_key_rotation_ms: 0,
        ..Device::new()
    })
}

/// Takes two halves that belong together.
pub(super) fn key_pair(pair: &baileys::KeyPair) -> Result<KeyPair, &'static str> {
    const BAD: &str = "is no key pair: its halves do not belong together";
    let private = PrivateKey::deserialize(&pair.private).map_err(|_| BAD)?;
    let public = PublicKey::from_djb_public_key_bytes(&pair.public).map_err(|_| BAD)?;
    if private.public_key().map_err(|_| BAD)? != public {
        return Err(BAD);
    }
    Ok(KeyPair::new(public, private))
}
