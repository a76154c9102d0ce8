//! Clusters that come, go, crash and meet. Real ones: they need root, and what `local-cluster build` makes once per machine.
//!
//! `cargo test -p plimsoll-local-cluster --test lives -- --ignored`
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests fail like tests")]

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;

/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_local-cluster");
/// These tests take turns: they measure, and the machine is small.
static TURN: Mutex<()> = Mutex::new(());

/// A cluster of a test; it goes with this value.
struct Cluster(&'static str);

impl Cluster {
    fn run(&self, verb: &str) -> Output {
        Command::new(PROGRAM).args([verb, self.0]).output().unwrap()
    }

    fn start(&self, verb: &str) -> Child {
        Command::new(PROGRAM).args([verb, self.0]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn must(&self, verb: &str) -> String {
        let output = self.run(verb);
        assert!(output.status.success(), "{verb} {}: {}", self.0, String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn kubectl(&self, arguments: &[&str]) -> Output {
        let kubeconfig = self.must("kubeconfig");
        // <cache>/clusters/<name>/pki/admin.kubeconfig
        let cache = PathBuf::from(&kubeconfig).ancestors().nth(4).unwrap().to_owned();
        Command::new(cache.join("bin/kubernetes-v1.36.3"))
            .args(["kubectl", "--kubeconfig", &kubeconfig, "--request-timeout=5s"])
            .args(arguments)
            .output()
            .unwrap()
    }

    /// A pod of the image that every cluster has; it waits to be told to end.
    fn run_pod(&self) {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "guest", "namespace": "default"},
            "spec": {"containers": [{"name": "guest", "image": "plimsoll.local/pause:dev", "imagePullPolicy": "Never", "resources": {"limits": {"memory": "32Mi"}}}]}});
        let file = std::env::temp_dir().join(format!("{}-guest.json", self.0));
        std::fs::write(&file, pod.to_string()).unwrap();
        // The namespace's account comes a moment after the node.
        wait(&format!("a pod in {}", self.0), || self.kubectl(&["apply", "-f", &file.display().to_string()]).status.success());
        wait(&format!("the pod of {} to be ready", self.0), || self.pod().ends_with("True 0"));
        std::fs::remove_file(file).unwrap();
    }

    /// The pod's UID, whether it is ready, and how often it was started again.
    fn pod(&self) -> String {
        let fields = "jsonpath={.metadata.uid} {.status.conditions[?(@.type==\"Ready\")].status} {.status.containerStatuses[0].restartCount}";
        String::from_utf8(self.kubectl(&["get", "pod", "guest", "-o", fields]).stdout).unwrap()
    }

    fn answers(&self) -> bool {
        let ready = self.kubectl(&["get", "nodes", "-o", "jsonpath={.items[*].status.conditions[?(@.type==\"Ready\")].status}"]);
        ready.status.success() && ready.stdout == b"True"
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.run("down"));
    }
}

fn my_turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wait(what: &str, check: impl Fn() -> bool) {
    let start = Instant::now();
    while !check() {
        assert!(start.elapsed() < Duration::from_secs(60), "waited a minute for {what}");
        std::thread::sleep(Duration::from_millis(300));
    }
}

/// What this machine shows of a cluster, by tools that the driver does not use for it.
fn traces(name: &str) -> Vec<String> {
    let shell = format!(
        "ps -eo pid,stat,args | grep -F 'clusters/{name}/' | grep -v grep; grep -F 'clusters/{name}/' /proc/mounts; ip netns list | grep -E '^plimsoll-{name}( |$)'; \
         ls -d /run/netns/plimsoll-{name} 2>/dev/null; find /sys/fs/cgroup -maxdepth 2 -name 'plimsoll-{name}'"
    );
    let output = Command::new("sh").args(["-c", &shell]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// The firewall and the links of the machine itself, whatever other clusters do to theirs.
fn firewall() -> String {
    let rules = Command::new("iptables-save").output().unwrap();
    String::from_utf8(rules.stdout).unwrap().lines().filter(|line| !line.starts_with(['#', ':'])).collect::<Vec<_>>().join("\n")
}

/// Processes that have ended and that nobody collects.
fn zombies() -> usize {
    let output = Command::new("ps").args(["-eo", "stat="]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().filter(|state| state.starts_with('Z')).count()
}

#[test]
#[ignore = "needs root"]
fn two_clusters_side_by_side_do_not_disturb_each_other() {
    let _turn = my_turn();
    let (one, two, before) = (Cluster("drv1"), Cluster("drv2"), firewall());
    let start = Instant::now();
    // At the same time: they share images and caches.
    let mut starting = [one.start("up"), two.start("up")];
    assert!(starting.iter_mut().all(|child| child.wait().unwrap().success()));
    println!("two clusters up after {:.1} s", start.elapsed().as_secs_f64());
    assert!(one.answers() && two.answers());
    one.run_pod();
    two.run_pod();
    assert!(one.kubectl(&["create", "configmap", "mine"]).status.success());
    assert!(!two.kubectl(&["get", "configmap", "mine"]).status.success(), "what one stores is not the other's");
    assert_eq!(firewall(), before, "the machine's own rules changed");
    let (pod, zombies_before) = (two.pod(), zombies());
    one.must("down");
    one.must("check-clean");
    assert_eq!(traces("drv1"), Vec::<String>::new());
    // The other one goes on, and so does what runs in it.
    assert!(two.answers());
    assert_eq!(two.pod(), pod);
    two.must("up");
    assert_eq!(two.pod(), pod, "up leaves a cluster that runs as it is");
    two.must("down");
    two.must("check-clean");
    assert_eq!(traces("drv2"), Vec::<String>::new());
    assert_eq!(firewall(), before);
    println!("zombies: {zombies_before} before the clusters went, {} after", zombies());
}

#[test]
#[ignore = "needs root"]
fn an_up_that_is_killed_never_blocks_the_next() {
    let _turn = my_turn();
    let cluster = Cluster("drv1");
    for after in [100, 500, 1_000, 2_000, 5_000, 8_000] {
        let mut up = cluster.start("up");
        std::thread::sleep(Duration::from_millis(after));
        let had_ended = up.try_wait().unwrap().is_some();
        let _ = up.kill();
        up.wait().unwrap();
        let start = Instant::now();
        cluster.must("up");
        println!("killed after {after} ms{}: up again in {:.1} s", if had_ended { " (too late: it had ended)" } else { "" }, start.elapsed().as_secs_f64());
        assert!(cluster.answers());
        cluster.run_pod();
        cluster.must("down");
        assert_eq!(traces("drv1"), Vec::<String>::new(), "killed after {after} ms");
        cluster.must("check-clean");
    }
}

#[test]
#[ignore = "needs root"]
fn down_clears_an_up_that_was_killed_and_a_cluster_that_crashed() {
    let _turn = my_turn();
    let cluster = Cluster("drv1");
    for after in [300, 1_500, 4_000] {
        let mut up = cluster.start("up");
        std::thread::sleep(Duration::from_millis(after));
        let _ = up.kill();
        up.wait().unwrap();
        cluster.must("down");
        cluster.must("check-clean");
        assert_eq!(traces("drv1"), Vec::<String>::new(), "killed after {after} ms");
    }
    // Everything but the pod dies at once: nobody is left who would collect it.
    cluster.must("up");
    cluster.run_pod();
    let folder = PathBuf::from(cluster.must("kubeconfig")).ancestors().nth(2).unwrap().to_owned();
    for file in std::fs::read_dir(folder.join("pids")).unwrap() {
        let id = std::fs::read_to_string(file.unwrap().path()).unwrap();
        assert!(Command::new("kill").args(["-KILL", id.trim()]).status().unwrap().success());
    }
    assert!(!cluster.answers());
    cluster.must("down");
    cluster.must("check-clean");
    assert_eq!(traces("drv1"), Vec::<String>::new());
    // Nothing to do is no error.
    cluster.must("down");
}

#[test]
#[ignore = "needs root"]
fn names_with_the_same_addresses_are_told_apart() {
    let _turn = my_turn();
    // Both names give the number 19.
    let (one, twin) = (Cluster("drv1"), Cluster("drv100"));
    one.must("up");
    one.run_pod();
    let pod = one.pod();
    let refused = twin.run("up");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("drv1\" has the addresses"), "{said}");
    twin.must("down");
    twin.must("check-clean");
    assert!(one.answers());
    assert_eq!(one.pod(), pod);
    one.must("down");
    one.must("check-clean");
}
