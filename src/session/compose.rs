//! From a message of the outbox to one that can be handed to the library: what it leaves open is
//! looked up, its file is brought to the media host, and it is encoded.

use std::sync::Arc;

use ring::hmac;
use waproto::whatsapp as wa;
use whatsapp_rust::Client;

use super::encode::{self, Scene};
use super::hook::own_party;
use super::lookup;
use super::upload::{self, Sent, later_store, never};
use crate::clock;
use crate::ids::{AccountId, ConversationId, Jid};
use crate::inbound::message::Party;
use crate::outbound::delivery::Outcome;
use crate::outbound::message::{Draft, Outgoing, QuoteRef, Recipient};
use crate::store::{ChatAddress, Fence, Lookup, Said, Store};

/// Composes the messages of one account.
#[derive(Clone, Debug)]
pub struct Composer {
    store: Store,
    account: AccountId,
    sent: Sent,
}

impl Composer {
    /// One that composes for `account`.
    pub fn new(store: Store, account: AccountId) -> Self {
        Self {
            store,
            account,
            sent: Sent::default(),
        }
    }

    /// The address to send to. A number that nobody has written from is looked up first: of one that
    /// is not on WhatsApp, the server would take a message and keep it.
    ///
    /// # Errors
    /// [`Outcome::Impossible`], [`Outcome::NotSent`].
    pub async fn address(
        &self,
        client: &Client,
        fence: &Fence,
        chat: &ChatAddress,
    ) -> Result<Jid, Outcome> {
        let (Some(pn), None, None) = (&chat.pn, &chat.lid, &chat.jid) else {
            let known = chat.preferred().cloned();
            return known.ok_or_else(|| never("address", "its conversation has no address"));
        };
        let known = self.store.looked_up(&self.account, pn).await;
        let known = match known.map_err(later_store)? {
            Some(known) => known,
            None => self.ask(client, fence, pn).await?,
        };
        match known {
            Lookup::Known(Party { lid: Some(jid), .. } | Party { pn: Some(jid), .. }) => Ok(jid),
            Lookup::NotOnWhatsApp => Err(never("not_on_whatsapp", "the number is not on WhatsApp")),
            Lookup::Known(_) | Lookup::Unknown => Err(Outcome::NotSent {
                code: "lookup",
                error: "WhatsApp does not say whether the number is registered".to_owned(),
            }),
        }
    }

    async fn ask(&self, client: &Client, fence: &Fence, pn: &Jid) -> Result<Lookup, Outcome> {
        let looked = lookup::ask(client, std::slice::from_ref(pn)).await;
        let noted = self.store.answer_lookups(fence, &looked).await;
        noted.map_err(later_store)?;
        Ok(match looked.into_iter().next() {
            None => Lookup::Unknown,
            Some(looked) => looked.found.map_or(Lookup::NotOnWhatsApp, Lookup::Known),
        })
    }

    /// The message that says `draft` in `chat`, under the id `message_id`. The same draft and id make
    /// the same message, but for its time and file. If it is dropped, nothing is kept.
    ///
    /// # Errors
    /// [`Outcome::Impossible`], [`Outcome::NotSent`].
    pub async fn compose(
        &self,
        client: &Arc<Client>,
        conv: &ConversationId,
        chat: &Jid,
        draft: &Draft,
        message_id: &str,
    ) -> Result<wa::Message, Outcome> {
        let us = own_party(client);
        let draft = self.complete(conv, chat, draft, &us).await?;
        let file = upload::bring(client, &self.store, &self.sent, &draft.content).await?;
        let scene = Scene {
            chat,
            now_ms: clock::wall_ms(),
            poll_secret: &poll_secret(client, message_id),
            file: file.as_ref(),
        };
        encode::message(&draft, &scene).ok_or_else(|| Outcome::Impossible {
            code: "media_gone",
            error: "its file is not there".to_owned(),
        })
    }

    /// The draft with the authors that a group needs, and the text that a reply shows.
    async fn complete(
        &self,
        conv: &ConversationId,
        chat: &Jid,
        draft: &Draft,
        us: &Party,
    ) -> Result<Draft, Outcome> {
        let mut draft = draft.clone();
        let in_group = chat.server() == "g.us";
        if let Some(quote) = &mut draft.quote
            && (quote.author.is_none() || quote.text.is_none())
        {
            let said = self.said(conv, &quote.message_id).await?;
            complete_quote(quote, said, chat, us);
            if in_group && quote.author.is_none() {
                return Err(unknown("quote_unknown", "the quoted message"));
            }
        }
        if let Outgoing::Reaction { target, .. } | Outgoing::Revoke { target } = &mut draft.content
            && in_group
            && !target.from_me
            && target.author.is_none()
        {
            let said = self.said(conv, &target.message_id).await?;
            target.author = said.and_then(|said| shown(&said.author));
            if target.author.is_none() {
                return Err(unknown("target_unknown", "the message that it acts upon"));
            }
        }
        Ok(draft)
    }

    async fn said(&self, conv: &ConversationId, id: &str) -> Result<Option<Said>, Outcome> {
        let said = self.store.said(&self.account, conv, id).await;
        said.map_err(later_store)
    }
}

fn complete_quote(quote: &mut QuoteRef, said: Option<Said>, chat: &Jid, us: &Party) {
    let Some(said) = said else { return };
    if quote.text.is_none() {
        quote.text = said.words;
    }
    if quote.author.is_none() {
        let author = match said.from_me {
            // As the chat addresses people.
            true if chat.server() == "s.whatsapp.net" => us.pn.clone(),
            true => shown(us),
            false => shown(&said.author),
        };
        quote.author = author.map(Recipient::Jid);
    }
}

/// The form under which groups know people now.
fn shown(person: &Party) -> Option<Jid> {
    person.lid.clone().or_else(|| person.pn.clone())
}

fn unknown(code: &'static str, what: &str) -> Outcome {
    Outcome::Impossible {
        code,
        error: format!("{what} is not known here, and its author was not named"),
    }
}

/// A poll that is sent again has the same secret: votes on any copy of it can be opened. It is made of
/// one that only this device and its phone know.
pub(super) fn poll_secret(client: &Client, message_id: &str) -> [u8; 32] {
    let device = client.persistence_manager().get_device_snapshot();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &device.adv_secret_key);
    let tag = hmac::sign(&key, format!("poll secret {message_id}").as_bytes());
    let mut secret = [0; 32];
    secret.copy_from_slice(tag.as_ref());
    secret
}
