//! `conversations`: who was talked with, and forgetting somebody.

use clap::Subcommand;
use serde_json::json;

use super::confirm::confirm;
use super::table::{print, span};
use super::{CliError, Output, load_config};
use crate::app::existing_store;
use crate::ids::{AccountId, ConversationId, mask};
use crate::store::Store;

#[derive(Debug, Subcommand)]
pub(super) enum Conversations {
    /// Conversations, the newest first. Numbers are masked.
    List {
        /// Only this account's.
        #[arg(long)]
        account: Option<AccountId>,
        /// At most so many.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=100_000))]
        limit: i64,
    },
    /// Erase everything that was said in a conversation, its jobs, and who it was with. Only hashes
    /// stay, by which messages that come again are known.
    Purge {
        /// The conversation.
        conversation: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

impl Conversations {
    pub(super) async fn run(self, output: Output) -> Result<(), CliError> {
        let store = existing_store(&load_config()?).await?;
        let done = match self {
            Self::List { account, limit } => list(&store, output, account.as_ref(), limit).await,
            Self::Purge { conversation, yes } => {
                purge(&store, ConversationId(conversation), yes).await
            }
        };
        store.close().await;
        done
    }
}

async fn list(
    store: &Store,
    output: Output,
    account: Option<&AccountId>,
    limit: i64,
) -> Result<(), CliError> {
    let now = store.now_ms().await?;
    let rows = store
        .conversations(account, limit)
        .await?
        .into_iter()
        .map(|talk| {
            let with = talk
                .address
                .map(|jid| format!("{}@{}", mask(jid.user()), jid.server()));
            let last = match output {
                Output::Table => json!(format!("{} ago", span(now - talk.last_message_at))),
                Output::Json => json!(talk.last_message_at),
            };
            vec![
                json!(talk.id),
                json!(talk.account),
                json!(talk.kind),
                json!(with),
                json!(talk.priority),
                last,
            ]
        })
        .collect();
    print(
        output,
        &[
            "conversationId",
            "accountId",
            "kind",
            "with",
            "priority",
            "lastMessageAt",
        ],
        rows,
    );
    Ok(())
}

async fn purge(store: &Store, id: ConversationId, yes: bool) -> Result<(), CliError> {
    confirm(
        yes,
        &format!("Erase conversation {} for good?", id.as_str()),
    )?;
    match store.purge_conversation(&id, "operator").await? {
        Some(messages) => {
            put!(
                "Conversation {} is erased: {messages} messages.",
                id.as_str()
            );
            Ok(())
        }
        None => Err(CliError::Failed(format!(
            "there is no conversation {}: `whatsapp-worker conversations list` shows them",
            id.as_str()
        ))),
    }
}
