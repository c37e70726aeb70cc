//! How the domain's words look in the document.

use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::{Object, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::ids::AccountId;

/// What goes wrong.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its shape is told")]
pub(super) struct Problem {
    r#type: String,
    title: String,
    status: u16,
    detail: String,
    /// The field of the request that is to blame.
    field: Option<String>,
}

fn account() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some("^[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}$"))
        .build()
}

impl PartialSchema for AccountId {
    fn schema() -> RefOr<Schema> {
        account().into()
    }
}

impl ToSchema for AccountId {}
