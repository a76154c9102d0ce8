//! Copies of the calls of a paired test: the treatment answers them, and nobody gets the answer.
//!
//! A call's body is passed on as it comes, and what was passed is kept beside it; when it is whole, the copy is sent. **Invariants:** a copy
//! neither delays a call nor fails it; copies, and what they hold in memory, are bounded. It must not know who is in a test.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Response, Uri, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::headers::{drop_hop_by_hop, is_grpc};
use crate::metrics::Metrics;
use crate::outcome::{Outcome, deadline};
use crate::placement::Pair;
use crate::table::{Outstanding, Target};

/// Copies at a time, with those whose call is still on its way: a call more has none.
const COPIES: usize = 64;
/// The largest body of a call that is copied, in bytes.
const BODY: usize = 1 << 20;
/// What is kept free for one before any of it has come.
const BEFORE: usize = 64 << 10;
/// How long the treatment may take, unless the caller says less.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Sends copies.
#[derive(Clone)]
pub struct Shadows {
    client: Client<HttpConnector, Full<Bytes>>,
    room: Arc<Semaphore>,
    metrics: Metrics,
}

/// A copy that grows while its call is passed on.
pub struct Shadow {
    shadows: Shadows,
    target: Target,
    /// The treatment, as counters know it.
    variant: String,
    path: Option<PathAndQuery>,
    headers: HeaderMap,
    body: BytesMut,
    _room: OwnedSemaphorePermit,
}

impl Shadows {
    /// With connections of their own: no call waits behind a copy.
    pub fn new(client: Client<HttpConnector, Full<Bytes>>, metrics: Metrics) -> Self {
        Self { client, room: Arc::new(Semaphore::new(COPIES)), metrics }
    }

    /// Begins the copy of a call that has its headers; `None` where it gets none, which is counted. `target` answers for the treatment.
    pub fn begin(&self, pair: &Pair<'_>, target: Option<Target>, call: &Request<Incoming>) -> Option<Box<Shadow>> {
        // What asks for no prediction has none to compare.
        if call.method() != Method::POST {
            return None;
        }
        let length = call.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok()).unwrap_or(0_usize);
        let missed = |why: &str| {
            self.metrics.shadow(why);
            None
        };
        let Some(target) = target else { return missed("no_endpoints") };
        if length > BODY {
            return missed("too_large");
        }
        let Ok(room) = Arc::clone(&self.room).try_acquire_owned() else { return missed("busy") };
        let mut headers = call.headers().clone();
        drop_hop_by_hop(&mut headers);
        pair.mark_copy(&mut headers);
        let (path, variant) = (call.uri().path_and_query().cloned(), pair.treatment.name.clone());
        Some(Box::new(Shadow { shadows: self.clone(), target, variant, path, headers, body: BytesMut::with_capacity(length.min(BEFORE)), _room: room }))
    }
}

impl Shadow {
    /// Sends it, now that the call's body is whole.
    fn send(self) {
        tokio::spawn(async move {
            let (started, within) = (Instant::now(), deadline(&self.headers).map_or(ANSWER_WITHIN, |asked| asked.min(ANSWER_WITHIN)));
            let (metrics, variant) = (self.shadows.metrics.clone(), self.variant.clone());
            let outcome = tokio::time::timeout(within, self.answered()).await.unwrap_or(Outcome::ServerError);
            metrics.shadow(outcome.as_str());
            if let Some(handles) = metrics.of_variant(&variant) {
                handles.ended(outcome, started.elapsed());
            }
        });
    }

    /// How the treatment answered it.
    async fn answered(self) -> Outcome {
        let (grpc, _outstanding) = (is_grpc(&self.headers), Outstanding::enter(Arc::clone(&self.target.pod)));
        let path = self.path.unwrap_or(PathAndQuery::from_static("/"));
        let Ok(uri) = Uri::builder().scheme("http").authority(self.target.pod.address.to_string()).path_and_query(path).build() else {
            return Outcome::ClientError;
        };
        let mut request = Request::new(Full::new(self.body.freeze()));
        (*request.method_mut(), *request.uri_mut(), *request.version_mut(), *request.headers_mut()) = (Method::POST, uri, Version::HTTP_2, self.headers);
        match self.shadows.client.request(request).await {
            Ok(response) => outcome(response, grpc).await,
            Err(error) => {
                tracing::debug!(%error, address = %self.target.pod.address, "copy not passed on");
                Outcome::Unreachable
            }
        }
    }
}

/// How a copy ended, once its answer has.
async fn outcome(mut response: Response<Incoming>, grpc: bool) -> Outcome {
    let (status, mut said) = (Outcome::of_status(response.status()), Outcome::of_grpc(response.headers()));
    while let Some(frame) = response.body_mut().frame().await {
        let Ok(frame) = frame else { return Outcome::Unreachable };
        said = frame.trailers_ref().and_then(Outcome::of_grpc).or(said);
    }
    // gRPC without a status has broken off.
    said.unwrap_or(if grpc && status == Outcome::Success { Outcome::ServerError } else { status })
}

/// A call's body on its way, with its copy if it has one.
pub struct Passed {
    body: Incoming,
    copy: Option<Box<Shadow>>,
}

impl Passed {
    /// Without a copy.
    pub fn alone(body: Incoming) -> Self {
        Self { body, copy: None }
    }

    /// With one.
    pub fn with(body: Incoming, copy: Option<Box<Shadow>>) -> Self {
        let mut passed = Self { body, copy };
        passed.send_if_whole();
        passed
    }

    /// Who passes a body on does not ask again once it says that it is at its end.
    fn send_if_whole(&mut self) {
        if let Some(copy) = self.copy.take_if(|_| self.body.is_end_stream()) {
            copy.send();
        }
    }

    fn keep(&mut self, frame: &Poll<Option<Result<Frame<Bytes>, hyper::Error>>>) {
        match frame {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    if let Some(copy) = self.copy.take_if(|copy| copy.body.len() + data.len() > BODY) {
                        copy.shadows.metrics.shadow("too_large");
                    }
                    self.copy.iter_mut().for_each(|copy| copy.body.extend_from_slice(data));
                }
                self.send_if_whole();
            }
            Poll::Ready(None) => {
                if let Some(copy) = self.copy.take() {
                    copy.send();
                }
            }
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
    }
}

impl Drop for Passed {
    fn drop(&mut self) {
        // Its caller hung up, or its pod was not reached.
        if let Some(copy) = self.copy.take() {
            copy.shadows.metrics.shadow("broken_off");
        }
    }
}

impl Body for Passed {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if self.copy.is_some() {
            self.keep(&frame);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
