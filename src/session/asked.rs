//! What other processes ask of the holder's session beside messages: to look numbers up, to show that
//! somebody types, to mark messages as read. And what the session tells of the people it meets.
//!
//! Best effort: who asks does not wait for long, and what failed is not tried again by itself.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::task::AbortOnDropHandle;
use tracing::debug;
use wacore_binary::Jid as WireJid;
use whatsapp_rust::Client;

use super::SessionContext;
use super::reins::Reins;
use super::{lookup, typing};
use crate::ids::{AccountId, ConversationId, Jid};
use crate::store::{ReadMessage, Showing, Shown, Store, StoreError, Topic};

/// Between two looks of a process at what is asked, however often the store changes.
const BREATH: Duration = Duration::from_millis(20);
/// Before a store that did not answer is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// People that are noted in one transaction.
const TOGETHER: usize = 100;

/// Rings for the accounts that have something to do: one look at the store serves all sessions of a
/// process. Clones are the same bell.
#[derive(Clone, Debug)]
pub struct Bell {
    store: Store,
    rung: watch::Sender<Rung>,
    watcher: Arc<OnceLock<AbortOnDropHandle<()>>>,
}

/// For whom it rang last.
#[derive(Clone, Debug, Default)]
struct Rung {
    /// Something is asked of these.
    asked: Arc<HashSet<AccountId>>,
    /// These have messages that can be sent.
    due: Arc<HashSet<AccountId>>,
}

/// One account's side of it. What rings while nobody waits is heard later.
#[derive(Debug)]
pub(super) struct Listener {
    account: AccountId,
    rung: watch::Receiver<Rung>,
}

impl Listener {
    /// Waits until something is asked of the account. Cancel safe.
    async fn asked(&mut self) {
        self.hear(|rung| &rung.asked).await;
    }

    /// Waits until the account has a message that can be sent. Cancel safe.
    pub(super) async fn due(&mut self) {
        self.hear(|rung| &rung.due).await;
    }

    async fn hear(&mut self, of: impl Fn(&Rung) -> &HashSet<AccountId>) {
        loop {
            if self.rung.changed().await.is_err() {
                std::future::pending().await
            }
            if of(&self.rung.borrow_and_update()).contains(&self.account) {
                return;
            }
        }
    }
}

impl Bell {
    /// A bell that nobody hears yet.
    pub fn new(store: Store) -> Self {
        Self {
            store,
            rung: watch::Sender::default(),
            watcher: Arc::default(),
        }
    }

    /// Hears it from now on; it begins to ring with the first one.
    pub(super) fn hear(&self, account: &AccountId) -> Listener {
        let rung = self.rung.subscribe();
        self.watcher.get_or_init(|| {
            let watcher = ring(self.store.clone(), self.rung.clone());
            AbortOnDropHandle::new(tokio::spawn(watcher))
        });
        Listener {
            account: account.clone(),
            rung,
        }
    }
}

async fn look(store: &Store) -> Result<Rung, StoreError> {
    Ok(Rung {
        asked: Arc::new(store.asked_accounts().await?),
        due: Arc::new(store.due_accounts().await?),
    })
}

async fn ring(store: Store, bell: watch::Sender<Rung>) {
    let mut changes = store.watch(Topic::Outbox);
    loop {
        match look(&store).await {
            Ok(rung) if rung.asked.is_empty() && rung.due.is_empty() => {}
            Ok(rung) => {
                bell.send_replace(rung);
            }
            Err(error) => {
                debug!(%error, "the store does not tell what sessions have to do, retrying...");
                tokio::time::sleep(ASK_AGAIN).await;
                continue;
            }
        }
        changes.next().await;
        tokio::time::sleep(BREATH).await;
    }
}

/// Does what is asked while one connection lives; returns when the lease is lost. If it is dropped,
/// what was asked is forgotten.
pub(super) async fn serve(context: SessionContext, client: Arc<Client>, reins: Reins) {
    let mut bell = context.bell.hear(&context.account);
    let mut desk = Desk {
        context,
        client,
        typing: HashMap::new(),
        tasks: JoinSet::new(),
    };
    // Something may have been asked before this connection.
    let mut rung = true;
    loop {
        let done = async {
            if std::mem::take(&mut rung) {
                desk.look_up().await?;
                if !reins.holds_sends() {
                    desk.show().await?;
                }
            }
            desk.introduce().await
        };
        match done.await {
            Ok(()) => {}
            Err(StoreError::Fenced(_)) => return,
            Err(error) => {
                debug!(account = %desk.context.account, %error, "what is asked of the session could not be done");
                tokio::time::sleep(ASK_AGAIN).await;
            }
        }
        let acquaintances = desk.context.acquaintances.clone();
        // The bell keeps its last ring, acquaintances keep who was met, an ended task stays ended.
        tokio::select! {
            () = bell.asked() => rung = true,
            () = acquaintances.made() => {}
            Some(_) = desk.tasks.join_next() => {}
        }
    }
}

struct Desk {
    context: SessionContext,
    client: Arc<Client>,
    typing: HashMap<ConversationId, AbortHandle>,
    tasks: JoinSet<()>,
}

impl Desk {
    async fn look_up(&self) -> Result<(), StoreError> {
        let context = &self.context;
        let asked = context.store.open_lookups(&context.account).await?;
        if asked.is_empty() {
            return Ok(());
        }
        let looked = lookup::ask(&self.client, &asked).await;
        context.store.answer_lookups(&context.fence, &looked).await
    }

    async fn show(&mut self) -> Result<(), StoreError> {
        for shown in self.context.store.take_hints(&self.context.fence).await? {
            let wire = shown
                .chat
                .preferred()
                .and_then(|jid| jid.as_str().parse().ok());
            let Some(wire) = wire else { continue };
            self.show_one(shown, wire);
        }
        Ok(())
    }

    fn show_one(&mut self, shown: Shown, chat: WireJid) {
        let client = self.client.clone();
        match shown.what {
            Showing::Typing(time) => {
                let task = self.tasks.spawn(typing::show(client, chat, time));
                if let Some(before) = self.typing.insert(shown.conversation, task) {
                    before.abort();
                }
                self.typing.retain(|_, task| !task.is_finished());
            }
            Showing::Read(messages) => {
                let is_group = shown.chat.jid.is_some();
                self.tasks
                    .spawn(mark_read(client, chat, is_group, messages));
            }
        }
    }

    async fn introduce(&self) -> Result<(), StoreError> {
        let context = &self.context;
        loop {
            let met = context.acquaintances.take(TOGETHER);
            if met.is_empty() {
                return Ok(());
            }
            if let Err(error) = context.store.meet(&context.fence, &met).await {
                context.acquaintances.forget(&met);
                return Err(error);
            }
        }
    }
}

/// In a group a receipt names who wrote the messages.
async fn mark_read(client: Arc<Client>, chat: WireJid, is_group: bool, messages: Vec<ReadMessage>) {
    let mut by_sender: HashMap<Option<Jid>, Vec<String>> = HashMap::new();
    for ReadMessage { message_id, sender } in messages {
        let sender = sender.lid.or(sender.pn).filter(|_| is_group);
        by_sender.entry(sender).or_default().push(message_id);
    }
    for (sender, ids) in by_sender {
        let sender: Option<WireJid> = sender.and_then(|jid| jid.as_str().parse().ok());
        if is_group && sender.is_none() {
            continue;
        }
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        if let Err(error) = client.mark_as_read(&chat, sender.as_ref(), &ids).await {
            debug!(%error, "messages could not be marked as read");
        }
    }
}
