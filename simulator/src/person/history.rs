//! What a phone remembers of its conversations, and tells a companion that was linked just now.

use std::collections::{HashSet, VecDeque};

use wacore_binary::Jid;
use waproto::buffa::MessageField;
use waproto::whatsapp as wa;

/// How many messages a phone tells of; older ones are forgotten.
const REMEMBERED: usize = 10_000;

/// One message of a conversation.
pub(super) struct Noted {
    /// The other person without device, by LID, or the group.
    pub(super) chat: Jid,
    pub(super) id: String,
    pub(super) from_me: bool,
    /// Who wrote it in a group.
    pub(super) participant: Option<Jid>,
    pub(super) name: String,
    pub(super) at_s: u64,
    pub(super) message: wa::Message,
}

/// The latest messages, oldest first.
#[derive(Default)]
pub(super) struct History {
    noted: VecDeque<Noted>,
    /// Chat and id of each of them.
    known: HashSet<(Jid, String)>,
    forgotten: u64,
}

impl History {
    /// Adds a message; one that is there already stays as it is.
    pub(super) fn note(&mut self, noted: Noted) {
        if !self.known.insert((noted.chat.clone(), noted.id.clone())) {
            return;
        }
        if self.noted.len() == REMEMBERED
            && let Some(oldest) = self.noted.pop_front()
        {
            self.known.remove(&(oldest.chat, oldest.id));
            self.forgotten += 1;
        }
        self.noted.push_back(noted);
    }

    /// The conversations as phones send them: the newest message of each first. `pn_of` tells the
    /// phone number behind a LID.
    pub(super) fn conversations(
        &self,
        pn_of: impl Fn(&Jid) -> Option<Jid>,
    ) -> Vec<wa::Conversation> {
        let mut conversations: Vec<wa::Conversation> = Vec::new();
        for (place, noted) in self.noted.iter().enumerate().rev() {
            let chat = noted.chat.to_string();
            let known = conversations.iter().position(|known| known.id == chat);
            let index = known.unwrap_or_else(|| {
                conversations.push(wa::Conversation {
                    id: chat,
                    pn_jid: pn_of(&noted.chat).map(|pn| pn.to_string()),
                    ..Default::default()
                });
                conversations.len() - 1
            });
            conversations[index].messages.push(wa::HistorySyncMsg {
                message: MessageField::some(noted.entry()),
                msg_order_id: Some(self.forgotten + place as u64),
            });
        }
        conversations
    }
}

impl Noted {
    fn entry(&self) -> wa::WebMessageInfo {
        let participant = self.participant.as_ref().map(ToString::to_string);
        wa::WebMessageInfo {
            key: MessageField::some(wa::MessageKey {
                remote_jid: Some(self.chat.to_string()),
                from_me: Some(self.from_me),
                id: Some(self.id.clone()),
                participant: participant.clone(),
            }),
            message: MessageField::some(self.message.clone()),
            message_timestamp: Some(self.at_s),
            participant,
            push_name: Some(self.name.clone()),
            ..Default::default()
        }
    }
}
