//! Messages that keep coming while things break.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use simulator::people::Content;
use tokio_util::task::AbortOnDropHandle;

use crate::theatre::Theatre;

/// A customer who does not stop writing.
pub struct Load {
    ids: Arc<Mutex<Vec<String>>>,
    writer: AbortOnDropHandle<()>,
}

impl Load {
    /// Begins to write, one message each `pace`.
    pub fn start(theatre: &Theatre, pace: Duration) -> Self {
        let ids = Arc::new(Mutex::new(Vec::new()));
        let (alice, shop, written) = (theatre.alice.clone(), theatre.shop.jid(), ids.clone());
        let writer = tokio::spawn(async move {
            for n in 0.. {
                let text = Content::Text(format!("message {n} of the load"));
                let id = alice.send(&shop, &text).expect("the server accepts it");
                written.lock().expect("no panic").push(id);
                tokio::time::sleep(pace).await; // justified: the pace of the load, not a wait
            }
        });
        Self {
            ids,
            writer: AbortOnDropHandle::new(writer),
        }
    }

    /// Stops writing and returns what was accepted.
    pub async fn end(self) -> Vec<String> {
        self.writer.abort();
        // Cancelled, or it panicked: that is told here.
        if let Err(error) = self.writer.await
            && let Ok(panic) = error.try_into_panic()
        {
            std::panic::resume_unwind(panic);
        }
        std::mem::take(&mut self.ids.lock().expect("no panic"))
    }
}
