//! The server's side: calls as clients encode them, read by the handlers' own functions.

use axum::http::{HeaderMap, HeaderValue};
use bytes::Bytes;
use plimsoll_features::{Columns, FeatureSpec};
use plimsoll_model_server::rest::Call;
use plimsoll_model_server::tensor::{columns, raw_of_texts};
use plimsoll_model_server::{Error, grpc};
use plimsoll_model_server_api::inference::model_infer_request::InferInputTensor;
use plimsoll_model_server_api::inference::{InferTensorContents, ModelInferRequest};
use prost::Message;
use serde_json::{Value, json};

use crate::rows::Row;

/// Sends rows and gives what the server makes of them.
pub type Way = fn(&[Row], &[FeatureSpec]) -> Result<Columns, Error>;

/// Every way to send rows.
pub const WAYS: [(&str, Way); 4] = [("gRPC, typed", typed), ("gRPC, raw", raw), ("REST, JSON", rest_json), ("REST, binary", rest_binary)];

/// A column as a client holds it. Only floats can say that a number is missing (NaN): a column with a gap is sent as one.
enum Tensor {
    Reals(Vec<f64>),
    Singles(Vec<f32>),
    Wholes(Vec<i64>),
    Flags(Vec<bool>),
    Texts(Vec<String>),
}

fn tensors(rows: &[Row]) -> Vec<(&'static str, Tensor)> {
    #[expect(clippy::as_conversions, reason = "a client's own conversion to f64, where a gap forces it to")]
    let loose = |whole: i64| whole as f64;
    let wholes = || match rows.iter().map(|row| row.whole).collect::<Option<_>>() {
        Some(all) => Tensor::Wholes(all),
        None => Tensor::Reals(rows.iter().map(|row| row.whole.map_or(f64::NAN, loose)).collect()),
    };
    let flags = match rows.iter().map(|row| row.flag).collect::<Option<_>>() {
        Some(all) => Tensor::Flags(all),
        None => Tensor::Reals(rows.iter().map(|row| row.flag.map_or(f64::NAN, |flag| f64::from(u8::from(flag)))).collect()),
    };
    let reals = || Tensor::Reals(rows.iter().map(|row| row.real.unwrap_or(f64::NAN)).collect());
    let texts = || Tensor::Texts(rows.iter().map(|row| row.text.clone().unwrap_or_default()).collect());
    let single = Tensor::Singles(rows.iter().map(|row| row.single.unwrap_or(f32::NAN)).collect());
    // Not in the order of the features, and with one that the model does not know.
    vec![
        ("often", texts()),
        ("text", texts()),
        ("single", single),
        ("flag", flags),
        ("exact", wholes()),
        ("whole", wholes()),
        ("stranger", reals()),
        ("logged", reals()),
        ("clipped", reals()),
        ("scaled", reals()),
        ("plain", reals()),
    ]
}

impl Tensor {
    fn datatype(&self) -> &'static str {
        match self {
            Self::Reals(_) => "FP64",
            Self::Singles(_) => "FP32",
            Self::Wholes(_) => "INT64",
            Self::Flags(_) => "BOOL",
            Self::Texts(_) => "BYTES",
        }
    }

    fn typed(self) -> InferTensorContents {
        let nothing = InferTensorContents::default();
        match self {
            Self::Reals(values) => InferTensorContents { fp64_contents: values, ..nothing },
            Self::Singles(values) => InferTensorContents { fp32_contents: values, ..nothing },
            Self::Wholes(values) => InferTensorContents { int64_contents: values, ..nothing },
            Self::Flags(values) => InferTensorContents { bool_contents: values, ..nothing },
            Self::Texts(values) => InferTensorContents { bytes_contents: values.into_iter().map(Bytes::from).collect(), ..nothing },
        }
    }

    fn raw(self) -> Bytes {
        match self {
            Self::Reals(values) => values.into_iter().flat_map(f64::to_le_bytes).collect(),
            Self::Singles(values) => values.into_iter().flat_map(f32::to_le_bytes).collect(),
            Self::Wholes(values) => values.into_iter().flat_map(i64::to_le_bytes).collect(),
            Self::Flags(values) => values.into_iter().map(u8::from).collect(),
            Self::Texts(values) => raw_of_texts(values.iter().map(String::as_str)),
        }
    }

    /// NaN is null. Infinity is written as a number that is too large, as clients do that check nothing.
    fn json(self) -> String {
        let number = |text: String| match text.as_str() {
            "NaN" => "null".to_owned(),
            "inf" => "1e999".to_owned(),
            "-inf" => "-1e999".to_owned(),
            _ => text,
        };
        let cells: Vec<String> = match self {
            Self::Reals(values) => values.into_iter().map(|value| number(format!("{value:?}"))).collect(),
            Self::Singles(values) => values.into_iter().map(|value| number(format!("{value:?}"))).collect(),
            Self::Wholes(values) => values.into_iter().map(|value| value.to_string()).collect(),
            Self::Flags(values) => values.into_iter().map(|value| value.to_string()).collect(),
            Self::Texts(values) => values.into_iter().map(|value| Value::from(value).to_string()).collect(),
        };
        format!("[{}]", cells.join(","))
    }
}

fn over_the_wire(request: &ModelInferRequest, specs: &[FeatureSpec]) -> Result<Columns, Error> {
    let decoded = ModelInferRequest::decode(Bytes::from(request.encode_to_vec())).unwrap();
    columns(grpc::inputs(decoded)?, specs)
}

fn typed(rows: &[Row], specs: &[FeatureSpec]) -> Result<Columns, Error> {
    let shape = vec![i64::try_from(rows.len()).unwrap(), 1];
    let input = |(name, tensor): (&str, Tensor)| InferInputTensor {
        name: name.into(),
        datatype: tensor.datatype().into(),
        shape: shape.clone(),
        contents: Some(tensor.typed()),
        ..Default::default()
    };
    over_the_wire(&ModelInferRequest { inputs: tensors(rows).into_iter().map(input).collect(), ..Default::default() }, specs)
}

fn raw(rows: &[Row], specs: &[FeatureSpec]) -> Result<Columns, Error> {
    let shape = vec![i64::try_from(rows.len()).unwrap()];
    let mut request = ModelInferRequest::default();
    for (name, tensor) in tensors(rows) {
        request.inputs.push(InferInputTensor { name: name.into(), datatype: tensor.datatype().into(), shape: shape.clone(), ..Default::default() });
        request.raw_input_contents.push(tensor.raw());
    }
    over_the_wire(&request, specs)
}

fn rest_json(rows: &[Row], specs: &[FeatureSpec]) -> Result<Columns, Error> {
    let input =
        |(name, tensor): (&str, Tensor)| format!(r#"{{"name":"{name}","datatype":"{}","shape":[{}],"data":{}}}"#, tensor.datatype(), rows.len(), tensor.json());
    let inputs: Vec<String> = tensors(rows).into_iter().map(input).collect();
    let body = format!(r#"{{"inputs":[{}]}}"#, inputs.join(","));
    columns(Call::parse(&HeaderMap::new(), Bytes::from(body))?.0, specs)
}

fn rest_binary(rows: &[Row], specs: &[FeatureSpec]) -> Result<Columns, Error> {
    let (mut inputs, mut binary) = (Vec::new(), Vec::new());
    for (name, tensor) in tensors(rows) {
        let datatype = tensor.datatype();
        let bytes = tensor.raw();
        inputs.push(json!({"name": name, "datatype": datatype, "shape": [rows.len()], "parameters": {"binary_data_size": bytes.len()}}));
        binary.extend_from_slice(&bytes);
    }
    let mut body = json!({"inputs": inputs}).to_string().into_bytes();
    let headers = HeaderMap::from_iter([(axum::http::HeaderName::from_static("inference-header-content-length"), HeaderValue::from(body.len()))]);
    body.extend(binary);
    columns(Call::parse(&headers, Bytes::from(body))?.0, specs)
}
