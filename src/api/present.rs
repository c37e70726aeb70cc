//! What agents see of a message: as it is kept, but a file is a link to download it, and not the key and
//! the address by which anybody could.

use serde_json::{Value, json};

use crate::ids::AccountId;
use crate::store::{Claim, JobDetail, Talk, Turn};

/// What a file's keys and addresses are called in a message.
const WITHHELD: [&str; 4] = ["mediaKey", "encSha256", "directPath", "url"];

/// A claim, as the answer to a claim and as the `data` of a webhook.
pub fn claim(claim: &Claim) -> Value {
    let mut shown = json!(claim);
    shown["job"] = job(&claim.job);
    shown
}

/// A job with its message.
pub fn job(detail: &JobDetail) -> Value {
    let mut shown = json!(detail);
    let job = &detail.job;
    link(&mut shown["content"], &job.account_id, &job.key);
    shown
}

/// One message of a conversation of `account`.
pub fn turn(account: &AccountId, turn: &Turn) -> Value {
    let mut shown = json!(turn);
    if let Talk::In { key, .. } = &turn.by {
        link(&mut shown["content"], account, key);
    }
    shown
}

fn link(content: &mut Value, account: &AccountId, key: &str) {
    // An edit has the new content in it.
    if let Some(edited) = content.get_mut("content") {
        link(edited, account, key);
    }
    let Some(media) = content.get_mut("media").and_then(Value::as_object_mut) else {
        return;
    };
    for name in WITHHELD {
        media.remove(name);
    }
    let key = percent_encoding::utf8_percent_encode(key, percent_encoding::NON_ALPHANUMERIC);
    media.insert(
        "download".to_owned(),
        format!("/v1/media/{account}/{key}").into(),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_a_link_and_its_key_is_withheld() {
        let media = json!({"mimeType": "image/png", "size": 7, "sha256": "ab", "mediaKey": "k",
            "encSha256": "e", "directPath": "/p", "url": "https://h/p", "caption": "look"});
        let account = "shop".parse().expect("valid");
        let shown = json!({"mimeType": "image/png", "size": 7, "sha256": "ab", "caption": "look",
            "download": "/v1/media/shop/3EB0%231"});
        let mut content = json!({"type": "image", "media": media});
        link(&mut content, &account, "3EB0#1");
        assert_eq!(content, json!({"type": "image", "media": shown}));
        let mut edit = json!({"type": "edit", "content": {"type": "image", "media": media}});
        link(&mut edit, &account, "3EB0#1");
        assert_eq!(edit["content"]["media"], shown);
        let mut text = json!({"type": "text", "body": "hi"});
        link(&mut text, &account, "3EB0");
        assert_eq!(text, json!({"type": "text", "body": "hi"}));
    }
}
