//! What a file's name says. Baileys writes `/` as `__` and `:` as `-` there.

use super::node::from_base64;

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// The device itself.
    Creds,
    /// A one-time pre-key, by its id.
    PreKey(u32),
    /// Signal sessions with a device.
    Session(Address),
    /// Identity of a device.
    Identity(Address),
    /// Sender keys of a device in a group.
    SenderKey(String, Address),
    /// Who has our sender key of a group.
    SenderKeyMemory(String),
    /// An app-state key, by its id.
    SyncKey(Vec<u8>),
    /// Where an app-state collection stands.
    SyncVersion(String),
    /// The LID of a phone number.
    LidOfPhone(String),
    /// The phone number of a LID.
    PhoneOfLid(String),
    /// A trusted contact's token.
    TcToken(String),
    /// Something that is fetched again, or an index of other files.
    NotNeeded,
}

/// A device of a user, as Baileys names it in Signal's terms.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// The user.
    pub user: String,
    /// In which space of names.
    pub domain: Domain,
    /// Number of the device; 0 is the phone.
    pub device: u16,
}

/// A space of user names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Domain {
    /// Phone numbers.
    Phone,
    /// Hidden ids.
    Lid,
    /// Phone numbers of hosted devices.
    Hosted,
    /// Hidden ids of hosted devices.
    HostedLid,
}

impl Address {
    /// `user`, or `user_1` with the number of the domain.
    fn new(user: &str, device: &str) -> Option<Self> {
        let (user, domain) = match user.split_once('_') {
            None => (user, Domain::Phone),
            Some((user, "1")) => (user, Domain::Lid),
            Some((user, "128")) => (user, Domain::Hosted),
            Some((user, "129")) => (user, Domain::HostedLid),
            Some(_) => return None,
        };
        Some(Self {
            user: is_user(user).then(|| user.to_owned())?,
            domain,
            device: device.parse().ok()?,
        })
    }

    fn dotted(text: &str) -> Option<Self> {
        let (user, device) = text.rsplit_once('.')?;
        Self::new(user, device)
    }
}

/// Users are numbers, of phones or not.
pub(super) fn is_user(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A group or a list: `user@server`, of characters that a JID can have.
fn is_chat(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"@.-_".contains(&byte);
    text.len() <= 128 && text.split('@').count() == 2 && text.bytes().all(allowed)
}

impl Kind {
    /// What the file of this name holds; `None` if Baileys has no such files.
    pub fn of(name: &str) -> Option<Self> {
        let stem = name.strip_suffix(".json")?;
        if stem == "creds" {
            return Some(Self::Creds);
        }
        let after = |kind: &str| stem.strip_prefix(kind)?.strip_prefix('-');
        // The longer kinds first: one begins as another does.
        if let Some(group) = after("sender-key-memory") {
            return is_chat(group).then(|| Self::SenderKeyMemory(group.to_owned()));
        }
        if let Some(key) = after("sender-key") {
            let (rest, device) = key.rsplit_once("--")?;
            let (group, user) = rest.rsplit_once("--")?;
            let sender = Address::new(user, device)?;
            return is_chat(group).then(|| Self::SenderKey(group.to_owned(), sender));
        }
        if let Some(id) = after("app-state-sync-key") {
            return from_base64(&id.replace("__", "/")).map(Self::SyncKey);
        }
        if let Some(collection) = after("app-state-sync-version") {
            return Some(Self::SyncVersion(collection.to_owned()));
        }
        if let Some(id) = after("pre-key") {
            return id.parse().ok().map(Self::PreKey);
        }
        if let Some(address) = after("session") {
            return Address::dotted(address).map(Self::Session);
        }
        if let Some(address) = after("identity-key") {
            return Address::dotted(address).map(Self::Identity);
        }
        if let Some(user) = after("lid-mapping") {
            return match user.strip_suffix("_reverse") {
                Some(lid) => is_user(lid).then(|| Self::PhoneOfLid(lid.to_owned())),
                None => is_user(user).then(|| Self::LidOfPhone(user.to_owned())),
            };
        }
        if let Some(jid) = after("tctoken") {
            return match jid {
                "__index" => Some(Self::NotNeeded),
                jid => is_chat(jid).then(|| Self::TcToken(jid.to_owned())),
            };
        }
        after("device-list").map(|_| Self::NotNeeded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(user: &str, domain: Domain, device: u16) -> Address {
        Address {
            user: user.into(),
            domain,
            device,
        }
    }

    #[test]
    fn each_kind_is_known_by_its_name() {
        let group = || "120363-1@g.us".to_owned();
        for (name, kind) in [
            ("creds.json", Kind::Creds),
            ("pre-key-31.json", Kind::PreKey(31)),
            (
                "session-15550001.3.json",
                Kind::Session(address("15550001", Domain::Phone, 3)),
            ),
            (
                "session-77_1.0.json",
                Kind::Session(address("77", Domain::Lid, 0)),
            ),
            (
                "identity-key-77_129.99.json",
                Kind::Identity(address("77", Domain::HostedLid, 99)),
            ),
            (
                "sender-key-120363-1@g.us--77_1--4.json",
                Kind::SenderKey(group(), address("77", Domain::Lid, 4)),
            ),
            (
                "sender-key-memory-120363-1@g.us.json",
                Kind::SenderKeyMemory(group()),
            ),
            (
                "app-state-sync-key-AAA__8g==.json",
                Kind::SyncKey(vec![0, 0, 0x3f, 0xf2]),
            ),
            (
                "app-state-sync-version-regular_low.json",
                Kind::SyncVersion("regular_low".into()),
            ),
            (
                "lid-mapping-15550001.json",
                Kind::LidOfPhone("15550001".into()),
            ),
            ("lid-mapping-77_reverse.json", Kind::PhoneOfLid("77".into())),
            ("tctoken-77@lid.json", Kind::TcToken("77@lid".into())),
            ("tctoken-__index.json", Kind::NotNeeded),
            ("device-list-15550001.json", Kind::NotNeeded),
        ] {
            assert_eq!(Kind::of(name), Some(kind), "{name}");
        }
    }

    #[test]
    fn other_names_are_not_understood() {
        for name in [
            "",
            "creds",
            "creds.json.bak",
            "pre-key-x.json",
            "pre-key--1.json",
            "session-.0.json",
            "session-1_7.0.json",
            "session-1.70000.json",
            "sender-key-120363@g.us--1.json",
            "sender-key---1--1.json",
            "notes.json",
        ] {
            assert_eq!(Kind::of(name), None, "{name}");
        }
    }
}
