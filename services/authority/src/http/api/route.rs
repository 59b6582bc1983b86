//! What a route takes and answers, read off its handler's signature: a declaration cannot say anything else than the code.
//!
//! A description for people and programs (OpenAPI) is made from this: [`Takes`] and [`Answers`] are where a type would bring its schema along.

use super::super::problem::Refuse;
use super::super::{Peer, Shell};
use super::caller::{Body, Called, Query};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Extension, Path, State};
use axum::handler::Handler;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use std::any::type_name;
use std::future::Future;

/// Refusals that any route may answer with: of the caller, of what was sent, and of ours.
const ANYWHERE: [&str; 11] = [
    "caller-unknown",
    "caller-not-live",
    "not-permitted",
    "body-invalid",
    "value-invalid",
    "environment-unknown",
    "changed-meanwhile",
    "busy",
    "storage",
    "disk-full",
    "internal",
];

/// A route of the management API.
#[derive(Clone, Debug)]
pub struct Route {
    pub method: Method,
    /// `{...}` stands for one segment.
    pub path: &'static str,
    /// What it does, in two words: unique.
    pub act: &'static str,
    /// Wire types by their names in Rust.
    pub query: Option<&'static str>,
    pub body: Option<&'static str>,
    /// `None` where a success has no body (204).
    pub answer: Option<&'static str>,
    /// Codes of refusals of its own; [`Route::refuses`] knows those of every route.
    pub errors: &'static [&'static str],
}

impl Route {
    /// Whether it is declared to refuse with this code.
    pub fn refuses(&self, code: &str) -> bool {
        ANYWHERE.contains(&code) || self.errors.contains(&code)
    }
}

/// A declared route and who answers.
pub(super) type Declared = (Route, MethodRouter<Shell>);

/// Declares a route; its types are those of the handler.
pub(super) fn route<H, M, A>(
    (method, path): (Method, &'static str),
    act: &'static str,
    handler: H,
    errors: &'static [&'static str],
) -> Declared
where
    H: Handler<M, Shell> + Signature<A>,
    M: 'static,
{
    let mut route = Route { method, path, act, query: None, body: None, answer: None, errors };
    H::describe(&mut route);
    let filter = MethodFilter::try_from(route.method.clone()).expect("a standard method");
    (route, on(filter, handler))
}

/// What a handler takes one by one.
pub(super) trait Takes {
    fn describe(_: &mut Route) {}
}

impl Takes for State<Shell> {}
impl Takes for Called {}
impl Takes for Result<Called, Refuse> {}
impl Takes for Extension<Peer> {}
impl<T> Takes for Path<T> {}

impl<T> Takes for Query<T> {
    fn describe(route: &mut Route) {
        route.query = Some(type_name::<T>());
    }
}

impl<T> Takes for Body<T> {
    fn describe(route: &mut Route) {
        route.body = Some(type_name::<T>());
    }
}

/// What it answers.
pub(super) trait Answers {
    /// The name of the wire type, if there is a body.
    fn name() -> Option<&'static str>;
}

impl<T> Answers for Json<T> {
    fn name() -> Option<&'static str> {
        Some(type_name::<T>())
    }
}

impl<T> Answers for (StatusCode, Json<T>) {
    fn name() -> Option<&'static str> {
        Some(type_name::<T>())
    }
}

impl Answers for StatusCode {
    fn name() -> Option<&'static str> {
        None
    }
}

/// Length-prefixed signed messages.
pub(super) struct FeedFile(pub(super) Bytes);

impl IntoResponse for FeedFile {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, "application/octet-stream")], self.0).into_response()
    }
}

impl Answers for FeedFile {
    fn name() -> Option<&'static str> {
        Some("application/octet-stream")
    }
}

/// The types of a handler.
pub(super) trait Signature<A> {
    fn describe(route: &mut Route);
}

macro_rules! signatures {
    ($(($($argument:ident)*))*) => {$(
        impl<F, Answering, Answer, $($argument),*> Signature<($($argument,)*)> for F
        where
            F: Fn($($argument),*) -> Answering,
            Answering: Future<Output = Result<Answer, Refuse>>,
            Answer: Answers,
            $($argument: Takes,)*
        {
            fn describe(route: &mut Route) {
                $($argument::describe(route);)*
                route.answer = Answer::name();
            }
        }
    )*};
}

signatures! { (A B) (A B C) (A B C D) }
