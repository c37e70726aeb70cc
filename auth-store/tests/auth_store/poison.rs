//! What cannot become durable stops the store.

use std::sync::atomic::Ordering;

use auth_store::{Poison, RecordError};
use wacore::store::traits::{ProtocolStore, SignalStore};

use crate::fixture::{Account, Faulty, cause};

#[tokio::test]
async fn a_write_is_repeated_while_it_may_succeed() {
    let account = Account::new();
    let medium = Faulty::new(account.medium(1).await.unwrap());
    let auth = account.over(medium.clone()).await.unwrap();
    medium.failures_left.store(3, Ordering::SeqCst);
    auth.put_session("address", b"session").await.unwrap();
    assert_eq!(medium.failures_left.load(Ordering::SeqCst), 0);
    assert_eq!(*auth.poisoned().borrow(), None);
    assert_eq!(
        auth.get_session("address").await.unwrap().unwrap(),
        "session"
    );
}

#[tokio::test]
async fn a_write_that_fails_until_the_deadline_poisons_every_later_write() {
    let account = Account::new();
    let medium = Faulty::new(account.medium(1).await.unwrap());
    let auth = account.over(medium.clone()).await.unwrap();
    medium.failures_left.store(usize::MAX, Ordering::SeqCst);
    let opened_with = medium.tried.load(Ordering::SeqCst);
    let write = tokio::spawn({
        let auth = auth.clone();
        async move { auth.put_session("address", b"session").await }
    });
    while medium.tried.load(Ordering::SeqCst) == opened_with {
        tokio::task::yield_now().await;
    }
    account.may_write.store(false, Ordering::SeqCst);

    let mut poisoned = auth.poisoned();
    let reason = poisoned.wait_for(Option::is_some).await.unwrap().clone();
    let Some(Poison::DeadlinePassed(error)) = reason else {
        panic!("poisoned for another reason: {reason:?}");
    };
    assert!(error.contains("disk full"), "{error}");
    assert!(matches!(
        cause(write.await.unwrap().unwrap_err()),
        RecordError::Stopped(Poison::DeadlinePassed(_))
    ));

    // Even though the disk and the lease are back.
    medium.failures_left.store(0, Ordering::SeqCst);
    account.may_write.store(true, Ordering::SeqCst);
    let later = auth.put_session("address", b"session").await.unwrap_err();
    assert!(matches!(cause(later), RecordError::Stopped(_)));
    let row = auth.store_pending_inbound("c", "s", "A", b"hello").await;
    assert!(matches!(cause(row.unwrap_err()), RecordError::Stopped(_)));
    assert_eq!(auth.get_session("address").await.unwrap(), None);
}

#[tokio::test]
async fn a_closed_store_takes_no_writes() {
    let account = Account::new();
    let opened = account.open(1).await;
    opened.auth.close().await.unwrap();
    let late = opened.auth.put_session("address", b"session").await;
    assert!(matches!(
        cause(late.unwrap_err()),
        RecordError::Stopped(Poison::Closed)
    ));
}

#[tokio::test]
async fn a_cancelled_caller_leaves_its_write_whole() {
    let account = Account::new();
    let medium = Faulty::new(account.medium(1).await.unwrap());
    let auth = account.over(medium.clone()).await.unwrap();
    {
        let mut write = Box::pin(auth.put_session("address", b"session"));
        // The first poll hands the write over; then the caller goes away.
        assert!(futures_poll(write.as_mut()).is_none());
    }
    auth.flush().await.unwrap();
    assert_eq!(
        auth.get_session("address").await.unwrap().unwrap(),
        "session"
    );
}

fn futures_poll<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.poll(&mut context) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}
