//! Which devices of a group have our sender key: one record per group.

use std::collections::BTreeMap;

use crate::AuthStore;
use crate::reading::json_value;
use crate::record::RecordError;
use crate::record_name::Family;
use crate::store::json;
use crate::writer::Changes;

type Result<T> = std::result::Result<T, RecordError>;
type Devices = BTreeMap<String, bool>;

impl AuthStore {
    pub(super) async fn sender_key_devices(&self, group: &str) -> Result<Devices> {
        let name = Family::SenderKeyDevices.record([group]);
        Ok(self.read_json(&name).await?.unwrap_or_default())
    }

    pub(super) async fn mark_sender_key_devices(
        &self,
        group: &str,
        entries: &[(&str, bool)],
    ) -> Result<()> {
        let _update = self.updates.groups.lock().await;
        let mut devices = self.sender_key_devices(group).await?;
        for (device, has_key) in entries {
            devices.insert((*device).to_owned(), *has_key);
        }
        let name = Family::SenderKeyDevices.record([group]);
        self.put_json(name, &devices).await
    }

    pub(super) async fn forget_sender_key_group(&self, group: &str) -> Result<()> {
        let _update = self.updates.groups.lock().await;
        self.remove(Family::SenderKeyDevices.record([group])).await
    }

    pub(super) async fn forget_sender_key_devices(&self, gone: &[&str]) -> Result<()> {
        self.change_all_groups(|mut devices| {
            let before = devices.len();
            devices.retain(|device, _| !gone.contains(&device.as_str()));
            (devices.len() != before).then_some(devices)
        })
        .await
    }

    pub(super) async fn forget_all_sender_key_devices(&self) -> Result<()> {
        self.change_all_groups(|_| Some(Devices::new())).await
    }

    /// Replaces what `change` returns; an empty group's record is removed.
    async fn change_all_groups(
        &self,
        change: impl Fn(Devices) -> Option<Devices> + Send,
    ) -> Result<()> {
        let family = Family::SenderKeyDevices;
        let _update = self.updates.groups.lock().await;
        let mut changes = Changes::default();
        let all = self.read_all_as(family, json_value::<Devices>);
        for (name, devices) in all.await? {
            match change(devices) {
                None => {}
                Some(devices) if devices.is_empty() => changes.remove(name),
                Some(devices) => changes.put(name, json(&devices)),
            }
        }
        self.write(changes).await
    }
}
