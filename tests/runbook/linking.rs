//! Accounts that must be linked again.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use super::section::{Section, TOLD, ended, in_state};
use crate::theatre::{PATIENCE, Theatre};

/// `link` has seen the account linked.
async fn linked(link: Child) {
    let said = ended(link).await;
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.err.contains("Linked."), "{}", said.err);
}

/// The code to type that `link` shows, and what it shows later: nobody who reads it is its end.
async fn typed(link: &mut Child) -> (String, Lines<BufReader<ChildStdout>>) {
    let mut lines = BufReader::new(link.stdout.take().expect("piped")).lines();
    let looking = async {
        loop {
            let line = lines.next_line().await.expect("text").expect("a code");
            if let Some((first, second)) = line.trim().split_once('-')
                && first.len() == 4
                && second.len() == 4
            {
                return format!("{first}{second}");
            }
        }
    };
    let code = tokio::time::timeout(PATIENCE, looking).await;
    (code.expect("a code in time"), lines)
}

pub async fn logged_out(section: &mut Section) {
    let theatre = Theatre::with_settings(&[TOLD]).await;
    let stage = &theatre.stage;
    let worker = theatre.linked_worker("one").await;
    let mut ids = vec![theatre.text("before")];
    theatre.jobs_of(&ids).await;
    assert!(theatre.shop.unlink(theatre.shop.companions()[0]));
    section
        .event(&worker, "whatsapp.auth.reset", |_| true)
        .await;
    section.logs(&worker, "Account '<id>' must").await;
    in_state(stage, "linking").await;
    let state = r#"wa_session_state{account="default",state="linking"}"#;
    section.metric(&worker, state, |v| v >= 1.0).await;
    ids.push(theatre.text("meanwhile"));
    let last = ids[1].clone();
    let arrived = theatre.shop.wait_for(PATIENCE, |got| got.id == last).await;
    arrived.expect("the phone has it");
    let link = section.start(stage, "link --account default", &[]);
    let store = theatre.store().await;
    let looks = async {
        let wish = async || store.link_wish(&theatre.account).await.expect("answers");
        while wish().await.is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await; // justified: another process writes the store
        }
    };
    let looks = tokio::time::timeout(PATIENCE, looks).await;
    looks.expect("the command looks for a code");
    theatre.scan().await;
    linked(link).await;
    theatre.connected(&worker, 2).await;

    assert!(theatre.shop.unlink(theatre.shop.companions()[0]));
    in_state(stage, "linking").await;
    let number = format!("+{}", theatre.shop.phone_number());
    let words = [("+49 151 2345678", number.as_str())];
    let mut link = section.start(stage, "link --account default --phone", &words);
    let (code, _shown) = typed(&mut link).await;
    theatre.shop.enter_code(&code).await.expect("it links");
    linked(link).await;

    let list = section.data(stage, "accounts list", &[]).await;
    assert_eq!(list[0]["session"], "connected");
    let status = section.data(stage, "auth status default", &[]).await;
    assert_eq!(
        (&status["linked"], &status["quarantined"]),
        (&json!(true), &json!(2)),
        "{status}"
    );
    theatre.assert_each_queued_once(&ids).await;
}
