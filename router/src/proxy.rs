//! One call: chosen, passed on, watched to its end.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Request, Response, StatusCode, Uri, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::headers::{drop_hop_by_hop, is_grpc};
use crate::metrics::{Handles, Metrics};
use crate::outcome::{Outcome, abandoned, deadline};
use crate::placement::Placement;
use crate::shadow::{Passed, Shadows};
use crate::table::{Outstanding, Table};
use crate::token::Token;

/// Calls that are not for the model but about what it said.
const OUTCOMES: [&str; 2] = ["/v1/outcomes", "/plimsoll.evaluator.v1.Evaluator/ReportOutcomes"];
/// Connections to each pod: one HTTP/2 connection is served by one task.
const CONNECTIONS: usize = 4;
/// How long a pod may take to accept a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// Calls at a time, over all callers.
const CALLS: usize = 8192;
/// Bytes that a stream, and a connection, may have in flight.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;

type Answer = Response<UnsyncBoxBody<Bytes, hyper::Error>>;

/// Passes calls on.
#[derive(Clone)]
pub struct Proxy {
    table: Arc<ArcSwap<Table>>,
    metrics: Metrics,
    clients: Arc<[Client<HttpConnector, Passed>]>,
    shadows: Shadows,
    next: Arc<AtomicUsize>,
    calls: Arc<AtomicUsize>,
    token: Option<Token>,
}

impl Proxy {
    /// Follows this table.
    pub fn new(table: Arc<ArcSwap<Table>>, metrics: Metrics) -> Self {
        let (clients, shadows) = ((0..CONNECTIONS).map(|_| client()).collect(), Shadows::new(client(), metrics.clone()));
        Self { table, metrics, clients, shadows, next: Arc::default(), calls: Arc::default(), token: None }
    }

    /// Shows the evaluator this token.
    #[must_use]
    pub fn with_token(self, token: Option<Token>) -> Self {
        Self { token, ..self }
    }

    /// Answers a call.
    ///
    /// # Errors
    /// Never: what goes wrong is an answer.
    pub async fn call(self, request: Request<Incoming>) -> Result<Answer, Infallible> {
        let grpc = is_grpc(request.headers());
        let guard = Guard::enter(&self.calls);
        if guard.before >= CALLS {
            self.metrics.reject("overload");
            return Ok(refusal(grpc, StatusCode::TOO_MANY_REQUESTS, 8, "the router has too many calls under way; try again later"));
        }
        let table = self.table.load();
        let random: u64 = rand::random();
        if OUTCOMES.contains(&request.uri().path()) {
            return Ok(self.report(request, (&table, random), guard, grpc).await);
        }
        let Some(placement) = Placement::of(&table, request.headers(), random) else {
            self.metrics.reject("no_endpoints");
            return Ok(refusal(grpc, StatusCode::SERVICE_UNAVAILABLE, 14, "no pod is ready to answer; look at the ModelDeployment's conditions"));
        };
        let watch = Watch {
            started: Instant::now(),
            handles: self.metrics.of(&placement.target.revision, placement.counts_for()),
            outcome: None,
            deadline: deadline(request.headers()),
            _outstanding: Outstanding::enter(placement.target.pod.clone()),
            _guard: guard,
        };
        let mut request = request;
        placement.mark(request.headers_mut());
        let copy = placement.pair.as_ref().and_then(|pair| self.shadows.begin(pair, table.of_revision(&pair.treatment.revision, random), &request));
        let request = request.map(|body| Passed::with(body, copy));
        let mut answer = self.forward(request, placement.target.pod.address, watch, grpc).await;
        placement.tell(answer.headers_mut());
        Ok(answer)
    }

    /// Passes on what a caller says about earlier answers, in the router's own name: the evaluator knows no callers, and their credentials are
    /// none of its business. It is no call of any revision, and counted for none.
    async fn report(&self, mut request: Request<Incoming>, (table, random): (&Table, u64), guard: Guard, grpc: bool) -> Answer {
        if table.routes.evaluator.is_none() {
            return refusal(grpc, StatusCode::NOT_FOUND, 12, "this ModelDeployment asks for no outcomes");
        }
        let Some(pod) = table.evaluator(random) else {
            return refusal(grpc, StatusCode::SERVICE_UNAVAILABLE, 14, "the evaluator is not ready; nothing was stored, send it again");
        };
        let (address, deadline) = (pod.address, deadline(request.headers()));
        let watch = Watch { started: Instant::now(), handles: [None, None], outcome: None, deadline, _outstanding: Outstanding::enter(pod), _guard: guard };
        request.headers_mut().remove(AUTHORIZATION);
        request.headers_mut().extend(self.token.as_ref().and_then(Token::header).map(|token| (AUTHORIZATION, token)));
        let answer = self.forward(request.map(Passed::alone), address, watch, grpc).await;
        if !is_unauthorized(&answer) {
            return answer;
        }
        // Nothing that the caller could correct.
        self.token.iter().for_each(Token::forget);
        tracing::warn!("the evaluator does not believe this router; its metric plimsoll_evaluator_unauthorized_total tells why");
        refusal(grpc, StatusCode::SERVICE_UNAVAILABLE, 14, "the evaluator does not know this router yet; nothing was stored, send it again")
    }

    async fn forward(&self, mut request: Request<Passed>, address: std::net::SocketAddr, mut watch: Watch, grpc: bool) -> Answer {
        let path = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let uri = Uri::builder().scheme("http").authority(address.to_string()).path_and_query(path).build();
        let (Ok(uri), Some(client)) = (uri, self.clients.get(self.next.fetch_add(1, Ordering::Relaxed) % CONNECTIONS)) else {
            return refusal(grpc, StatusCode::BAD_REQUEST, 13, "the request's path cannot be passed on");
        };
        *request.uri_mut() = uri;
        *request.version_mut() = Version::HTTP_2;
        drop_hop_by_hop(request.headers_mut());
        match client.request(request).await {
            Ok(mut response) => {
                drop_hop_by_hop(response.headers_mut());
                let status = Outcome::of_status(response.status());
                watch.outcome = Outcome::of_grpc(response.headers()).or_else(|| (!grpc || status != Outcome::Success).then_some(status));
                response.map(|body| Watched { body, watch }.boxed_unsync())
            }
            Err(error) => {
                tracing::warn!(%error, %address, "call not passed on");
                watch.outcome = Some(Outcome::Unreachable);
                refusal(grpc, StatusCode::BAD_GATEWAY, 14, "the pod that was to answer cannot be reached")
            }
        }
    }
}

/// 401, or UNAUTHENTICATED.
fn is_unauthorized(answer: &Answer) -> bool {
    answer.status() == StatusCode::UNAUTHORIZED || answer.headers().get("grpc-status").is_some_and(|code| code == "16")
}

/// Connections to pods.
fn client<B: Body<Data: Send> + Send + 'static>() -> Client<HttpConnector, B> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT_WITHIN));
    Client::builder(TokioExecutor::new())
        .http2_only(true)
        .timer(TokioTimer::new())
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        .build(connector)
}

/// An answer of the router itself, in the caller's language.
fn refusal(grpc: bool, status: StatusCode, code: u8, message: &str) -> Answer {
    let body = if grpc { Bytes::new() } else { Bytes::from(format!("{{\"error\":\"{message}\"}}")) };
    let mut answer = Response::new(Full::new(body).map_err(|never| match never {}).boxed_unsync());
    let headers = answer.headers_mut();
    if grpc {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert("grpc-status", HeaderValue::from(u16::from(code)));
        headers.extend(HeaderValue::from_str(message).ok().map(|message| (HeaderName::from_static("grpc-message"), message)));
    } else {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *answer.status_mut() = status;
    }
    answer
}

/// One of the calls under way.
struct Guard {
    calls: Arc<AtomicUsize>,
    before: usize,
}

impl Guard {
    fn enter(calls: &Arc<AtomicUsize>) -> Self {
        Self { before: calls.fetch_add(1, Ordering::Relaxed), calls: Arc::clone(calls) }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts a call when it has ended, however it ends.
struct Watch {
    started: Instant,
    /// Of the revision, and of the variant.
    handles: [Option<Arc<Handles>>; 2],
    /// `None` while it is open: a gRPC call whose trailers have not come.
    outcome: Option<Outcome>,
    /// How long the caller waits.
    deadline: Option<Duration>,
    _outstanding: Outstanding,
    _guard: Guard,
}

impl Drop for Watch {
    fn drop(&mut self) {
        let time = self.started.elapsed();
        for handles in self.handles.iter().flatten() {
            handles.ended(self.outcome.unwrap_or_else(|| abandoned(self.deadline, time)), time);
        }
    }
}

/// An answer's body on its way, with an eye on the trailers.
struct Watched {
    body: Incoming,
    watch: Watch,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        match &frame {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(outcome) = frame.trailers_ref().and_then(Outcome::of_grpc) {
                    self.watch.outcome = Some(outcome);
                }
            }
            Poll::Ready(Some(Err(_))) => self.watch.outcome = Some(Outcome::Unreachable),
            Poll::Ready(None) => self.watch.outcome = Some(self.watch.outcome.unwrap_or(Outcome::ServerError)),
            Poll::Pending => {}
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
