//! What operators see and press, in a real browser.

mod entering;
mod linking;
mod working;

use std::path::Path;

use serde_json::{Value, json};

use crate::interop::driver::Script;
use crate::interop::interop_dir;

/// A browser in which nothing may happen that the policy of the pages forbids.
pub struct Browser(Script);

impl Browser {
    pub fn at(base: &str) -> Self {
        Self(Script::start(&interop_dir(), "browser.mjs", |browser| {
            browser.arg(base);
        }))
    }

    /// Opens `path` and returns where the browser ended.
    pub async fn open(&mut self, path: &str) -> String {
        self.open_as(path, json!({})).await
    }

    pub async fn open_as(&mut self, path: &str, mut how: Value) -> String {
        how["path"] = path.into();
        ended(&self.0.call("open", how).await)
    }

    /// Signs in and is led to the page that was asked for.
    pub async fn enter(&mut self, token: &str, path: &str) {
        assert!(self.open(path).await.starts_with("/ui/login"), "{path}");
        self.fill("token", token).await;
        assert_eq!(self.press("").await, path);
    }

    pub async fn fill(&mut self, field: &str, text: &str) {
        let fields = json!({"field": field, "text": text});
        self.0.call("fill", fields).await;
    }

    /// Presses a button, asked for in its box of details where it has one.
    pub async fn press(&mut self, act: &str) -> String {
        ended(&self.0.call("press", json!({"act": act})).await)
    }

    pub async fn follow(&mut self, text: &str) -> String {
        ended(&self.0.call("follow", json!({"text": text})).await)
    }

    /// Until an element says `text`, on the page as it is.
    pub async fn wait(&mut self, selector: &str, text: &str) {
        let fields = json!({"selector": selector, "text": text});
        self.0.call("wait", fields).await;
    }

    pub async fn read(&mut self, selector: &str) -> Vec<String> {
        let answer = self.0.call("read", json!({"selector": selector})).await;
        let texts = answer["texts"].as_array().expect("a list").iter();
        texts
            .map(|text| text.as_str().expect("text").to_owned())
            .collect()
    }

    /// The code in the picture that is on the page, if it can be read at this moment.
    pub async fn qr(&mut self) -> Option<String> {
        let answer = self.0.call("qr", json!({})).await;
        answer["code"].as_str().map(str::to_owned)
    }

    /// Nothing was asked of others, the policy held, and the page fits the window. With
    /// `WORKER_TEST_WRITE` set, the page is kept among the pictures of the documentation.
    pub async fn check(&mut self, name: &str) {
        if std::env::var_os("WORKER_TEST_WRITE").is_some() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/screenshots");
            std::fs::create_dir_all(&folder).expect("a folder");
            let file = folder.join(format!("{name}.png"));
            self.0.call("shot", json!({"file": file})).await;
        }
        let look = self.0.call("look", json!({})).await;
        assert_eq!(look["trouble"], json!([]), "{name}");
        assert_eq!(look["overflow"], false, "{name} is wider than the window");
    }

    pub async fn close(self) {
        self.0.stop().await;
    }
}

fn ended(answer: &Value) -> String {
    answer["path"].as_str().expect("a path").to_owned()
}
