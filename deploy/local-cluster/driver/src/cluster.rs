//! A cluster's life: up, load, down, and the proof that nothing is left.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::cgroups::Cgroups;
use crate::components::{CommandLine, Node};
use crate::network::Network;
use crate::paths::{CONTAINERD, KUBERNETES, cache, images, program};
use crate::pki::Pki;
use crate::shell::{run, text, try_run, wait_for, write};
use crate::{addons, images as image_builder};

/// How long a process may take to end when it is asked to.
const END_WITHIN: Duration = Duration::from_secs(10);

/// The processes of a cluster.
#[derive(Debug, Default)]
struct Processes {
    in_pods: Vec<i32>,
    others: Vec<i32>,
}

/// A cluster on this machine.
pub struct Cluster {
    folder: PathBuf,
    network: Network,
    pki: Pki,
    cgroups: Cgroups,
    node: String,
}

impl Cluster {
    /// The cluster of that name, whether it runs or not.
    pub fn new(name: &str) -> anyhow::Result<Self> {
        if name.is_empty() || name.len() > 20 || !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
            bail!("a cluster's name has 1 to 20 lower-case letters and digits, not {name:?}");
        }
        let folder = cache().join("clusters").join(name);
        let network = Network::new(name);
        Ok(Self { pki: Pki::new(folder.join("pki"), &network), cgroups: Cgroups::new(name), folder, network, node: format!("{name}-node") })
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.pki.file("admin.kubeconfig")
    }

    /// A person's kubeconfig.
    pub fn user(&self, user: &str) -> anyhow::Result<PathBuf> {
        self.pki.user(user)
    }

    fn node(&self) -> Node<'_> {
        Node { folder: &self.folder, network: &self.network, pki: &self.pki, cgroups: &self.cgroups, name: &self.node }
    }

    /// Starts the cluster. One that answers is left as it is; the wreck of another is cleared first.
    pub fn up(&self, with_addons: bool) -> anyhow::Result<()> {
        let start = Instant::now();
        self.refuse_twin()?;
        if !self.answers(&["get", "node", &self.node]) {
            self.start_control_plane()?;
            eprintln!("API server ready after {:.1} s", start.elapsed().as_secs_f64());
            self.start(&self.node().containerd())?;
            image_builder::pause()?;
            self.load(vec![images().join("pause.tar")])?;
            for line in self.node().rest() {
                self.start(&line)?;
            }
            wait_for("the node", Duration::from_secs(60), || {
                Ok(self.kubectl(&["get", "node", &self.node, "-o", "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}"])? == "True")
            })?;
            eprintln!("node ready after {:.1} s", start.elapsed().as_secs_f64());
        }
        if with_addons {
            addons::install(self, &self.network)?;
            eprintln!("addons ready after {:.1} s", start.elapsed().as_secs_f64());
        }
        self.tell();
        Ok(())
    }

    /// Starts etcd and the API server alone. Whatever answers already is left as it is.
    pub fn up_control_plane(&self) -> anyhow::Result<()> {
        self.refuse_twin()?;
        if !self.answers(&["get", "--raw", "/readyz"]) {
            self.start_control_plane()?;
        }
        self.tell();
        Ok(())
    }

    /// Clears what is left of an earlier start, and starts what everything else rests on.
    fn start_control_plane(&self) -> anyhow::Result<()> {
        self.down()?;
        std::fs::create_dir_all(self.folder.join("logs"))?;
        self.network.up()?;
        self.cgroups.make()?;
        self.pki.make(&self.network, &self.node)?;
        let node = self.node();
        node.configure()?;
        self.start(&node.etcd())?;
        self.start(&node.api_server())?;
        wait_for("the API server", Duration::from_secs(60), || self.kubectl(&["get", "--raw", "/readyz"]).map(|answer| answer == "ok"))
    }

    fn tell(&self) {
        eprintln!("export KUBECONFIG={}", self.kubeconfig().display());
    }

    /// Whether every component that was started lives, and the API server can answer this.
    fn answers(&self, question: &[&str]) -> bool {
        let started = self.remembered();
        let lives = |id: &i32| lives(*id);
        !started.is_empty() && started.iter().all(lives) && self.kubeconfig().is_file() && self.kubectl(&[&["--request-timeout=3s"], question].concat()).is_ok()
    }

    /// Runs kubectl as the administrator.
    pub fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let kubeconfig = format!("--kubeconfig={}", text(&self.kubeconfig()));
        run(&text(&program("kubernetes", KUBERNETES)), &[&["kubectl", kubeconfig.as_str()], arguments].concat())
    }

    /// The cluster's folder.
    pub fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    fn start(&self, line: &CommandLine) -> anyhow::Result<()> {
        let (name, program, arguments) = line;
        let log = File::create(self.folder.join(format!("logs/{name}.log")))?;
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.network.file())).arg("setsid").arg(program).args(arguments);
        // containerd looks for its shim's helpers and CNI for iptables on the path; everything else is told by arguments.
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        write(&self.folder.join(format!("pids/{name}")), child.id().to_string())
    }

    /// Loads image archives; each also gets a name with its digest, because that is how pods ask for it.
    pub fn load(&self, archives: Vec<PathBuf>) -> anyhow::Result<()> {
        let archives = if archives.is_empty() { image_builder::archives()? } else { archives };
        let (ctr, socket) = (text(&program("ctr", CONTAINERD)), text(&self.node().socket()));
        wait_for("containerd", Duration::from_secs(30), || Ok(run(&ctr, &["--address", &socket, "version"]).is_ok()))?;
        let ctr = |arguments: &[&str]| run(&ctr, &[&["--address", socket.as_str(), "--namespace", "k8s.io", "images"], arguments].concat());
        for archive in archives {
            let digest = std::fs::read_to_string(archive.with_extension("digest")).with_context(|| format!("{} has no digest beside it", archive.display()))?;
            let name = archive.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            let by_digest = format!("plimsoll.local/{name}@{}", digest.trim());
            if ctr(&["list", "--quiet", &format!("name=={by_digest}")])?.trim().is_empty() {
                ctr(&["import", "--local", &text(&archive)])?;
                ctr(&["tag", "--force", &format!("plimsoll.local/{name}:dev"), &by_digest])?;
            }
        }
        Ok(())
    }

    /// Ends every process of the cluster, unmounts what lies under its folder, and removes it.
    pub fn down(&self) -> anyhow::Result<()> {
        self.end_processes()?;
        let mut mounts = self.mounts()?;
        mounts.reverse();
        for mount in mounts {
            try_run("umount", &["--lazy", &mount]);
        }
        for namespace in self.pod_namespaces() {
            try_run("ip", &["netns", "del", &namespace]);
        }
        if self.twin().is_none() {
            self.network.down();
        }
        self.cgroups.remove()?;
        if self.folder.exists() {
            std::fs::remove_dir_all(&self.folder).with_context(|| format!("cannot remove {}", self.folder.display()))?;
        }
        Ok(())
    }

    /// The ids of the components that were started.
    fn remembered(&self) -> Vec<i32> {
        let files = std::fs::read_dir(self.folder.join("pids")).into_iter().flatten().flatten();
        files.filter_map(|file| std::fs::read_to_string(file.path()).ok()?.trim().parse().ok()).collect()
    }

    /// Processes whose command line names the cluster's folder, and those in its pods, whose root is mounted from there: they are ours,
    /// whoever started them. A pod's process outlives its shim and everything else, so it has to be found by itself.
    fn processes(&self) -> anyhow::Result<Processes> {
        let (folder, own) = (text(&self.folder), i32::try_from(std::process::id())?);
        let remembered = self.remembered();
        let mut found = Processes::default();
        for entry in std::fs::read_dir("/proc")?.flatten() {
            let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()).filter(|id| *id != own) else { continue };
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line);
            let is_component = remembered.contains(&id) && line.contains("plimsoll");
            let mounts = std::fs::read_to_string(entry.path().join("mountinfo")).unwrap_or_default();
            let in_pod = mounts.lines().any(|line| line.split(' ').nth(4) == Some("/") && line.contains(&format!("{folder}/")));
            if in_pod {
                found.in_pods.push(id);
            } else if is_component || (line.contains(&format!("{folder}/")) && !line.contains("local-cluster")) {
                found.others.push(id);
            }
        }
        Ok(found)
    }

    fn end_processes(&self) -> anyhow::Result<()> {
        let start = Instant::now();
        let kill = |id: &str| try_run("kill", &["-KILL", id]);
        // The kubelet would start pods again; their shims live a little longer, because they collect what has ended.
        if let Ok(kubelet) = std::fs::read_to_string(self.folder.join("pids/kubelet"))
            && self.processes()?.others.iter().any(|id| id.to_string() == kubelet)
        {
            kill(&kubelet);
        }
        loop {
            let Processes { in_pods, others } = self.processes()?;
            let processes = if in_pods.is_empty() { others } else { in_pods };
            if processes.is_empty() {
                return Ok(());
            }
            if start.elapsed() > END_WITHIN {
                bail!("processes {processes:?} do not end");
            }
            for id in processes {
                kill(&id.to_string());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn mounts(&self) -> anyhow::Result<Vec<String>> {
        let folder = text(&self.folder);
        let mounts = std::fs::read_to_string("/proc/self/mounts")?;
        Ok(mounts.lines().filter_map(|line| line.split(' ').nth(1)).filter(|mount| mount.starts_with(&format!("{folder}/"))).map(str::to_owned).collect())
    }

    /// Another cluster of this machine with the same addresses: names are many, numbers are few.
    fn twin(&self) -> Option<String> {
        let others = std::fs::read_dir(cache().join("clusters")).into_iter().flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok());
        others.filter(|name| *name != self.name()).find(|name| Network::new(name).number == self.network.number)
    }

    fn refuse_twin(&self) -> anyhow::Result<()> {
        match self.twin() {
            Some(twin) => bail!("the cluster {twin:?} has the addresses that {:?} would get: take it down, or choose another name", self.name()),
            None => Ok(()),
        }
    }

    fn name(&self) -> String {
        self.folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// The network namespaces of this cluster's pods, as the CNI plugin named them.
    fn pod_namespaces(&self) -> Vec<String> {
        if self.twin().is_some() {
            return Vec::new();
        }
        let addresses = format!("10.101.{}.", self.network.number);
        let names = run("ip", &["netns", "list"]).unwrap_or_default();
        let ours = |name: &&str| name.starts_with("cni-") && run("ip", &["-n", name, "-o", "addr"]).is_ok_and(|shown| shown.contains(&addresses));
        names.lines().filter_map(|line| line.split_whitespace().next()).filter(ours).map(str::to_owned).collect()
    }

    /// Fails when anything is left.
    pub fn check_clean(&self) -> anyhow::Result<()> {
        let mut left = if self.twin().is_none() { self.network.remains() } else { Vec::new() };
        left.extend(self.cgroups.remains());
        let Processes { in_pods, others } = self.processes()?;
        left.extend(in_pods.into_iter().chain(others).map(|id| format!("process {id}")));
        left.extend(self.mounts()?.into_iter().map(|mount| format!("mount {mount}")));
        left.extend(self.pod_namespaces().into_iter().map(|name| format!("network namespace {name}")));
        left.extend(self.folder.exists().then(|| format!("folder {}", self.folder.display())));
        if left.is_empty() {
            println!("nothing is left");
            return Ok(());
        }
        bail!("left behind: {}", left.join(", "))
    }
}

/// Whether a process runs. One that has ended and that nobody has collected is still listed.
fn lives(id: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    // The state follows the program's name, which is in parentheses and may hold anything.
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}
