//! Databases for tests, and what is said to them.
#![allow(dead_code, reason = "each test uses a part")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use plimsoll_evaluator::record::{Arm, Entry, Prediction, Said};

/// Where Debian puts the programs of PostgreSQL.
const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";

/// Runs a server until its input ends, which it does with the test however that ends, and removes its folder.
const UNTIL_THE_TEST_ENDS: &str = r#"folder="$1"; shift; "$@" </dev/null & server=$!; read _; kill -INT $server; wait $server; rm -rf "$folder""#;

/// A real PostgreSQL server on a socket in a folder of its own; it ends with the test.
pub struct Server {
    folder: tempfile::TempDir,
    process: Child,
}

impl Server {
    /// Starts one. `None`, and a line that says so, where PostgreSQL is not installed; CI insists.
    pub fn start() -> Option<Self> {
        if !Path::new(PROGRAMS).exists() {
            assert!(std::env::var_os("CI").is_none(), "PostgreSQL 15 is not installed: run make setup");
            eprintln!("SKIPPED: PostgreSQL 15 is not installed; run make setup");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        // PostgreSQL refuses to run as root.
        let user = Command::new("chown").arg("-R").arg("postgres").arg(folder.path()).status().unwrap().success();
        let data = folder.path().join("data");
        let made = run_as(user, "initdb").args(["-A", "trust", "-U", "plimsoll", "--no-sync", "-D"]).arg(&data).stdout(Stdio::null()).status().unwrap();
        assert!(made.success(), "initdb");
        let mut command = Command::new("sh");
        command.args(["-c", UNTIL_THE_TEST_ENDS, "sh"]).arg(folder.path());
        let server = run_as(user, "postgres");
        command.arg(server.get_program()).args(server.get_args());
        command.args(["-c", "listen_addresses=", "-c", "max_wal_size=1GB", "-D"]).arg(&data).arg("-k").arg(folder.path());
        let process = command.current_dir("/").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let server = Self { folder, process };
        let begun = Instant::now();
        while postgres::Client::connect(&server.url(), postgres::NoTls).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(30), "PostgreSQL does not answer");
            std::thread::sleep(Duration::from_millis(100));
        }
        Some(server)
    }

    /// The connection string.
    pub fn url(&self) -> String {
        format!("host={} user=plimsoll dbname=postgres", self.folder.path().display())
    }

    /// Ends every connection but the asker's.
    pub fn disconnect_all(&self) {
        let mut client = postgres::Client::connect(&self.url(), postgres::NoTls).unwrap();
        client.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = 'plimsoll'", &[]).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        drop(self.process.wait());
    }
}

fn run_as(postgres: bool, program: &str) -> Command {
    let program = Path::new(PROGRAMS).join(program);
    if postgres {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program).current_dir("/");
        command
    } else {
        Command::new(program)
    }
}

/// One server for all tests of a program.
pub fn postgresql() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(Server::start).as_ref()
}

/// A file in a folder that outlives it.
pub fn file(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("evaluator.db")
}

/// A revision without an ABTest.
pub fn arm(revision: &str) -> Arc<Arm> {
    Arc::new(Arm { revision: revision.into(), variant: String::new() })
}

/// A variant of an ABTest.
pub fn variant(name: &str) -> Arc<Arm> {
    Arc::new(Arm { revision: "r1".into(), variant: name.into() })
}

/// This was predicted.
pub fn predicted(id: &str, time: i64, arm: &Arc<Arm>, value: f64) -> Entry {
    let prediction = Prediction { arm: Arc::clone(arm), unit: None, value, positive: value >= 0.5, weight: 1.0, features: String::new() };
    Entry { id: id.into(), said: Said::Predicted(time, prediction) }
}

/// This came true.
pub fn came_true(id: &str, value: f64) -> Entry {
    Entry { id: id.into(), said: Said::CameTrue(value) }
}
