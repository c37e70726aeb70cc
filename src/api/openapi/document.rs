//! The document: what all routes of a kind have in common is said here, once.

use std::collections::BTreeSet;

use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{
    HttpMethod, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItem, PathsBuilder,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::{ResponseBuilder, ResponsesBuilder};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    ComponentsBuilder, Content, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Required,
};
use utoipa::{PartialSchema, ToSchema};

use super::schemas::Problem;
use super::{Body, Described, Operation, Says};
use crate::api::scope::Scope;

const PROBLEM: &str = "application/problem+json";

/// The document of `routes`.
pub(super) fn of(routes: &[Described]) -> OpenApi {
    let mut components = ComponentsBuilder::new().schema(Problem::name(), Problem::schema());
    let mut paths = PathsBuilder::new();
    for route in routes {
        for (name, schema) in &route.operation.schemas {
            components = components.schema(name, schema.clone());
        }
        let item = PathItem::new(method(route), operation(route));
        paths = paths.path(route.path, item);
    }
    for (name, scheme) in schemes() {
        components = components.security_scheme(name, scheme);
    }
    let info = InfoBuilder::new()
        .title("whatsapp-worker")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Agents take work and answer it, operators see and steer. What goes wrong is application/problem+json (RFC 9457).",
        ));
    OpenApiBuilder::new()
        .info(info.build())
        .paths(paths.build())
        .components(Some(components.build()))
        .build()
}

fn schemes() -> [(&'static str, SecurityScheme); 2] {
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    let header = ApiKey::Header(ApiKeyValue::new("x-admin-token"));
    [
        ("bearer", SecurityScheme::Http(bearer)),
        ("adminToken", SecurityScheme::ApiKey(header)),
    ]
}

fn method(route: &Described) -> HttpMethod {
    match route.method.as_str() {
        "POST" => HttpMethod::Post,
        "PUT" => HttpMethod::Put,
        "DELETE" => HttpMethod::Delete,
        _ => HttpMethod::Get,
    }
}

fn operation(route: &Described) -> utoipa::openapi::path::Operation {
    let told = &route.operation;
    let mut operation = OperationBuilder::new()
        .summary(Some(told.summary))
        .operation_id(Some(id(route)))
        .tag(tag(route))
        .responses(responses(route));
    for name in places(route.path) {
        operation = operation.parameter(in_path(name));
    }
    for parameter in &told.query {
        operation = operation.parameter(parameter.clone());
    }
    for (name, meaning) in &told.headers {
        operation = operation.parameter(
            ParameterBuilder::new()
                .name(*name)
                .parameter_in(ParameterIn::Header)
                .required(Required::False)
                .description(Some(*meaning))
                .schema(Some(text())),
        );
    }
    if let Some(body) = &told.body {
        let (media, schema) = match body {
            Body::Json(schema) => ("application/json", Some((**schema).clone())),
            Body::Bytes => ("application/octet-stream", None),
        };
        let content = ContentBuilder::new().schema(schema).build();
        let body = RequestBodyBuilder::new().content(media, content);
        operation = operation.request_body(Some(body.required(Some(Required::True)).build()));
    }
    for name in security(route) {
        let none: [&str; 0] = [];
        operation = operation.security(SecurityRequirement::new(*name, none));
    }
    operation.build()
}

/// E.g. `post_v1_admin_accounts_account_pause`.
fn id(route: &Described) -> String {
    let path: String = route
        .path
        .replace(['{', '}'], "")
        .replace(['/', '-', '.'], "_");
    format!("{}{path}", route.method.as_str().to_lowercase())
}

fn tag(route: &Described) -> &'static str {
    match route.scope {
        Some(Scope::Agent) => "agents",
        Some(Scope::Read | Scope::Operate) => "operators",
        None => "open",
    }
}

fn security(route: &Described) -> &'static [&'static str] {
    match route.scope {
        None => &[],
        Some(_) => &["bearer", "adminToken"],
    }
}

fn places(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn in_path(name: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .schema(Some(text()))
        .build()
}

fn text() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).into()
}

fn responses(route: &Described) -> utoipa::openapi::Responses {
    let told = &route.operation;
    let mut responses = ResponsesBuilder::new();
    let mut said = BTreeSet::new();
    for (status, meaning) in [(told.status, "Done.")].iter().chain(&told.too) {
        said.insert(*status);
        let response = ResponseBuilder::new().description(*meaning);
        let mut response = match &told.says {
            Says::Nothing => response,
            Says::Media(media) => response.content(*media, ContentBuilder::new().build()),
            Says::Object | Says::Json(_) => response.content("application/json", json(told)),
        };
        if *status >= 400 {
            response = response.content(PROBLEM, problem());
        }
        responses = responses.response(status.to_string(), response.build());
    }
    for (status, meaning) in told.others.iter().copied().chain(usual(route)) {
        if said.insert(status) {
            let response = ResponseBuilder::new().description(meaning);
            let response = response.content(PROBLEM, problem());
            responses = responses.response(status.to_string(), response.build());
        }
    }
    responses.build()
}

fn problem() -> Content {
    let schema = Ref::from_schema_name(Problem::name());
    ContentBuilder::new().schema(Some(schema)).build()
}

/// What a success says in JSON.
fn json(told: &Operation) -> Content {
    let any = || ObjectBuilder::new().schema_type(Type::Object).into();
    let schema = match &told.says {
        Says::Json(schema) => (**schema).clone(),
        Says::Object | Says::Media(_) | Says::Nothing => any(),
    };
    ContentBuilder::new().schema(Some(schema)).build()
}

/// What any route of its kind may answer.
fn usual(route: &Described) -> Vec<(u16, &'static str)> {
    let told = &route.operation;
    let mut usual = vec![
        (500, "A fault of the worker: its log says more."),
        (
            503,
            "The store does not answer, or the worker stops: try again.",
        ),
    ];
    if route.scope.is_some() {
        usual.push((401, "No token, or nobody's."));
        usual.push((403, "A token for other routes."));
        usual.push((429, "Too many wrong tokens from this address."));
    }
    if places(route.path).next().is_some() {
        usual.push((400, "A part of the path cannot be read."));
        usual.push((404, "Nothing by that name."));
    }
    if !told.query.is_empty() {
        usual.push((422, "A field cannot be used; `field` names it."));
    }
    if told.body.is_some() {
        usual.push((400, "The body is no JSON, or broke off."));
        usual.push((408, "The body did not arrive in time."));
        usual.push((413, "The body is too large."));
        usual.push((415, "The body is not announced as JSON."));
        usual.push((422, "A field cannot be used; `field` names it."));
    }
    usual
}
