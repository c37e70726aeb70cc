//! Who may reach the agents: `WHATSAPP_ALLOW`, `WHATSAPP_DENY`, `WHATSAPP_GROUPS`,
//! `WHATSAPP_STATUS`.
//!
//! - Without settings everybody is accepted, and status posts are not.
//! - A list entry is a phone number, an address (`…@s.whatsapp.net`, `…@lid`, `…@g.us`, …) or `*`.
//!   A person matches in any form that the message tells, phone number or hidden id.
//! - Deny beats allow. A group message is refused when its group or its sender is denied, and
//!   passes an allow-list that names either.
//! - A person whose hidden id alone is known cannot be matched by a phone number. That is safe for
//!   an allow-list; whoever denies by number relies on the session to add the mapping.

use std::collections::HashSet;

use crate::ids::{Jid, Phone};
use crate::inbound::message::{Chat, Content, Inbound, Party};

/// Whose messages are accepted. The default accepts everybody, in groups too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Absent: everybody.
    allow: Option<List>,
    deny: List,
    groups: Groups,
    status: bool,
}

/// Which messages of groups are accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Groups {
    /// All.
    #[default]
    All,
    /// Those that mention our account, quote it, or act on a message of ours.
    Mention,
    /// None.
    Off,
}

/// Why a message is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Its chat or sender is on the deny-list.
    Denied,
    /// There is an allow-list, and neither its chat nor its sender is on it.
    NotAllowed,
    /// Groups are off.
    GroupsOff,
    /// Written in a group and not addressed to us.
    NotMentioned,
    /// Status posts are off.
    StatusOff,
    /// Written while the account was not linked, and such messages are off.
    BackfillOff,
}

impl Refusal {
    /// For events and the dedupe row.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::NotAllowed => "not_allowed",
            Self::GroupsOff => "groups_off",
            Self::NotMentioned => "not_mentioned",
            Self::StatusOff => "status_off",
            Self::BackfillOff => "backfill_off",
        }
    }
}

/// A setting that cannot be understood. All of them are for the operator to correct.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// An entry of a list is neither a number nor an address.
    #[error(
        "{setting}: \"{entry}\" is neither a phone number nor an address; write a number with its \
         country code (+4915112345678), an address (4915112345678@s.whatsapp.net, \
         123456789012345@lid, 120363000000000000@g.us) or *, separated by commas"
    )]
    Entry {
        /// The setting's name.
        setting: &'static str,
        /// As it was written.
        entry: String,
    },
    /// A setting has none of its values.
    #[error("{setting}: \"{value}\" is not one of its values; write {values}")]
    Choice {
        /// The setting's name.
        setting: &'static str,
        /// As it was written.
        value: String,
        /// What it may be.
        values: &'static str,
    },
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct List {
    everybody: bool,
    addresses: HashSet<Jid>,
}

impl Policy {
    /// Reads the four settings of the module's doc, in that order. An empty one is its default; an
    /// empty allow-list accepts everybody.
    pub fn parse(allow: &str, deny: &str, groups: &str, status: &str) -> Result<Self, PolicyError> {
        let allow = List::parse("WHATSAPP_ALLOW", allow)?;
        Ok(Self {
            allow: (!allow.is_empty()).then_some(allow),
            deny: List::parse("WHATSAPP_DENY", deny)?,
            groups: choice("WHATSAPP_GROUPS", groups, &GROUPS)?,
            status: choice("WHATSAPP_STATUS", status, &SWITCH)?,
        })
    }

    /// Whether the message may pass, by where it was written and by whom.
    pub fn admit(&self, inbound: &Inbound) -> Result<(), Refusal> {
        let key = &inbound.key;
        match &key.chat {
            // The peer is the sender, or, of our own messages, whom we wrote to.
            Chat::Direct(peer) => self.listed(None, peer),
            Chat::Group { jid } => {
                if self.groups == Groups::Off {
                    return Err(Refusal::GroupsOff);
                }
                self.listed(Some(jid), &key.sender)?;
                let heard = key.from_me || self.groups == Groups::All || addressed(inbound);
                heard.then_some(()).ok_or(Refusal::NotMentioned)
            }
            Chat::Status if !self.status => Err(Refusal::StatusOff),
            Chat::Status => self.listed(None, &key.sender),
            Chat::Broadcast { jid } | Chat::Newsletter { jid } => {
                self.listed(Some(jid), &key.sender)
            }
        }
    }

    fn listed(&self, chat: Option<&Jid>, person: &Party) -> Result<(), Refusal> {
        if self.deny.holds(chat, person) {
            return Err(Refusal::Denied);
        }
        match &self.allow {
            Some(allow) if !allow.holds(chat, person) => Err(Refusal::NotAllowed),
            _ => Ok(()),
        }
    }
}

fn addressed(inbound: &Inbound) -> bool {
    let ours = match &inbound.content {
        Ok(
            Content::Reaction { target, .. }
            | Content::PollVote { target, .. }
            | Content::Revoke { target },
        ) => target.from_me,
        _ => false,
    };
    ours || inbound.context.addressed_to_us
}

impl List {
    fn parse(setting: &'static str, text: &str) -> Result<Self, PolicyError> {
        let mut list = Self::default();
        for entry in text.split(',').map(str::trim).filter(|e| !e.is_empty()) {
            if entry == "*" {
                list.everybody = true;
                continue;
            }
            let address = address(entry).ok_or_else(|| PolicyError::Entry {
                setting,
                entry: entry.to_owned(),
            })?;
            list.addresses.insert(address);
        }
        Ok(list)
    }

    fn is_empty(&self) -> bool {
        !self.everybody && self.addresses.is_empty()
    }

    fn holds(&self, chat: Option<&Jid>, person: &Party) -> bool {
        let mut forms = [chat, person.pn.as_ref(), person.lid.as_ref()]
            .into_iter()
            .flatten();
        self.everybody || forms.any(|form| self.addresses.contains(form))
    }
}

/// An entry in the spelling that decoded messages use.
fn address(entry: &str) -> Option<Jid> {
    let number = |text: &str| Phone::parse(text).map(|phone| phone.digits().to_owned());
    let Some((user, server)) = entry.rsplit_once('@') else {
        return Some(Jid::new(format!("{}@s.whatsapp.net", number(entry)?)));
    };
    // A device part, as in `4915112345678:3@…`, says nothing about the person.
    let user = user.split(':').next().unwrap_or_default();
    match server.to_ascii_lowercase().as_str() {
        "s.whatsapp.net" | "c.us" => Some(Jid::new(format!("{}@s.whatsapp.net", number(user)?))),
        server @ ("lid" | "g.us" | "newsletter" | "broadcast" | "bot") => {
            let plain = |c: char| c.is_ascii_digit() || c == '-';
            let valid = !user.is_empty() && user.chars().all(plain);
            valid.then(|| Jid::new(format!("{user}@{server}")))
        }
        _ => None,
    }
}

struct Choices<T: 'static> {
    values: &'static str,
    pairs: &'static [(&'static str, T)],
}

const GROUPS: Choices<Groups> = Choices {
    values: "all, mention or off",
    pairs: &[
        ("all", Groups::All),
        ("mention", Groups::Mention),
        ("off", Groups::Off),
    ],
};

const SWITCH: Choices<bool> = Choices {
    values: "on or off",
    pairs: &[("on", true), ("off", false)],
};

fn choice<T: Copy + Default>(
    setting: &'static str,
    value: &str,
    choices: &Choices<T>,
) -> Result<T, PolicyError> {
    let value = value.trim();
    if value.is_empty() {
        return Ok(T::default());
    }
    let chosen = choices
        .pairs
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(value));
    chosen
        .map(|(_, chosen)| *chosen)
        .ok_or_else(|| PolicyError::Choice {
            setting,
            value: value.to_owned(),
            values: choices.values,
        })
}

#[cfg(test)]
mod tests;
