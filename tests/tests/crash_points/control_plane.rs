//! A real API server and etcd with nobody else, for the time of the test.

use std::process::Command;

use anyhow::ensure;
use kube::Client;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use plimsoll_tests::stage::Stage;

/// The cluster's name: no journey uses it.
const NAME: &str = "crash";

/// The control plane. It goes with this value, whatever happens.
pub struct ControlPlane {
    /// Its files and its administrator.
    pub stage: Stage,
    gone: bool,
}

impl ControlPlane {
    /// Starts it, and teaches it our kinds.
    pub fn start() -> anyhow::Result<Self> {
        let plane = Self { stage: Stage::new(NAME)?, gone: false };
        plane.driver(&["down", NAME])?;
        plane.driver(&["up", NAME, "--control-plane"])?;
        let definitions = plane.stage.tree("crds/generated").display().to_string();
        plane.stage.admin.kubectl(&["apply", "--server-side", "-f", &definitions])?;
        plane.stage.admin.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "customresourcedefinitions", "--all"])?;
        Ok(plane)
    }

    /// A client with the administrator's rights.
    pub async fn client(&self) -> anyhow::Result<Client> {
        let kubeconfig = Kubeconfig::read_from(self.stage.admin.kubeconfig())?;
        Ok(Client::try_from(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)?)
    }

    /// Stops it, and fails when anything of it is left.
    pub fn stop(mut self) -> anyhow::Result<()> {
        self.gone = true;
        self.driver(&["down", NAME])?;
        self.driver(&["check-clean", NAME])
    }

    fn driver(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let output = Command::new(self.stage.program("local-cluster")).args(arguments).output()?;
        ensure!(output.status.success(), "local-cluster {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
        Ok(())
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        if let Err(error) = if self.gone { Ok(()) } else { self.driver(&["down", NAME]) } {
            eprintln!("{error:#}");
        }
    }
}
