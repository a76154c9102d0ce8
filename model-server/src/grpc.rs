//! The gRPC side of the protocol.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use plimsoll_features::{FeatureSpec, FeatureType};
use plimsoll_model_server_api::inference::grpc_inference_service_server::GrpcInferenceService;
use plimsoll_model_server_api::inference::model_infer_response::InferOutputTensor;
use plimsoll_model_server_api::inference::model_metadata_response::TensorMetadata;
use plimsoll_model_server_api::inference::{
    InferTensorContents, ModelInferRequest, ModelInferResponse, ModelMetadataRequest, ModelMetadataResponse, ModelReadyRequest, ModelReadyResponse,
    ServerLiveRequest, ServerLiveResponse, ServerMetadataRequest, ServerMetadataResponse, ServerReadyRequest, ServerReadyResponse,
};
use tonic::{Request, Response, Status};

use crate::Error;
use crate::engine::{Answers, Engine};
use crate::log::{Asked, PredictionLog, make_id};
use crate::metrics::Metrics;
use crate::tensor::{Input, Values, columns, raw_of_texts};

/// The unit that the router assigned, if the call is anybody's.
pub const UNIT_HEADER: &str = "x-plimsoll-unit";
/// The variant of an ABTest that it was assigned to.
pub const VARIANT_HEADER: &str = "x-plimsoll-variant";
/// The id of a call whose body names none, in a paired ABTest: the other model answers the same call.
pub const REQUEST_ID_HEADER: &str = "x-plimsoll-request-id";
/// There where nobody gets the answer: the variant of the one that the caller gets.
pub const SHADOW_HEADER: &str = "x-plimsoll-shadow";
/// The name in server metadata.
pub const SERVER: &str = "plimsoll-model-server";
/// The output with the probability.
pub const PROBABILITY: &str = "probability";
/// The output with the label.
pub const LABEL: &str = "label";

/// The model that is served, for both sides of the protocol.
#[derive(Clone)]
pub struct Served {
    /// The model.
    pub engine: Engine,
    /// The name by which callers ask for it.
    pub name: Arc<str>,
    /// The ModelVersion.
    pub version: Arc<str>,
    /// Counters.
    pub metrics: Metrics,
    /// Where predictions go whose outcome is asked for.
    pub log: Option<PredictionLog>,
}

impl Served {
    /// Whether this is the model that was asked for.
    ///
    /// # Errors
    /// Says which one is here.
    pub fn check(&self, name: &str, version: &str) -> Result<(), Error> {
        if name != &*self.name {
            return Err(Error::UnknownModel(format!("there is no model {name:?} here, only {:?}", self.name)));
        }
        if !version.is_empty() && version != &*self.version {
            return Err(Error::UnknownModel(format!("model {name:?} has no version {version:?} here, only {:?}", self.version)));
        }
        Ok(())
    }

    /// Answers a call and counts it.
    ///
    /// # Errors
    /// The request does not fit the model, or the model cannot answer now.
    pub async fn infer(&self, method: &str, model: (&str, &str), inputs: Result<Vec<Input>, Error>, asked: Asked) -> Result<Answers, Error> {
        let started = Instant::now();
        let result = async {
            self.check(model.0, model.1)?;
            self.engine.predict(columns(inputs?, self.engine.specs())?).await
        }
        .await;
        self.metrics.request(method, started.elapsed(), result.as_ref().err());
        let (answers, columns) = result?;
        if let Some(log) = &self.log {
            log.offer(asked, &columns, &answers);
        }
        Ok(answers)
    }
}

/// The protocol's datatype of an input.
pub fn datatype(spec: &FeatureSpec) -> &'static str {
    match spec.kind {
        FeatureType::Numeric { .. } => "FP64",
        FeatureType::Categorical { .. } => "BYTES",
    }
}

/// The outputs that were asked for; all of them when none was.
///
/// # Errors
/// Names an output that the model does not have.
pub fn wanted<'a>(asked: impl Iterator<Item = &'a str>) -> Result<Vec<&'static str>, Error> {
    let known = |name: &str| [PROBABILITY, LABEL].into_iter().find(|known| *known == name);
    let wanted: Vec<_> = asked
        .map(|name| known(name).ok_or_else(|| Error::Schema(format!("unknown output {name:?}; the model gives {PROBABILITY} and {LABEL}"))))
        .collect::<Result<_, _>>()?;
    Ok(if wanted.is_empty() { vec![PROBABILITY, LABEL] } else { wanted })
}

#[tonic::async_trait]
impl GrpcInferenceService for Served {
    async fn server_live(&self, _: Request<ServerLiveRequest>) -> Result<Response<ServerLiveResponse>, Status> {
        Ok(Response::new(ServerLiveResponse { live: true }))
    }

    async fn server_ready(&self, _: Request<ServerReadyRequest>) -> Result<Response<ServerReadyResponse>, Status> {
        Ok(Response::new(ServerReadyResponse { ready: true }))
    }

    async fn model_ready(&self, request: Request<ModelReadyRequest>) -> Result<Response<ModelReadyResponse>, Status> {
        let request = request.into_inner();
        self.check(&request.name, &request.version)?;
        Ok(Response::new(ModelReadyResponse { ready: true }))
    }

    async fn server_metadata(&self, _: Request<ServerMetadataRequest>) -> Result<Response<ServerMetadataResponse>, Status> {
        let response = ServerMetadataResponse { name: SERVER.into(), version: env!("CARGO_PKG_VERSION").into(), extensions: vec!["binary_tensor_data".into()] };
        Ok(Response::new(response))
    }

    async fn model_metadata(&self, request: Request<ModelMetadataRequest>) -> Result<Response<ModelMetadataResponse>, Status> {
        let request = request.into_inner();
        self.check(&request.name, &request.version)?;
        let tensor = |name: &str, datatype: &str| TensorMetadata { name: name.into(), datatype: datatype.into(), shape: vec![-1] };
        Ok(Response::new(ModelMetadataResponse {
            name: self.name.to_string(),
            versions: vec![self.version.to_string()],
            platform: "plimsoll".into(),
            inputs: self.engine.specs().iter().map(|spec| tensor(&spec.name, datatype(spec))).collect(),
            outputs: vec![tensor(PROBABILITY, "FP64"), tensor(LABEL, "BYTES")],
        }))
    }

    async fn model_infer(&self, request: Request<ModelInferRequest>) -> Result<Response<ModelInferResponse>, Status> {
        let text = |name: &str| request.metadata().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let [unit, variant, paired_with, made] = [UNIT_HEADER, VARIANT_HEADER, SHADOW_HEADER, REQUEST_ID_HEADER].map(text);
        let request = request.into_inner();
        let raw = !request.raw_input_contents.is_empty();
        let outputs = wanted(request.outputs.iter().map(|output| output.name.as_str()))?;
        let (name, version, id) = (request.model_name.clone(), request.model_version.clone(), id_of(&request.id, &made));
        let asked = Asked { id: id.clone(), unit, variant, paired_with };
        let answers = self.infer("grpc", (&name, &version), inputs(request), asked).await?;
        Ok(Response::new(response(self, id, &answers, (&outputs, raw))))
    }
}

/// The id of a call: the caller's, or the one that the router made for it, or a new one. Row n of the answer is the prediction `<id>/n`.
pub fn id_of(asked: &str, made: &str) -> String {
    [asked, made].into_iter().find(|id| !id.is_empty()).map_or_else(make_id, str::to_owned)
}

/// The inputs of a call as they came, raw or typed.
///
/// # Errors
/// They are given both ways, or their counts differ.
pub fn inputs(request: ModelInferRequest) -> Result<Vec<Input>, Error> {
    let mut raw = request.raw_input_contents.into_iter();
    let use_raw = raw.len() > 0;
    if use_raw && raw.len() != request.inputs.len() {
        return Err(Error::Shape(format!("raw_input_contents has {} entries for {} inputs", raw.len(), request.inputs.len())));
    }
    let input = |input: plimsoll_model_server_api::inference::model_infer_request::InferInputTensor| {
        let values = match (input.contents, raw.next()) {
            (Some(_), Some(_)) => return Err(Error::Value(format!("input {:?}: contents must not be given when raw_input_contents is used", input.name))),
            (None, Some(bytes)) => Values::Raw(bytes),
            (contents, None) => Values::Typed(contents.unwrap_or_default()),
        };
        Ok(Input { name: input.name, datatype: input.datatype, shape: input.shape, values })
    };
    request.inputs.into_iter().map(input).collect()
}

fn response(served: &Served, id: String, answers: &Answers, form: (&[&str], bool)) -> ModelInferResponse {
    let (outputs, raw) = form;
    let rows = i64::try_from(answers.probabilities.len()).unwrap_or(0);
    let mut response = ModelInferResponse { model_name: served.name.to_string(), model_version: served.version.to_string(), id, ..Default::default() };
    for name in outputs {
        let (datatype, contents) = if *name == PROBABILITY {
            ("FP64", InferTensorContents { fp64_contents: answers.probabilities.clone(), ..Default::default() })
        } else {
            let labels = answers.labels.iter().map(|label| Bytes::copy_from_slice(label.as_bytes())).collect();
            ("BYTES", InferTensorContents { bytes_contents: labels, ..Default::default() })
        };
        if raw {
            response.raw_output_contents.push(raw_output(name, answers));
        }
        response.outputs.push(InferOutputTensor {
            name: (*name).to_owned(),
            datatype: datatype.to_owned(),
            shape: vec![rows],
            contents: (!raw).then_some(contents),
            ..Default::default()
        });
    }
    response
}

/// An output as raw contents.
pub fn raw_output(name: &str, answers: &Answers) -> Bytes {
    if name == PROBABILITY {
        answers.probabilities.iter().flat_map(|probability| probability.to_le_bytes()).collect::<Vec<u8>>().into()
    } else {
        raw_of_texts(answers.labels.iter().map(String::as_str))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_id_goes_before_the_one_that_the_router_made() {
        assert_eq!([id_of("asked", "made"), id_of("asked", ""), id_of("", "made")], ["asked", "asked", "made"]);
        assert_ne!(id_of("", ""), id_of("", ""));
    }
}
