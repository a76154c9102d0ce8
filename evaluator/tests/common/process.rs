//! The evaluator as a process, which can be killed.
#![allow(dead_code, reason = "each program uses a part")]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use plimsoll_evaluator_api::v1::evaluator_client::EvaluatorClient;
use tonic::transport::{Channel, Endpoint};

/// A running evaluator.
pub struct Process {
    child: Child,
    /// gRPC and REST.
    pub port: u16,
}

/// A port that nobody uses now.
fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

impl Process {
    /// Starts the program on a database file, and waits until it is ready.
    pub fn start(program: &str, database: &Path, window_seconds: u64, retention_seconds: u64) -> Self {
        let (port, metrics) = (free_port(), free_port());
        let child = Command::new(program)
            .args(["--window-seconds", &window_seconds.to_string(), "--retention-seconds", &retention_seconds.to_string()])
            .args(["--serving-port", &port.to_string(), "--metrics-port", &metrics.to_string(), "--grace-seconds", "0", "--sqlite"])
            .arg(database)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(30), "the evaluator does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { child, port }
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// A client that connects when it is used.
    pub fn client(&self) -> EvaluatorClient<Channel> {
        EvaluatorClient::new(Endpoint::from_shared(format!("http://127.0.0.1:{}", self.port)).unwrap().connect_lazy())
    }
}

impl Drop for Process {
    /// SIGKILL, whatever it was doing.
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
