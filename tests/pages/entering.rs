//! Who may see pages, and whose forms are taken.

use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use whatsapp_worker::store::Engine;

use crate::admin::{Desk, OPERATOR, READER};
use crate::agents::SECRET;

struct Visit<'a> {
    desk: &'a Desk,
    client: reqwest::Client,
    cookie: String,
}

impl<'a> Visit<'a> {
    fn nobody(desk: &'a Desk) -> Self {
        let client = reqwest::Client::builder().redirect(Policy::none());
        Self {
            desk,
            client: client.build().expect("a client"),
            cookie: String::new(),
        }
    }

    async fn of(desk: &'a Desk, token: &str) -> Self {
        let mut visit = Self::nobody(desk);
        let answer = visit
            .post("/ui/login", &[("token", token)], "same-origin")
            .await;
        assert_eq!(answer.status(), 303);
        let set = answer.headers()[SET_COOKIE].to_str().expect("text");
        for part in ["HttpOnly", "SameSite=Strict", "Max-Age=43200", "Path=/"] {
            assert!(set.contains(part), "{set}");
        }
        visit.cookie = set.split(';').next().expect("a cookie").to_owned();
        visit
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)], site: &str) -> reqwest::Response {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let request = self
            .client
            .post(format!("{}{path}", self.desk.0.base))
            .header("sec-fetch-site", site)
            .header("content-type", "application/x-www-form-urlencoded")
            .header(COOKIE, &self.cookie);
        request.body(body).send().await.expect("an answer")
    }

    async fn get(&self, path: &str) -> reqwest::Response {
        let url = format!("{}{path}", self.desk.0.base);
        let request = self.client.get(url).header(COOKIE, &self.cookie);
        request.send().await.expect("an answer")
    }

    /// What forms of the page carry.
    async fn seal(&self, path: &str) -> String {
        let page = self.get(path).await.text().await.expect("text");
        let (_, rest) = page.split_once(r#"name="seal" value=""#).expect("a form");
        rest.split('"').next().expect("a value").to_owned()
    }
}

#[tokio::test]
async fn pages_are_for_who_signed_in_with_a_token_of_people() {
    let desk = Desk::open(Engine::Sqlite).await;
    let nobody = Visit::nobody(&desk);
    for path in [
        "/ui",
        "/ui/accounts/default",
        "/ui/jobs",
        "/ui/outbox",
        "/ui/live",
    ] {
        let answer = nobody.get(path).await;
        assert_eq!(answer.status(), 303, "{path}");
        let to = answer.headers()[LOCATION].to_str().expect("text");
        assert!(to.starts_with("/ui/login?to="), "{path}: {to}");
    }
    assert_eq!(nobody.get("/").await.headers()[LOCATION], "/ui");
    for asset in ["style.css", "pages.js", "icon.svg"] {
        let answer = nobody.get(&format!("/ui/assets/{asset}")).await;
        assert_eq!(answer.status(), 200, "{asset}");
    }
    for path in ["/ui", "/ui/login", "/ui/jobs/none"] {
        let visit = Visit::of(&desk, READER).await;
        let answer = visit.get(path).await;
        let policy = answer.headers()["content-security-policy"].to_str();
        assert!(policy.expect("text").starts_with("default-src 'none'"));
        assert_eq!(answer.headers()["cache-control"], "no-store");
    }
    let foreign = Visit {
        cookie: "whatsapp_worker_visit=9999999999999.00.00".to_owned(),
        ..Visit::nobody(&desk)
    };
    assert_eq!(foreign.get("/ui").await.status(), 303);
    let answer = nobody
        .post("/ui/login", &[("token", OPERATOR)], "cross-site")
        .await;
    assert_eq!(answer.status(), 403);
    let mut statuses = Vec::new();
    for _ in 0..30 {
        let answer = nobody
            .post("/ui/login", &[("token", SECRET)], "same-origin")
            .await;
        assert!(!answer.headers().contains_key(SET_COOKIE));
        statuses.push(answer.status().as_u16());
    }
    assert_eq!((statuses[0], statuses[29]), (401, 429), "{statuses:?}");
    Visit::of(&desk, OPERATOR).await;
}

#[tokio::test]
async fn a_form_is_taken_from_an_operators_own_page_alone() {
    let desk = Desk::open(Engine::Sqlite).await;
    let (operator, reader) = (
        Visit::of(&desk, OPERATOR).await,
        Visit::of(&desk, READER).await,
    );
    let path = "/ui/accounts/default";
    let paused = async || {
        let account = desk.0.store.account(&desk.0.theatre.account).await;
        account.expect("answers").expect("is there").paused
    };
    let seal = operator.seal(path).await;
    let another = Visit::of(&desk, OPERATOR).await.seal(path).await;
    let own = [("seal", seal.as_str()), ("act", "pause")];
    let others = [("seal", another.as_str()), ("act", "pause")];
    for (visit, fields, site) in [
        (&operator, &own, "cross-site"),
        (&operator, &own, "same-site"),
        (&operator, &others, "same-origin"),
        (&reader, &own, "same-origin"),
    ] {
        let answer = visit.post(path, fields, site).await;
        assert_eq!(answer.status(), 403, "{site}");
        assert!(!paused().await);
    }
    let odd = [("seal", seal.as_str()), ("act", "dance")];
    assert_eq!(operator.post(path, &odd, "same-origin").await.status(), 400);
    let absent = "/ui/accounts/none";
    assert_eq!(
        operator.post(absent, &own, "same-origin").await.status(),
        404
    );
    assert_eq!(operator.post(path, &own, "same-origin").await.status(), 303);
    assert!(paused().await);
    let left = operator.post("/ui/logout", &[], "same-origin").await;
    let set = left.headers()[SET_COOKIE].to_str().expect("text");
    assert!(set.contains("Max-Age=0"), "{set}");
}
