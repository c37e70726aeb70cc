//! `outbox`: messages that wait to be sent, and what became of them.

use clap::{Args, Subcommand};
use serde_json::json;

use super::table::{print, span};
use super::{CliError, Output, load_config};
use crate::app::existing_store;
use crate::config::Config;
use crate::ids::{AccountId, ConversationId, OutboxId};
use crate::outbound::delivery::Status;
use crate::outbound::media::Accepting;
use crate::outbound::message::{Draft, Outgoing, Recipient};
use crate::session::endpoint::Network;
use crate::store::{
    Cancelled, Enqueued, Origin, OutboxDetail, OutboxFilter, OutboxRow, Request, Retried, Store,
};

const ACTOR: &str = "operator";

#[derive(Debug, Subcommand)]
pub(super) enum Outbox {
    /// The newest messages.
    List {
        /// Only this account's.
        #[arg(long)]
        account: Option<AccountId>,
        /// Only of this conversation.
        #[arg(long)]
        conversation: Option<String>,
        /// Only pending, sending, sent, failed, uncertain or cancelled ones.
        #[arg(long)]
        status: Option<Status>,
        /// At most so many.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=100_000))]
        limit: i64,
    },
    /// One message with its attempts.
    Show {
        /// The message.
        message: String,
    },
    /// Put a message in: whoever holds the account's lease sends it.
    Send(Send),
    /// Send a message again that was given up, under the same WhatsApp id; or one that waits for its
    /// next attempt, at once.
    Retry {
        /// The message.
        message: String,
    },
    /// Take a message back that waits.
    Cancel {
        /// The message.
        message: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Send {
    /// From this account.
    account: AccountId,
    /// To a phone number with country code, an address, or a conversation.
    to: Recipient,
    /// The text.
    #[arg(required_unless_present = "content")]
    text: Option<String>,
    /// Anything else, as JSON: '{"type":"image","media":{"path":"menu.png"},"caption":"Today"}'.
    #[arg(long, conflicts_with = "text")]
    content: Option<String>,
    /// Repeating the command with the same key sends nothing again.
    #[arg(long)]
    key: Option<String>,
}

impl Outbox {
    pub(super) async fn run(self, output: Output) -> Result<(), CliError> {
        let config = load_config()?;
        let store = existing_store(&config).await?;
        let done = match self {
            Self::List {
                account,
                conversation,
                status,
                limit,
            } => {
                let filter = OutboxFilter {
                    account,
                    conversation: conversation.map(ConversationId),
                    status,
                    limit,
                };
                list(&store, output, &filter).await
            }
            Self::Show { message } => show(&store, OutboxId(message)).await,
            Self::Send(wish) => send(&store, &config, output, wish).await,
            Self::Retry { message } => retry(&store, OutboxId(message)).await,
            Self::Cancel { message } => cancel(&store, OutboxId(message)).await,
        };
        // Other processes hear of it before this one ends.
        store.close().await;
        done
    }
}

async fn list(store: &Store, output: Output, filter: &OutboxFilter) -> Result<(), CliError> {
    let rows = store.outbox(filter).await?;
    if output == Output::Json {
        put!("{}", json!(rows));
        return Ok(());
    }
    let now = store.now_ms().await?;
    let cells = |row: &OutboxRow| {
        vec![
            json!(row.outbox_id),
            json!(row.account_id),
            json!(row.status.as_str()),
            json!(row.delivery.map(|delivery| delivery.as_str())),
            json!(row.kind()),
            json!(row.attempt_count),
            json!(format!("{} ago", span(now - row.created_at))),
            json!(row.next_attempt_at.map(|at| match at - now {
                ..=0 => "now".to_owned(),
                wait => format!("in {}", span(wait)),
            })),
            json!(row.error_code),
        ]
    };
    let names = [
        "outboxId",
        "accountId",
        "status",
        "delivery",
        "kind",
        "attempts",
        "created",
        "next",
        "error",
    ];
    print(output, &names, rows.iter().map(cells).collect());
    Ok(())
}

async fn show(store: &Store, id: OutboxId) -> Result<(), CliError> {
    let Some(detail): Option<OutboxDetail> = store.outbox_row(&id).await? else {
        return Err(unknown(&id));
    };
    let text = serde_json::to_string_pretty(&detail).expect("a message has string keys");
    put!("{text}");
    Ok(())
}

async fn send(store: &Store, config: &Config, output: Output, wish: Send) -> Result<(), CliError> {
    let failed = |error: &dyn std::fmt::Display| CliError::Failed(error.to_string());
    let mut draft = match (wish.text, wish.content) {
        (_, Some(json)) => {
            let content: Outgoing = serde_json::from_str(&json)
                .map_err(|error| failed(&format_args!("--content: {error}")))?;
            Draft::from(content)
        }
        (text, None) => Draft::text(text.unwrap_or_default()),
    };
    draft.to = Some(wish.to);
    draft.check().map_err(|error| failed(&error))?;
    let request = wish.key.map(|key| Request::new(&key, &draft));
    let known = match &request {
        Some(request) => store.repeated_request(&wish.account, request).await?,
        None => None,
    };
    let enqueued = match known {
        Some(known) => known,
        None => {
            if draft.content.media().is_some() {
                let network =
                    Network::new(config.network.clone()).map_err(|error| failed(&error))?;
                let accepting =
                    Accepting::new(store.clone(), network.http_tls(), config.media.clone());
                let accepting = accepting.map_err(|error| failed(&error))?;
                draft = accepting
                    .prepare(draft)
                    .await
                    .map_err(|error| failed(&error))?;
            }
            let origin = Origin::Operator {
                actor: ACTOR,
                request: request.as_ref(),
            };
            store.enqueue_message(&wish.account, &draft, origin).await?
        }
    };
    match enqueued {
        Enqueued::New(row) | Enqueued::Repeated(row) => {
            if output == Output::Json {
                put!("{}", json!(row));
            } else {
                put!(
                    "Message {0} is {1}: `whatsapp-worker outbox show {0}` tells what becomes of it.",
                    row.outbox_id.as_str(),
                    row.status.as_str()
                );
            }
            Ok(())
        }
        Enqueued::Conflict => Err(CliError::Failed(
            "another message was sent with this key: use a new one".to_owned(),
        )),
        Enqueued::NoAccount => Err(CliError::Failed(format!(
            "there is no account '{}': `whatsapp-worker accounts list` shows them",
            wish.account
        ))),
        Enqueued::NoConversation => Err(CliError::Failed(
            "the account has no such conversation".to_owned(),
        )),
    }
}

async fn retry(store: &Store, id: OutboxId) -> Result<(), CliError> {
    match store.retry_outgoing(&id, ACTOR).await? {
        Retried::Done => {
            put!("Message {} is sent again.", id.as_str());
            Ok(())
        }
        Retried::Needless(status) => Err(CliError::Failed(format!(
            "message {} is {}: there is nothing to send again",
            id.as_str(),
            status.as_str()
        ))),
        Retried::Erased => Err(CliError::Failed(format!(
            "what message {} said is erased",
            id.as_str()
        ))),
        Retried::Unknown => Err(unknown(&id)),
    }
}

async fn cancel(store: &Store, id: OutboxId) -> Result<(), CliError> {
    match store.cancel_outgoing(&id, ACTOR).await? {
        Cancelled::Done => {
            put!("Message {} is not sent.", id.as_str());
            Ok(())
        }
        Cancelled::TooLate(status) => Err(CliError::Failed(format!(
            "message {} is {}: only one that waits can be taken back",
            id.as_str(),
            status.as_str()
        ))),
        Cancelled::Unknown => Err(unknown(&id)),
    }
}

fn unknown(id: &OutboxId) -> CliError {
    CliError::Failed(format!(
        "there is no message {}: `whatsapp-worker outbox list` shows them",
        id.as_str()
    ))
}
