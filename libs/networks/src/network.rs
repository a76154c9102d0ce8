//! A network: encoded rows in, one logit a row out.

use plimsoll_artifact::Architecture;
use plimsoll_features::{Encoded, Layout, Slot};
use tch::nn::{self, Module, VarStore};
use tch::{Device, Kind, Tensor};

use crate::Error;

/// A network with its weights.
#[derive(Debug)]
pub struct Network {
    store: VarStore,
    layout: Layout,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Dummy { bias: Tensor },
    Layers { embeddings: Vec<nn::Embedding>, layers: Vec<nn::Linear>, dropout: f64 },
}

impl Network {
    /// A network with random weights, the same for the same seed.
    ///
    /// # Errors
    /// A size does not fit libtorch's integers.
    pub fn new(architecture: &Architecture, layout: &Layout, device: Device, seed: i64) -> Result<Self, Error> {
        tch::manual_seed(seed);
        let store = VarStore::new(device);
        let root = store.root();
        let body = match architecture {
            Architecture::Dummy {} => Body::Dummy { bias: root.zeros("bias", &[1]) },
            // In a linear model a category has one weight: a vector of length 1.
            Architecture::Linear {} => layers(&root, layout, &[], Some(1))?,
            Architecture::Mlp { hidden, dropout } => match layers(&root, layout, hidden, None)? {
                Body::Layers { embeddings, layers, .. } => Body::Layers { embeddings, layers, dropout: *dropout },
                dummy @ Body::Dummy { .. } => dummy,
            },
        };
        Ok(Self { store, layout: layout.clone(), body })
    }

    /// The weights, for an optimizer.
    pub fn store(&self) -> &VarStore {
        &self.store
    }

    /// The weights, to be changed.
    pub(crate) fn store_mut(&mut self) -> &mut VarStore {
        &mut self.store
    }

    /// Makes a dummy answer this probability.
    pub fn set_base_rate(&mut self, rate: f64) {
        if let Body::Dummy { bias } = &mut self.body {
            tch::no_grad(|| drop(bias.fill_((rate / (1.0 - rate)).ln())));
        }
    }

    /// Whether there is anything to fit.
    pub fn is_dummy(&self) -> bool {
        matches!(self.body, Body::Dummy { .. })
    }

    /// Rows as a tensor on the network's device.
    ///
    /// # Errors
    /// The rows have another width than the network was made for.
    pub fn tensor(&self, rows: &Encoded) -> Result<Tensor, Error> {
        if rows.width != self.layout.width() {
            return Err(Error::Mismatch(format!("rows have {} numbers, the network takes {}", rows.width, self.layout.width())));
        }
        Ok(Tensor::from_slice(&rows.values).view([size(rows.rows)?, size(rows.width)?]).to_device(self.store.device()))
    }

    /// One logit for each row.
    pub fn logits(&self, rows: &Tensor, train: bool) -> Tensor {
        match &self.body {
            Body::Dummy { bias } => bias.expand([rows.size().first().copied().unwrap_or(0)], false),
            Body::Layers { embeddings, layers, dropout } => {
                let mut values = self.inputs(rows, embeddings);
                for (place, layer) in layers.iter().enumerate() {
                    if place > 0 {
                        values = values.relu().dropout(*dropout, train);
                    }
                    values = layer.forward(&values);
                }
                values.squeeze_dim(1)
            }
        }
    }

    /// Replaces indices by their vectors.
    fn inputs(&self, rows: &Tensor, embeddings: &[nn::Embedding]) -> Tensor {
        let mut parts = Vec::with_capacity(self.layout.slots.len());
        let (mut column, mut next) = (0, embeddings.iter());
        for slot in &self.layout.slots {
            let width = i64::try_from(slot.width()).unwrap_or(0);
            let part = rows.narrow(1, column, width);
            column += width;
            parts.push(match slot {
                Slot::Dense { .. } => part,
                Slot::Embedding { .. } => match next.next() {
                    Some(embedding) => embedding.forward(&part.squeeze_dim(1).to_kind(Kind::Int64)),
                    None => part,
                },
            });
        }
        Tensor::cat(&parts, 1)
    }
}

fn layers(root: &nn::Path<'_>, layout: &Layout, hidden: &[u32], fixed_dimension: Option<usize>) -> Result<Body, Error> {
    let (mut embeddings, mut width) = (Vec::new(), 0);
    for slot in &layout.slots {
        match slot {
            Slot::Dense { width: dense } => width += size(*dense)?,
            Slot::Embedding { cardinality, dimension } => {
                let dimension = size(fixed_dimension.unwrap_or(*dimension))?;
                let path = root / "embeddings" / embeddings.len();
                embeddings.push(nn::embedding(path, size(*cardinality)?, dimension, nn::EmbeddingConfig::default()));
                width += dimension;
            }
        }
    }
    let mut layers = Vec::new();
    for units in hidden.iter().map(|units| i64::from(*units)).chain([1]) {
        layers.push(nn::linear(root / "layers" / layers.len(), width, units, nn::LinearConfig::default()));
        width = units;
    }
    Ok(Body::Layers { embeddings, layers, dropout: 0.0 })
}

fn size(number: usize) -> Result<i64, Error> {
    i64::try_from(number).map_err(|_| Error::Mismatch(format!("{number} is too large")))
}
