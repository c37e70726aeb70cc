//! From the outbox to the people's phones, through a real worker: every kind, files, who is on WhatsApp,
//! typing and read marks.

pub(crate) mod drafts;
mod votes;

use std::time::Duration;

use serde_json::json;
use simulator::people::{Content, Kind, MediaKind};
use simulator::{Delivery, GroupAddressing, Person};
use whatsapp_worker::ids::{ConversationId, Phone};
use whatsapp_worker::outbound::message::{Draft, Outgoing};
use whatsapp_worker::store::{Enqueued, Hint, Lookup, Origin, OutboxRow, Store, Topic};

use self::drafts::{content, files};
use crate::theatre::{PATIENCE, Theatre};

/// Puts a message in, as any process may.
pub(crate) async fn send(theatre: &Theatre, store: &Store, to: &str, draft: Draft) -> OutboxRow {
    let files = files(theatre, store);
    let mut draft = files.prepare(draft).await.expect("its file is taken in");
    draft.to = Some(to.parse().expect("a recipient"));
    draft.check().expect("it can be sent");
    let origin = Origin::Api { request: None };
    match store
        .enqueue_message(&theatre.account, &draft, origin)
        .await
    {
        Ok(Enqueued::New(row)) => row,
        other => panic!("{other:?}"),
    }
}

async fn arrives(person: &Person, row: &OutboxRow) -> Delivery {
    let id = &row.channel_message_id;
    let arrived = person.wait_for(PATIENCE, |delivery| delivery.id == *id);
    arrived.await.expect("it arrives")
}

/// Waits until the message is settled, and returns it.
async fn settled(store: &Store, row: &OutboxRow) -> OutboxRow {
    let mut changes = store.watch(Topic::Outbox);
    let settling = async {
        loop {
            let now = store.outbox_row(&row.outbox_id).await.expect("answers");
            let now = now.expect("it is there").row;
            if !["pending", "sending"].contains(&now.status.as_str()) {
                return now;
            }
            changes.next().await;
        }
    };
    tokio::time::timeout(PATIENCE, settling)
        .await
        .expect("settled in time")
}

#[tokio::test]
async fn every_kind_arrives_as_what_it_is() {
    let theatre = Theatre::open().await;
    let _worker = theatre.linked_worker("one").await;
    let store = theatre.store().await;
    let alice = &theatre.alice;
    let to = alice.phone_number();
    let asked = theatre.text("which one?");
    theatre.jobs_of(std::slice::from_ref(&asked)).await;
    let deliver = async |draft: Draft| {
        let row = send(&theatre, &store, &to, draft).await;
        arrives(alice, &row).await
    };
    let say = async |content: Outgoing| deliver(content.into()).await.message;

    let mut reply = Draft::text("this one");
    reply.quote = serde_json::from_value(json!({ "messageId": asked })).expect("a quote");
    let reply = deliver(reply).await.message;
    assert_eq!(
        (reply.text.as_deref(), reply.target.as_deref()),
        (Some("this one"), Some(&*asked))
    );
    let shown = reply
        .whole
        .extended_text_message
        .as_option()
        .expect("a text");
    let shown = shown.context_info.as_option().expect("a quote");
    let words = shown
        .quoted_message
        .as_option()
        .and_then(|quoted| quoted.conversation.clone());
    assert_eq!(words.as_deref(), Some("which one?"), "looked up");
    assert_eq!(
        shown.participant.as_deref(),
        Some(alice.lid().to_string().as_str())
    );

    for (kind, sent_as, file) in [
        ("image", MediaKind::Image, "a.png"),
        ("video", MediaKind::Video, "a.mp4"),
        ("audio", MediaKind::Audio, "a.mp3"),
        ("voice", MediaKind::Voice, "a.ogg"),
        ("document", MediaKind::Document, "a.pdf"),
        ("sticker", MediaKind::Sticker, "a.webp"),
    ] {
        let message = say(content(json!({ "type": kind, "media": { "path": file } }))).await;
        let media = message.media.expect("a file");
        assert_eq!(media.kind, sent_as);
        let opened = media.open(theatre.sim.media()).expect("it opens");
        assert_eq!(opened, drafts::bytes(file), "{kind}");
    }
    let captioned = json!({ "type": "document", "media": { "path": "a.pdf" }, "caption": "read", "fileName": "b.pdf" });
    let captioned = say(content(captioned)).await;
    assert_eq!(
        (captioned.kind, captioned.text.as_deref()),
        (Kind::Media, Some("read"))
    );
    let document = captioned
        .whole
        .document_message
        .as_option()
        .expect("a document");
    assert_eq!(document.file_name.as_deref(), Some("b.pdf"));
    assert_eq!(document.mimetype.as_deref(), Some("application/pdf"));

    let place = say(content(
        json!({ "type": "location", "latitude": 52.5, "longitude": 13.25, "name": "here" }),
    ))
    .await;
    let shown = place.whole.location_message.as_option().expect("a place");
    assert_eq!(
        (shown.degrees_latitude, shown.degrees_longitude),
        (Some(52.5), Some(13.25))
    );
    let card = say(content(
        json!({ "type": "contacts", "cards": [{ "name": "Ada", "phone": "+49151234567" }] }),
    ))
    .await;
    assert_eq!(
        (card.kind, card.text.as_deref()),
        (Kind::Contact, Some("Ada"))
    );
    let poll = say(content(json!({ "type": "poll", "question": "when?", "options": ["now", "later"], "selectable": 1 }))).await;
    assert_eq!(
        (poll.kind, poll.text.as_deref()),
        (Kind::Poll, Some("when?"))
    );
    let secret = poll
        .whole
        .message_context_info
        .as_option()
        .and_then(|info| info.message_secret.as_ref());
    assert_eq!(secret.map(Vec::len), Some(32));

    let target = json!({ "messageId": asked, "fromMe": false });
    let reaction = say(content(
        json!({ "type": "reaction", "target": target, "emoji": "👍" }),
    ))
    .await;
    assert_eq!(
        (reaction.kind, reaction.text.as_deref()),
        (Kind::Reaction, Some("👍"))
    );
    assert_eq!(reaction.target, Some(asked));
    let first = deliver(Draft::text("frist")).await;
    let edit = say(content(
        json!({ "type": "edit", "messageId": first.id, "body": "first" }),
    ))
    .await;
    assert_eq!(
        (edit.kind, edit.text.as_deref()),
        (Kind::Edit, Some("first"))
    );
    let own = json!({ "messageId": first.id, "fromMe": true });
    let revoke = say(content(json!({ "type": "revoke", "target": own }))).await;
    assert_eq!((revoke.kind, revoke.target), (Kind::Revoke, Some(first.id)));
    assert_eq!(theatre.sim.lint(), []);
    store.close().await;
}

#[tokio::test]
async fn in_a_group_authors_are_looked_up_and_unknown_ones_refused() {
    let theatre = Theatre::open().await;
    let _worker = theatre.linked_worker("one").await;
    let store = theatre.store().await;
    let (alice, bob) = (&theatre.alice, theatre.sim.add_person("Bob"));
    let members = [&bob, &theatre.shop];
    let group = theatre
        .sim
        .create_group("Team", alice, &members, GroupAddressing::Lid);
    let said = bob
        .send(&group, &Content::Text("hello all".to_owned()))
        .expect("accepted");
    theatre.jobs_of(std::slice::from_ref(&said)).await;
    let to = group.to_string();
    let react = |id: &str| {
        let target = json!({ "messageId": id, "fromMe": false });
        content(json!({ "type": "reaction", "target": target, "emoji": "👍" }))
    };
    let row = send(&theatre, &store, &to, react(&said).into()).await;
    let reaction = arrives(alice, &row).await.message;
    let key = reaction
        .whole
        .reaction_message
        .as_option()
        .and_then(|reaction| reaction.key.as_option().cloned());
    let author = key.and_then(|key| key.participant);
    assert_eq!(author, Some(bob.lid().to_string()));
    let row = send(&theatre, &store, &to, react("3EB0UNKNOWN").into()).await;
    let refused = settled(&store, &row).await;
    assert_eq!(
        (refused.status.as_str(), refused.error_code.as_deref()),
        ("failed", Some("target_unknown"))
    );
    store.close().await;
}

#[tokio::test]
async fn a_number_that_is_not_on_whatsapp_is_told_and_nothing_is_sent_to_it() {
    let theatre = Theatre::open().await;
    let _worker = theatre.linked_worker("one").await;
    let store = theatre.store().await;
    let lookup = async |number: &str| {
        let phone = Phone::parse(number).expect("a number");
        let known = store
            .lookup(&theatre.account, &phone, Duration::from_secs(5))
            .await;
        known.expect("answers")
    };
    let row = send(&theatre, &store, "+4915100000099", Draft::text("anybody?")).await;
    let refused = settled(&store, &row).await;
    assert_eq!(
        (refused.status.as_str(), refused.error_code.as_deref()),
        ("failed", Some("not_on_whatsapp"))
    );
    assert_eq!(
        theatre.sim.accepted_from(&theatre.shop),
        Vec::<String>::new()
    );
    assert_eq!(lookup("+4915100000098").await, Lookup::NotOnWhatsApp);
    let Lookup::Known(alice) = lookup(&theatre.alice.phone_number()).await else {
        panic!("she is on WhatsApp");
    };
    let address = |jid: Option<whatsapp_worker::ids::Jid>| jid.map(|jid| jid.as_str().to_owned());
    assert_eq!(address(alice.pn), Some(theatre.alice.jid().to_string()));
    assert_eq!(address(alice.lid), Some(theatre.alice.lid().to_string()));
    let nobody = Phone::parse("+4915100000097").expect("a number");
    let other = "other".parse().expect("an account");
    let unasked = store
        .lookup(&other, &nobody, Duration::from_millis(50))
        .await;
    assert_eq!(
        unasked.expect("answers"),
        Lookup::Unknown,
        "nobody holds that account"
    );
    store.close().await;
}

#[tokio::test]
async fn a_person_who_wrote_is_a_contact_and_a_reply_by_number_stays_in_the_conversation() {
    let theatre = Theatre::open().await;
    let _worker = theatre.linked_worker("one").await;
    let store = theatre.store().await;
    let conv = conversation(&theatre, &theatre.text("hi")).await;
    let row = send(
        &theatre,
        &store,
        &theatre.alice.phone_number(),
        Draft::text("hello"),
    )
    .await;
    assert_eq!(row.conversation_id, conv);
    arrives(&theatre.alice, &row).await;
    let jid = whatsapp_worker::ids::Jid::new(theatre.alice.jid().to_string());
    let meeting = async {
        loop {
            let known = store
                .contact(&theatre.account, &jid)
                .await
                .expect("answers");
            if let Some(known) = known {
                return known;
            }
            // justified: another process writes the store.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let alice = tokio::time::timeout(PATIENCE, meeting)
        .await
        .expect("noted in time");
    assert_eq!(alice.push_name.as_deref(), Some("Alice"));
    assert_eq!(
        alice.person.lid.map(|lid| lid.as_str().to_owned()),
        Some(theatre.alice.lid().to_string())
    );
    store.close().await;
}

async fn conversation(theatre: &Theatre, id: &str) -> ConversationId {
    let jobs = theatre.jobs_of(&[id.to_owned()]).await;
    let job = jobs.iter().find(|job| job.channel_message_id == id);
    job.expect("queued").conversation_id.clone()
}

#[tokio::test]
async fn typing_is_shown_while_online_and_messages_are_marked_as_read_when_asked() {
    let theatre = Theatre::open().await;
    let _worker = theatre.linked_worker("one").await;
    let store = theatre.store().await;
    let asked = theatre.text("are you there?");
    let conv = conversation(&theatre, &asked).await;
    let hint = async |hint| {
        assert!(
            store
                .hint(&theatre.account, &conv, hint)
                .await
                .expect("answers")
        );
    };
    hint(Hint::Typing { ms: 200 }).await;
    let shop = &theatre.shop;
    let typed = theatre
        .sim
        .wait_until(PATIENCE, |sim| sim.typed_by(shop).len() >= 2);
    typed.await.expect("shown in time");
    let typed: Vec<_> = theatre
        .sim
        .typed_by(shop)
        .into_iter()
        .map(|seen| (seen.state, seen.online))
        .collect();
    assert_eq!(
        typed,
        [("composing".to_owned(), true), ("paused".to_owned(), true)]
    );
    let device = shop.companions()[0];
    let offline = theatre
        .sim
        .wait_until(PATIENCE, |sim| !sim.shows_online(shop, device));
    offline.await.expect("offline again");
    let receipts = |kind: &str| {
        theatre
            .sim
            .receipts(&asked)
            .iter()
            .filter(|seen| seen.kind == kind)
            .count()
    };
    assert_eq!(receipts("read"), 0, "nobody asked for it");
    hint(Hint::Read).await;
    let read = theatre
        .sim
        .wait_receipt(shop, device, &asked, "read", PATIENCE);
    read.await.expect("read in time");
    store.close().await;
}
