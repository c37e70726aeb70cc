//! What operators do is done, is in the audit, and is refused where the command line refuses it.

use serde_json::{Value, json};
use whatsapp_worker::ids::OwnerId;
use whatsapp_worker::store::{Engine, Registration};

use super::{Desk, OPERATOR};
use crate::agents::text;
use crate::theatre::PATIENCE;

async fn accounts(engine: Engine) {
    let desk = Desk::open(engine).await;
    let new = json!({"accountId": "shop"});
    assert_eq!(desk.post("/v1/admin/accounts", new.clone()).await.0, 201);
    assert_eq!(desk.post("/v1/admin/accounts", new).await.0, 200);
    let bad = desk
        .post("/v1/admin/accounts", json!({"accountId": "../etc"}))
        .await;
    assert_eq!((bad.0, &bad.1["field"]), (422, &json!("accountId")));
    for (act, field, value) in [
        ("pause", "paused", true),
        ("resume", "paused", false),
        ("disable", "enabled", false),
        ("enable", "enabled", true),
    ] {
        let path = format!("/v1/admin/accounts/shop/{act}");
        let (status, shown) = desk.post(&path, json!({})).await;
        assert_eq!((status, &shown[field]), (200, &json!(value)), "{act}");
        let path = format!("/v1/admin/accounts/nobody/{act}");
        assert_eq!(desk.post(&path, json!({})).await.0, 404, "{act}");
    }
    for (act, paused) in [("pause", true), ("resume", false)] {
        let (_, shown) = desk.post(&format!("/v1/admin/{act}"), json!({})).await;
        assert_eq!(shown["paused"], paused);
        assert_eq!(desk.get("/v1/admin/controls").await.1["actor"], "admin");
    }
    let (status, lines) = desk.get("/v1/admin/audit?account=shop&limit=2").await;
    let actors: Vec<&Value> = lines["audit"]
        .as_array()
        .expect("lines")
        .iter()
        .map(|line| &line["actor"])
        .collect();
    assert_eq!((status, actors), (200, vec![&json!("admin"); 2]), "{lines}");
    let next = lines["nextCursor"].as_str().expect("there is more");
    let (_, more) = desk
        .get(&format!("/v1/admin/audit?account=shop&cursor={next}"))
        .await;
    assert_ne!(more["audit"][0], lines["audit"][1]);
    assert_eq!(more["nextCursor"], json!(null), "{more}");
    let (status, refused) = desk.get("/v1/admin/audit?limit=0").await;
    assert_eq!((status, &refused["field"]), (422, &json!("limit")));
    let (status, refused) = desk.get("/v1/admin/audit?cursor=x").await;
    assert_eq!((status, &refused["field"]), (422, &json!("cursor")));
}

async fn dead_letters(engine: Engine) {
    let desk = Desk::open(engine).await;
    let mut dead = Vec::new();
    for words in ["one", "two", "three"] {
        dead.push(desk.dead(words).await);
    }
    let (_, page) = desk
        .get("/v1/admin/dead-letters?limit=2&reason=test_reason")
        .await;
    assert_eq!(page["jobs"][0]["jobId"], json!(dead[2]), "{page}");
    let next = page["nextCursor"].as_str().expect("there is more");
    let (_, rest) = desk
        .get(&format!("/v1/admin/dead-letters?limit=2&cursor={next}"))
        .await;
    assert_eq!(rest["jobs"].as_array().map(Vec::len), Some(1));
    assert_eq!(rest["jobs"][0]["jobId"], json!(dead[0]));
    let retry = format!("/v1/admin/jobs/{}/retry", dead[0].as_str());
    let (status, job) = desk.post(&retry, json!({})).await;
    assert_eq!((status, &job["status"]), (200, &json!("pending")));
    let discard = format!("/v1/admin/jobs/{}/discard", dead[0].as_str());
    assert_eq!(desk.post(&discard, json!({})).await.0, 409);
    let both = desk
        .post(
            "/v1/admin/dead-letters/discard",
            json!({"all": true, "reason": "x"}),
        )
        .await;
    assert_eq!((both.0, &both.1["field"]), (422, &json!("all")));
    let (status, done) = desk
        .post(
            "/v1/admin/dead-letters/discard",
            json!({"reason": "test_reason"}),
        )
        .await;
    assert_eq!((status, done), (200, json!({"discarded": 2})));
    let (_, queues) = desk.get("/v1/admin/queues").await;
    assert_eq!(queues["queues"][0]["pending"], 1, "{queues}");
    assert_eq!(queues["queues"][0]["dead"], 0);
    let (_, jobs) = desk
        .get("/v1/admin/jobs?status=failed&account=default")
        .await;
    assert_eq!(jobs["jobs"].as_array().map(Vec::len), Some(2));
    assert_eq!(desk.get("/v1/admin/jobs?status=lost").await.0, 422);
    assert_eq!(desk.get("/v1/admin/jobs/job_x").await.0, 404);
}

async fn leases(engine: Engine) {
    let desk = Desk::open(engine).await;
    let (status, lease) = desk.get("/v1/admin/leases/default").await;
    assert_eq!((status, &lease["epoch"]), (200, &json!(1)), "{lease}");
    let (status, refused) = desk
        .post("/v1/admin/leases/default/release", json!({}))
        .await;
    assert_eq!(status, 409, "the holder is no worker: {refused}");
    let to = json!({"to": "nobody"});
    let (status, refused) = desk.post("/v1/admin/leases/default/transfer", to).await;
    assert!(status == 409 && refused["detail"].to_string().contains("no living worker"));
    let (status, taken) = desk
        .post("/v1/admin/leases/default/release", json!({"force": true}))
        .await;
    assert_eq!((status, &taken["ownerId"]), (202, &json!(null)));
    assert_eq!(taken["transitions"][0]["action"], "lease.force_released");
    assert_eq!(desk.get("/v1/admin/leases/nobody").await.0, 404);
}

async fn outbox(engine: Engine) {
    let desk = Desk::open(engine).await;
    let wish = json!({"accountId": "default", "to": "+49151000009", "content": {"type": "text", "body": "hi"}});
    let (status, row) = desk.post("/v1/admin/outbox", wish).await;
    assert_eq!((status, &row["status"]), (202, &json!("pending")), "{row}");
    let id = row["outboxId"].as_str().expect("an id");
    let path = format!("/v1/admin/outbox/{id}");
    assert_eq!(desk.get(&path).await.1["attempts"], json!([]));
    let (_, taken) = desk.post(&format!("{path}/cancel"), json!({})).await;
    assert_eq!(taken["status"], "cancelled");
    assert_eq!(desk.post(&format!("{path}/cancel"), json!({})).await.0, 409);
    let (_, page) = desk.get("/v1/admin/outbox?status=cancelled").await;
    assert_eq!(page["messages"][0]["outboxId"], id);
    let (_, audit) = desk.get("/v1/admin/audit").await;
    assert_eq!(audit["audit"][0]["actor"], "admin", "{audit}");
}

async fn conversations(engine: Engine) {
    let desk = Desk::open(engine).await;
    desk.0.receives(text("hello")).await;
    let (_, page) = desk.get("/v1/admin/conversations?account=default").await;
    let talk = &page["conversations"][0];
    assert!(!talk["with"].to_string().contains("49151000001"), "{talk}");
    let id = talk["conversationId"].as_str().expect("an id");
    let path = format!("/v1/admin/conversations/{id}");
    let first = json!({"priority": 1});
    let priority = format!("{path}/priority");
    let set = desk.ask(OPERATOR, "PUT", &priority, Some(first)).await;
    assert_eq!((set.status, &set.body["priority"]), (200, &json!(1)));
    let far = json!({"priority": 2});
    let refused = desk.ask(OPERATOR, "PUT", &priority, Some(far)).await;
    assert_eq!(refused.problem(), (422, "priority"));
    let gone = desk.ask(OPERATOR, "DELETE", &path, None).await;
    assert_eq!((gone.status, gone.body), (200, json!({"messages": 1})));
    let again = desk.ask(OPERATOR, "DELETE", &path, None).await;
    assert_eq!(again.problem().0, 404);
}

async fn auth(engine: Engine) {
    let desk = Desk::open(engine).await;
    let path = "/v1/admin/accounts/default/auth";
    let (status, state) = desk.get(path).await;
    assert_eq!((status, &state["ordered"]), (200, &json!(null)), "{state}");
    for order in ["clear", "accept-rollback"] {
        let (status, state) = desk.post(&format!("{path}/{order}"), json!({})).await;
        assert_eq!((status, &state["ordered"]["order"]), (202, &json!(order)));
        assert_eq!(state["ordered"]["actor"], "admin");
    }
    let (status, _) = desk
        .post("/v1/admin/accounts/nobody/auth/clear", json!({}))
        .await;
    assert_eq!(status, 404);
}

async fn workers(engine: Engine) {
    let desk = Desk::open(engine).await;
    let worker = Registration {
        owner: OwnerId::incarnate("one").expect("valid"),
        capacity: 1,
        accounts: "*".to_owned(),
        installation: "disk".to_owned(),
        draining: false,
        version: "0".to_owned(),
    };
    let registered = desk.0.store.register_worker(&worker, PATIENCE).await;
    registered.expect("answers");
    let drain = "/v1/admin/workers/one/drain";
    let (status, told) = desk.post(drain, json!({})).await;
    assert_eq!((status, &told["staying"]), (202, &json!([])), "{told}");
    let (_, listed) = desk.get("/v1/admin/workers").await;
    let row = &listed["workers"][0];
    assert_eq!(
        (&row["draining"], &row["drainAsked"]),
        (&json!(true), &json!(true))
    );
    let (status, _) = desk.post("/v1/admin/workers/one/undrain", json!({})).await;
    assert_eq!(status, 202);
    let (_, listed) = desk.get("/v1/admin/workers").await;
    assert_eq!(listed["workers"][0]["draining"], json!(false));
    assert_eq!(
        desk.post("/v1/admin/workers/typo/drain", json!({})).await.0,
        404
    );
    let (_, audit) = desk.get("/v1/admin/audit?limit=1").await;
    assert_eq!(audit["audit"][0]["action"], "worker.undrained");
}

async fn odd_addresses(engine: Engine) {
    let desk = Desk::open(engine).await;
    for path in [
        "jobs/%00",
        "jobs/a%00b",
        "outbox/%00",
        "jobs?cursor=1-%00",
        "workers/%00/drain",
    ] {
        let method = if path.ends_with("drain") {
            "POST"
        } else {
            "GET"
        };
        let answer = desk
            .ask(OPERATOR, method, &format!("/v1/admin/{path}"), None)
            .await;
        let (status, _) = answer.problem();
        assert!(matches!(status, 400 | 404 | 422), "{path}: {answer:?}");
    }
}

macro_rules! on_both_engines {
    ($($fact:ident => $check:ident),+ $(,)?) => {
        mod sqlite {
            use super::*;
            $(#[tokio::test] async fn $fact() { $check(Engine::Sqlite).await; })+
        }
        mod postgres {
            use super::*;
            $(#[tokio::test] async fn $fact() { $check(Engine::Postgres).await; })+
        }
    };
}

on_both_engines! {
    accounts_are_added_paused_and_disabled_and_the_audit_has_who => accounts,
    dead_letters_come_in_pages_are_retried_and_discarded => dead_letters,
    a_lease_is_released_or_taken_from_a_holder_that_cannot_be_asked => leases,
    a_message_is_put_in_and_taken_back => outbox,
    a_conversation_gets_a_priority_and_is_erased => conversations,
    the_holder_of_an_auth_state_is_given_orders => auth,
    a_worker_is_drained_and_taken_back => workers,
    a_nul_in_an_address_is_no_failure_of_the_server => odd_addresses,
}
