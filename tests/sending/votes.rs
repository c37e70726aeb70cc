//! Votes on polls that were sent from here.

use wacore::poll::{compute_option_hash, encrypt_poll_vote_with_secret};
use waproto::whatsapp as wa;

use super::*;

#[tokio::test]
async fn a_vote_on_a_poll_tells_what_was_chosen() {
    let theatre = Theatre::open().await;
    let _worker = theatre.linked_worker("one").await;
    let store = theatre.store().await;
    let alice = &theatre.alice;
    let asked = json!({ "type": "poll", "question": "when?", "options": ["now", "later"], "selectable": 0 });
    let poll = send(
        &theatre,
        &store,
        &alice.phone_number(),
        content(asked).into(),
    )
    .await;
    let secret = arrives(alice, &poll).await.message.whole;
    let secret = secret.message_context_info.as_option();
    let secret = secret.and_then(|info| info.message_secret.clone());
    let secret = secret.expect("votes can be sealed");
    let vote = |secret: &[u8], options: &[&str]| {
        let vote = ballot(&theatre, &poll.channel_message_id, secret, options);
        alice
            .send(&theatre.shop.jid(), &Content::Raw(Box::new(vote)))
            .expect("the server accepts it")
    };
    let ids = [
        vote(&secret, &["later"]),
        vote(&secret, &[]),
        vote(&[7; 32], &["now"]),
    ];
    let mut said = Vec::new();
    for job in theatre.jobs_of(&ids).await {
        let job = store.job(&job.job_id).await.expect("answers");
        let content = job.expect("there").content;
        assert_eq!(content["target"]["messageId"], *poll.channel_message_id);
        said.push((content["options"].clone(), content["optionHashes"].clone()));
    }
    let later = hex::encode(compute_option_hash("later"));
    assert_eq!(
        said,
        [
            (json!(["later"]), json!([later])),
            (json!([]), json!([])),
            (json!(null), json!(null)),
        ]
    );
}

/// A vote of Alice's, as her phone seals it.
fn ballot(theatre: &Theatre, poll: &str, secret: &[u8], options: &[&str]) -> wa::Message {
    let chosen: Vec<Vec<u8>> = options
        .iter()
        .map(|name| compute_option_hash(name).to_vec())
        .collect();
    let (creator, voter) = (
        theatre.shop.lid().to_string(),
        theatre.alice.lid().to_string(),
    );
    let sealed = encrypt_poll_vote_with_secret(&chosen, secret, poll, &creator, &voter);
    let (payload, iv) = sealed.expect("it can be sealed");
    wa::Message {
        poll_update_message: Some(wa::message::PollUpdateMessage {
            poll_creation_message_key: Some(wa::MessageKey {
                remote_jid: Some(creator),
                from_me: Some(false),
                id: Some(poll.to_owned()),
                participant: None,
            })
            .into(),
            vote: Some(wa::message::PollEncValue {
                enc_payload: Some(payload),
                enc_iv: Some(iv.to_vec()),
            })
            .into(),
            ..Default::default()
        })
        .into(),
        ..Default::default()
    }
}
