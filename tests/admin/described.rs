//! Whatever the description allows is asked, and each answer must be one that it names.

use whatsapp_worker::store::Engine;

use super::{Desk, OPERATOR};
use crate::agents::text;
use crate::theatre::{full, seed};

#[tokio::test]
async fn no_request_that_the_description_allows_gets_an_answer_that_it_does_not_name() {
    // Where it is: `./test` installs it.
    let Some(schemathesis) = std::env::var_os("SCHEMATHESIS") else {
        println!("NOT RUN: SCHEMATHESIS does not name schemathesis's command");
        return;
    };
    let desk = Desk::open(Engine::Sqlite).await;
    desk.0.receives(text("something to look at")).await;
    desk.dead("something to replay").await;
    let asked = tokio::process::Command::new(schemathesis)
        .args(["run", &format!("{}/openapi.json", desk.0.base)])
        .args(["--header", &format!("x-admin-token: {OPERATOR}")])
        .args(["--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"])
        .args(["--max-examples", if full() { "100" } else { "10" }])
        .args(["--seed", &seed().to_string()])
        .args(["--request-timeout", "40", "--no-color"])
        .current_dir(desk.0.theatre.stage.auth_dir().parent().expect("a folder"))
        .output()
        .await
        .expect("it runs");
    let said = String::from_utf8_lossy(&asked.stdout);
    assert!(asked.status.success(), "{said}");
    assert!(said.contains("generated"), "{said}");
}
