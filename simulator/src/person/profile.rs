//! The account's own name, where companions look for it.
//!
//! A companion learns its account's name from the app-state collection `critical_block`. One that
//! does not find it treats each login like the first and waits ten seconds for keys.

use wacore::appstate::encode::encode_record;
use wacore::appstate::hash::{HashState, generate_patch_mac};
use wacore::appstate::keys::expand_app_state_keys;
use waproto::buffa::MessageField;
use waproto::whatsapp as wa;
use waproto::whatsapp::syncd_mutation::SyncdOperation;

use crate::clock;

/// The collection that holds the name.
pub(crate) const COLLECTION: &str = "critical_block";

/// The first patch of [`COLLECTION`], sealed with the key of `key_share`; `None` when that message
/// shares no key.
pub(crate) fn name_patch(key_share: &wa::Message, name: &str) -> Option<Vec<u8>> {
    let protocol = key_share.protocol_message.as_option()?;
    let key = protocol
        .app_state_sync_key_share
        .as_option()?
        .keys
        .first()?;
    let id = key.key_id.as_option()?.key_id.as_deref()?;
    let keys = expand_app_state_keys(key.key_data.as_option()?.key_data.as_deref()?);
    let value = wa::SyncActionValue {
        timestamp: i64::try_from(clock::unix_ms()).ok(),
        push_name_setting: MessageField::some(wa::sync_action_value::PushNameSetting {
            name: Some(name.to_owned()),
        }),
        ..Default::default()
    };
    let iv = crate::people::random_bytes::<16>();
    let index = br#"["setting_pushName"]"#;
    let (mutation, _) = encode_record(SyncdOperation::SET, index, &value, &keys, id, &iv, 1);
    let mutations = vec![mutation];
    let mut state = HashState::default();
    state.update_hash(&mutations, |_, _| Ok(None)).1.ok()?;
    state.version = 1;
    let mut patch = wa::SyncdPatch {
        snapshot_mac: Some(state.generate_snapshot_mac(COLLECTION, &keys.snapshot_mac)),
        key_id: MessageField::some(wa::KeyId {
            id: Some(id.to_vec()),
        }),
        mutations,
        ..Default::default()
    };
    patch.patch_mac = Some(generate_patch_mac(
        &patch,
        COLLECTION,
        &keys.patch_mac,
        state.version,
    ));
    Some(waproto::codec::syncd_patch_to_vec(&patch))
}
