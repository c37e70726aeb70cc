//! Between decryption and commit no message is lost.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use auth_store::RecordError;
use wacore::store::traits::{PendingInboundKey, PendingInboundRow, ProtocolStore, SignalStore};

use crate::fixture::{Account, Faulty, cause};

const CHAT: &str = "1@g.us";
const SENDER: &str = "2@s.whatsapp.net";

#[tokio::test]
async fn a_row_is_on_the_medium_before_or_with_the_session() {
    let account = Account::new();
    let medium = Faulty::new(account.medium(1).await.unwrap());
    let auth = account.over(medium.clone()).await.unwrap();
    medium.applied.lock().unwrap().clear();

    auth.store_pending_inbound(CHAT, SENDER, "A", b"hello")
        .await
        .unwrap();
    assert_eq!(medium.applied_keys().len(), 0, "a live row stays in memory");
    auth.put_session("address", b"session").await.unwrap();
    assert_eq!(
        medium.applied_keys(),
        [[
            "g1/pending/1@g.us/2@s.whatsapp.net/A".to_owned(),
            "g1/session/address".to_owned()
        ]]
    );
}

#[tokio::test]
async fn a_row_survives_a_kill_together_with_the_session() {
    let account = Account::new();
    let opened = account.open(1).await;
    let auth = &opened.auth;
    auth.store_pending_inbound(CHAT, SENDER, "A", b"hello")
        .await
        .unwrap();
    auth.put_sender_key("name", b"key").await.unwrap();
    opened.kill().await;

    let opened = account.open(2).await;
    let auth = &opened.auth;
    let row = auth.get_pending_inbound(CHAT, SENDER, "A").await.unwrap();
    assert_eq!(row.as_deref(), Some(b"hello".as_slice()));
    assert_eq!(account.ledger.missing.lock().unwrap().len(), 0);

    // Replayed: stored again, committed, deleted.
    auth.store_pending_inbound(CHAT, SENDER, "A", b"hello")
        .await
        .unwrap();
    account.ledger.committed.lock().unwrap().insert("A".into());
    auth.delete_pending_inbound(CHAT, SENDER, "A")
        .await
        .unwrap();
    let row = auth.get_pending_inbound(CHAT, SENDER, "A").await.unwrap();
    assert_eq!(row, None);
    opened.close().await;
    account.ledger.committed.lock().unwrap().clear();
    let opened = account.open(3).await;
    let row = opened.auth.get_pending_inbound(CHAT, SENDER, "A").await;
    assert!(
        matches!(cause(row.unwrap_err()), RecordError::MessageMissing),
        "the row is gone from the medium"
    );
}

#[tokio::test]
async fn a_committed_message_costs_no_write() {
    let account = Account::new();
    let medium = Faulty::new(account.medium(1).await.unwrap());
    let auth = account.over(medium.clone()).await.unwrap();
    medium.applied.lock().unwrap().clear();

    let (chat, sender, id) = (CHAT, SENDER, "A");
    let row = PendingInboundRow {
        chat,
        sender,
        id,
        message: b"hello",
    };
    let mut in_flight = auth.in_flight_rows();
    auth.store_pending_inbound_batch(&[row]).await.unwrap();
    assert_eq!(*in_flight.borrow_and_update(), 1);
    auth.delete_pending_inbound_batch(&[PendingInboundKey { chat, sender, id }])
        .await
        .unwrap();
    assert_eq!(*in_flight.borrow_and_update(), 0);
    auth.put_session("address", b"session").await.unwrap();
    assert_eq!(medium.applied_keys(), [["g1/session/address".to_owned()]]);
}

#[tokio::test]
async fn a_session_is_not_written_when_its_rows_cannot_be() {
    let account = Account::new();
    let medium = Faulty::new(account.medium(1).await.unwrap());
    let auth = account.over(medium.clone()).await.unwrap();
    auth.store_pending_inbound(CHAT, SENDER, "A", b"hello")
        .await
        .unwrap();
    account.may_write.store(false, Ordering::SeqCst);
    let refused = auth.put_session("address", b"session").await.unwrap_err();
    assert!(matches!(cause(refused), RecordError::NotTrusted));
    assert_eq!(auth.get_session("address").await.unwrap(), None);

    // The deadline was extended: the same write now carries the row.
    account.may_write.store(true, Ordering::SeqCst);
    auth.put_session("address", b"session").await.unwrap();
    let keys = medium.applied_keys().pop().unwrap();
    assert_eq!(keys.len(), 2);
}

#[tokio::test]
async fn a_message_without_row_or_commit_is_asked_for_again() {
    let account = Account::new();
    let opened = account.open(1).await;
    let auth = &opened.auth;
    for _ in 0..2 {
        let row = auth.get_pending_inbound(CHAT, SENDER, "A").await;
        assert!(matches!(
            cause(row.unwrap_err()),
            RecordError::MessageMissing
        ));
    }
    assert_eq!(*account.ledger.missing.lock().unwrap(), ["A", "A"]);

    account.ledger.give_up.store(true, Ordering::SeqCst);
    let row = auth.get_pending_inbound(CHAT, SENDER, "A").await;
    assert_eq!(row.unwrap(), None, "given up: the library may acknowledge");

    account.ledger.broken.store(true, Ordering::SeqCst);
    let row = auth.get_pending_inbound(CHAT, SENDER, "A").await;
    assert!(matches!(cause(row.unwrap_err()), RecordError::Ledger(_)));
}

#[tokio::test]
async fn a_flood_of_rows_is_written_at_once() {
    let account = Account::new();
    let medium = Faulty::new(account.medium(1).await.unwrap());
    let auth = account.over(medium.clone()).await.unwrap();
    medium.applied.lock().unwrap().clear();
    let message = vec![7; 1 << 20];
    for n in 0..17 {
        auth.store_pending_inbound(CHAT, SENDER, &n.to_string(), &message)
            .await
            .unwrap();
    }
    let written: usize = medium.applied_keys().iter().map(Vec::len).sum();
    assert!(written >= 16, "{written} rows were written");
    let row = auth.get_pending_inbound(CHAT, SENDER, "3").await.unwrap();
    assert_eq!(row, Some(message));
}

#[tokio::test]
async fn rows_are_kept_for_35_days_rather_than_seven() {
    const DAY: i64 = 24 * 60 * 60;
    let account = Account::new();
    let opened = account.open(1).await;
    let auth = &opened.auth;
    auth.store_pending_inbound(CHAT, SENDER, "A", b"hello")
        .await
        .unwrap();
    auth.flush().await.unwrap();
    let now = wacore::time::now_secs();
    // The library passes "seven days ago"; the row is "as old as it is then".
    let sweep_in_days = |days: i64| auth.delete_expired_pending_inbound(now + (days - 7) * DAY);
    assert_eq!(sweep_in_days(34).await.unwrap(), 0);
    assert_eq!(sweep_in_days(36).await.unwrap(), 1);
    let row = auth.get_pending_inbound(CHAT, SENDER, "A").await;
    assert!(matches!(
        cause(row.unwrap_err()),
        RecordError::MessageMissing
    ));
}

#[tokio::test]
async fn a_row_and_its_deletion_may_cross_a_write() {
    let account = Account::new();
    let opened = account.open(1).await;
    let auth = Arc::clone(&opened.auth);
    for round in 0..50_u32 {
        let id = round.to_string();
        auth.store_pending_inbound(CHAT, SENDER, &id, b"hello")
            .await
            .unwrap();
        let session = round.to_be_bytes();
        let (write, delete) = tokio::join!(
            auth.put_session("address", &session),
            auth.delete_pending_inbound(CHAT, SENDER, &id),
        );
        write.unwrap();
        delete.unwrap();
    }
    opened.close().await;
    let opened = account.open(2).await;
    for round in 0..50_u32 {
        let row = opened
            .auth
            .get_pending_inbound(CHAT, SENDER, &round.to_string())
            .await;
        assert!(
            matches!(cause(row.unwrap_err()), RecordError::MessageMissing),
            "row {round} was left behind"
        );
    }
}
