//! The routes and their description, made together: a route that is not described cannot be added.

mod document;
mod schemas;

use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodFilter, on};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use super::Api;
use super::scope::Scope;

/// What a route is for, and what it takes and answers.
#[derive(Clone)]
pub(super) struct Operation {
    summary: &'static str,
    status: u16,
    says: Says,
    body: Option<Body>,
    query: Vec<utoipa::openapi::path::Parameter>,
    headers: Vec<(&'static str, &'static str)>,
    schemas: Vec<(String, RefOr<Schema>)>,
    /// Further statuses of the same answer, with their meaning.
    too: Vec<(u16, &'static str)>,
    /// Further problems with their meaning, beside those that every route of its kind has.
    others: Vec<(u16, &'static str)>,
}

/// What a success says.
#[derive(Clone)]
enum Says {
    /// Some JSON object.
    Object,
    Json(Box<RefOr<Schema>>),
    Media(&'static str),
    Nothing,
}

#[derive(Clone)]
enum Body {
    Json(Box<RefOr<Schema>>),
    Bytes,
}

impl Operation {
    /// Answers 200 with JSON.
    pub(super) fn new(summary: &'static str) -> Self {
        Self {
            summary,
            status: 200,
            says: Says::Object,
            body: None,
            query: Vec::new(),
            headers: Vec::new(),
            schemas: Vec::new(),
            too: Vec::new(),
            others: Vec::new(),
        }
    }

    /// Takes this as JSON.
    pub(super) fn takes<T: ToSchema>(mut self) -> Self {
        T::schemas(&mut self.schemas);
        self.body = Some(Body::Json(Box::new(T::schema())));
        self
    }

    /// Answers with this as JSON.
    pub(super) fn answers<T: ToSchema>(mut self) -> Self {
        self.says = Says::Json(Box::new(self.known::<T>().into()));
        self
    }

    /// Answers with a page of these under `name`.
    pub(super) fn lists<T: ToSchema>(mut self, name: &'static str) -> Self {
        let rows = ArrayBuilder::new().items(self.known::<T>());
        let answer = ObjectBuilder::new()
            .property(name, rows)
            .required(name)
            .property("nextCursor", <Option<String>>::schema())
            .required("nextCursor");
        self.says = Says::Json(Box::new(answer.into()));
        self
    }

    fn known<T: ToSchema>(&mut self) -> Ref {
        T::schemas(&mut self.schemas);
        self.schemas.push((T::name().into_owned(), T::schema()));
        Ref::from_schema_name(T::name())
    }

    /// Takes a file.
    pub(super) fn takes_bytes(mut self) -> Self {
        self.body = Some(Body::Bytes);
        self
    }

    /// Takes these in the query.
    pub(super) fn asks<T: IntoParams>(mut self) -> Self {
        self.query = T::into_params(|| Some(utoipa::openapi::path::ParameterIn::Query));
        self
    }

    /// Knows this header of the request.
    pub(super) fn header(mut self, name: &'static str, meaning: &'static str) -> Self {
        self.headers.push((name, meaning));
        self
    }

    /// A success is this status instead of 200.
    pub(super) fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// A success is no JSON, but this.
    pub(super) fn media(mut self, media: &'static str) -> Self {
        self.says = Says::Media(media);
        self
    }

    /// A success has no body.
    pub(super) fn says_nothing(mut self) -> Self {
        self.says = Says::Nothing;
        self
    }

    /// May say the same with this status too. Of an error: or tell of a problem.
    pub(super) fn answers_too(mut self, status: u16, meaning: &'static str) -> Self {
        self.too.push((status, meaning));
        self
    }

    /// May tell of this problem.
    pub(super) fn or(mut self, status: u16, meaning: &'static str) -> Self {
        self.others.push((status, meaning));
        self
    }
}

struct Described {
    method: Method,
    path: &'static str,
    scope: Option<Scope>,
    operation: Operation,
}

/// Routes of one scope.
pub(super) struct Routes {
    router: Router<Api>,
    scope: Option<Scope>,
    described: Vec<Described>,
}

impl Routes {
    /// For whom `scope` is needed; `None`: open to everybody.
    pub(super) fn of(scope: Option<Scope>) -> Self {
        Self {
            router: Router::new(),
            scope,
            described: Vec::new(),
        }
    }

    /// Adds a route.
    pub(super) fn at<T: 'static>(
        mut self,
        method: Method,
        path: &'static str,
        operation: Operation,
        handler: impl Handler<T, Api>,
    ) -> Self {
        let filter = MethodFilter::try_from(method.clone()).expect("routes have plain methods");
        self.router = self.router.route(path, on(filter, handler));
        self.described.push(Described {
            method,
            path,
            scope: self.scope,
            operation,
        });
        self
    }

    /// Adds a route that looks.
    pub(super) fn get<T: 'static>(
        self,
        path: &'static str,
        operation: Operation,
        handler: impl Handler<T, Api>,
    ) -> Self {
        self.at(Method::GET, path, operation, handler)
    }

    /// Adds a route that does something.
    pub(super) fn post<T: 'static>(
        self,
        path: &'static str,
        operation: Operation,
        handler: impl Handler<T, Api>,
    ) -> Self {
        self.at(Method::POST, path, operation, handler)
    }

    /// With those of `other`, which are of the same scope.
    pub(super) fn merge(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.described.extend(other.described);
        self
    }

    /// The routes to serve, and what there is to tell of them.
    pub(super) fn split(self, told: &mut Description) -> Router<Api> {
        told.0.extend(self.described);
        self.router
    }
}

/// All that is told of a set of routes.
#[derive(Default)]
pub(super) struct Description(Vec<Described>);

impl Description {
    /// As an OpenAPI 3.1 document.
    pub(super) fn document(&self) -> utoipa::openapi::OpenApi {
        document::of(&self.0)
    }
}
