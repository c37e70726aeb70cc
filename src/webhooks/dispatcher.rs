//! Runs the webhooks of this process: those of its file, and those of the store as they come, change
//! and go. A change ends the consumer of the webhook as it was; what it has posted is waited for.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::consumer::Consumer;
use super::{Desk, HookUrl, Webhook};

/// How often the store is asked for webhooks: one small statement.
const ROUND: Duration = Duration::from_secs(2);

/// Serves all webhooks until `stop`, and then until what was posted is settled or `grace` is over.
pub async fn run(desk: Desk, listed: Vec<Webhook>, grace: Duration, stop: CancellationToken) {
    let mut serving: HashMap<String, (Webhook, CancellationToken)> = HashMap::new();
    let mut consumers = JoinSet::new();
    while !stop.is_cancelled() {
        match wanted(&desk, &listed).await {
            Ok(wanted) => {
                serving.retain(|name, (webhook, ending)| {
                    let stays = wanted.get(name) == Some(webhook);
                    if !stays {
                        ending.cancel();
                    }
                    stays
                });
                for (name, webhook) in wanted {
                    if serving.contains_key(&name) {
                        continue;
                    }
                    let ending = stop.child_token();
                    info!(webhook = %name, host = host(&webhook.target.url), "[agent] Webhook serves");
                    let consumer = Consumer::new(desk.clone(), webhook.clone(), grace);
                    consumers.spawn(consumer.run(ending.clone(), stop.clone()));
                    serving.insert(name, (webhook, ending));
                }
            }
            Err(error) => {
                warn!(%error, "[agent] The store does not tell its webhooks, retrying...")
            }
        }
        // Whoever loses the race is asked again in the next round.
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(ROUND) => {}
            Some(ended) = consumers.join_next() => if let Err(error) = ended {
                // It is begun anew in the next round.
                warn!(%error, "[agent] A webhook's consumer failed");
                serving.retain(|_, (_, ending)| {
                    ending.cancel();
                    false
                });
            }
        }
    }
    while let Some(ended) = consumers.join_next().await {
        if let Err(error) = ended {
            warn!(%error, "[agent] A webhook's consumer failed");
        }
    }
}

/// All webhooks that take jobs, by name; a name of the file is not looked up in the store.
async fn wanted(
    desk: &Desk,
    listed: &[Webhook],
) -> Result<BTreeMap<String, Webhook>, crate::store::StoreError> {
    let stored = desk.store.webhooks().await?;
    let all = stored.into_iter().map(|stored| stored.webhook);
    Ok(all
        .chain(listed.iter().cloned())
        .map(|webhook| (webhook.name.clone(), webhook))
        .filter(|(_, webhook)| webhook.target.enabled)
        .collect())
}

/// Its path may hold a token.
fn host(url: &HookUrl) -> &str {
    url.url().host_str().unwrap_or_default()
}
