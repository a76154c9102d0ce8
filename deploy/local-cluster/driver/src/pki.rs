//! The cluster's certificate authority, and who is who.

use std::path::{Path, PathBuf};

use anyhow::Context;
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
use serde_json::json;

use crate::network::Network;
use crate::shell::write;

/// Keys and certificates of a cluster, in a folder.
pub struct Pki {
    folder: PathBuf,
    server: String,
}

impl Pki {
    /// In this folder, for the API server of this network.
    pub fn new(folder: PathBuf, network: &Network) -> Self {
        Self { folder, server: format!("https://{}:6443", network.node()) }
    }

    /// A file.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Makes the authority, the servers' certificates and the components' kubeconfigs.
    pub fn make(&self, network: &Network, node: &str) -> anyhow::Result<()> {
        let key = KeyPair::generate()?;
        write(&self.file("ca.crt"), authority().self_signed(&key)?.pem())?;
        write(&self.file("ca.key"), key.serialize_pem())?;
        let tokens = KeyPair::generate()?;
        write(&self.file("service-account.key"), tokens.serialize_pem())?;
        write(&self.file("service-account.pub"), tokens.public_key_pem())?;
        let names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost", node];
        let addresses = [network.node(), network.api_service(), "127.0.0.1".to_owned()];
        self.issue("apiserver", name("kube-apiserver", None), &names, &addresses)?;
        self.issue("kubelet", name(&format!("system:node:{node}"), Some("system:nodes")), &[node], &[network.node()])?;
        let components = [
            ("admin", "admin", Some("system:masters")),
            ("controller-manager", "system:kube-controller-manager", None),
            ("scheduler", "system:kube-scheduler", None),
            ("proxy", "system:kube-proxy", None),
        ];
        for (file, user, group) in components {
            self.issue(file, name(user, group), &[], &[])?;
            self.kubeconfig(file)?;
        }
        self.kubeconfig("kubelet")
    }

    /// Makes a kubeconfig for a person.
    pub fn user(&self, user: &str) -> anyhow::Result<PathBuf> {
        let file = format!("user-{}", user.replace(['/', ':', '@'], "-"));
        self.issue(&file, name(user, None), &[], &[])?;
        self.kubeconfig(&file)?;
        Ok(self.file(&format!("{file}.kubeconfig")))
    }

    fn issue(&self, file: &str, subject: DistinguishedName, names: &[&str], addresses: &[String]) -> anyhow::Result<()> {
        let issuer = Issuer::new(authority(), KeyPair::from_pem(&self.read("ca.key")?)?);
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = subject;
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        for name in names {
            parameters.subject_alt_names.push(SanType::DnsName((*name).try_into()?));
        }
        for address in addresses {
            parameters.subject_alt_names.push(SanType::IpAddress(address.parse()?));
        }
        let key = KeyPair::generate()?;
        let certificate = parameters.signed_by(&key, &issuer)?;
        write(&self.file(&format!("{file}.crt")), certificate.pem())?;
        write(&self.file(&format!("{file}.key")), key.serialize_pem())
    }

    fn kubeconfig(&self, file: &str) -> anyhow::Result<()> {
        let absolute = |name: String| self.file(&name);
        let content = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "local",
            "clusters": [{"name": "local", "cluster": {"server": self.server, "certificate-authority": absolute("ca.crt".to_owned())}}],
            "users": [{"name": "me", "user": {"client-certificate": absolute(format!("{file}.crt")), "client-key": absolute(format!("{file}.key"))}}],
            "contexts": [{"name": "local", "context": {"cluster": "local", "user": "me"}}],
        });
        write(&self.file(&format!("{file}.kubeconfig")), content.to_string())
    }

    fn read(&self, name: &str) -> anyhow::Result<String> {
        let path: &Path = &self.file(name);
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}: is the cluster up?", path.display()))
    }
}

/// The authority, less its key.
fn authority() -> CertificateParams {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    authority.distinguished_name = name("plimsoll-local-cluster", None);
    authority
}

fn name(common: &str, organization: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    if let Some(organization) = organization {
        name.push(DnType::OrganizationName, organization);
    }
    name
}
