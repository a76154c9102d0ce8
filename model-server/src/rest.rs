//! The REST side of the protocol, with the binary tensor extension.
//!
//! Clients of the field send no Content-Type, expect `{"error": ...}`, and by default speak the binary extension.

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::{get, post};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::Error;
use crate::grpc::{PROBABILITY, REQUEST_ID_HEADER, SERVER, SHADOW_HEADER, Served, UNIT_HEADER, VARIANT_HEADER, datatype, id_of, raw_output, wanted};
use crate::log::Asked;
use crate::tensor::{Input, Values};

/// The length of the JSON before the binary tensors.
const HEADER_LENGTH: &str = "inference-header-content-length";

/// The routes of the protocol.
pub fn routes(served: Served, body_limit: usize) -> Router {
    let model = Router::new()
        .route("/", get(metadata))
        .route("/ready", get(model_ready))
        .route("/infer", post(infer))
        .route("/versions/{version}", get(metadata))
        .route("/versions/{version}/ready", get(model_ready))
        .route("/versions/{version}/infer", post(infer));
    Router::new()
        .route(
            "/v2",
            get(|| async { json_answer(StatusCode::OK, &json!({"name": SERVER, "version": env!("CARGO_PKG_VERSION"), "extensions": ["binary_tensor_data"]})) }),
        )
        .route("/v2/health/live", get(|| async { json_answer(StatusCode::OK, &json!({"live": true})) }))
        .route("/v2/health/ready", get(|| async { json_answer(StatusCode::OK, &json!({"ready": true})) }))
        .route("/v2/models", get(models))
        .nest("/v2/models/{name}", model)
        .fallback(|| async { json_answer(StatusCode::NOT_FOUND, &json!({"error": "no such path; the protocol begins at /v2"})) })
        .layer(DefaultBodyLimit::max(body_limit))
        .with_state(served)
}

type Parameters = Path<Vec<(String, String)>>;

fn parameter<'a>(path: &'a [(String, String)], name: &str) -> &'a str {
    path.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
}

async fn models(State(served): State<Served>) -> Response<Body> {
    json_answer(StatusCode::OK, &json!({"models": [&*served.name]}))
}

async fn model_ready(State(served): State<Served>, Path(path): Parameters) -> Response<Body> {
    let name = parameter(&path, "name");
    match served.check(name, parameter(&path, "version")) {
        Ok(()) => json_answer(StatusCode::OK, &json!({"name": name, "ready": true})),
        Err(error) => error_answer(&error),
    }
}

async fn metadata(State(served): State<Served>, Path(path): Parameters) -> Response<Body> {
    if let Err(error) = served.check(parameter(&path, "name"), parameter(&path, "version")) {
        return error_answer(&error);
    }
    let inputs: Vec<Value> = served.engine.specs().iter().map(|spec| json!({"name": spec.name, "datatype": datatype(spec), "shape": [-1]})).collect();
    let outputs = json!([{"name": "probability", "datatype": "FP64", "shape": [-1]}, {"name": "label", "datatype": "BYTES", "shape": [-1]}]);
    let body = json!({"name": &*served.name, "versions": [&*served.version], "platform": "plimsoll", "inputs": inputs, "outputs": outputs});
    json_answer(StatusCode::OK, &body)
}

async fn infer(State(served): State<Served>, Path(path): Parameters, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let parsed = Call::parse(&headers, body);
    let model = (parameter(&path, "name"), parameter(&path, "version"));
    let (inputs, call) = match parsed {
        Ok((inputs, call)) => (Ok(inputs), call),
        Err(error) => (Err(error), Call::default()),
    };
    let [unit, variant, paired_with] = [UNIT_HEADER, VARIANT_HEADER, SHADOW_HEADER].map(|name| text(&headers, name).to_owned());
    let asked = Asked { id: call.id.clone(), unit, variant, paired_with };
    match served.infer("rest", model, inputs, asked).await {
        Ok(answers) => call.answer(&served, &answers),
        Err(error) => error_answer(&error),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// What the caller wants besides an answer.
#[derive(Default)]
pub struct Call {
    id: String,
    /// Outputs, and whether each is wanted as binary.
    outputs: Vec<(&'static str, bool)>,
}

impl Call {
    /// The inputs of a call as they came, JSON or binary, and what is wanted.
    ///
    /// # Errors
    /// The body is not a call of the protocol.
    pub fn parse(headers: &HeaderMap, body: Bytes) -> Result<(Vec<Input>, Self), Error> {
        let length = match headers.get(HEADER_LENGTH) {
            Some(value) => value.to_str().ok().and_then(|text| text.parse().ok()).filter(|length| *length <= body.len()),
            None => Some(body.len()),
        };
        let length = length.ok_or_else(|| Error::Value(format!("the header {HEADER_LENGTH} is no length within the body")))?;
        let request: Value =
            serde_json::from_slice(body.get(..length).unwrap_or_default()).map_err(|error| Error::Value(format!("the body is not JSON: {error}")))?;
        let mut binary = body.slice(length..);
        let list = |name: &str| request.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
        let inputs = list("inputs").iter().map(|input| parse_input(input, &mut binary)).collect::<Result<Vec<_>, _>>()?;
        if !binary.is_empty() {
            return Err(Error::Value(format!("{} bytes are left after the binary tensors", binary.len())));
        }
        let all_binary = flag(&request, "binary_data_output").unwrap_or(false);
        let asked = list("outputs");
        let names = wanted(asked.iter().filter_map(|output| output.get("name").and_then(Value::as_str)))?;
        let outputs =
            names.into_iter().enumerate().map(|(place, name)| (name, asked.get(place).and_then(|output| flag(output, "binary_data")).unwrap_or(all_binary)));
        let id = id_of(request.get("id").and_then(Value::as_str).unwrap_or_default(), text(headers, REQUEST_ID_HEADER));
        Ok((inputs, Self { id, outputs: outputs.collect() }))
    }

    fn answer(&self, served: &Served, answers: &crate::engine::Answers) -> Response<Body> {
        let (mut outputs, mut binary) = (Vec::new(), Vec::new());
        for (name, as_binary) in &self.outputs {
            let kind = if *name == PROBABILITY { "FP64" } else { "BYTES" };
            let mut output = json!({"name": name, "datatype": kind, "shape": [answers.probabilities.len()]});
            let (field, value) = if *as_binary {
                let bytes = raw_output(name, answers);
                binary.extend_from_slice(&bytes);
                ("parameters", json!({"binary_data_size": bytes.len()}))
            } else if *name == PROBABILITY {
                ("data", json!(answers.probabilities))
            } else {
                ("data", json!(answers.labels))
            };
            if let Some(map) = output.as_object_mut() {
                map.insert(field.to_owned(), value);
            }
            outputs.push(output);
        }
        let body = json!({"model_name": &*served.name, "model_version": &*served.version, "id": self.id, "outputs": outputs});
        if binary.is_empty() {
            return json_answer(StatusCode::OK, &body);
        }
        let mut bytes = body.to_string().into_bytes();
        let length = bytes.len();
        bytes.extend(binary);
        let built = Response::builder().header("content-type", "application/octet-stream").header(HEADER_LENGTH, length).body(Body::from(bytes));
        built.unwrap_or_else(|error| error_answer(&Error::Internal(error.to_string())))
    }
}

fn flag(value: &Value, name: &str) -> Option<bool> {
    value.get("parameters")?.get(name)?.as_bool()
}

fn parse_input(input: &Value, binary: &mut Bytes) -> Result<Input, Error> {
    let text = |name: &str| input.get(name).and_then(Value::as_str).map(str::to_owned).ok_or_else(|| Error::Value(format!("an input has no {name}")));
    let name = text("name")?;
    let shape = input.get("shape").and_then(Value::as_array).and_then(|shape| shape.iter().map(Value::as_i64).collect::<Option<Vec<_>>>());
    let shape = shape.ok_or_else(|| Error::Shape(format!("input {name:?} has no shape")))?;
    let size = input.get("parameters").and_then(|parameters| parameters.get("binary_data_size"));
    let values = match (size, input.get("data")) {
        (Some(size), _) => {
            let size = size.as_u64().and_then(|size| usize::try_from(size).ok()).filter(|size| *size <= binary.len());
            Values::Raw(binary.split_to(size.ok_or_else(|| Error::Value(format!("input {name:?}: binary_data_size is more than the body has")))?))
        }
        (None, Some(data)) => {
            let mut flat = Vec::new();
            flatten(data, &mut flat);
            Values::Json(flat)
        }
        (None, None) => return Err(Error::Value(format!("input {name:?} has neither data nor binary_data_size"))),
    };
    Ok(Input { datatype: text("datatype")?, name, shape, values })
}

/// Data may be nested or flat.
fn flatten(value: &Value, flat: &mut Vec<Value>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| flatten(value, flat)),
        other => flat.push(other.clone()),
    }
}

fn error_answer(error: &Error) -> Response<Body> {
    let status = match error {
        Error::UnknownModel(_) => StatusCode::NOT_FOUND,
        Error::Overload(_) => StatusCode::TOO_MANY_REQUESTS,
        Error::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    };
    json_answer(status, &json!({"error": error.to_string()}))
}

fn json_answer(status: StatusCode, body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", axum::http::HeaderValue::from_static("application/json"));
    response
}
