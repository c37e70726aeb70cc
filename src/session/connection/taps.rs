//! Between the library's client and the socket: frames are handed up one by one, until reading is
//! paused.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use wacore::net::{DisconnectReason, Transport, TransportEvent, TransportFactory};

use super::Vow;
use crate::session::pulse::Ear;
use crate::session::transport::WsTransportFactory;

/// What we see and steer beneath the library's client.
#[derive(Clone, Default)]
pub(super) struct Taps {
    /// No more frames are handed up.
    pub(super) paused: CancellationToken,
    /// Nobody holds the connection any more.
    pub(super) gone: CancellationToken,
    /// The hook failed for good.
    pub(super) broken: CancellationToken,
    pub(super) last_words: Arc<Mutex<Option<String>>>,
    pub(super) ear: Ear,
    transport: Arc<Mutex<Option<Arc<dyn Transport>>>>,
    pump: Arc<Mutex<Option<AbortOnDropHandle<()>>>>,
}

impl Taps {
    pub(super) async fn close(&self) {
        let transport = self
            .transport
            .lock()
            .expect("no panic while it is held")
            .take();
        if let Some(transport) = transport {
            transport.disconnect().await;
        }
    }

    fn say(&self, words: String) {
        *self.last_words.lock().expect("no panic while it is held") = Some(words);
    }
}

pub(super) struct TappedFactory {
    pub(super) inner: WsTransportFactory,
    pub(super) taps: Taps,
    pub(super) vow: Vow,
}

#[async_trait]
impl TransportFactory for TappedFactory {
    async fn create_transport(
        &self,
    ) -> anyhow::Result<(Arc<dyn Transport>, async_channel::Receiver<TransportEvent>)> {
        let made = self.inner.create_transport().await;
        let (transport, frames) = match made {
            Ok(made) => made,
            Err(error) => {
                self.taps.say(format!("{error:#}"));
                return Err(error);
            }
        };
        let (up, handed_up) = async_channel::bounded(1);
        self.taps.ear.hear();
        let pump = tokio::spawn(pump(frames, up, self.taps.clone(), transport.clone()));
        *self.taps.pump.lock().expect("no panic while it is held") =
            Some(AbortOnDropHandle::new(pump));
        *self
            .taps
            .transport
            .lock()
            .expect("no panic while it is held") = Some(transport.clone());
        Ok((self.vow.bound(transport), handed_up))
    }
}

/// Hands frames up until reading is paused, and ends the socket of a connection that nobody holds.
async fn pump(
    frames: async_channel::Receiver<TransportEvent>,
    up: async_channel::Sender<TransportEvent>,
    taps: Taps,
    transport: Arc<dyn Transport>,
) {
    // What is not handed up any more is not acknowledged, and comes again.
    tokio::select! {
        biased;
        () = taps.gone.cancelled() => transport.disconnect().await,
        () = hand_up(frames, up, &taps) => {}
    }
}

/// Paused, it keeps the channel open: the library must not take the pause for an end.
async fn hand_up(
    frames: async_channel::Receiver<TransportEvent>,
    up: async_channel::Sender<TransportEvent>,
    taps: &Taps,
) {
    loop {
        // Losing the race leaves the event in the channel: it is not handed up, as it should be.
        let event = tokio::select! {
            biased;
            () = taps.paused.cancelled() => break,
            event = frames.recv() => event,
        };
        let Ok(event) = event else { return };
        if let TransportEvent::Disconnected(reason) = &event
            && !matches!(reason, DisconnectReason::Unknown)
        {
            taps.say(reason.to_string());
        }
        taps.ear.fill();
        if up.send(event).await.is_err() {
            return;
        }
        taps.ear.hear();
    }
    up.closed().await;
}
