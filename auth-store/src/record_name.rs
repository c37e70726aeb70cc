//! Names of records within a generation: a family and its parts.
//!
//! Parts come from the network, so `/`, `%` and control characters in them are
//! escaped: no part can reach into another record's name.

use std::fmt::Write as _;

/// What kind of record a name belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Family {
    BaseKey,
    Device,
    DeviceList,
    GroupMetadata,
    Identity,
    LidMapping,
    LidOfPhone,
    MessageSecret,
    MessageSecretDue,
    MutationMac,
    PendingInbound,
    PreKey,
    Repair,
    SenderKey,
    SenderKeyDevices,
    SentMessage,
    SentMessageDue,
    Session,
    SignedPreKey,
    SyncKey,
    SyncKeyLatest,
    SyncVersion,
    TcToken,
}

impl Family {
    /// First part of the names of this family.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::BaseKey => "base_key",
            Self::Device => "device",
            Self::DeviceList => "device_list",
            Self::GroupMetadata => "group",
            Self::Identity => "identity",
            Self::LidMapping => "lid",
            Self::LidOfPhone => "phone_lid",
            Self::MessageSecret => "secret",
            Self::MessageSecretDue => "secret_due",
            Self::MutationMac => "mutation_mac",
            Self::PendingInbound => "pending",
            Self::PreKey => "prekey",
            Self::Repair => "repair",
            Self::SenderKey => "sender_key",
            Self::SenderKeyDevices => "sender_key_devices",
            Self::SentMessage => "sent",
            Self::SentMessageDue => "sent_due",
            Self::Session => "session",
            Self::SignedPreKey => "signed_prekey",
            Self::SyncKey => "sync_key",
            Self::SyncKeyLatest => "sync_key_latest",
            Self::SyncVersion => "sync_version",
            Self::TcToken => "tc_token",
        }
    }

    /// Whether values are kept in memory once they were read or written.
    /// Those that are written once and hardly ever read again are not.
    const fn is_cached(self) -> bool {
        !matches!(
            self,
            Self::BaseKey
                | Self::MessageSecret
                | Self::MessageSecretDue
                | Self::MutationMac
                | Self::PendingInbound
                | Self::PreKey
                | Self::Repair
                | Self::SentMessage
                | Self::SentMessageDue
        )
    }

    /// The name of a record of this family.
    pub(crate) fn record<'a>(self, parts: impl IntoIterator<Item = &'a str>) -> RecordName {
        let mut text = self.name().to_owned();
        for part in parts {
            text.push('/');
            push_escaped(&mut text, part);
        }
        RecordName { family: self, text }
    }

    /// What the names of this family start with, when `parts` are their first parts.
    pub(crate) fn prefix<'a>(self, parts: impl IntoIterator<Item = &'a str>) -> String {
        let mut text = self.record(parts).text;
        text.push('/');
        text
    }

    /// A name of this family from its text; `None` for any other text.
    pub(crate) fn of_text(self, text: &str) -> Option<RecordName> {
        text.strip_prefix(self.name())?.strip_prefix('/')?;
        Some(RecordName {
            family: self,
            text: text.to_owned(),
        })
    }

    /// The last part of a name of this family; `None` for any other name.
    pub(crate) fn last_part(self, name: &str) -> Option<String> {
        let parts = name.strip_prefix(self.name())?.strip_prefix('/')?;
        unescape(parts.rsplit('/').next()?)
    }

    /// The first part of a name of this family; `None` for any other name.
    pub(crate) fn first_part(self, name: &str) -> Option<String> {
        let parts = name.strip_prefix(self.name())?.strip_prefix('/')?;
        unescape(parts.split('/').next()?)
    }

    /// The single part of a name of this family; `None` for any other name.
    pub(crate) fn only_part(self, name: &str) -> Option<String> {
        unescape(name.strip_prefix(self.name())?.strip_prefix('/')?)
    }
}

/// The name of one record within its generation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RecordName {
    family: Family,
    text: String,
}

impl RecordName {
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn family(&self) -> Family {
        self.family
    }

    pub(crate) fn is_cached(&self) -> bool {
        self.family.is_cached()
    }
}

/// Escapes one part.
fn push_escaped(name: &mut String, part: &str) {
    for c in part.chars() {
        if c == '/' || c == '%' || c.is_ascii_control() {
            write!(name, "%{:02x}", u32::from(c)).expect("writing to a string succeeds");
        } else {
            name.push(c);
        }
    }
}

fn unescape(part: &str) -> Option<String> {
    let mut plain = String::with_capacity(part.len());
    let mut rest = part;
    while let Some(at) = rest.find('%') {
        plain.push_str(&rest[..at]);
        let code = u8::from_str_radix(rest.get(at + 1..at + 3)?, 16).ok()?;
        plain.push(char::from(code));
        rest = &rest[at + 3..];
    }
    plain.push_str(rest);
    Some(plain)
}

/// A time as a part of a name: 16 hex digits that sort as the number does.
pub(crate) fn sortable(time: i64) -> String {
    format!("{:016x}", time.cast_unsigned() ^ (1 << 63))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cannot_collide() {
        let name = |parts: &[&str]| Family::SentMessage.record(parts.iter().copied());
        assert_ne!(name(&["a/b", "c"]), name(&["a", "b/c"]));
        assert_ne!(name(&["a%2fb"]), name(&["a/b"]));
    }

    #[test]
    fn a_part_survives_escaping() {
        for part in ["a/b", "100%", "ünï\u{1}", ""] {
            let name = Family::TcToken.record([part]);
            assert_eq!(
                Family::TcToken.only_part(name.text()).as_deref(),
                Some(part)
            );
        }
        assert_eq!(Family::TcToken.only_part("lid/a"), None);
    }

    #[test]
    fn times_sort_as_numbers_do() {
        let times = [i64::MIN, -1, 0, 1, 1_900_000_000, i64::MAX];
        assert!(times.map(sortable).is_sorted());
    }
}
