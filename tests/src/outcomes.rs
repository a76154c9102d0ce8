//! Callers who later tell what came true, over REST and by the router's address alone; and what the evaluator then says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use plimsoll_crds::names::{evaluator_audience, model_account};
use serde_json::{Value, json};

use crate::cluster::text;
use crate::flights::Flight;
use crate::team::Team;

/// How long one answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How long something that is told again and again may be refused.
const TAKEN_WITHIN: Duration = Duration::from_secs(120);
/// The pause before it is told again.
const AGAIN: Duration = Duration::from_millis(250);

/// A caller of a ModelDeployment.
pub struct Caller {
    router: String,
    evaluator: String,
    client: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

/// A prediction that was answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// The prediction's id.
    pub id: String,
    /// The probability of the positive label.
    pub probability: f64,
    /// Who answered.
    pub revision: String,
}

impl Caller {
    /// Finds the router, and the evaluator for whoever runs the cluster.
    ///
    /// # Errors
    /// One of them has no Service.
    pub fn of(team: &Team, deployment: &str) -> anyhow::Result<Self> {
        let address = |name: &str| {
            let service = team.get(&format!("service/{name}"))?;
            ensure!(!service.is_null(), "there is no Service {name}");
            Ok(format!("{}:8080", text(&service, "/spec/clusterIP")))
        };
        Ok(Self {
            router: address(deployment)?,
            evaluator: address(&format!("{deployment}-evaluator"))?,
            client: reqwest::Client::builder().timeout(ANSWER_WITHIN).no_proxy().build()?,
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
        })
    }

    /// Asks about one flight, as its plane.
    ///
    /// # Errors
    /// The call failed.
    pub fn predict(&self, id: &str, flight: &Flight) -> anyhow::Result<Answered> {
        let texts = flight.texts.iter().map(|(name, value)| json!({"name": name, "datatype": "BYTES", "shape": [1], "data": [value]}));
        let numbers = flight.numbers.iter().map(|(name, value)| {
            let value = if value.is_nan() { Value::Null } else { json!(value) };
            json!({"name": name, "datatype": "FP64", "shape": [1], "data": [value]})
        });
        let body = json!({"id": id, "inputs": texts.chain(numbers).collect::<Vec<_>>()});
        let url = format!("http://{}/v2/models/flight-delay/infer", self.router);
        let request = self.client.post(url).header("x-user-id", &flight.tail_number).json(&body);
        let (revision, answer) = self.runtime.block_on(async {
            let response = request.send().await?;
            let revision = response.headers().get("x-plimsoll-revision").and_then(|name| name.to_str().ok()).unwrap_or_default().to_owned();
            let (status, answer) = (response.status(), response.json::<Value>().await?);
            ensure!(status.is_success(), "{status}: {answer}");
            Ok((revision, answer))
        })?;
        let outputs = answer.get("outputs").and_then(Value::as_array).into_iter().flatten();
        let probability = outputs.filter(|output| text(output, "/name") == "probability").find_map(|output| output.pointer("/data/0")?.as_f64());
        Ok(Answered { id: format!("{}/0", text(&answer, "/id")), probability: probability.context("the answer has a probability")?, revision })
    }

    /// Tells what came true through the router, until that is on disk. Gives the receipt, and how often it was refused before.
    ///
    /// # Errors
    /// It is not taken in time, or is refused for good.
    pub fn report(&self, outcomes: &[(String, bool)]) -> anyhow::Result<(Value, u32)> {
        let outcomes: Vec<Value> = outcomes.iter().map(|(id, value)| json!({"id": id, "value": value})).collect();
        let (start, mut refused) = (Instant::now(), 0);
        loop {
            let request = self.client.post(format!("http://{}/v1/outcomes", self.router)).json(&json!({"outcomes": outcomes}));
            let answer = self.runtime.block_on(async {
                let response = request.send().await?;
                Ok::<_, reqwest::Error>((response.status(), response.text().await?))
            });
            match answer {
                Ok((status, body)) if status.is_success() => return Ok((serde_json::from_str(&body)?, refused)),
                Ok((status, body)) if status.is_client_error() => bail!("{status}: {body}"),
                other if start.elapsed() > TAKEN_WITHIN => bail!("not taken within {} s: {other:?}", TAKEN_WITHIN.as_secs()),
                Ok(_) | Err(_) => refused += 1,
            }
            std::thread::sleep(AGAIN);
        }
    }

    /// Hands over predictions as a model server would, whose token it shows.
    ///
    /// # Errors
    /// The evaluator cannot be reached, or refuses.
    pub fn hand_over(&self, predictions: &[Value], token: &str) -> anyhow::Result<()> {
        let (status, answer) = self.say("/v1/predictions", &json!({"predictions": predictions}), Some(token))?;
        ensure!(status == 200, "{status}: {answer}");
        Ok(())
    }

    /// Says something to the evaluator itself. Gives the status and the answer.
    ///
    /// # Errors
    /// It cannot be reached.
    pub fn say(&self, path: &str, body: &Value, token: Option<&str>) -> anyhow::Result<(u16, Value)> {
        let request = self.client.post(format!("http://{}{path}", self.evaluator)).json(body);
        let request = token.into_iter().fold(request, |request, token| request.bearer_auth(token));
        self.runtime.block_on(async {
            let answer = request.send().await?;
            Ok((answer.status().as_u16(), answer.json().await.unwrap_or_default()))
        })
    }

    /// A page of the evaluator's.
    ///
    /// # Errors
    /// It cannot be reached, or refuses.
    pub fn page(&self, path: &str) -> anyhow::Result<String> {
        let request = self.client.get(format!("http://{}{path}", self.evaluator));
        self.runtime.block_on(async { Ok(request.send().await?.error_for_status()?.text().await?) })
    }

    /// What the evaluator answers on this path.
    ///
    /// # Errors
    /// It cannot be reached, or refuses.
    pub fn ask(&self, path: &str) -> anyhow::Result<Value> {
        let request = self.client.get(format!("http://{}{path}", self.evaluator));
        self.runtime.block_on(async { Ok(request.send().await?.error_for_status()?.json().await?) })
    }
}

/// A token of an account of the namespace, as only an administrator and kubelets get it.
///
/// # Errors
/// The API server refused.
pub fn token(team: &Team, account: &str, audience: &str) -> anyhow::Result<String> {
    let arguments = ["-n", &team.namespace, "create", "token", account, "--audience", audience, "--duration", "1h"];
    Ok(team.stage.admin.kubectl(&arguments)?.trim().to_owned())
}

/// The audience of a deployment's tokens.
///
/// # Errors
/// It does not exist.
pub fn audience(team: &Team, deployment: &str) -> anyhow::Result<String> {
    let found = team.get(&format!("modeldeployment/{deployment}"))?;
    ensure!(!found.is_null(), "there is no ModelDeployment {deployment}");
    Ok(evaluator_audience(&team.namespace, deployment, text(&found, "/metadata/uid")))
}

/// The token that a deployment's model servers show.
///
/// # Errors
/// There is no such deployment.
pub fn token_of_servers(team: &Team, deployment: &str) -> anyhow::Result<String> {
    token(team, &model_account(deployment), &audience(team, deployment)?)
}

/// People who ask about flights, and tell a little later what came true, until they are stopped.
pub struct Reporters {
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<anyhow::Result<(u64, u64)>>>,
}

/// People at a time.
const PEOPLE: usize = 2;
/// Answers whose outcome is told at a time.
const TOLD_TOGETHER: usize = 25;

impl Reporters {
    /// Begins. Each person calls the deployment, waits so long, and calls again.
    ///
    /// # Errors
    /// The deployment has no evaluator.
    pub fn start(team: &Team, deployment: &str, flights: &[Flight], pause: Duration) -> anyhow::Result<Self> {
        let stop = Arc::<AtomicBool>::default();
        let mut threads = Vec::new();
        for person in 0..PEOPLE {
            let (caller, stopped) = (Caller::of(team, deployment)?, Arc::clone(&stop));
            let flights: Vec<Flight> = flights.iter().filter(|flight| flight.late.is_some()).skip(person).step_by(PEOPLE).cloned().collect();
            threads.push(std::thread::spawn(move || caller.ask_and_tell(&format!("person-{person}"), &flights, pause, &stopped)));
        }
        Ok(Self { stop, threads })
    }

    /// Stops them; gives how many calls were answered and how many failed. Everything that was answered has been told.
    ///
    /// # Errors
    /// An outcome was not taken.
    pub fn stop(self) -> anyhow::Result<(u64, u64)> {
        self.stop.store(true, Ordering::Relaxed);
        let mut sum = (0, 0);
        for thread in self.threads {
            let (answered, failed) = thread.join().map_err(|_| anyhow::anyhow!("somebody who calls panicked"))??;
            sum = (sum.0 + answered, sum.1 + failed);
        }
        Ok(sum)
    }
}

impl Caller {
    fn ask_and_tell(&self, prefix: &str, flights: &[Flight], pause: Duration, stop: &AtomicBool) -> anyhow::Result<(u64, u64)> {
        let (mut answered, mut failed, mut untold) = (0, 0, Vec::new());
        for (number, flight) in flights.iter().cycle().enumerate() {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            match self.predict(&format!("{prefix}-{number}"), flight) {
                Ok(answer) => {
                    answered += 1;
                    untold.extend(flight.late.map(|late| (answer.id, late)));
                }
                Err(_) => failed += 1,
            }
            std::thread::sleep(pause);
            if untold.len() >= TOLD_TOGETHER {
                self.report(&untold)?;
                untold.clear();
            }
        }
        if !untold.is_empty() {
            self.report(&untold)?;
        }
        Ok((answered, failed))
    }
}
