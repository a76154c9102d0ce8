//! `plimsoll-artifact`: fetches and verifies models. The only program in a serving pod that ever sees credentials.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use plimsoll_artifact::{Digest, Error, ModelDirectory, fetch, store};

/// Exit code when the same call may succeed later.
const EXIT_TRANSIENT: u8 = 75;
/// Exit code when it will not.
const EXIT_PERMANENT: u8 = 65;

/// Fetches and verifies models.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Copies a model from a store to an empty folder and checks every byte.
    Fetch {
        /// The folder of the model in the store, for example s3://models/flight-delay/3fa9...
        #[arg(long)]
        uri: String,
        /// The digest that it must have.
        #[arg(long)]
        digest: Digest,
        /// Where it goes.
        #[arg(long)]
        to: PathBuf,
        /// A folder with AWS_ACCESS_KEY_ID and so on, one file each.
        #[arg(long)]
        credentials: Option<PathBuf>,
    },
    /// Checks every byte of a model on disk.
    Verify {
        /// The model's folder.
        #[arg(long)]
        directory: PathBuf,
        /// The digest that it must have.
        #[arg(long)]
        digest: Option<Digest>,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    match run(Arguments::parse().command).await {
        Ok(model) => {
            println!("{} {}", model.digest(), model.manifest().model);
            ExitCode::SUCCESS
        }
        Err(error) => {
            tracing::error!(reason = error.reason(), "{error}");
            // The kubelet shows this file in the pod's status; outside a pod it does not exist and nobody misses it.
            let _ = std::fs::write("/dev/termination-log", format!("{}: {error}", error.reason()));
            ExitCode::from(if error.is_transient() { EXIT_TRANSIENT } else { EXIT_PERMANENT })
        }
    }
}

async fn run(command: Command) -> Result<ModelDirectory, Error> {
    match command {
        Command::Fetch { uri, digest, to, credentials } => {
            let store = store::open(&uri, credentials.as_deref())?;
            fetch(&store, &digest, &to).await
        }
        Command::Verify { directory, digest } => ModelDirectory::open(&directory, digest.as_ref()),
    }
}
