//! What stands between an operator and the API server: it passes everything on, writes down the operator's writes, and at one
//! of them ends the world for that operator.
//!
//! **Invariant:** once the point is reached nothing more of this operator is passed on, and it gets no answer any more. This
//! module must not know what is written.

use std::collections::HashMap;
use std::fmt::{self, Display};
use std::future::pending;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use kube::Client;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// The largest request that an operator may send.
const REQUEST_BYTES: usize = 4 << 20;

/// One write: what is done to what, and for the how-many-eth time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Write {
    /// The method and the path inside the namespace.
    pub what: String,
    /// Counts from 1.
    pub time: usize,
}

/// On which side of a write the operator is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The request never arrives.
    Before,
    /// The API server has carried it out; the operator never learns it.
    After,
}

/// Where an operator is killed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// Around this write.
    pub write: Write,
    /// On this side of it.
    pub side: Side,
}

impl Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = match self.side {
            Side::Before => "before",
            Side::After => "after",
        };
        write!(f, "{side} {} (number {} of its kind)", self.write.what, self.write.time)
    }
}

/// A proxy for one operator. It ends with this value.
pub struct Proxy {
    /// Where the operator finds its API server.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

struct Shared {
    client: Client,
    namespace: String,
    point: Option<Point>,
    dead: AtomicBool,
    bell: Notify,
    seen: Mutex<Seen>,
}

struct Seen {
    writes: Vec<Write>,
    times: HashMap<String, usize>,
    last: Instant,
}

impl Proxy {
    /// Starts to listen.
    pub async fn start(client: Client, namespace: &str, point: Option<Point>) -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let seen = Mutex::new(Seen { writes: Vec::new(), times: HashMap::new(), last: Instant::now() });
        let shared = Arc::new(Shared { client, namespace: namespace.to_owned(), point, dead: AtomicBool::new(false), bell: Notify::new(), seen });
        let router = Router::new().fallback(handle).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move { drop(axum::serve(listener, router).await) });
        Ok(Self { address, shared, server })
    }

    /// Waits until the point is reached; for ever without one.
    pub async fn reached(&self) {
        self.shared.bell.notified().await;
    }

    /// What was written so far, in order.
    pub fn writes(&self) -> Vec<Write> {
        self.shared.seen.lock().unwrap().writes.clone()
    }

    /// When something was written last, or else when the proxy began.
    pub fn last_write(&self) -> Instant {
        self.shared.seen.lock().unwrap().last
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.dead.store(true, Ordering::SeqCst);
        self.server.abort();
    }
}

async fn handle(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    if shared.dead.load(Ordering::SeqCst) {
        return pending().await;
    }
    let side = shared.note(&request).and_then(|write| shared.point.as_ref().filter(|point| point.write == write).map(|point| point.side));
    match side {
        Some(Side::Before) => shared.end().await,
        Some(Side::After) => {
            drop(shared.pass_on(request).await);
            shared.end().await
        }
        None => shared.pass_on(request).await,
    }
}

impl Shared {
    /// Takes note of a write.
    fn note(&self, request: &Request) -> Option<Write> {
        let what = what(request, &self.namespace)?;
        let mut seen = self.seen.lock().unwrap();
        let time = seen.times.entry(what.clone()).and_modify(|time| *time += 1).or_insert(1).to_owned();
        let write = Write { what, time };
        seen.writes.push(write.clone());
        seen.last = Instant::now();
        Some(write)
    }

    async fn pass_on(&self, request: Request) -> Response {
        let (mut parts, body) = request.into_parts();
        // The client names the real server.
        parts.headers.remove("host");
        let Ok(body) = to_bytes(body, REQUEST_BYTES).await else { return StatusCode::PAYLOAD_TOO_LARGE.into_response() };
        match self.client.send(axum::http::Request::from_parts(parts, body.into())).await {
            // Streamed: a watch has no end.
            Ok(answer) => answer.map(Body::new),
            Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
        }
    }

    async fn end(&self) -> Response {
        self.dead.store(true, Ordering::SeqCst);
        self.bell.notify_one();
        pending().await
    }
}

/// What a request writes; nothing when it reads. The same in every namespace.
fn what(request: &Request, namespace: &str) -> Option<String> {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return None;
    }
    let path = request.uri().path();
    let inside = path.split_once(&format!("/namespaces/{namespace}/")).map_or(path, |(_, inside)| inside);
    // The record of the routers' template is named by a hash into which the namespace goes.
    let inside = inside.split_once("-router-").map_or_else(|| inside.to_owned(), |(front, _)| format!("{front}-router-<hash>"));
    Some(format!("{} {inside}", request.method()))
}
