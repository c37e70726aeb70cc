//! [`ProtocolStore`]: the trait is one list; its topics are in files of their own.

use async_trait::async_trait;
use bytes::Bytes;
use wacore::store::error::Result;
use wacore::store::traits::{
    DeviceListRecord, LidPnMappingEntry, PendingInboundKey, PendingInboundRow, ProtocolStore,
    TcTokenEntry,
};

use crate::AuthStore;
use crate::ledger::InboundId;
use crate::record_name::Family;
use crate::store::json;
use crate::writer::Changes;

#[async_trait]
impl ProtocolStore for AuthStore {
    async fn get_sender_key_devices(&self, group_jid: &str) -> Result<Vec<(String, bool)>> {
        let devices = self.sender_key_devices(group_jid).await?;
        Ok(devices.into_iter().collect())
    }

    async fn set_sender_key_status(&self, group_jid: &str, entries: &[(&str, bool)]) -> Result<()> {
        Ok(self.mark_sender_key_devices(group_jid, entries).await?)
    }

    async fn clear_sender_key_devices(&self, group_jid: &str) -> Result<()> {
        Ok(self.forget_sender_key_group(group_jid).await?)
    }

    async fn delete_sender_key_device_rows(&self, device_jids: &[&str]) -> Result<()> {
        if device_jids.is_empty() {
            return Ok(());
        }
        Ok(self.forget_sender_key_devices(device_jids).await?)
    }

    async fn clear_all_sender_key_devices(&self) -> Result<()> {
        Ok(self.forget_all_sender_key_devices().await?)
    }

    async fn get_lid_mapping(&self, lid: &str) -> Result<Option<LidPnMappingEntry>> {
        Ok(self.lid_mapping(lid).await?)
    }

    async fn get_pn_mapping(&self, phone: &str) -> Result<Option<LidPnMappingEntry>> {
        Ok(self.lid_mapping_of_phone(phone).await?)
    }

    async fn put_lid_mapping(&self, entry: &LidPnMappingEntry) -> Result<()> {
        Ok(self
            .put_lid_mappings_once(std::slice::from_ref(entry))
            .await?)
    }

    async fn put_lid_mappings(&self, entries: &[LidPnMappingEntry]) -> Result<()> {
        Ok(self.put_lid_mappings_once(entries).await?)
    }

    async fn get_all_lid_mappings(&self) -> Result<Vec<LidPnMappingEntry>> {
        Ok(self.all_lid_mappings().await?)
    }

    async fn save_base_key(&self, address: &str, message_id: &str, base_key: &[u8]) -> Result<()> {
        let name = Family::BaseKey.record([address, message_id]);
        Ok(self.put(name, Bytes::copy_from_slice(base_key)).await?)
    }

    async fn has_same_base_key(
        &self,
        address: &str,
        message_id: &str,
        current_base_key: &[u8],
    ) -> Result<bool> {
        let name = Family::BaseKey.record([address, message_id]);
        let saved = self.read(&name).await?;
        Ok(saved.is_some_and(|saved| saved == current_base_key))
    }

    async fn delete_base_key(&self, address: &str, message_id: &str) -> Result<()> {
        let name = Family::BaseKey.record([address, message_id]);
        Ok(self.remove(name).await?)
    }

    async fn update_device_list(&self, record: DeviceListRecord) -> Result<()> {
        self.update_device_lists(vec![record]).await
    }

    async fn update_device_lists(&self, records: Vec<DeviceListRecord>) -> Result<()> {
        let mut changes = Changes::default();
        for record in records {
            let name = Family::DeviceList.record([record.user.as_str()]);
            changes.put(name, json(&record));
        }
        Ok(self.write(changes).await?)
    }

    async fn get_devices(&self, user: &str) -> Result<Option<DeviceListRecord>> {
        Ok(self.read_json(&Family::DeviceList.record([user])).await?)
    }

    async fn delete_devices(&self, user: &str) -> Result<()> {
        Ok(self.remove(Family::DeviceList.record([user])).await?)
    }

    async fn get_group_metadata(&self, group_jid: &str) -> Result<Option<Vec<u8>>> {
        let name = Family::GroupMetadata.record([group_jid]);
        Ok(self.read(&name).await?.map(Vec::from))
    }

    async fn put_group_metadata(&self, group_jid: &str, blob: &[u8]) -> Result<()> {
        let name = Family::GroupMetadata.record([group_jid]);
        Ok(self.put(name, Bytes::copy_from_slice(blob)).await?)
    }

    async fn delete_group_metadata(&self, group_jid: &str) -> Result<()> {
        let name = Family::GroupMetadata.record([group_jid]);
        Ok(self.remove(name).await?)
    }

    async fn get_tc_token(&self, jid: &str) -> Result<Option<TcTokenEntry>> {
        Ok(self.tc_token(jid).await?)
    }

    async fn put_tc_token(&self, jid: &str, entry: &TcTokenEntry) -> Result<()> {
        Ok(self.set_tc_token(jid, entry).await?)
    }

    async fn delete_tc_token(&self, jid: &str) -> Result<()> {
        Ok(self.remove_tc_token(jid).await?)
    }

    async fn get_all_tc_token_jids(&self) -> Result<Vec<String>> {
        Ok(self.tc_token_jids().await?)
    }

    async fn delete_expired_tc_tokens(&self, token_cutoff: i64, sender_cutoff: i64) -> Result<u32> {
        Ok(self.expire_tc_tokens(token_cutoff, sender_cutoff).await?)
    }

    async fn touch_tc_token_sender_timestamp(
        &self,
        jid: &str,
        sender_timestamp: i64,
    ) -> Result<()> {
        Ok(self.raise_tc_token_issue(jid, sender_timestamp).await?)
    }

    async fn store_received_tc_token(
        &self,
        jid: &str,
        token: &[u8],
        token_timestamp: i64,
    ) -> Result<()> {
        Ok(self.receive_tc_token(jid, token, token_timestamp).await?)
    }

    async fn store_sent_message(
        &self,
        chat_jid: &str,
        message_id: &str,
        payload: &[u8],
    ) -> Result<()> {
        Ok(self.put_sent_message(chat_jid, message_id, payload).await?)
    }

    async fn take_sent_message(&self, chat_jid: &str, message_id: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.take_sent(chat_jid, message_id).await?)
    }

    async fn delete_expired_sent_messages(&self, cutoff_timestamp: i64) -> Result<u32> {
        Ok(self.expire_sent_messages(cutoff_timestamp).await?)
    }

    async fn store_pending_inbound(
        &self,
        chat: &str,
        sender: &str,
        id: &str,
        message: &[u8],
    ) -> Result<()> {
        let row = (InboundId { chat, sender, id }, message);
        Ok(self.store_rows(std::iter::once(row)).await?)
    }

    async fn get_pending_inbound(
        &self,
        chat: &str,
        sender: &str,
        id: &str,
    ) -> Result<Option<Vec<u8>>> {
        Ok(self.row(InboundId { chat, sender, id }).await?)
    }

    async fn delete_pending_inbound(&self, chat: &str, sender: &str, id: &str) -> Result<()> {
        self.delete_rows(std::iter::once(InboundId { chat, sender, id }));
        Ok(())
    }

    async fn delete_expired_pending_inbound(&self, cutoff_timestamp: i64) -> Result<u32> {
        Ok(self.expire_rows(cutoff_timestamp).await?)
    }

    async fn store_pending_inbound_batch(&self, rows: &[PendingInboundRow<'_>]) -> Result<()> {
        let rows = rows.iter().map(|row| {
            let message = InboundId {
                chat: row.chat,
                sender: row.sender,
                id: row.id,
            };
            (message, row.message)
        });
        Ok(self.store_rows(rows).await?)
    }

    async fn delete_pending_inbound_batch(&self, keys: &[PendingInboundKey<'_>]) -> Result<()> {
        self.delete_rows(keys.iter().map(|key| InboundId {
            chat: key.chat,
            sender: key.sender,
            id: key.id,
        }));
        Ok(())
    }
}
