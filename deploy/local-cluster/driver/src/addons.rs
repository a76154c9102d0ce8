//! CoreDNS, an S3 server, Prometheus and Alertmanager, as pods; and volumes.

use std::time::Duration;

use serde_json::json;

use crate::cluster::Cluster;
use crate::network::Network;
use crate::paths::images;
use crate::shell::{run, text, wait_for, write};

/// The manifests; `{DNS}` and `{STORAGE}` are replaced.
const MANIFESTS: &str = include_str!("../addons.yaml");
/// Pods that must be ready: namespace and label.
const PODS: [(&str, &str); 4] = [("kube-system", "app=coredns"), ("storage", "app=s3"), ("monitoring", "app=prometheus"), ("monitoring", "app=alertmanager")];

/// Volumes that pods may claim. Nobody makes new ones here, and one whose claim is gone is not used again.
const VOLUMES: usize = 48;
/// What each of them says it holds; it is a folder, and holds what the disk does.
const VOLUME_SIZE: &str = "20Gi";

/// Installs them and waits until they are ready.
pub fn install(cluster: &Cluster, network: &Network) -> anyhow::Result<()> {
    for name in ["coredns", "versitygw", "prometheus", "targets", "alertmanager"] {
        cluster.load(vec![images().join(format!("{name}.tar"))])?;
    }
    let data = cluster.folder().join("storage");
    for bucket in ["data", "models"] {
        std::fs::create_dir_all(data.join(bucket))?;
    }
    run("chown", &["-R", "65532:65532", &text(&data)])?;
    let manifests = MANIFESTS.replace("{DNS}", &network.dns()).replace("{STORAGE}", &text(&data)) + &volumes(cluster)?;
    let path = cluster.folder().join("addons.yaml");
    write(&path, manifests)?;
    wait_for("the addons' manifests", Duration::from_secs(60), || {
        cluster.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", &text(&path)]).map(|_| true)
    })?;
    for (namespace, label) in PODS {
        wait_for(&format!("{namespace} {label}"), Duration::from_secs(90), || {
            Ok(cluster
                .kubectl(&["-n", namespace, "get", "pod", "-l", label, "-o", "jsonpath={.items[*].status.conditions[?(@.type==\"Ready\")].status}"])?
                .contains("True"))
        })?;
    }
    Ok(())
}

/// Folders as volumes, which the kubelet gives to the group of the pod that mounts them.
fn volumes(cluster: &Cluster) -> anyhow::Result<String> {
    let mut manifests = String::new();
    for number in 0..VOLUMES {
        let folder = cluster.folder().join("volumes").join(number.to_string());
        std::fs::create_dir_all(&folder)?;
        let volume = json!({
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": format!("local-{number}")},
            "spec": {
                "capacity": {"storage": VOLUME_SIZE}, "accessModes": ["ReadWriteOnce"], "persistentVolumeReclaimPolicy": "Retain",
                "storageClassName": "local", "local": {"path": folder},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]}]}]}},
            },
        });
        manifests += &format!("---\n{volume}\n");
    }
    Ok(manifests)
}
