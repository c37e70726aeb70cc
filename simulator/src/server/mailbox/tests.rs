//! The rules of the queue.

use super::*;
use crate::clock;

const FIRST: ConnectionId = ConnectionId(1);
const SECOND: ConnectionId = ConnectionId(2);

fn message(id: usize) -> Entry {
    Entry {
        class: Class::Message,
        id: id.to_string(),
        chat: Chat::Server,
        stanza: Arc::new(NodeBuilder::new("message").build()),
    }
}

fn mailbox_with(messages: usize) -> Mailbox {
    let mailbox = Mailbox::new();
    for id in 0..messages {
        mailbox.post(message(id));
    }
    mailbox
}

/// What was taken: ids, and `end` for the end of the backlog.
fn taken(mailbox: &Mailbox, by: ConnectionId, now: Instant) -> Vec<String> {
    let name = |item| match item {
        Outgoing::Entry { entry, .. } => entry.id,
        Outgoing::BacklogEnd { .. } => "end".to_owned(),
    };
    mailbox.take(by, now).into_iter().map(name).collect()
}

#[test]
fn backlog_comes_in_the_batches_asked_for_and_later_mail_behind_its_end() {
    let now = clock::now();
    let mailbox = mailbox_with(3);
    mailbox.attach(FIRST);
    assert_eq!(taken(&mailbox, FIRST, now), [""; 0]);
    assert!(
        mailbox
            .activate(FIRST, now)
            .is_some_and(|node| { node.get_optional_child("offline_preview").is_some() })
    );
    mailbox.post(message(3));
    assert_eq!(taken(&mailbox, FIRST, now), [""; 0]);
    mailbox.request_batch(FIRST, 2, now);
    assert_eq!(taken(&mailbox, FIRST, now), ["0", "1"]);
    mailbox.request_batch(FIRST, 200, now);
    assert_eq!(taken(&mailbox, FIRST, now), ["2", "end"]);
    assert_eq!(taken(&mailbox, FIRST, now), ["3"]);
}

#[test]
fn rest_of_the_backlog_comes_unasked_after_a_while() {
    let now = clock::now();
    let mailbox = mailbox_with(2);
    mailbox.attach(FIRST);
    mailbox.activate(FIRST, now);
    mailbox.request_batch(FIRST, 1, now);
    assert_eq!(taken(&mailbox, FIRST, now), ["0"]);
    assert_eq!(taken(&mailbox, FIRST, now), [""; 0]);
    let due = mailbox.patience_ends(FIRST).expect("one message waits");
    assert_eq!(taken(&mailbox, FIRST, due), ["1", "end"]);
}

#[test]
fn unconfirmed_mail_is_sent_again_and_confirmed_mail_is_not() {
    let now = clock::now();
    let mailbox = mailbox_with(3);
    mailbox.attach(FIRST);
    mailbox.activate(FIRST, now);
    mailbox.request_batch(FIRST, 3, now);
    assert_eq!(taken(&mailbox, FIRST, now), ["0", "1", "2", "end"]);
    let confirm = |id| mailbox.confirm(Class::Message, id, &Chat::Server);
    assert_eq!(confirm("1"), Confirmed::Settled);
    assert_eq!(confirm("1"), Confirmed::Again);
    assert_eq!(confirm("7"), Confirmed::Unknown);

    assert_eq!(mailbox.attach(SECOND), Some(FIRST));
    mailbox.activate(SECOND, now);
    mailbox.request_batch(SECOND, 3, now);
    assert_eq!(taken(&mailbox, FIRST, now), [""; 0]);
    assert_eq!(taken(&mailbox, SECOND, now), ["0", "2", "end"]);
    mailbox.detach(FIRST);
    assert_eq!(mailbox.reader(), Some(SECOND));
    mailbox.detach(SECOND);
    assert_eq!(mailbox.reader(), None);
}

#[test]
fn mail_that_was_not_sent_cannot_be_confirmed() {
    let mailbox = mailbox_with(1);
    mailbox.attach(FIRST);
    let early = mailbox.confirm(Class::Message, "0", &Chat::Server);
    assert_eq!(early, Confirmed::Unknown);
    assert_eq!(mailbox.len(), 1);
}
