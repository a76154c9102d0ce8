//! A cluster's life: up, load, down, and the proof that nothing is left.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::components::{CommandLine, Node};
use crate::network::Network;
use crate::paths::{CONTAINERD, KUBERNETES, cache, images, program};
use crate::pki::Pki;
use crate::shell::{run, text, try_run, wait_for, write};
use crate::{addons, images as image_builder};

/// How long a process may take to end when it is asked to.
const END_WITHIN: Duration = Duration::from_secs(10);

/// A cluster on this machine.
pub struct Cluster {
    folder: PathBuf,
    network: Network,
    pki: Pki,
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
        Ok(Self { pki: Pki::new(folder.join("pki"), &network), folder, network, node: format!("{name}-node") })
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
        Node { folder: &self.folder, network: &self.network, pki: &self.pki, name: &self.node }
    }

    /// Starts the cluster. One that answers is left as it is; the wreck of another is cleared first.
    pub fn up(&self, with_addons: bool) -> anyhow::Result<()> {
        let start = Instant::now();
        if !self.answers() {
            self.down()?;
            std::fs::create_dir_all(self.folder.join("logs"))?;
            self.network.up()?;
            self.pki.make(&self.network, &self.node)?;
            let node = self.node();
            node.configure()?;
            for line in node.first() {
                self.start(&line)?;
            }
            self.start(&node.api_server())?;
            wait_for("the API server", Duration::from_secs(60), || self.kubectl(&["get", "--raw", "/readyz"]).map(|answer| answer == "ok"))?;
            eprintln!("API server ready after {:.1} s", start.elapsed().as_secs_f64());
            image_builder::pause()?;
            self.load(vec![images().join("pause.tar")])?;
            for line in node.rest() {
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
        eprintln!("export KUBECONFIG={}", self.kubeconfig().display());
        Ok(())
    }

    /// Whether every component that was started lives, and the API server knows the node.
    fn answers(&self) -> bool {
        let started = self.remembered();
        let lives = |id: &i32| std::path::Path::new(&format!("/proc/{id}")).exists();
        !started.is_empty() && started.iter().all(lives) && self.kubeconfig().is_file() && self.kubectl(&["--request-timeout=3s", "get", "node", &self.node]).is_ok()
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
        self.network.down();
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

    /// Processes whose command line names the cluster's folder, and those inside its pods: whoever started them, they are ours.
    fn processes(&self) -> anyhow::Result<Vec<i32>> {
        let (folder, own) = (text(&self.folder), i32::try_from(std::process::id())?);
        let remembered = self.remembered();
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc")?.flatten() {
            let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()).filter(|id| *id != own) else { continue };
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line);
            let is_component = remembered.contains(&id) && line.contains("plimsoll");
            let in_pod = std::fs::read_link(entry.path().join("root")).is_ok_and(|root| root.starts_with(&self.folder));
            if is_component || in_pod || (line.contains(&format!("{folder}/")) && !line.contains("local-cluster")) {
                found.push(id);
            }
        }
        Ok(found)
    }

    fn end_processes(&self) -> anyhow::Result<()> {
        let start = Instant::now();
        loop {
            let processes = self.processes()?;
            if processes.is_empty() {
                return Ok(());
            }
            if start.elapsed() > END_WITHIN {
                bail!("processes {processes:?} do not end");
            }
            for id in processes {
                try_run("kill", &["-KILL", &id.to_string()]);
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn mounts(&self) -> anyhow::Result<Vec<String>> {
        let folder = text(&self.folder);
        let mounts = std::fs::read_to_string("/proc/self/mounts")?;
        Ok(mounts.lines().filter_map(|line| line.split(' ').nth(1)).filter(|mount| mount.starts_with(&format!("{folder}/"))).map(str::to_owned).collect())
    }

    /// The network namespaces of this cluster's pods, as the CNI plugin named them.
    fn pod_namespaces(&self) -> Vec<String> {
        let addresses = format!("10.101.{}.", self.network.number);
        let names = run("ip", &["netns", "list"]).unwrap_or_default();
        let ours = |name: &&str| name.starts_with("cni-") && run("ip", &["-n", name, "-o", "addr"]).is_ok_and(|shown| shown.contains(&addresses));
        names.lines().filter_map(|line| line.split_whitespace().next()).filter(ours).map(str::to_owned).collect()
    }

    /// Fails when anything is left.
    pub fn check_clean(&self) -> anyhow::Result<()> {
        let mut left = self.network.remains();
        left.extend(self.processes()?.into_iter().map(|id| format!("process {id}")));
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
