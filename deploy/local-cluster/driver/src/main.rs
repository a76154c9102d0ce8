//! `local-cluster`: a real one-node Kubernetes on this machine, from source, in a network namespace of its own.
//!
//! Everything that it makes lies under the cache folder, in the cluster's network namespace, or is a process whose id it wrote
//! down; `down` removes all of it, and `up` first removes what a crash left behind. It must not know Plimsoll's objects.

mod addons;
mod binaries;
mod cgroups;
mod cluster;
mod components;
mod images;
mod network;
mod paths;
mod pki;
mod shell;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use cluster::Cluster;

/// A real one-node Kubernetes on this machine.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Builds what a cluster consists of, once per machine and version.
    Build,
    /// Makes the images of Plimsoll and of the addons, and the values file with their digests. Prints the folder.
    Images {
        /// Only Plimsoll's own images, labelled as this release: the same programs under other digests.
        #[arg(long)]
        release: Option<String>,
    },
    /// Starts a cluster, or does nothing when it runs.
    Up {
        /// Its name.
        name: String,
        /// Also CoreDNS, an S3 server, Prometheus and Alertmanager.
        #[arg(long)]
        addons: bool,
        /// Only etcd and the API server: objects are kept and checked, and nobody acts on them.
        #[arg(long, conflicts_with = "addons")]
        control_plane: bool,
    },
    /// Stops a cluster and removes everything that belongs to it.
    Down {
        /// Its name.
        name: String,
    },
    /// Loads image archives into a cluster; all that were made when none is given.
    Load {
        /// Its name.
        name: String,
        /// The archives.
        archives: Vec<PathBuf>,
    },
    /// Prints the path of the administrator's kubeconfig.
    Kubeconfig {
        /// The cluster's name.
        name: String,
    },
    /// Makes a kubeconfig for a person, and prints its path.
    User {
        /// The cluster's name.
        name: String,
        /// The person, as the API server will know them.
        user: String,
    },
    /// Fails when anything of a cluster is left on this machine.
    CheckClean {
        /// Its name.
        name: String,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Build => binaries::build(),
        Command::Images { release } => {
            println!("{}", images::build(release.as_deref())?.display());
            Ok(())
        }
        Command::Up { name, control_plane: true, .. } => {
            binaries::kubernetes()?;
            Cluster::new(&name)?.up_control_plane()
        }
        Command::Up { name, addons, control_plane: false } => {
            binaries::build()?;
            Cluster::new(&name)?.up(addons)
        }
        Command::Down { name } => Cluster::new(&name)?.down(),
        Command::Load { name, archives } => Cluster::new(&name)?.load(archives),
        Command::Kubeconfig { name } => {
            println!("{}", Cluster::new(&name)?.kubeconfig().display());
            Ok(())
        }
        Command::User { name, user } => {
            println!("{}", Cluster::new(&name)?.user(&user)?.display());
            Ok(())
        }
        Command::CheckClean { name } => Cluster::new(&name)?.check_clean(),
    }
}
