//! The cluster's network namespace: the host's firewall, ports and routes stay as they are, except for three routes into it.

use crate::shell::{run, try_run};

/// Names and addresses of a cluster's network. Clusters with different numbers do not meet.
#[derive(Clone, Debug)]
pub struct Network {
    /// The network namespace.
    pub namespace: String,
    /// The host's end of the cable.
    pub host_link: String,
    /// The cluster's number, in every address.
    pub number: u8,
}

impl Network {
    /// The network of a cluster.
    pub fn new(name: &str) -> Self {
        let number = match name {
            "demo" => 1,
            "test" => 2,
            // 3 to 250, from the name.
            other => other.bytes().fold(7_u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte)) % 248 + 3,
        };
        Self { namespace: format!("plimsoll-{name}"), host_link: format!("plimsoll{number}"), number }
    }

    /// The node.
    pub fn node(&self) -> String {
        format!("10.100.{}.2", self.number)
    }

    /// The host, as the node sees it.
    pub fn host(&self) -> String {
        format!("10.100.{}.1", self.number)
    }

    /// Addresses of pods.
    pub fn pods(&self) -> String {
        format!("10.101.{}.0/24", self.number)
    }

    /// Addresses of Services.
    pub fn services(&self) -> String {
        format!("10.102.{}.0/24", self.number)
    }

    /// The first Service: the API server.
    pub fn api_service(&self) -> String {
        format!("10.102.{}.1", self.number)
    }

    /// CoreDNS.
    pub fn dns(&self) -> String {
        format!("10.102.{}.10", self.number)
    }

    /// The namespace's file.
    pub fn file(&self) -> String {
        format!("/run/netns/{}", self.namespace)
    }

    /// Makes the namespace, the cable and the routes.
    pub fn up(&self) -> anyhow::Result<()> {
        let (link, inner) = (self.host_link.as_str(), "node0");
        run("ip", &["netns", "add", &self.namespace])?;
        run("ip", &["link", "add", link, "type", "veth", "peer", "name", inner, "netns", &self.namespace])?;
        run("ip", &["addr", "add", &format!("{}/24", self.host()), "dev", link])?;
        run("ip", &["link", "set", link, "up"])?;
        for command in [
            vec!["addr", "add", &format!("{}/24", self.node()), "dev", inner],
            vec!["link", "set", inner, "up"],
            vec!["link", "set", "lo", "up"],
            vec!["route", "add", "default", "via", &self.host()],
        ] {
            run("ip", &[vec!["-n", &self.namespace], command].concat())?;
        }
        run("nsenter", &[&format!("--net={}", self.file()), "sysctl", "-qw", "net.ipv4.ip_forward=1"])?;
        for subnet in [self.pods(), self.services()] {
            run("ip", &["route", "replace", &subnet, "via", &self.node()])?;
        }
        Ok(())
    }

    /// Removes all of it; what hangs on the namespace goes with it.
    pub fn down(&self) {
        try_run("ip", &["link", "del", &self.host_link]);
        try_run("ip", &["netns", "del", &self.namespace]);
    }

    /// What is left of it.
    pub fn remains(&self) -> Vec<String> {
        let listed = |arguments: &[&str]| run("ip", arguments).unwrap_or_default();
        let namespace = listed(&["netns", "list"])
            .lines()
            .any(|line| line.split_whitespace().next() == Some(&self.namespace))
            .then(|| format!("network namespace {}", self.namespace));
        let link = listed(&["-o", "link"]).contains(&format!(" {}@", self.host_link)).then(|| format!("link {}", self.host_link));
        let route = listed(&["route"]).contains(&self.node()).then(|| format!("a route via {}", self.node()));
        [namespace, link, route].into_iter().flatten().collect()
    }
}
