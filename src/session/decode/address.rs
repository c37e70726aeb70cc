//! Who wrote where: parties in both address forms, and keys turned to our own point of view.

use wacore::types::message::MessageInfo;
use waproto::whatsapp as wa;
use whatsapp_rust::{Jid as WaJid, Server};

use super::malformed;
use crate::ids::Jid;
use crate::inbound::message::{Chat, Malformed, MessageKey, Party, Target};

/// The user part of the address that status posts are sent to.
const STATUS_USER: &str = "status";

/// The identifying half of a message.
pub(super) fn key(info: &MessageInfo, us: &Party) -> MessageKey {
    let source = &info.source;
    let mut sender = party([Some(&source.sender), source.sender_alt.as_ref()]);
    if source.is_from_me {
        complete(&mut sender, us);
    }
    MessageKey {
        id: info.id.clone(),
        chat: chat(info, us),
        sender,
        from_me: source.is_from_me,
    }
}

fn chat(info: &MessageInfo, us: &Party) -> Chat {
    let source = &info.source;
    let jid = plain(&source.chat);
    match source.chat.server {
        Server::Group => Chat::Group { jid },
        Server::Broadcast if source.chat.user == STATUS_USER => Chat::Status,
        Server::Broadcast => Chat::Broadcast { jid },
        Server::Newsletter => Chat::Newsletter { jid },
        // From our own phone the sender's other form is our own: the peer's stands apart.
        _ if source.is_from_me => {
            let mut peer = party([
                Some(&source.chat),
                source.recipient_alt.as_ref(),
                info.peer_recipient_pn.as_ref(),
            ]);
            if peer.matches(us) {
                complete(&mut peer, us);
            }
            Chat::Direct(peer)
        }
        _ => Chat::Direct(party([Some(&source.chat), source.sender_alt.as_ref()])),
    }
}

/// Sorts addresses of one person by form. The first of a form wins. Bots and other servers' users
/// have one form only, which stands in `pn`.
fn party<const N: usize>(forms: [Option<&WaJid>; N]) -> Party {
    let mut party = Party::default();
    for form in forms
        .into_iter()
        .flatten()
        .filter(|form| !form.user.is_empty())
    {
        let slot = if form.server.is_lid_family() {
            &mut party.lid
        } else {
            &mut party.pn
        };
        slot.get_or_insert_with(|| plain(form));
    }
    party
}

fn complete(party: &mut Party, from: &Party) {
    party.pn = party.pn.take().or_else(|| from.pn.clone());
    party.lid = party.lid.take().or_else(|| from.lid.clone());
}

/// Without device, and on the one server name under which a person is known: business hosting and
/// the legacy name are other spellings of the same user.
fn plain(jid: &WaJid) -> Jid {
    let server = match jid.server {
        Server::Hosted | Server::Legacy => Server::Pn,
        Server::HostedLid => Server::Lid,
        server => server,
    };
    Jid::new(format!("{}@{}", jid.user, server.as_str()))
}

/// An address inside a message. The sender can put anything there; what is none is nobody's.
pub(super) fn parse(text: &str) -> Option<Jid> {
    let jid: WaJid = text.parse().ok()?;
    (!jid.user.is_empty()).then(|| plain(&jid))
}

/// Where we stand when we read a key that the message's sender wrote.
pub(super) struct Viewpoint<'a> {
    /// Our own account.
    pub us: &'a Party,
    /// The message that holds the key.
    pub key: &'a MessageKey,
}

impl Viewpoint<'_> {
    /// The message that `key` points at, seen from our account.
    ///
    /// In a 1:1 chat the sender's "not from me" is us. In a group the key names the author, except
    /// that the sender's own messages may come without.
    pub fn target(&self, key: Option<&wa::MessageKey>, what: &str) -> Result<Target, Malformed> {
        let (key, message_id) = identified(key, what)?;
        if key.from_me.unwrap_or(false) {
            return Ok(self.own_target(message_id));
        }
        let author = key.participant.as_deref().and_then(parse);
        Ok(match self.key.chat {
            Chat::Direct(_) => Target {
                message_id,
                from_me: !self.key.from_me,
                author: None,
            },
            _ => Target {
                message_id,
                from_me: author.as_ref().is_some_and(|author| self.is_us(author)),
                author,
            },
        })
    }

    /// The edited message. Only its author can edit a message, so it is the sender's own, whatever
    /// the key claims.
    pub fn edited(&self, key: Option<&wa::MessageKey>, what: &str) -> Result<Target, Malformed> {
        let (_, message_id) = identified(key, what)?;
        Ok(self.own_target(message_id))
    }

    /// The deleted message. Others' can be deleted by the administrators of a group, and only there.
    /// Whether the sender is one is not known here.
    pub fn revoked(&self, key: Option<&wa::MessageKey>) -> Result<Target, Malformed> {
        match self.key.chat {
            Chat::Group { .. } => self.target(key, "a revoke"),
            _ => self.edited(key, "a revoke"),
        }
    }

    /// An earlier message of this message's own sender.
    pub fn own_target(&self, message_id: String) -> Target {
        let sender = &self.key.sender;
        let author = match self.key.chat {
            Chat::Direct(_) => None,
            _ => sender.lid.clone().or_else(|| sender.pn.clone()),
        };
        Target {
            message_id,
            from_me: self.key.from_me,
            author,
        }
    }

    /// Whether the address is our own, in either form.
    pub fn is_us(&self, jid: &Jid) -> bool {
        self.us.pn.as_ref() == Some(jid) || self.us.lid.as_ref() == Some(jid)
    }
}

fn identified<'a>(
    key: Option<&'a wa::MessageKey>,
    what: &str,
) -> Result<(&'a wa::MessageKey, String), Malformed> {
    let key = key.ok_or_else(|| malformed(format!("{what} without a target")))?;
    let id = key.id.clone().filter(|id| !id.is_empty());
    let id = id.ok_or_else(|| malformed(format!("{what} without its target's id")))?;
    Ok((key, id))
}
