//! Networks against libtorch itself.

use plimsoll_artifact::Architecture;
use plimsoll_features::{Encoded, Layout, Slot};
use plimsoll_networks::Network;
use plimsoll_networks::tch::Device;

fn layout() -> Layout {
    Layout { slots: vec![Slot::Dense { width: 2 }, Slot::Embedding { cardinality: 4, dimension: 3 }, Slot::Dense { width: 1 }] }
}

fn rows() -> Encoded {
    Encoded { rows: 3, width: 4, values: vec![0.5, -1.0, 0.0, 1.0, 0.1, 0.2, 3.0, 0.0, 2.0, 2.0, 1.0, -1.0] }
}

fn architectures() -> [Architecture; 3] {
    [Architecture::Dummy {}, Architecture::Linear {}, Architecture::Mlp { hidden: vec![8, 4], dropout: 0.5 }]
}

#[test]
fn the_same_seed_gives_the_same_weights_and_weights_survive_their_file() {
    for architecture in architectures() {
        let network = Network::new(&architecture, &layout(), Device::Cpu, 7).unwrap();
        let weights = network.weights().unwrap();
        assert_eq!(weights, Network::new(&architecture, &layout(), Device::Cpu, 7).unwrap().weights().unwrap());
        let mut other = Network::new(&architecture, &layout(), Device::Cpu, 8).unwrap();
        other.set_weights(&weights).unwrap();
        assert_eq!(other.predict(&rows()).unwrap(), network.predict(&rows()).unwrap(), "{architecture:?}");
    }
}

#[test]
fn foreign_weights_are_refused() {
    let linear = Network::new(&Architecture::Linear {}, &layout(), Device::Cpu, 1).unwrap().weights().unwrap();
    let mut mlp = Network::new(&Architecture::Mlp { hidden: vec![8], dropout: 0.0 }, &layout(), Device::Cpu, 1).unwrap();
    assert!(mlp.set_weights(&linear).unwrap_err().to_string().contains("tensor"));
    assert!(mlp.set_weights(b"not a file").is_err());
}

#[test]
fn a_dummy_answers_its_base_rate() {
    let mut dummy = Network::new(&Architecture::Dummy {}, &layout(), Device::Cpu, 1).unwrap();
    dummy.set_base_rate(0.25);
    for logit in dummy.predict(&rows()).unwrap() {
        assert!((1.0 / (1.0 + (-logit).exp()) - 0.25).abs() < 1e-6);
    }
}

#[test]
fn rows_of_another_width_are_refused() {
    let network = Network::new(&Architecture::Linear {}, &layout(), Device::Cpu, 1).unwrap();
    assert!(network.predict(&Encoded { rows: 1, width: 2, values: vec![0.0, 0.0] }).is_err());
}
