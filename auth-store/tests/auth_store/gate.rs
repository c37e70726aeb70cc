//! Signal state never runs ahead of received messages.

use auth_store::RecordError;
use wacore::store::traits::{ProtocolStore, SignalStore};

use crate::fixture::{Account, cause};
use crate::signal_pair::{ALICE, GROUP, SignalPair};

const ADDRESS: &str = "4915112345678@s.whatsapp.net.0";

async fn refusal(result: wacore::store::error::Result<()>) -> usize {
    match cause(result.unwrap_err()) {
        RecordError::AheadOfMessages(count) => count,
        other => panic!("refused for another reason: {other}"),
    }
}

#[tokio::test]
async fn a_session_waits_for_the_row_of_a_message_inside_it() {
    let account = Account::new();
    let opened = account.open(1).await;
    let mut pair = SignalPair::established().await;

    let stanza = pair.alice_writes("A").await;
    opened.auth.gate().observe(&stanza.node().as_node_ref());
    pair.bob_reads(&stanza).await;
    let session = pair.session();
    assert_eq!(
        refusal(opened.auth.put_session(ADDRESS, &session).await).await,
        1
    );
    assert_eq!(opened.auth.get_session(ADDRESS).await.unwrap(), None);

    opened
        .auth
        .store_pending_inbound(ALICE, ALICE, "A", b"hello")
        .await
        .unwrap();
    opened.auth.put_session(ADDRESS, &session).await.unwrap();
    assert_eq!(
        opened.auth.get_session(ADDRESS).await.unwrap().unwrap(),
        session
    );
}

#[tokio::test]
async fn a_session_from_before_a_message_passes() {
    let account = Account::new();
    let opened = account.open(1).await;
    let mut pair = SignalPair::established().await;

    let before = pair.session();
    let stanza = pair.alice_writes("A").await;
    opened.auth.gate().observe(&stanza.node().as_node_ref());
    opened.auth.put_session(ADDRESS, &before).await.unwrap();
    assert_eq!(
        opened.auth.get_session(ADDRESS).await.unwrap().unwrap(),
        before
    );
}

#[tokio::test]
async fn a_skipped_message_is_not_inside_a_session_that_passed_it() {
    let account = Account::new();
    let opened = account.open(1).await;
    let mut pair = SignalPair::established().await;

    let skipped = pair.alice_writes("SKIPPED").await;
    let read = pair.alice_writes("READ").await;
    opened.auth.gate().observe(&skipped.node().as_node_ref());
    pair.bob_reads(&read).await;
    let session = pair.session();
    opened.auth.put_session(ADDRESS, &session).await.unwrap();

    pair.bob_reads(&skipped).await;
    assert_eq!(
        refusal(opened.auth.put_session(ADDRESS, &pair.session()).await).await,
        1
    );
}

#[tokio::test]
async fn a_first_message_is_inside_the_session_it_makes() {
    let account = Account::new();
    let opened = account.open(1).await;
    let mut pair = SignalPair::new().await;

    let stanza = pair.alice_writes("A").await;
    opened.auth.gate().observe(&stanza.node().as_node_ref());
    pair.bob_reads(&stanza).await;
    assert_eq!(
        refusal(opened.auth.put_session(ADDRESS, &pair.session()).await).await,
        1
    );
}

#[tokio::test]
async fn a_sender_key_waits_for_the_rows_of_its_messages() {
    let account = Account::new();
    let opened = account.open(1).await;
    let mut pair = SignalPair::new().await;
    pair.share_sender_key().await;

    let before = pair.sender_key();
    let first = pair.alice_writes_to_group("A").await;
    let second = pair.alice_writes_to_group("B").await;
    for stanza in [&first, &second] {
        opened.auth.gate().observe(&stanza.node().as_node_ref());
    }
    opened.auth.put_sender_key("name", &before).await.unwrap();

    // The second is decrypted first: the first is a skipped key.
    pair.bob_reads_in_group(&second).await;
    let write = opened.auth.put_sender_key("name", &pair.sender_key()).await;
    assert_eq!(refusal(write).await, 1);
    pair.bob_reads_in_group(&first).await;
    let write = opened.auth.put_sender_key("name", &pair.sender_key()).await;
    assert_eq!(refusal(write).await, 2);

    for id in ["A", "B"] {
        opened
            .auth
            .store_pending_inbound(GROUP, ALICE, id, b"hello all")
            .await
            .unwrap();
    }
    let last = pair.sender_key();
    opened.auth.put_sender_key("name", &last).await.unwrap();
    assert_eq!(
        opened.auth.get_sender_key("name").await.unwrap(),
        Some(last)
    );
}

#[tokio::test]
async fn an_undecryptable_stanza_holds_nothing_back() {
    let account = Account::new();
    let opened = account.open(1).await;
    let mut pair = SignalPair::established().await;

    let stanza = pair.alice_writes("A").await;
    opened.auth.gate().observe(&stanza.node().as_node_ref());
    pair.bob_reads(&stanza).await;
    opened.auth.gate().undecryptable(ALICE, "A");
    let session = pair.session();
    opened.auth.put_session(ADDRESS, &session).await.unwrap();
    assert_eq!(
        opened.auth.get_session(ADDRESS).await.unwrap().unwrap(),
        session
    );
}

#[tokio::test]
async fn a_duplicate_holds_nothing_back() {
    let account = Account::new();
    let opened = account.open(1).await;
    let mut pair = SignalPair::established().await;

    let stanza = pair.alice_writes("A").await;
    pair.bob_reads(&stanza).await;
    account.ledger.committed.lock().unwrap().insert("A".into());
    opened.auth.gate().observe(&stanza.node().as_node_ref());
    let row = opened.auth.get_pending_inbound(ALICE, ALICE, "A").await;
    assert_eq!(row.unwrap(), None);
    let session = pair.session();
    opened.auth.put_session(ADDRESS, &session).await.unwrap();
    assert_eq!(
        opened.auth.get_session(ADDRESS).await.unwrap().unwrap(),
        session
    );
}

#[tokio::test]
async fn a_session_that_waits_is_let_through_by_the_row() {
    let account = Account::new();
    let opened = account.open(1).await;
    let mut pair = SignalPair::established().await;
    let stanza = pair.alice_writes("A").await;
    opened.auth.gate().observe(&stanza.node().as_node_ref());
    pair.bob_reads(&stanza).await;
    let session = pair.session();

    let (write, row) = tokio::join!(
        biased;
        opened.auth.put_session(ADDRESS, &session),
        opened.auth.store_pending_inbound(ALICE, ALICE, "A", b"hello"),
    );
    write.unwrap();
    row.unwrap();
    assert_eq!(
        opened.auth.get_session(ADDRESS).await.unwrap().unwrap(),
        session
    );
}

#[tokio::test]
async fn malformed_stanzas_are_ignored() {
    use wacore_binary::builder::NodeBuilder;
    let account = Account::new();
    let opened = account.open(1).await;
    let gate = opened.auth.gate();
    for kind in ["msg", "pkmsg", "skmsg", "other"] {
        for length in 0..80 {
            let enc = NodeBuilder::new("enc")
                .attr("type", kind)
                .bytes(vec![0xff; length])
                .build();
            let message = NodeBuilder::new("message")
                .attr("id", "A")
                .attr("from", ALICE)
                .children([enc]);
            gate.observe(&message.build().as_node_ref());
        }
    }
    gate.observe(&NodeBuilder::new("message").build().as_node_ref());
    gate.observe(
        &NodeBuilder::new("receipt")
            .attr("id", "A")
            .build()
            .as_node_ref(),
    );
    let mut pair = SignalPair::new().await;
    let first = pair.alice_writes("B").await;
    pair.bob_reads(&first).await;
    let session = pair.session();
    opened.auth.put_session(ADDRESS, &session).await.unwrap();
    assert_eq!(
        opened.auth.get_session(ADDRESS).await.unwrap().unwrap(),
        session
    );
}
