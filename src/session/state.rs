//! The states of a session, a closed table with a text for people and a reason code for queries.

use std::time::Duration;

/// What the linked device of an account is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// Opening the auth state and connecting for the first time.
    Starting,
    /// Not linked, and nobody is looking at codes.
    NeedsLink {
        /// The last phone had another number than the account.
        turned_away: bool,
    },
    /// Not linked; a code is shown.
    Linking {
        /// The last phone had another number than the account.
        turned_away: bool,
    },
    /// Connected and logged in.
    Connected,
    /// The connection ended; another follows.
    Reconnecting {
        /// How many attempts have failed in a row.
        attempt: u32,
        /// Why the last one ended.
        reason: String,
    },
    /// Somebody else uses the same credentials again and again.
    Conflict,
    /// The server ended the link; a new identity is being prepared.
    LoggedOut {
        /// The server's reason.
        reason: String,
    },
    /// The server refuses the number for a while.
    Banned {
        /// For how much longer.
        remaining: Duration,
        /// The server's reason.
        reason: String,
    },
    /// The server wants a newer client.
    OutdatedClient,
    /// Cannot go on without a person.
    Failed {
        /// Reason code.
        code: &'static str,
        /// What is wrong and what to do.
        detail: String,
    },
}

impl SessionState {
    /// Name in the store, in events and metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::NeedsLink { .. } => "needs_link",
            Self::Linking { .. } => "linking",
            Self::Connected => "connected",
            Self::Reconnecting { .. } => "reconnecting",
            Self::Conflict => "conflict",
            Self::LoggedOut { .. } => "logged_out",
            Self::Banned { .. } => "banned",
            Self::OutdatedClient => "outdated_client",
            Self::Failed { .. } => "failed",
        }
    }

    /// Reason code, for states that need a person or an explanation.
    pub const fn reason_code(&self) -> Option<&'static str> {
        match self {
            Self::NeedsLink { turned_away: true } | Self::Linking { turned_away: true } => {
                Some("other_number")
            }
            Self::Starting | Self::Linking { .. } | Self::Connected => None,
            Self::NeedsLink { .. } => Some("nobody_is_looking"),
            Self::Reconnecting { .. } => Some("connection_closed"),
            Self::Conflict => Some("replaced_elsewhere"),
            Self::LoggedOut { .. } => Some("logged_out"),
            Self::Banned { .. } => Some("temporary_ban"),
            Self::OutdatedClient => Some("client_outdated"),
            Self::Failed { code, .. } => Some(code),
        }
    }

    /// For people.
    pub fn describe(&self) -> String {
        match self {
            Self::Starting => "opening the auth state".to_owned(),
            Self::NeedsLink { turned_away: true } | Self::Linking { turned_away: true } => {
                "not linked: a phone with another number than this account's was turned away; link the right phone, or run `whatsapp-worker link --replace-number`".to_owned()
            }
            Self::NeedsLink { .. } => {
                "not linked: run `whatsapp-worker link` to see a QR code".to_owned()
            }
            Self::Linking { .. } => {
                "not linked: a code is waiting to be scanned or typed".to_owned()
            }
            Self::Connected => "connected to WhatsApp".to_owned(),
            Self::Reconnecting { attempt, reason } => {
                format!("connecting again after {attempt} failed attempts: {reason}")
            }
            Self::Conflict => {
                "another program uses the same credentials: stop it; tried again every 5 minutes"
                    .to_owned()
            }
            Self::LoggedOut { reason } => format!("the link was ended: {reason}"),
            Self::Banned { remaining, reason } => format!(
                "WhatsApp refuses this number for {} more minutes: {reason}",
                remaining.as_secs().div_ceil(60)
            ),
            Self::OutdatedClient => {
                "WhatsApp wants a newer client: set WHATSAPP_CLIENT_VERSION or update".to_owned()
            }
            Self::Failed { detail, .. } => detail.clone(),
        }
    }
}
