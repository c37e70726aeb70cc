//! Clients and phones talk: one to one, in groups, with files.

use base64::Engine as _;
use serde_json::json;
use simulator::GroupAddressing;
use simulator::people::{Content, Kind};

use crate::driver::Script;
use crate::{Stage, hash, id_of, image, reaches};

#[tokio::test]
async fn two_baileys_clients_exchange_text_receipts_media_and_edits() {
    let stage = Stage::set("two").await;
    let (alice, bob) = (stage.sim.add_person("Alice"), stage.sim.add_person("Bob"));
    let carol = stage.sim.add_person("Carol");
    let mut a = stage.linked_by_qr(&alice).await;
    let mut b = stage.linked_by_qr(&bob).await;
    let (to_bob, to_alice) = (bob.jid().to_string(), alice.jid().to_string());

    let sent = a
        .call("send_text", json!({"to": to_bob, "text": "hello Bob"}))
        .await;
    let got = b.message(&id_of(&sent)).await;
    assert_eq!(got["text"], "hello Bob");
    // 3 is Baileys' number for "delivered", 4 for "read".
    a.event("receipt", |receipt| {
        receipt["id"] == sent["id"] && receipt["status"].as_u64() >= Some(3)
    })
    .await;
    let phone = reaches(&bob, &id_of(&sent)).await;
    assert_eq!(phone.message.text.as_deref(), Some("hello Bob"));
    let sent = b
        .call("send_text", json!({"to": to_alice, "text": "hello Alice"}))
        .await;
    assert_eq!(a.message(&id_of(&sent)).await["text"], "hello Alice");

    let bytes: Vec<u8> = (0..50_000u32).map(|n| (n % 251) as u8).collect();
    let base64 = base64::engine::general_purpose::STANDARD.encode(&bytes);
    let sent = a
        .call(
            "send_image",
            json!({"to": to_bob, "base64": base64, "caption": "look"}),
        )
        .await;
    let got = b.message(&id_of(&sent)).await;
    assert_eq!(
        (&got["text"], &got["media"]["sha256"]),
        (&json!("look"), &json!(hash(&bytes)))
    );
    let media = reaches(&bob, &id_of(&sent)).await.message.media.unwrap();
    assert_eq!(media.open(stage.sim.media()).unwrap(), bytes);
    let id = carol.send(&bob.jid(), &image(&bytes, "mine")).unwrap();
    let got = b.message(&id).await;
    assert_eq!(
        (&got["text"], &got["media"]["sha256"]),
        (&json!("mine"), &json!(hash(&bytes)))
    );

    let sent = a
        .call("send_text", json!({"to": to_bob, "text": "first"}))
        .await;
    let original = id_of(&sent);
    b.message(&original).await;
    let sent = a
        .call(
            "edit",
            json!({"to": to_bob, "id": original, "text": "second"}),
        )
        .await;
    let edit = reaches(&bob, &id_of(&sent)).await;
    assert_eq!(edit.message.kind, Kind::Edit);
    assert_eq!(edit.message.text.as_deref(), Some("second"));
    assert_eq!(edit.message.target.as_deref(), Some(original.as_str()));

    let sent = a
        .call(
            "send_burst",
            json!({"to": to_bob, "prefix": "burst ", "count": 100}),
        )
        .await;
    let ids: Vec<&str> = sent["ids"]
        .as_array()
        .unwrap()
        .iter()
        .map(|id| id.as_str().unwrap())
        .collect();
    b.message(ids[99]).await;
    let messages = b.events("message");
    let seen = messages
        .iter()
        .map(|message| message["id"].as_str().unwrap());
    let burst: Vec<&str> = seen.filter(|id| ids.contains(id)).collect();
    assert_eq!(burst, ids);
    stage.close(vec![a, b]).await;
}

#[tokio::test]
async fn a_group_of_baileys_clients_and_phones_talks() {
    let stage = Stage::set("group").await;
    let (alice, bob) = (stage.sim.add_person("Alice"), stage.sim.add_person("Bob"));
    let carol = stage.sim.add_person("Carol");
    let mut a = stage.linked_by_qr(&alice).await;
    let mut b = stage.linked_by_qr(&bob).await;
    for addressing in [GroupAddressing::Lid, GroupAddressing::Pn] {
        let group = stage
            .sim
            .create_group("Team", &alice, &[&bob, &carol], addressing);
        let to = group.to_string();
        for (writer, text) in ["a one", "b one", "carol one", "a two"]
            .into_iter()
            .enumerate()
        {
            let command = json!({"to": to, "text": text});
            let id = match writer {
                0 | 3 => id_of(&a.call("send_text", command).await),
                1 => id_of(&b.call("send_text", command).await),
                _ => carol.send(&group, &Content::Text(text.to_owned())).unwrap(),
            };
            let readers: &[&Script] = match writer {
                0 | 3 => &[&b],
                1 => &[&a],
                _ => &[&a, &b],
            };
            for reader in readers {
                let got = reader.message(&id).await;
                assert_eq!((&got["text"], &got["chat"]), (&json!(text), &json!(to)));
            }
            if writer != 2 {
                let phone = reaches(&carol, &id).await;
                assert_eq!(phone.message.text.as_deref(), Some(text));
            }
        }
    }
    stage.close(vec![a, b]).await;
}
