//! Trusted contact tokens. Both writers of a token read it first, under one lock.

use wacore::store::traits::TcTokenEntry;

use crate::AuthStore;
use crate::reading::json_value;
use crate::record::RecordError;
use crate::record_name::{Family, RecordName};
use crate::writer::Changes;

type Result<T> = std::result::Result<T, RecordError>;

fn name(jid: &str) -> RecordName {
    Family::TcToken.record([jid])
}

impl AuthStore {
    pub(super) async fn tc_token(&self, jid: &str) -> Result<Option<TcTokenEntry>> {
        self.read_json(&name(jid)).await
    }

    pub(super) async fn set_tc_token(&self, jid: &str, entry: &TcTokenEntry) -> Result<()> {
        let _update = self.updates.tc_tokens.lock().await;
        self.put_json(name(jid), entry).await
    }

    pub(super) async fn remove_tc_token(&self, jid: &str) -> Result<()> {
        let _update = self.updates.tc_tokens.lock().await;
        self.remove(name(jid)).await
    }

    pub(super) async fn tc_token_jids(&self) -> Result<Vec<String>> {
        let names = self.names_under(&Family::TcToken.prefix([])).await?;
        Ok(names
            .iter()
            .filter_map(|text| Family::TcToken.only_part(text))
            .collect())
    }

    /// Moves the time of our own token's issue forward, never back.
    pub(super) async fn raise_tc_token_issue(&self, jid: &str, issued: i64) -> Result<()> {
        let _update = self.updates.tc_tokens.lock().await;
        let entry = match self.tc_token(jid).await? {
            Some(entry) => TcTokenEntry {
                sender_timestamp: entry.sender_timestamp.max(Some(issued)),
                ..entry
            },
            None => TcTokenEntry {
                token: Vec::new(),
                token_timestamp: issued,
                sender_timestamp: Some(issued),
            },
        };
        self.put_json(name(jid), &entry).await
    }

    /// Takes a received token unless a fresher one is there.
    pub(super) async fn receive_tc_token(&self, jid: &str, token: &[u8], at: i64) -> Result<()> {
        let _update = self.updates.tc_tokens.lock().await;
        let earlier = self.tc_token(jid).await?;
        if let Some(earlier) = &earlier
            && !earlier.token.is_empty()
            && at < earlier.token_timestamp
        {
            return Ok(());
        }
        let entry = TcTokenEntry {
            token: token.to_vec(),
            token_timestamp: at,
            sender_timestamp: earlier.and_then(|earlier| earlier.sender_timestamp),
        };
        self.put_json(name(jid), &entry).await
    }

    pub(super) async fn expire_tc_tokens(
        &self,
        token_cutoff: i64,
        sender_cutoff: i64,
    ) -> Result<u32> {
        let family = Family::TcToken;
        let _update = self.updates.tc_tokens.lock().await;
        let mut changes = Changes::default();
        let mut expired = 0;
        let all = self.read_all_as(family, json_value::<TcTokenEntry>);
        for (name, entry) in all.await? {
            let token_live = !entry.token.is_empty() && entry.token_timestamp >= token_cutoff;
            let sender_live = entry.sender_timestamp.is_some_and(|at| at >= sender_cutoff);
            if !token_live && !sender_live {
                changes.remove(name);
                expired += 1;
            }
        }
        self.write(changes).await?;
        Ok(expired)
    }
}
