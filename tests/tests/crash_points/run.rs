//! One run of the story in a namespace of its own, undisturbed or with one crash.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::Context;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::Client;
use kube::api::{Api, PostParams};
use plimsoll_tests::stage::Stage;
use serde_json::json;

use crate::operator::{Habitat, Operator};
use crate::proxy::{Point, Write};
use crate::router::Router;
use crate::snapshot::Snapshot;
use crate::story::Story;

/// An operator that wrote nothing for so long has nothing left to write: longer than a failed reconcile waits for its next try.
const QUIET: Duration = Duration::from_secs(6);
/// How long a run with a crash may take after the story's end until all is as it should be.
const SETTLES_WITHIN: Duration = Duration::from_secs(20);

/// Addresses of one run, on the loopback interface.
pub struct Addresses {
    /// Its operator.
    pub operator: Ipv4Addr,
    /// Its router pod.
    pub router: Ipv4Addr,
    /// Its model pods; nobody answers there.
    pub model: Ipv4Addr,
}

/// The addresses of the run in this namespace, whose name ends with its number.
pub fn addresses(namespace: &str) -> Addresses {
    let number: u16 = namespace.trim_start_matches(|letter: char| !letter.is_ascii_digit()).parse().unwrap();
    let [high, low] = number.to_be_bytes();
    let address = |last| Ipv4Addr::new(127, 80 + high, low, last);
    Addresses { operator: address(1), router: address(2), model: address(3) }
}

/// What all runs share.
#[derive(Clone)]
pub struct Ground {
    /// As the administrator.
    pub client: Client,
    /// The cluster.
    pub stage: Stage,
    /// Where operators have their files.
    pub folder: PathBuf,
}

/// How a run with a crash ended.
pub struct Outcome {
    /// Whether the point was reached at all.
    pub reached: bool,
    /// What is otherwise than in the undisturbed run.
    pub differences: Vec<String>,
}

impl Ground {
    /// The story with nobody killed: every write, and how it ends.
    pub async fn undisturbed(&self, number: usize) -> anyhow::Result<(Vec<Write>, Snapshot)> {
        let namespace = self.settle(number).await?;
        let _router = Router::start(self.client.clone(), &namespace, addresses(&namespace).router).await?;
        let operator = Operator::start(self.client.clone(), &self.habitat(&namespace), None, 1).await?;
        self.story(&namespace).tell().await?;
        while operator.proxy.last_write().elapsed() < QUIET {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok((operator.proxy.writes(), Snapshot::take(&self.client, &namespace).await?))
    }

    /// The story with the operator killed at `point` and started again.
    pub async fn crashed(&self, number: usize, point: &Point, expected: &Snapshot) -> anyhow::Result<Outcome> {
        let namespace = self.settle(number).await?;
        let habitat = self.habitat(&namespace);
        let _router = Router::start(self.client.clone(), &namespace, addresses(&namespace).router).await?;
        let mut operator = Operator::start(self.client.clone(), &habitat, Some(point.clone()), 1).await?;
        let story = self.story(&namespace);
        // The last writes may come when people have seen all that they wait for.
        let mut story = pin!(async {
            story.tell().await?;
            self.settled(&namespace, expected).await
        });
        let mut reached = true;
        let differences = tokio::select! {
            ended = &mut story => {
                reached = false;
                ended?
            }
            () = operator.proxy.reached() => {
                operator.kill().await?;
                operator = Operator::start(self.client.clone(), &habitat, None, 2).await?;
                story.await?
            }
        };
        drop(operator);
        Ok(Outcome { reached, differences })
    }

    /// What still differs when nothing changes any more. What is equal must stay so for a moment.
    async fn settled(&self, namespace: &str, expected: &Snapshot) -> anyhow::Result<Vec<String>> {
        let start = Instant::now();
        let mut equal = 0;
        loop {
            let differences = expected.differences(&Snapshot::take(&self.client, namespace).await?);
            equal = if differences.is_empty() { equal + 1 } else { 0 };
            if equal > 1 || start.elapsed() > SETTLES_WITHIN {
                return Ok(differences);
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// Makes the namespace of a run, with what every namespace has.
    async fn settle(&self, number: usize) -> anyhow::Result<String> {
        let name = format!("run-{number}");
        let create = PostParams::default();
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        namespaces.create(&create, &serde_json::from_value(json!({"metadata": {"name": name}}))?).await.context("namespace")?;
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &name);
        accounts.create(&create, &serde_json::from_value(json!({"metadata": {"name": "default"}}))?).await.context("service account")?;
        Ok(name)
    }

    fn habitat(&self, namespace: &str) -> Habitat {
        let (program, address) = (self.stage.program("operator"), addresses(namespace).operator);
        Habitat { program, folder: self.folder.clone(), namespace: namespace.to_owned(), address }
    }

    fn story<'a>(&'a self, namespace: &'a str) -> Story<'a> {
        Story { client: self.client.clone(), namespace, stage: &self.stage }
    }
}
