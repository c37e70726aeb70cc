//! How a supervisor steers a session, and what it hears from it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::clock::Boot;
use crate::lease::keeper::Loss;

/// Whether the session goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// It does.
    Run,
    /// It settles what is in flight and ends, by this moment at the latest.
    Drain {
        /// When it must have ended.
        until: Boot,
    },
    /// It ends now: the lease is lost.
    Cut(Loss),
}

#[derive(Clone, Debug)]
struct Orders {
    order: Order,
    paused: bool,
    nudges: u64,
}

/// The supervisor's end. Dropping it cuts the session.
#[derive(Debug)]
pub struct Rider {
    orders: watch::Sender<Orders>,
    deaf: watch::Receiver<u32>,
    doorbell: Arc<Notify>,
}

/// The session's end. Clones hear the same.
#[derive(Clone, Debug)]
pub struct Reins {
    orders: watch::Receiver<Orders>,
    deaf: watch::Sender<u32>,
    /// Rung once for what an operator asks of the auth state; it keeps ringing until it is heard.
    doorbell: Arc<Notify>,
}

/// Both ends, for one session.
pub fn reins(paused: bool) -> (Rider, Reins) {
    let (give, orders) = watch::channel(Orders {
        order: Order::Run,
        paused,
        nudges: 0,
    });
    let (deaf, heard) = watch::channel(0);
    let doorbell = Arc::new(Notify::new());
    let rider = Rider {
        orders: give,
        deaf: heard,
        doorbell: doorbell.clone(),
    };
    let reins = Reins {
        orders,
        deaf,
        doorbell,
    };
    (rider, reins)
}

impl Rider {
    /// Settle and end by `until`. An order to cut stays.
    pub fn drain(&self, until: Boot) {
        self.orders.send_if_modified(|orders| {
            let runs = orders.order == Order::Run;
            if runs {
                orders.order = Order::Drain { until };
            }
            runs
        });
    }

    /// End now.
    pub fn cut(&self, loss: Loss) {
        self.orders
            .send_modify(|orders| orders.order = Order::Cut(loss));
    }

    /// Send nothing, or send again.
    pub fn pause(&self, paused: bool) {
        self.orders.send_modify(|orders| orders.paused = paused);
    }

    /// End a rest that waits for a person.
    pub fn nudge(&self) {
        self.orders.send_modify(|orders| orders.nudges += 1);
    }

    /// Look at what an operator asks of the auth state.
    pub fn attend(&self) {
        self.doorbell.notify_one();
    }

    /// Resolves when the number of deaf connections in a row has changed. Cancel safe.
    pub async fn deaf(&mut self) -> u32 {
        if self.deaf.changed().await.is_err() {
            // The session is over, which is heard elsewhere.
            std::future::pending::<()>().await;
        }
        *self.deaf.borrow_and_update()
    }
}

impl Reins {
    /// The order now.
    pub fn order(&self) -> Order {
        match self.orders.has_changed() {
            Ok(_) => self.orders.borrow().order,
            Err(_) => Order::Cut(Loss::Unanswered),
        }
    }

    /// Resolves when the session is to end, in order or at once. Cancel safe.
    pub async fn halted(&self) -> Order {
        self.ordered(|order| order != Order::Run).await
    }

    /// Resolves when the session is to end at once. Cancel safe.
    pub async fn cut(&self) -> Loss {
        match self.ordered(|order| matches!(order, Order::Cut(_))).await {
            Order::Cut(loss) => loss,
            Order::Run | Order::Drain { .. } => unreachable!("it was waited for a cut"),
        }
    }

    async fn ordered(&self, wanted: impl Fn(Order) -> bool) -> Order {
        let mut orders = self.orders.clone();
        match orders.wait_for(|orders| wanted(orders.order)).await {
            Ok(orders) => orders.order,
            Err(_) => Order::Cut(Loss::Unanswered),
        }
    }

    /// Whether nothing may be sent: paused, or about to end.
    pub fn holds_sends(&self) -> bool {
        self.orders.borrow().paused || self.order() != Order::Run
    }

    /// Resolves when something may be sent. Cancel safe.
    pub async fn may_send(&self) {
        let mut orders = self.orders.clone();
        let free = orders.wait_for(|orders| !orders.paused && orders.order == Order::Run);
        if free.await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Resolves when a rest is to end early; counted from this call on. Cancel safe.
    pub async fn nudged(&self) {
        let mut orders = self.orders.clone();
        let before = orders.borrow().nudges;
        if orders
            .wait_for(|orders| orders.nudges > before)
            .await
            .is_err()
        {
            std::future::pending::<()>().await;
        }
    }

    /// Resolves, once, when there may be an order about the auth state. Cancel safe: what was not heard
    /// is heard by the next call.
    pub async fn called_to_door(&self) -> Call<'_> {
        self.doorbell.notified().await;
        Call(&self.doorbell)
    }

    /// Tells how many connections in a row have ended deaf.
    pub fn tell_deaf(&self, in_a_row: u32) {
        self.deaf.send_if_modified(|known| {
            let changed = *known != in_a_row;
            *known = in_a_row;
            changed
        });
    }
}

/// A call to the door. Dropped without an answer, it rings again.
#[derive(Debug)]
pub struct Call<'a>(&'a Notify);

impl Call<'_> {
    /// It was seen to.
    pub fn answered(self) {
        std::mem::forget(self);
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// Where the parts of a drain must be done, as moments within its time.
#[derive(Clone, Copy, Debug)]
pub struct Grace {
    began: Boot,
    until: Boot,
}

impl Grace {
    /// The time from `now` to `until`.
    pub fn new(now: Boot, until: Boot) -> Self {
        Self { began: now, until }
    }

    /// When half of it is over: answers of the server are not waited for any longer.
    pub fn answers(&self) -> Boot {
        self.began.plus(self.length() / 2)
    }

    /// When three quarters are over: commits are not waited for any longer.
    pub fn commits(&self) -> Boot {
        self.began.plus(self.length() * 3 / 4)
    }

    /// Its end.
    pub fn end(&self) -> Boot {
        self.until
    }

    fn length(&self) -> Duration {
        self.until.since(self.began)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_cut_overrides_a_drain_and_a_drain_does_not_revive() {
        let (rider, reins) = reins(false);
        assert_eq!(reins.order(), Order::Run);
        let until = Boot::from_ms(5);
        rider.drain(until);
        assert_eq!(reins.halted().await, Order::Drain { until });
        assert!(reins.holds_sends());
        rider.cut(Loss::Refused);
        assert_eq!(reins.cut().await, Loss::Refused);
        rider.drain(until);
        assert_eq!(reins.order(), Order::Cut(Loss::Refused));
    }

    #[tokio::test]
    async fn a_supervisor_that_is_gone_cuts_its_session() {
        let (rider, reins) = reins(false);
        drop(rider);
        assert_eq!(reins.halted().await, Order::Cut(Loss::Unanswered));
        assert_eq!(reins.order(), Order::Cut(Loss::Unanswered));
    }

    #[tokio::test]
    async fn a_paused_session_sends_nothing_until_it_is_resumed() {
        let (rider, reins) = reins(true);
        assert!(reins.holds_sends());
        rider.pause(false);
        assert!(!reins.holds_sends());
    }

    #[tokio::test]
    async fn a_call_to_the_door_rings_until_it_is_answered() {
        let (rider, reins) = reins(false);
        rider.attend();
        rider.attend();
        drop(reins.called_to_door().await);
        reins.called_to_door().await.answered();
        let mut again = std::pin::pin!(reins.called_to_door());
        assert!(futures_util::poll!(&mut again).is_pending());
        rider.attend();
        again.await.answered();
    }

    #[test]
    fn the_grace_is_shared_out_in_order() {
        let grace = Grace::new(Boot::from_ms(1000), Boot::from_ms(9000));
        assert_eq!(grace.answers(), Boot::from_ms(5000));
        assert_eq!(grace.commits(), Boot::from_ms(7000));
        assert_eq!(grace.end(), Boot::from_ms(9000));
        let late = Grace::new(Boot::from_ms(9000), Boot::from_ms(1000));
        assert_eq!(late.commits(), Boot::from_ms(9000), "nothing is left");
    }
}
