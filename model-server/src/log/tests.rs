use std::path::Path;

use plimsoll_evaluator_api::v1::evaluator_server::{Evaluator, EvaluatorServer};
use plimsoll_evaluator_api::v1::{Receipt, ReportOutcomesRequest};
use tonic::Response;

use super::*;

fn call(rows: usize, bytes: usize) -> Answered {
    let inputs = vec![("text".to_owned(), Column::Text(vec![Some("x".repeat(bytes)); rows]))];
    let bytes = rows * ROW + size(&inputs[0].1);
    Answered { asked: Asked::default(), time: 0, rows: (0..rows).map(|row| (row, 0.5)).collect(), inputs, bytes }
}

#[test]
fn hand_overs_are_of_a_size_that_is_taken() {
    let sizes = |calls: &[Answered]| parts(calls).iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(sizes(&[call(12_000, 0), call(13_000, 0)]), [10_000, 10_000, 5_000]);
    let heavy = [call(1_000, INPUTS)];
    assert!(sizes(&heavy).iter().all(|rows| rows * INPUTS < MOST.1) && sizes(&heavy).iter().sum::<usize>() == 1_000);
    assert!(sizes(&[]).is_empty());
}

#[test]
fn a_row_keeps_its_own_inputs() {
    let inputs = [("carrier".to_owned(), Column::Text(vec![Some("U\"A".into()), None])), ("distance".to_owned(), Column::Numeric(vec![719.0, f64::NAN]))];
    assert_eq!(features(&inputs, 0), r#"{"carrier":"U\"A","distance":719.0}"#);
    assert_eq!(features(&inputs, 1), r#"{"carrier":null,"distance":null}"#);
    assert_eq!(features(&[], 0), "");
}

#[test]
fn a_sample_is_a_share_and_always_the_same() {
    let kept = (0..10_000).filter(|unit| share_of(&format!("N{unit}")) < 0.1).count();
    assert!(kept.abs_diff(1_000) < 100 && share_of("N1").to_bits() == share_of("N1").to_bits(), "{kept}");
}

/// An evaluator that believes one token only, and to which the kubelet brings it when it was asked for the first time.
struct Suspicious {
    file: PathBuf,
    heard: Sender<(Option<String>, usize)>,
}

#[tonic::async_trait]
impl Evaluator for Suspicious {
    async fn record_predictions(&self, request: Request<RecordPredictionsRequest>) -> Result<Response<Receipt>, Status> {
        let shown = request.metadata().get("authorization").map(|header| header.to_str().unwrap().to_owned());
        let believed = shown.as_deref() == Some("Bearer new");
        self.heard.send((shown, request.get_ref().predictions.len())).await.unwrap();
        std::fs::write(&self.file, "new").unwrap();
        if believed { Ok(Response::new(Receipt::default())) } else { Err(Status::unauthenticated("the token has expired")) }
    }

    async fn report_outcomes(&self, _: Request<ReportOutcomesRequest>) -> Result<Response<Receipt>, Status> {
        Err(Status::unimplemented("outcomes come from routers"))
    }
}

async fn logging(evaluator: String, token: &Path) -> (PredictionLog, Metrics) {
    let identity = crate::metrics::Identity { namespace: "n".into(), deployment: "d".into(), revision: "r1".into() };
    let metrics = Metrics::new(&identity).unwrap();
    let settings = Settings { evaluator, token: Some(token.to_owned()), columns: Vec::new(), sample: 1.0, revision: "r1".into(), threshold: 0.5 };
    (PredictionLog::start(settings, metrics.clone()).unwrap().0, metrics)
}

#[tokio::test]
async fn a_refused_token_costs_no_prediction() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "old").unwrap();
    let (heard, mut hears) = channel(8);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let evaluator = tonic::service::Routes::new(EvaluatorServer::new(Suspicious { file: file.clone(), heard })).prepare().into_axum_router();
    tokio::spawn(async move { axum::serve(listener, evaluator).await });
    let (log, metrics) = logging(address, &file).await;
    let columns = Columns::new([("distance".to_owned(), Column::Numeric(vec![1.0, 2.0]))]).unwrap();
    let asked = Asked { id: "call".into(), ..Asked::default() };
    log.offer(asked, &columns, &Answers { probabilities: vec![0.25, 0.75], labels: Vec::new() });
    assert_eq!(hears.recv().await.unwrap(), (Some("Bearer old".to_owned()), 2));
    assert_eq!(hears.recv().await.unwrap(), (Some("Bearer new".to_owned()), 2), "nothing was dropped, nor halved");
    let page = metrics.render();
    let line = page.lines().find(|line| line.starts_with("plimsoll_prediction_log_retries_total")).unwrap();
    assert!(line.contains("reason=\"unauthorized\"") && line.ends_with(" 1"), "{line}");
    assert!(!page.contains("plimsoll_prediction_log_dropped_total{"), "{page}");
}
