//! Whom a message is for, in the forms that people and programs know.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::{ConversationId, Jid, Phone};

/// A chat or a person, written as one string. `Display` and `Debug` mask numbers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Recipient {
    /// `conv_…`: the conversation of a job.
    Conversation(ConversationId),
    /// `+49 151 …`.
    Phone(Phone),
    /// `…@s.whatsapp.net`, `…@lid` or `…@g.us`, without a device part.
    Jid(Jid),
}

/// The text is none of the forms. It is not repeated here: it may be a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a recipient: use a phone number with country code (+49…), an address that ends in @s.whatsapp.net, @lid or @g.us, or a conversation id (conv_…)"
)]
pub struct NoRecipient;

impl Recipient {
    /// The address, unless it is a conversation that has to be looked up.
    pub fn jid(&self) -> Option<Jid> {
        match self {
            Self::Conversation(_) => None,
            Self::Phone(phone) => Some(Jid::new(format!("{}@s.whatsapp.net", phone.digits()))),
            Self::Jid(jid) => Some(jid.clone()),
        }
    }
}

impl FromStr for Recipient {
    type Err = NoRecipient;

    fn from_str(text: &str) -> Result<Self, NoRecipient> {
        let text = text.trim();
        if let Some((user, server)) = text.split_once('@') {
            return address(user, server).map(Self::Jid).ok_or(NoRecipient);
        }
        if let Some(id) = text.strip_prefix("conv_") {
            let plain =
                (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric());
            return plain
                .then(|| Self::Conversation(ConversationId(text.to_owned())))
                .ok_or(NoRecipient);
        }
        Phone::parse(text).map(Self::Phone).ok_or(NoRecipient)
    }
}

/// People's addresses lose the device; `c.us` is the older name of the same server.
fn address(user: &str, server: &str) -> Option<Jid> {
    let digits =
        |text: &str| (1..=24).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    match server {
        "s.whatsapp.net" | "c.us" | "lid" => {
            let (user, device) = user.split_once(':').unwrap_or((user, "0"));
            let server = if server == "c.us" {
                "s.whatsapp.net"
            } else {
                server
            };
            (digits(user) && digits(device)).then(|| Jid::new(format!("{user}@{server}")))
        }
        // Older groups are named after their founder's number and their birth.
        "g.us" => {
            let known = match user.split_once('-') {
                Some((founder, born)) => digits(founder) && digits(born),
                None => digits(user),
            };
            known.then(|| Jid::new(format!("{user}@{server}")))
        }
        _ => None,
    }
}

impl TryFrom<String> for Recipient {
    type Error = NoRecipient;
    fn try_from(text: String) -> Result<Self, NoRecipient> {
        text.parse()
    }
}

impl From<Recipient> for String {
    fn from(recipient: Recipient) -> Self {
        match recipient {
            Recipient::Conversation(conv) => conv.0,
            Recipient::Phone(phone) => format!("+{}", phone.digits()),
            Recipient::Jid(jid) => jid.as_str().to_owned(),
        }
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conversation(conv) => f.write_str(conv.as_str()),
            Self::Phone(phone) => phone.fmt(f),
            Self::Jid(jid) => jid.fmt(f),
        }
    }
}
