//! What people do, and what they wait for: one model from training to all of the traffic, and its successor by way of a canary.

use std::fmt::Debug;
use std::time::Duration;

use anyhow::{Context, bail};
use kube::api::{Api, PostParams};
use kube::runtime::wait;
use kube::{Client, Resource};
use plimsoll_crds::condition::{ConditionType, is_true};
use plimsoll_crds::names::ANNOTATION_AUTHOR;
use plimsoll_crds::{ModelApproval, ModelDeployment, ModelVersion, TrainingJob};
use plimsoll_tests::stage::Stage;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The ModelDeployment of the story.
pub const DEPLOYMENT: &str = "flight-delay";
/// How long people wait for anything. An operator without Prometheus scrapes every five seconds, and a busy machine takes its time.
const PATIENCE: Duration = Duration::from_secs(240);

/// The story in one namespace.
pub struct Story<'a> {
    /// As the administrator.
    pub client: Client,
    /// Where.
    pub namespace: &'a str,
    /// Where the samples are.
    pub stage: &'a Stage,
}

impl Story<'_> {
    /// Tells it to its end: the second model has all of the traffic, and the first one's pods are gone.
    pub async fn tell(&self) -> anyhow::Result<()> {
        let first = self.train("v1.yaml").await?;
        self.approve(&first).await?;
        self.deploy().await?;
        self.serves(&first).await?;
        let second = self.train("v2.yaml").await?;
        self.approve(&second).await?;
        self.serves(&second).await
    }

    /// Ann trains a model.
    async fn train(&self, sample: &str) -> anyhow::Result<ModelVersion> {
        let mut job: Value = serde_yaml::from_str(&self.stage.sample(sample)?)?;
        let name = job["metadata"]["name"].as_str().context("a sample has a name")?.to_owned();
        job["metadata"] = json!({"name": name, "annotations": {ANNOTATION_AUTHOR: "ann"}});
        self.create::<TrainingJob>(job).await?;
        let recorded = |job: &TrainingJob| job.status.as_ref().is_some_and(|status| is_true(&status.conditions, ConditionType::Ready));
        let job = self.wait("trained", &name, recorded).await?;
        let version = job.status.and_then(|status| status.result).context("a finished run has a result")?.model_version;
        self.wait("noticed", &version, |version: &ModelVersion| version.status.is_some()).await
    }

    /// Gil approves it.
    async fn approve(&self, version: &ModelVersion) -> anyhow::Result<()> {
        let name = version.metadata.name.clone().unwrap_or_default();
        self.create::<ModelApproval>(json!({"apiVersion": "plimsoll.dev/v1alpha1", "kind": "ModelApproval", "metadata": {"name": name}, "spec": {
            "modelVersion": name, "digest": version.spec.digest, "decision": "Approved", "approver": "gil", "reason": "the report is convincing"}}))
            .await?;
        let approved = |version: &ModelVersion| version.status.as_ref().is_some_and(|status| is_true(&status.conditions, ConditionType::Approved));
        self.wait("approved", &name, approved).await.map(drop)
    }

    /// Ann deploys the newest one, with short pauses.
    async fn deploy(&self) -> anyhow::Result<()> {
        self.create::<ModelDeployment>(json!({"apiVersion": "plimsoll.dev/v1alpha1", "kind": "ModelDeployment", "metadata": {"name": DEPLOYMENT}, "spec": {
            "model": {"name": "flight-delay"},
            "checkInterval": "1s",
            "router": {"replicas": 1},
            "strategy": {"canary": {"steps": [{"setWeight": 20}, {"pause": {"duration": "1s"}}, {"setWeight": 50}], "checks": ["errors"]}},
            "checks": [{"name": "errors", "errorRate": {"versusStable": {"margin": 0.01, "alpha": 0.001}}}],
            "rollback": {"keep": 3, "bake": "2s"}}}))
            .await
    }

    /// This version has all of the traffic for good, and routers say so.
    async fn serves(&self, version: &ModelVersion) -> anyhow::Result<()> {
        let settled = |deployment: &ModelDeployment| {
            deployment.status.as_ref().is_some_and(|status| {
                let serves = status.stable.as_ref().is_some_and(|stable| Some(&stable.reference.model_version) == version.metadata.name.as_ref());
                let alone = status.candidate.is_none() && status.previous.is_none() && status.routes.as_ref().is_some_and(|routes| routes.weights.len() == 1);
                let says = |kind| is_true(&status.conditions, kind);
                serves
                    && alone
                    && says(ConditionType::Ready)
                    && says(ConditionType::Promoted)
                    && says(ConditionType::TrafficVerified)
                    && !says(ConditionType::Reconciling)
            })
        };
        self.wait("settled", DEPLOYMENT, settled).await.map(drop)
    }

    async fn create<K>(&self, manifest: Value) -> anyhow::Result<()>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope> + Clone + DeserializeOwned + Serialize + Debug,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), self.namespace);
        api.create(&PostParams::default(), &serde_json::from_value(manifest)?).await.map(drop).with_context(|| format!("cannot create a {}", K::kind(&())))
    }

    async fn wait<K>(&self, what: &str, name: &str, holds: impl Fn(&K) -> bool) -> anyhow::Result<K>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope> + Clone + DeserializeOwned + Serialize + Debug + Send + 'static,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), self.namespace);
        let condition = wait::await_condition(api.clone(), name, |object: Option<&K>| object.is_some_and(&holds));
        if let Ok(found) = tokio::time::timeout(PATIENCE, condition).await {
            return found?.context("it was deleted");
        }
        let status = api.get_opt(name).await?.map(|object| json!(object)["status"].to_string());
        bail!("{} {name} is not {what} within {} s; its status: {}", K::kind(&()), PATIENCE.as_secs(), status.unwrap_or_else(|| "it does not exist".to_owned()))
    }
}
