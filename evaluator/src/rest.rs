//! The REST side, and questions about records.

use axum::extract::{DefaultBodyLimit, Path, Query as Parameters, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, body::Bytes};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::grpc::Served;
use crate::pair;
use crate::quality::Quality;
use crate::record::{Flags, Record, check_id};
use crate::report;
use crate::store::Query;
use crate::tally::{self, Tally};
use crate::users::Users;
use crate::wire::{Call, Outcomes, Predictions, entries};
use crate::writer::{Refusal, now};

/// Records that a question gives, if it does not say.
const LIMIT: u32 = 100;
/// Records that a question gives at most.
const MOST: u32 = 1_000;

/// The routes.
pub fn routes(served: Served, body_limit: usize) -> Router {
    Router::new()
        .route("/v1/predictions", post(predictions))
        .route("/v1/outcomes", post(outcomes))
        .route("/v1/records", get(unusual))
        .route("/v1/records/{*id}", get(record))
        .fallback(|| async { refuse(StatusCode::NOT_FOUND, "no such path; there are /v1/predictions, /v1/outcomes, /v1/records, /v1/quality and /v1/reports") })
        .layer(DefaultBodyLimit::max(body_limit))
        .with_state(served.clone())
        .merge(findings(served))
}

/// What was found, for whoever asks: on both ports.
pub fn findings(served: Served) -> Router {
    Router::new().route("/v1/quality", get(quality)).with_state(served.clone()).merge(report::asked(served))
}

pub(crate) fn refuse(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({"error": message}))).into_response()
}

pub(crate) fn unavailable(refusal: &Refusal) -> Response {
    let status = if matches!(refusal, Refusal::Busy) { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut response = refuse(status, &refusal.to_string());
    response.headers_mut().insert("retry-after", axum::http::HeaderValue::from_static("1"));
    response
}

async fn predictions(State(served): State<Served>, body: Bytes) -> Response {
    take(&served, serde_json::from_slice::<Predictions<'_>>(&body)).await
}

async fn outcomes(State(served): State<Served>, body: Bytes) -> Response {
    take(&served, serde_json::from_slice::<Outcomes>(&body)).await
}

async fn take<C: Call>(served: &Served, call: serde_json::Result<C>) -> Response {
    let entries = match call.map(|call| entries(call, served.task, now())) {
        Ok(Ok(entries)) => entries,
        Ok(Err(error)) => return refuse(StatusCode::BAD_REQUEST, &error.to_string()),
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &format!("the body is not understood: {error}")),
    };
    match served.writer.record(entries).await {
        Ok(fates) => Json(fates).into_response(),
        Err(refusal) => unavailable(&refusal),
    }
}

/// What is known about an id.
fn shown(id: &str, record: &Record) -> Value {
    let unusual: Vec<&str> = Flags::NAMED.into_iter().filter(|(_, flag)| record.flags.has(*flag)).map(|(name, _)| name).collect();
    let prediction = record.prediction.as_ref().map(|prediction| {
        let features: Value = serde_json::from_str(&prediction.features).unwrap_or(Value::Null);
        json!({"timeUnixMs": record.time, "revision": prediction.arm.revision, "variant": prediction.arm.variant, "value": prediction.value,
            "positive": prediction.positive, "weight": prediction.weight, "features": features})
    });
    let outcome = record.outcome.map(|outcome| json!({"value": outcome.value, "reportedUnixMs": outcome.at}));
    json!({"id": id, "prediction": prediction, "outcome": outcome, "unusual": unusual})
}

async fn record(State(served): State<Served>, Path(id): Path<String>) -> Response {
    if let Some(problem) = check_id(&id) {
        return refuse(StatusCode::BAD_REQUEST, &format!("the id {problem}"));
    }
    let (record, shadow) = match tokio::try_join!(served.writer.query(Query::Id(id.clone())), served.writer.query(Query::Id(pair::key(&id)))) {
        Ok((record, shadow)) => (record.into_iter().next(), shadow.into_iter().next()),
        Err(refusal) => return unavailable(&refusal),
    };
    let mut answer = match (&record, &shadow) {
        (Some((id, record)), _) => shown(id, record),
        (None, Some(_)) => json!({"id": id, "prediction": null, "outcome": null, "unusual": []}),
        (None, None) => return refuse(StatusCode::NOT_FOUND, &format!("no prediction and no outcome has the id {id:?}")),
    };
    if let (Some((key, mut record)), Value::Object(answer)) = (shadow, &mut answer) {
        record.time -= pair::DELAY;
        let shadow = shown(&key, &record);
        answer.insert("shadow".to_owned(), json!({"prediction": shadow.get("prediction"), "unusual": shadow.get("unusual")}));
    }
    Json(answer).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unusual {
    unusual: String,
    limit: Option<u32>,
}

async fn unusual(State(served): State<Served>, Parameters(asked): Parameters<Unusual>) -> Response {
    let Some((_, flags)) = Flags::NAMED.into_iter().find(|(name, _)| *name == asked.unusual) else {
        let names = Flags::NAMED.map(|(name, _)| name).join(", ");
        return refuse(StatusCode::BAD_REQUEST, &format!("unusual: {:?} is none of {names}", asked.unusual));
    };
    match served.writer.query(Query::Unusual(flags, asked.limit.unwrap_or(LIMIT).min(MOST))).await {
        Ok(found) => Json(json!({"records": found.iter().map(|(id, record)| shown(id, record)).collect::<Vec<_>>()})).into_response(),
        Err(refusal) => unavailable(&refusal),
    }
}

/// One arm, or one span of its predictions.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    mature: u64,
    contradicted: u64,
    #[serde(flatten)]
    quality: Quality,
}

impl Part {
    fn of(tally: &Tally, served: &Served) -> Self {
        Self { mature: tally.mature, contradicted: tally.contradicted, quality: Quality::of(tally, served.task) }
    }
}

/// What one bucket of units adds up to. Sums, because those of several arms and evaluators add up.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bucket {
    count: u64,
    log_loss: f64,
    squared: f64,
    absolute: f64,
    wrong: u64,
    truth: f64,
    truth_squared: f64,
}

impl From<tally::Bucket> for Bucket {
    fn from(of: tally::Bucket) -> Self {
        let losses = of.losses;
        Self {
            count: losses.count,
            log_loss: losses.log_loss.value(),
            squared: losses.squared.value(),
            absolute: losses.absolute.value(),
            wrong: losses.wrong,
            truth: of.truth.value(),
            truth_squared: of.truth_squared.value(),
        }
    }
}

/// Units with an outcome outside of tests, about.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Everybody {
    labelled: u64,
    calls: u64,
    since_unix_ms: i64,
}

impl Everybody {
    fn of(users: &Users) -> Self {
        Self { labelled: users.count(), calls: users.calls, since_unix_ms: users.since }
    }
}

/// Everything that is counted, by arm; the history in spans.
async fn quality(State(served): State<Served>) -> Response {
    let state = match served.writer.look().await {
        Ok(state) => state,
        Err(refusal) => return unavailable(&refusal),
    };
    let arm = |place: usize| {
        let (arm, counted) = state.arms.get(place)?;
        let history: Vec<Value> = state
            .cells
            .range((place, i64::MIN)..=(place, i64::MAX))
            .map(|((_, start), tally)| json!({"startUnixMs": start, "quality": Part::of(tally, &served)}))
            .collect();
        let buckets = counted.buckets.all().map(Bucket::from);
        Some(json!({"revision": arm.revision, "variant": arm.variant, "predictions": counted.predictions, "units": counted.units,
            "labelledUnits": counted.labelled_units, "users": Everybody::of(&counted.users), "quality": Part::of(&counted.total, &served),
            "buckets": buckets.as_slice(), "history": history}))
    };
    let arms: Vec<Value> = (0..state.arms.len()).filter_map(arm).collect();
    Json(json!({"countedUntilUnixMs": state.closed, "counts": state.counts, "arms": arms})).into_response()
}
