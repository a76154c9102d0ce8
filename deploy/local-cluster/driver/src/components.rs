//! The components of a node: their configuration files and command lines.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::cgroups::Cgroups;
use crate::network::Network;
use crate::paths::{CONTAINERD, KUBERNETES, RUNC, program};
use crate::pki::Pki;
use crate::shell::{text, write};

/// The image of every pod's sandbox; `images` makes it.
pub const PAUSE: &str = "plimsoll.local/pause:dev";

/// Everything that a component is told.
pub struct Node<'a> {
    /// The cluster's folder.
    pub folder: &'a Path,
    /// Its network.
    pub network: &'a Network,
    /// Its certificates.
    pub pki: &'a Pki,
    /// Its cgroups.
    pub cgroups: &'a Cgroups,
    /// The node's name.
    pub name: &'a str,
}

/// A program with its arguments.
pub type CommandLine = (&'static str, PathBuf, Vec<String>);

impl Node<'_> {
    /// containerd's socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("containerd.sock")
    }

    /// Writes every configuration file.
    pub fn configure(&self) -> anyhow::Result<()> {
        let folder = self.folder;
        write(&folder.join("containerd.toml"), self.containerd_configuration())?;
        let cni = json!({"cniVersion": "1.0.0", "name": "pods", "plugins": [
            {"type": "ptp", "ipam": {"type": "host-local", "dataDir": folder.join("cni/addresses"), "ranges": [[{"subnet": self.network.pods()}]], "routes": [{"dst": "0.0.0.0/0"}]}},
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ]});
        write(&folder.join("cni/net.d/10-pods.conflist"), cni.to_string())?;
        let audit = json!({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": [
            {"level": "None", "verbs": ["get", "list", "watch"]},
            {"level": "None", "resources": [{"group": "coordination.k8s.io"}]},
            {"level": "Metadata"},
        ]});
        write(&folder.join("audit-policy.json"), audit.to_string())?;
        write(&folder.join("kubelet.json"), self.kubelet_configuration().to_string())?;
        let proxy = json!({"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration", "mode": "iptables",
            "clientConnection": {"kubeconfig": self.pki.file("proxy.kubeconfig")}, "hostnameOverride": self.name,
            "clusterCIDR": self.network.pods(), "conntrack": {"maxPerCore": 0}});
        write(&folder.join("proxy.json"), proxy.to_string())?;
        write(&folder.join("resolv.conf"), "")
    }

    fn containerd_configuration(&self) -> String {
        let (folder, socket) = (text(self.folder), text(&self.socket()));
        let (shim, runc) = (text(&program("containerd-shim-runc-v2", CONTAINERD)), text(&program("runc", RUNC)));
        // Without restrict_oom_score_adj runc dies where CAP_SYS_RESOURCE is missing.
        format!(
            "version = 3\nroot = '{folder}/containerd'\nstate = '{folder}/run'\n[grpc]\naddress = '{socket}'\n[ttrpc]\naddress = '{socket}.ttrpc'\n\
             [plugins.'io.containerd.cri.v1.runtime']\nrestrict_oom_score_adj = true\n\
             [plugins.'io.containerd.cri.v1.runtime'.cni]\nbin_dirs = ['/usr/lib/cni']\nconf_dir = '{folder}/cni/net.d'\n\
             [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]\nruntime_type = 'io.containerd.runc.v2'\nruntime_path = '{shim}'\n\
             [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]\nBinaryName = '{runc}'\nSystemdCgroup = false\n\
             [plugins.'io.containerd.cri.v1.images'.pinned_images]\nsandbox = '{PAUSE}'\n"
        )
    }

    fn kubelet_configuration(&self) -> serde_json::Value {
        json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
            "authentication": {"anonymous": {"enabled": false}, "webhook": {"enabled": true}, "x509": {"clientCAFile": self.pki.file("ca.crt")}},
            "authorization": {"mode": "Webhook"},
            "cgroupDriver": "cgroupfs", "failCgroupV1": false, "cgroupRoot": self.cgroups.root(), "cgroupsPerQOS": true, "enforceNodeAllocatable": [],
            "clusterDNS": [self.network.dns()], "clusterDomain": "cluster.local", "resolvConf": self.folder.join("resolv.conf"),
            "containerRuntimeEndpoint": format!("unix://{}", text(&self.socket())),
            "failSwapOn": false, "localStorageCapacityIsolation": true, "imageGCHighThresholdPercent": 100, "imageGCLowThresholdPercent": 99,
            "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "podLogsDir": self.folder.join("pod-logs"), "serializeImagePulls": false, "maxPods": 110, "registerNode": true,
            "tlsCertFile": self.pki.file("kubelet.crt"), "tlsPrivateKeyFile": self.pki.file("kubelet.key"),
            "volumePluginDir": self.folder.join("volume-plugins"), "shutdownGracePeriod": "0s", "syncFrequency": "10s",
        })
    }

    /// etcd, which needs nobody.
    pub fn etcd(&self) -> CommandLine {
        let data = text(&self.folder.join("etcd"));
        let listen = "http://127.0.0.1:2379".to_owned();
        let etcd = vec![
            "--data-dir".to_owned(),
            data,
            "--listen-client-urls".to_owned(),
            listen.clone(),
            "--advertise-client-urls".to_owned(),
            listen,
            "--listen-peer-urls".to_owned(),
            "http://127.0.0.1:2380".to_owned(),
        ];
        ("etcd", PathBuf::from("/usr/bin/etcd"), etcd)
    }

    /// containerd, which needs nobody either.
    pub fn containerd(&self) -> CommandLine {
        let arguments = vec!["--config".to_owned(), text(&self.folder.join("containerd.toml"))];
        ("containerd", program("containerd", CONTAINERD), arguments)
    }

    /// The API server.
    pub fn api_server(&self) -> CommandLine {
        let pki = |name: &str| text(&self.pki.file(name));
        let arguments = vec![
            "kube-apiserver".to_owned(),
            "--etcd-servers=http://127.0.0.1:2379".to_owned(),
            format!("--advertise-address={}", self.network.node()),
            format!("--service-cluster-ip-range={}", self.network.services()),
            "--authorization-mode=Node,RBAC".to_owned(),
            "--enable-admission-plugins=NodeRestriction".to_owned(),
            format!("--client-ca-file={}", pki("ca.crt")),
            format!("--tls-cert-file={}", pki("apiserver.crt")),
            format!("--tls-private-key-file={}", pki("apiserver.key")),
            format!("--kubelet-client-certificate={}", pki("admin.crt")),
            format!("--kubelet-client-key={}", pki("admin.key")),
            format!("--kubelet-certificate-authority={}", pki("ca.crt")),
            "--kubelet-preferred-address-types=InternalIP".to_owned(),
            format!("--service-account-key-file={}", pki("service-account.pub")),
            format!("--service-account-signing-key-file={}", pki("service-account.key")),
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
            format!("--audit-policy-file={}", text(&self.folder.join("audit-policy.json"))),
            format!("--audit-log-path={}", text(&self.folder.join("audit.log"))),
            "--audit-log-maxsize=1000".to_owned(),
        ];
        ("kube-apiserver", program("kubernetes", KUBERNETES), arguments)
    }

    /// What talks to the API server.
    pub fn rest(&self) -> Vec<CommandLine> {
        let pki = |name: &str| text(&self.pki.file(name));
        let program = program("kubernetes", KUBERNETES);
        let controller_manager = vec![
            "kube-controller-manager".to_owned(),
            format!("--kubeconfig={}", pki("controller-manager.kubeconfig")),
            format!("--root-ca-file={}", pki("ca.crt")),
            format!("--service-account-private-key-file={}", pki("service-account.key")),
            "--use-service-account-credentials=true".to_owned(),
            "--leader-elect=false".to_owned(),
        ];
        let scheduler = vec!["kube-scheduler".to_owned(), format!("--kubeconfig={}", pki("scheduler.kubeconfig")), "--leader-elect=false".to_owned()];
        let kubelet = vec![
            "kubelet".to_owned(),
            format!("--config={}", text(&self.folder.join("kubelet.json"))),
            format!("--kubeconfig={}", pki("kubelet.kubeconfig")),
            format!("--root-dir={}", text(&self.folder.join("kubelet"))),
            format!("--hostname-override={}", self.name),
            format!("--node-ip={}", self.network.node()),
        ];
        let proxy = vec!["kube-proxy".to_owned(), format!("--config={}", text(&self.folder.join("proxy.json")))];
        vec![
            ("kube-controller-manager", program.clone(), controller_manager),
            ("kube-scheduler", program.clone(), scheduler),
            ("kubelet", program.clone(), kubelet),
            ("kube-proxy", program, proxy),
        ]
    }
}
