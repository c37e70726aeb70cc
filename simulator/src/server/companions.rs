//! Companions join and leave; those who knew the account's devices are told.

use std::sync::Arc;

use wacore_binary::Server as Namespace;
use wacore_binary::builder::NodeBuilder;

use super::Server;
use super::directory::{AccountIndex, Device, DeviceAddress, Directory, Keys, PHONE, lock_phone};
use super::lines::{Order, StreamError};
use super::mailbox::{Chat, Class, Entry};
use super::stanza::SERVER;
use crate::clock::unix_seconds;

/// Below this stock of one-time pre-keys a device is asked to upload more.
const LOW_STOCK: usize = 5;

impl Server {
    /// Adds a linked device.
    pub(crate) fn add_companion(&self, account: AccountIndex, number: u16, device: Device) {
        let address = DeviceAddress {
            account,
            device: number,
        };
        let mut directory = self.directory();
        directory
            .account_mut(account)
            .devices
            .insert(number, device);
        self.tell_about(&directory, address, "add");
    }

    /// Removes a linked device: its keys and mail are gone, its connection ends. Says whether it
    /// was there.
    pub(crate) fn remove_companion(
        &self,
        address: DeviceAddress,
        goodbye: Option<StreamError>,
    ) -> bool {
        if address.device == PHONE {
            return false;
        }
        let mut directory = self.directory();
        let account = directory.account_mut(address.account);
        let Some(device) = account.devices.get(&address.device) else {
            return false;
        };
        let reader = device.mailbox.reader();
        if let Some(registration) = &device.registration {
            lock_phone(&account.phone).dismiss_companion(registration.key_index);
        }
        self.tell_about(&directory, address, "remove");
        directory
            .account_mut(address.account)
            .devices
            .remove(&address.device);
        drop(directory);
        if let (Some(reader), Some(goodbye)) = (reader, goodbye) {
            self.lines
                .order(reader, Order::HangUp(Some(goodbye.stanza())));
        }
        true
    }

    /// Posts a device notification to every companion that asked about this account before.
    fn tell_about(&self, directory: &Directory, subject: DeviceAddress, change: &'static str) {
        let account = directory.account(subject.account);
        let list = lock_phone(&account.phone).key_index_list();
        let device = directory.jid_of(subject, Namespace::Lid);
        let key_index = directory
            .device(subject)
            .and_then(|device| device.registration.as_ref())
            .map_or(0, |registration| registration.key_index);
        let children = [
            NodeBuilder::new("device")
                .attr("jid", device)
                .attr("key-index", key_index)
                .build(),
            NodeBuilder::new("key-index-list")
                .attr("ts", list.timestamp_s)
                .bytes(list.signed)
                .build(),
        ];
        let operation = NodeBuilder::new(change).children(children).build();
        let readers = self.lint.readers_about(subject.account);
        for reader in readers.into_iter().filter(|reader| *reader != subject) {
            let Some(device) = directory.device(reader) else {
                continue;
            };
            let id = notification_id();
            let stanza = NodeBuilder::new("notification")
                .attr("from", &account.lid)
                .attr("type", "devices")
                .attr("id", id.as_str())
                .attr("t", unix_seconds())
                .children([operation.clone()])
                .build();
            device.mailbox.post(Entry {
                class: Class::Notification,
                id,
                chat: Chat::Account(subject.account),
                stanza: Arc::new(stanza),
            });
        }
    }

    /// Asks a device for more one-time pre-keys when its stock has just become low.
    pub(super) fn check_stock(device: &Device) {
        let Keys::Published(keys) = &device.keys else {
            return;
        };
        if keys.one_time.len() != LOW_STOCK {
            return;
        }
        let id = notification_id();
        let count = NodeBuilder::new("count").attr("value", LOW_STOCK).build();
        let stanza = NodeBuilder::new("notification")
            .attr("from", SERVER)
            .attr("type", "encrypt")
            .attr("id", id.as_str())
            .attr("t", unix_seconds())
            .children([count])
            .build();
        device.mailbox.post(Entry {
            class: Class::Notification,
            id,
            chat: Chat::Server,
            stanza: Arc::new(stanza),
        });
    }
}

fn notification_id() -> String {
    u32::from_le_bytes(crate::people::random_bytes()).to_string()
}
