//! Who exists: accounts with their two names, their devices and keys, and groups.
//!
//! An account has a phone number (PN) and a LID; clients address it by either, and device N of one
//! name is device N of the other. Device 0 is the phone. Internally an account is an
//! [`AccountIndex`], so that no code compares names.
//!
//! Invariants: a device number is never reused within an account; a one-time pre-key is handed out
//! once; nothing here waits or sends.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use wacore_binary::{Jid, STATUS_BROADCAST_USER, Server as Namespace};

use super::mailbox::{Chat, Mailbox};
use crate::people::{KeyBundle, OneTimeKey, Phone, SignedKey};

/// An account, whatever name it goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct AccountIndex(usize);

/// One device of one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct DeviceAddress {
    pub(crate) account: AccountIndex,
    pub(crate) device: u16,
}

/// The number of the phone among an account's devices.
pub(crate) const PHONE: u16 = 0;

/// A phone shared between the person who holds it and the directory that publishes its keys.
pub(crate) type SharedPhone = Arc<Mutex<Phone>>;

/// Locks a phone; a panic of an earlier holder does not matter to a simulation.
pub(crate) fn lock_phone(phone: &SharedPhone) -> std::sync::MutexGuard<'_, Phone> {
    phone.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keys that a client uploaded.
#[derive(Debug, Clone)]
pub(crate) struct PublishedKeys {
    pub(crate) registration_id: u32,
    pub(crate) identity: [u8; 32],
    pub(crate) signed: SignedKey,
    pub(crate) one_time: VecDeque<OneTimeKey>,
}

/// Where a device's keys come from.
pub(crate) enum Keys {
    /// A simulated phone makes them when asked.
    Phone(SharedPhone),
    /// A client uploaded them.
    Published(PublishedKeys),
}

/// What a companion registered with when it was linked.
#[derive(Debug, Clone)]
pub(crate) struct Registration {
    pub(crate) noise_key: [u8; 32],
    pub(crate) key_index: u32,
    /// The `<device-identity>` that others get: signed by the phone and by the companion.
    pub(crate) device_identity: Vec<u8>,
}

/// A device in the directory.
pub(crate) struct Device {
    pub(crate) keys: Keys,
    /// Absent for phones, which need no socket and are vouched for by their account key.
    pub(crate) registration: Option<Registration>,
    pub(crate) mailbox: Arc<Mailbox>,
    /// Whether the device was active before: the first time, the phone introduces itself.
    pub(crate) introduced: bool,
}

impl Device {
    /// A bundle to write to this device, using up a one-time pre-key.
    pub(crate) fn take_bundle(&mut self) -> KeyBundle {
        match &mut self.keys {
            Keys::Phone(phone) => lock_phone(phone).endpoint_mut().key_bundle(),
            Keys::Published(keys) => KeyBundle {
                registration_id: keys.registration_id,
                identity: keys.identity,
                signed: keys.signed.clone(),
                one_time: keys.one_time.pop_front(),
            },
        }
    }
}

/// An account in the directory.
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) pn: Jid,
    pub(crate) lid: Jid,
    pub(crate) devices: BTreeMap<u16, Device>,
    pub(crate) phone: SharedPhone,
    next_device: u16,
}

impl Account {
    /// The account's JID in a namespace; LID for every namespace but phone numbers.
    pub(crate) fn jid(&self, namespace: Namespace) -> &Jid {
        if namespace.is_pn_family() {
            &self.pn
        } else {
            &self.lid
        }
    }

    /// The next free device number, now taken.
    pub(crate) fn reserve_device(&mut self) -> u16 {
        self.next_device += 1;
        self.next_device
    }
}

/// A group.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) jid: Jid,
    pub(crate) subject: String,
    /// Unix seconds.
    pub(crate) created: u64,
    /// The namespace its members see each other in: `lid` or `pn`.
    pub(crate) addressing: Namespace,
    /// The first one is its creator and admin.
    pub(crate) members: Vec<AccountIndex>,
}

/// A conversation of several people, and how they see each other in it.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    pub(crate) jid: Jid,
    pub(crate) addressing: Namespace,
    pub(crate) members: Vec<AccountIndex>,
}

/// The directory.
#[derive(Default)]
pub(crate) struct Directory {
    accounts: Vec<Account>,
    by_user: HashMap<(Namespace, String), AccountIndex>,
    groups: HashMap<String, Group>,
}

impl Directory {
    /// Adds a person with a phone.
    pub(crate) fn add_account(
        &mut self,
        name: &str,
        pn: Jid,
        lid: Jid,
        phone: SharedPhone,
        mailbox: Arc<Mailbox>,
    ) -> AccountIndex {
        let index = AccountIndex(self.accounts.len());
        self.by_user
            .insert((Namespace::Pn, pn.user.to_string()), index);
        self.by_user
            .insert((Namespace::Lid, lid.user.to_string()), index);
        let device = Device {
            keys: Keys::Phone(Arc::clone(&phone)),
            registration: None,
            mailbox,
            introduced: true,
        };
        self.accounts.push(Account {
            name: name.to_owned(),
            pn,
            lid,
            devices: BTreeMap::from([(PHONE, device)]),
            phone,
            next_device: PHONE,
        });
        index
    }

    /// How many accounts there are.
    pub(crate) fn len(&self) -> usize {
        self.accounts.len()
    }

    /// The account of an index; indexes come from this directory and never vanish.
    pub(crate) fn account(&self, index: AccountIndex) -> &Account {
        &self.accounts[index.0]
    }

    /// As [`Self::account`].
    pub(crate) fn account_mut(&mut self, index: AccountIndex) -> &mut Account {
        &mut self.accounts[index.0]
    }

    /// The account that a JID names, by phone number or LID, with or without a device.
    pub(crate) fn find(&self, jid: &Jid) -> Option<AccountIndex> {
        let namespace = match jid.server {
            Namespace::Pn | Namespace::Legacy | Namespace::Hosted => Namespace::Pn,
            Namespace::Lid | Namespace::HostedLid => Namespace::Lid,
            _ => return None,
        };
        let key = (namespace, jid.user.to_string());
        self.by_user.get(&key).copied()
    }

    /// The device that a JID names, if it exists.
    pub(crate) fn find_device(&self, jid: &Jid) -> Option<DeviceAddress> {
        let address = DeviceAddress {
            account: self.find(jid)?,
            device: jid.device,
        };
        self.device(address).map(|_| address)
    }

    /// A device, unless it was unlinked.
    pub(crate) fn device(&self, address: DeviceAddress) -> Option<&Device> {
        self.account(address.account).devices.get(&address.device)
    }

    /// As [`Self::device`].
    pub(crate) fn device_mut(&mut self, address: DeviceAddress) -> Option<&mut Device> {
        self.account_mut(address.account)
            .devices
            .get_mut(&address.device)
    }

    /// The devices of an account.
    pub(crate) fn devices_of(&self, account: AccountIndex) -> impl Iterator<Item = DeviceAddress> {
        let devices = self.account(account).devices.keys();
        devices.map(move |&device| DeviceAddress { account, device })
    }

    /// A device's JID in a namespace.
    pub(crate) fn jid_of(&self, address: DeviceAddress, namespace: Namespace) -> Jid {
        self.account(address.account)
            .jid(namespace)
            .with_device(address.device)
    }

    /// The conversation that a JID names.
    pub(crate) fn chat(&self, jid: &Jid) -> Option<Chat> {
        match jid.server {
            Namespace::Group => {
                let known = self.groups.contains_key(jid.user.as_str());
                known.then(|| Chat::Group(jid.user.to_string()))
            }
            Namespace::Broadcast => {
                let status = jid.user == STATUS_BROADCAST_USER;
                status.then_some(Chat::Status)
            }
            Namespace::Pn if jid.user.is_empty() => Some(Chat::Server),
            _ => self.find(jid).map(Chat::Account),
        }
    }

    /// The group or the status broadcast that a conversation is.
    pub(crate) fn room(&self, chat: &Chat) -> Option<Room> {
        match chat {
            Chat::Group(user) => self.groups.get(user).map(|group| Room {
                jid: group.jid.clone(),
                addressing: group.addressing,
                members: group.members.clone(),
            }),
            Chat::Status => Some(Room {
                jid: Jid::status_broadcast(),
                addressing: Namespace::Lid,
                members: (0..self.accounts.len()).map(AccountIndex).collect(),
            }),
            Chat::Account(_) | Chat::Server => None,
        }
    }

    /// Adds or replaces a group.
    pub(crate) fn put_group(&mut self, group: Group) {
        self.groups.insert(group.jid.user.to_string(), group);
    }

    /// The group with this user part.
    pub(crate) fn group(&self, user: &str) -> Option<&Group> {
        self.groups.get(user)
    }

    /// The groups an account is in.
    pub(crate) fn groups_of(&self, account: AccountIndex) -> Vec<&Group> {
        let member = |group: &&Group| group.members.contains(&account);
        let mut groups: Vec<_> = self.groups.values().filter(member).collect();
        groups.sort_by(|a, b| a.jid.user.cmp(&b.jid.user));
        groups
    }
}
