//! The open connections, and how others end them.

use std::collections::HashMap;
use std::sync::Mutex;

use tokio::sync::{mpsc, watch};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::directory::DeviceAddress;
use super::lock;
use super::mailbox::ConnectionId;

/// How many answers may wait for one connection.
pub(crate) const LINE_CAPACITY: usize = 1024;

/// What a connection is told to do.
#[derive(Debug)]
pub(crate) enum Order {
    /// Send a stanza.
    Send(Node),
    /// Send a last stanza, if any, and close.
    HangUp(Option<Node>),
    /// Close the socket without a word, as a network failure would.
    Cut,
}

/// Why a client is thrown out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamError {
    /// 515: reconnect now.
    Restart,
    /// 503: the server is busy.
    Unavailable,
    /// 401: these credentials are no longer valid.
    Unauthorized,
    /// Another connection uses the same credentials.
    Replaced,
    /// The phone removed this companion.
    Removed,
}

impl StreamError {
    /// The stanza that says so.
    pub(crate) fn stanza(self) -> Node {
        let conflict = |kind| NodeBuilder::new("conflict").attr("type", kind).build();
        let error = NodeBuilder::new("stream:error");
        match self {
            Self::Restart => error.attr("code", "515").build(),
            Self::Unavailable => error.attr("code", "503").build(),
            Self::Unauthorized => error.attr("code", "401").build(),
            Self::Replaced => error.children([conflict("replaced")]).build(),
            Self::Removed => error
                .attr("code", "401")
                .children([conflict("device_removed")])
                .build(),
        }
    }
}

struct Line {
    orders: mpsc::Sender<Order>,
    device: Option<DeviceAddress>,
}

/// The open connections.
#[derive(Default)]
pub(crate) struct Lines {
    open: Mutex<HashMap<ConnectionId, Line>>,
    changes: watch::Sender<u64>,
}

impl Lines {
    /// Adds a connection.
    pub(crate) fn open(&self, id: ConnectionId, orders: mpsc::Sender<Order>) {
        let line = Line {
            orders,
            device: None,
        };
        lock(&self.open).insert(id, line);
    }

    /// Says whose connection it is.
    pub(crate) fn identify(&self, id: ConnectionId, device: DeviceAddress) {
        if let Some(line) = lock(&self.open).get_mut(&id) {
            line.device = Some(device);
        }
        self.changes.send_modify(|count| *count += 1);
    }

    /// Removes a connection.
    pub(crate) fn close(&self, id: ConnectionId) {
        lock(&self.open).remove(&id);
        self.changes.send_modify(|count| *count += 1);
    }

    /// Changes with every login and every end of a connection.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Gives an order; says whether the connection was there to take it.
    pub(crate) fn order(&self, id: ConnectionId, order: Order) -> bool {
        let open = lock(&self.open);
        open.get(&id)
            .is_some_and(|line| line.orders.try_send(order).is_ok())
    }

    /// Gives an order to each connection that `chosen` picks; says to how many.
    pub(crate) fn order_each(
        &self,
        chosen: impl Fn(DeviceAddress) -> bool,
        order: impl Fn() -> Order,
    ) -> usize {
        let open = lock(&self.open);
        let picked = open
            .values()
            .filter(|line| line.device.is_some_and(&chosen));
        picked
            .filter(|line| line.orders.try_send(order()).is_ok())
            .count()
    }

    /// How many clients are connected and logged in.
    pub(crate) fn logged_in(&self) -> usize {
        let open = lock(&self.open);
        open.values().filter(|line| line.device.is_some()).count()
    }
}

/// What a client is told that cannot log in.
pub(crate) fn login_failure(reason: u16) -> Node {
    NodeBuilder::new("failure")
        .attr("reason", reason)
        .attr("t", crate::clock::unix_seconds())
        .build()
}

/// What a banned number is told: too many messages to people who do not know it.
pub(crate) fn ban(lasts: std::time::Duration) -> Node {
    let mut failure = login_failure(402);
    failure.attrs.insert("code", "101");
    failure.attrs.insert("expire", lasts.as_secs().to_string());
    failure
}
