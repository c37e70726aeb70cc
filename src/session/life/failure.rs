//! What a failure of the auth state makes of the session.

use std::time::Duration;

use auth_store::{OpenError, OpenMediumError, RecordError};

use super::Outcome;
use crate::lease::keeper::Loss;
use crate::session::shelf::ShelfError;
use crate::store::StoreError;

/// Between two tries to use an auth state that a person must mend, and one that is merely busy.
const UNUSABLE: Duration = Duration::from_mins(1);
const BUSY: Duration = Duration::from_secs(1);

/// Why a medium was not opened.
pub(super) enum Unopened {
    /// As it is, it cannot be used, and the session is over.
    Over(Outcome),
    /// It is damaged. It may be put aside when an operator clears the account.
    Damaged(RecordError),
}

impl From<Unopened> for Outcome {
    fn from(unopened: Unopened) -> Self {
        match unopened {
            Unopened::Over(outcome) => outcome,
            Unopened::Damaged(error) => unusable("auth_unusable", &error),
        }
    }
}

pub(super) fn not_opened(error: OpenMediumError) -> Unopened {
    match error {
        OpenMediumError::Fenced { .. } => Unopened::Over(Outcome::Lost(Loss::Refused)),
        OpenMediumError::Records(error) if error.is_transient() => Unopened::Over(busy(&error)),
        OpenMediumError::Records(error) => Unopened::Damaged(error),
        error => Unopened::Over(unusable("auth_unusable", &error)),
    }
}

pub(super) fn open_failed(error: OpenError) -> Outcome {
    match error {
        OpenError::Records(error) => records_failed("auth_damaged", error),
        error => unusable("auth_damaged", &error),
    }
}

/// What a failed call of the medium makes of the session: `code`, when a person must act.
pub(super) fn records_failed(code: &'static str, error: RecordError) -> Outcome {
    match error {
        RecordError::Fenced { .. } => Outcome::Lost(Loss::Refused),
        error if error.is_transient() => busy(&error),
        error => unusable(code, &error),
    }
}

pub(super) fn shelf_failed(error: &ShelfError) -> Outcome {
    match error {
        ShelfError::Store(error) => store_failed(error),
        ShelfError::File { .. } => unusable("auth_unusable", error),
    }
}

/// What the library says when it cannot read the auth state.
pub(super) fn unreadable(error: &anyhow::Error) -> Outcome {
    let cause = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<RecordError>());
    match cause {
        Some(cause) => records_failed("auth_damaged", cause.clone()),
        None => unusable("auth_damaged", error.as_ref()),
    }
}

pub(super) fn store_failed(error: &StoreError) -> Outcome {
    match error {
        StoreError::Fenced(_) => Outcome::Lost(Loss::Refused),
        StoreError::Unavailable(_) => busy(error),
        StoreError::Rejected(_) | StoreError::Unusable(_) => unusable("auth_unusable", error),
    }
}

/// Somebody else has the file or the store for the moment: perhaps a frozen process in the middle of a
/// transaction.
pub(super) fn busy(error: &dyn std::error::Error) -> Outcome {
    Outcome::Unusable {
        code: "store_busy",
        detail: format!("the store is busy: {error}"),
        retry: BUSY,
    }
}

/// `detail` says what is wrong and how it is mended.
pub(super) const fn needs_a_person(code: &'static str, detail: String) -> Outcome {
    Outcome::Unusable {
        code,
        detail,
        retry: UNUSABLE,
    }
}

pub(super) fn unusable(code: &'static str, error: &dyn std::error::Error) -> Outcome {
    let mut detail = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        detail = format!("{detail}: {cause}");
        source = cause.source();
    }
    needs_a_person(code, detail)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn told_by_the_library(error: RecordError) -> Outcome {
        let error = wacore::store::error::StoreError::from(error);
        unreadable(&anyhow::Error::new(error).context("building the client"))
    }

    #[test]
    fn a_state_that_does_not_answer_is_busy_and_one_that_is_damaged_needs_a_person() {
        let silent = std::io::Error::from(std::io::ErrorKind::TimedOut);
        let busy = told_by_the_library(RecordError::Unavailable(Arc::new(silent)));
        assert!(
            matches!(&busy, Outcome::Unusable { code: "store_busy", retry, .. } if *retry == BUSY),
            "{busy:?}"
        );
        let damaged = told_by_the_library(RecordError::Damaged {
            place: "here".to_owned(),
            detail: "torn".to_owned(),
        });
        assert!(
            matches!(
                &damaged,
                Outcome::Unusable {
                    code: "auth_damaged",
                    ..
                }
            ),
            "{damaged:?}"
        );
        let fenced = told_by_the_library(RecordError::Fenced { ours: 1, stored: 2 });
        assert_eq!(fenced, Outcome::Lost(Loss::Refused));
    }
}
