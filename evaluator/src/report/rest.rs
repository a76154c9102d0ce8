//! Who may hand over a report, and who may ask for one. It must not know how a page is made.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Extension, Json, Router};
use serde_json::json;

use super::facts::{Facts, facts};
use super::input::Test;
use super::page;
use super::slices::Slicer;
use crate::grpc::Served;
use crate::rest::{refuse, unavailable};
use crate::store::Handed;
use crate::writer::now;

/// The largest body, in bytes.
const BODY: usize = 1 << 20;
/// The longest name, as Kubernetes has it.
const NAME: usize = 253;
/// What ends the name of a report that is asked for as JSON.
const JSON: &str = ".json";
/// A page runs nothing and fetches nothing, whatever somebody wrote into a test.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// Questions, which anybody may ask who reaches the evaluator.
pub fn asked(served: Served) -> Router {
    let slicer = Extension(Slicer::default());
    Router::new().route("/v1/reports", get(list)).route("/v1/reports/{name}", get(shown)).layer(slicer).with_state(served)
}

/// Handing over: on the port that only the operator and Prometheus reach.
pub fn taken(served: Served) -> Router {
    Router::new().route("/v1/reports/{name}", put(hand_over)).layer(DefaultBodyLimit::max(BODY)).with_state(served)
}

async fn list(State(served): State<Served>) -> Response {
    match served.writer.reports().await {
        Ok(reports) => Json(json!({"reports": reports})).into_response(),
        Err(refusal) => unavailable(&refusal),
    }
}

async fn hand_over(State(served): State<Served>, Path(name): Path<String>, body: Result<Bytes, BytesRejection>) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            return refuse(StatusCode::PAYLOAD_TOO_LARGE, &format!("the body has more than {BODY} bytes: hand over metadata, spec and status of one ABTest"));
        }
        Err(rejection) => return refuse(rejection.status(), &rejection.body_text()),
    };
    if name.is_empty() || name.len() > NAME || !name.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "-.".contains(letter)) {
        return refuse(StatusCode::BAD_REQUEST, &format!("the name in the path must be that of an ABTest: 1 to {NAME} lower-case letters, digits, - and ."));
    }
    let test = match Test::parse(&name, &body) {
        Ok(test) => test,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let verdict = test.status.and_then(|status| status.verdict).unwrap_or_default();
    // It has been read as JSON, so it is text.
    let handed = Handed { name, at: now(), verdict, body: String::from_utf8_lossy(&body).into_owned() };
    match served.writer.keep(handed).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(refusal) => unavailable(&refusal),
    }
}

/// The page of this name, or with `.json` behind it the same as JSON. A test may be called so: then that is its page.
async fn shown(State(served): State<Served>, Extension(slicer): Extension<Slicer>, Path(asked): Path<String>) -> Response {
    let found = match served.writer.handed(asked.clone()).await {
        Ok(Some(handed)) => Ok(Some((handed, false))),
        Ok(None) => match asked.strip_suffix(JSON) {
            Some(name) => served.writer.handed(name.to_owned()).await.map(|handed| handed.map(|handed| (handed, true))),
            None => Ok(None),
        },
        Err(refusal) => Err(refusal),
    };
    match found {
        Ok(Some((handed, json))) => report(&served, &slicer, &handed, json).await,
        Ok(None) => refuse(StatusCode::NOT_FOUND, &format!("there is no report {asked:?}; /v1/reports lists those that are kept")),
        Err(refusal) => unavailable(&refusal),
    }
}

async fn report(served: &Served, slicer: &Slicer, handed: &Handed, json: bool) -> Response {
    let test = match Test::parse(&handed.name, handed.body.as_bytes()) {
        Ok(test) => test,
        // Another version took it.
        Err(error) => {
            let words = format!("what is kept of this test is not understood by this version ({error}); it is replaced when the operator hands it over again");
            return refuse(StatusCode::INTERNAL_SERVER_ERROR, &words);
        }
    };
    match served.writer.look().await {
        Ok(state) => {
            let slices = slicer.slices(served, &test, &state).await;
            as_asked(&Facts { slices, ..facts(&test, &state) }, json)
        }
        Err(refusal) => unavailable(&refusal),
    }
}

fn as_asked(facts: &Facts, json: bool) -> Response {
    let headers = [(header::CONTENT_SECURITY_POLICY, POLICY), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    if json { (headers, Json(facts)).into_response() } else { (headers, Html(page(facts))).into_response() }
}
