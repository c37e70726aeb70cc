//! Votes on our own polls are opened, and told by the names of the options.

use hex::ToHex;
use tracing::debug;
use wacore::poll::{PollVoteCiphertext, compute_option_hash};
use wacore::types::events::InboundMessage;
use whatsapp_rust::Client;

use super::compose::poll_secret;
use crate::ids::AccountId;
use crate::inbound::message::{Content, Inbound};
use crate::store::Store;

/// What is needed to read votes.
#[derive(Clone, Debug)]
pub(super) struct Ballots {
    pub(super) store: Store,
    pub(super) account: AccountId,
}

impl Ballots {
    /// Fills in what a vote chose. One that cannot be opened, or whose poll is not known, stays as it is:
    /// a message is not held up for it.
    pub(super) async fn open(&self, client: &Client, item: &InboundMessage, inbound: &mut Inbound) {
        let Ok(Content::PollVote {
            target,
            option_hashes,
            options,
        }) = &mut inbound.content
        else {
            return;
        };
        if !target.from_me {
            return;
        }
        let Some(chosen) = unseal(client, item, &target.message_id).await else {
            return;
        };
        let asked = self.store.poll_options(&self.account, &target.message_id);
        *options = asked.await.ok().flatten().map(|asked| {
            asked
                .into_iter()
                .filter(|name| chosen.contains(&compute_option_hash(name).to_vec()))
                .collect()
        });
        *option_hashes = Some(chosen.iter().map(ToHex::encode_hex).collect());
    }
}

/// The hashes of what was chosen. None: nobody can open it with what is known here, e.g. because the
/// poll was sent by the phone, or before the account was linked again.
async fn unseal(client: &Client, item: &InboundMessage, poll: &str) -> Option<Vec<Vec<u8>>> {
    let sealed = item.message.poll_update_message.as_option()?;
    let vote = sealed.vote.as_option()?;
    let ciphertext = PollVoteCiphertext {
        enc_payload: vote.enc_payload.as_deref()?,
        enc_iv: vote.enc_iv.as_deref()?,
    };
    let voter = &item.info.source.sender;
    // Both addresses of a vote are of one form.
    let creator = match voter.is_lid() {
        true => client.lid()?,
        false => client.pn()?,
    };
    let secret = poll_secret(client, poll);
    let polls = client.polls();
    match polls
        .decrypt_vote(ciphertext, &secret, poll, &creator, voter)
        .await
    {
        Ok(chosen) => Some(chosen),
        Err(error) => {
            debug!(%error, "a vote cannot be opened");
            None
        }
    }
}
