//! The gRPC side.

use plimsoll_evaluator_api::v1::evaluator_server::Evaluator;
use plimsoll_evaluator_api::v1::{Receipt, RecordPredictionsRequest, ReportOutcomesRequest};
use tonic::{Request, Response, Status};

use crate::settings::Task;
use crate::wire::{Call, entries};
use crate::writer::{Refusal, Writer, now};

/// What both sides of the protocol need.
#[derive(Clone)]
pub struct Served {
    /// The queue.
    pub writer: Writer,
    /// What the model answers.
    pub task: Task,
}

impl Served {
    async fn take<C: Call>(&self, call: C) -> Result<Response<Receipt>, Status> {
        let entries = entries(call, self.task, now()).map_err(|error| Status::invalid_argument(error.to_string()))?;
        match self.writer.record(entries).await {
            Ok(fates) => Ok(Response::new(fates.into())),
            Err(refusal @ Refusal::Busy) => Err(Status::resource_exhausted(refusal.to_string())),
            Err(refusal) => Err(Status::unavailable(refusal.to_string())),
        }
    }
}

#[tonic::async_trait]
impl Evaluator for Served {
    async fn record_predictions(&self, request: Request<RecordPredictionsRequest>) -> Result<Response<Receipt>, Status> {
        self.take(request.into_inner()).await
    }

    async fn report_outcomes(&self, request: Request<ReportOutcomesRequest>) -> Result<Response<Receipt>, Status> {
        self.take(request.into_inner()).await
    }
}
