//! Weights as safetensors: the same weights are the same bytes.

use std::collections::{BTreeMap, BTreeSet};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use tch::{Device, Kind, Tensor};

use crate::{Error, Network};

impl Network {
    /// The weights as a safetensors file, sorted by name.
    ///
    /// # Errors
    /// libtorch fails.
    pub fn weights(&self) -> Result<Vec<u8>, Error> {
        let variables: BTreeMap<String, Tensor> = self.store().variables().into_iter().collect();
        let mut parts = Vec::with_capacity(variables.len());
        for (name, tensor) in variables {
            let numbers = Vec::<f32>::try_from(tensor.detach().to_device(Device::Cpu).to_kind(Kind::Float).flatten(0, -1))?;
            let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
            let shape: Vec<usize> = tensor.size().iter().filter_map(|side| usize::try_from(*side).ok()).collect();
            parts.push((name, shape, bytes));
        }
        let views = parts
            .iter()
            .map(|(name, shape, bytes)| Ok((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
        Ok(safetensors::serialize(views, None)?)
    }

    /// Takes weights; they must be those of this very network.
    ///
    /// # Errors
    /// A tensor is missing, left over, of another shape or type.
    pub fn set_weights(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let file = SafeTensors::deserialize(bytes)?;
        let mut variables: BTreeMap<String, Tensor> = self.store_mut().variables().into_iter().collect();
        // Sorted, so that the same mismatch is told every time.
        let names: BTreeSet<&str> = file.names().into_iter().collect();
        for name in names {
            let mut variable = variables.remove(name).ok_or_else(|| Error::Mismatch(format!("there is no tensor {name:?} in the network")))?;
            let view = file.tensor(name)?;
            let shape: Vec<i64> = view.shape().iter().filter_map(|side| i64::try_from(*side).ok()).collect();
            if view.dtype() != Dtype::F32 || shape != variable.size() {
                return Err(Error::Mismatch(format!("tensor {name:?} is {:?} {shape:?}, but should be F32 {:?}", view.dtype(), variable.size())));
            }
            let numbers: Vec<f32> = view.data().chunks_exact(4).filter_map(|bytes| bytes.try_into().ok().map(f32::from_le_bytes)).collect();
            tch::no_grad(|| variable.f_copy_(&Tensor::from_slice(&numbers).view(shape.as_slice())))?;
        }
        match variables.keys().next() {
            Some(name) => Err(Error::Mismatch(format!("tensor {name:?} is missing"))),
            None => Ok(()),
        }
    }
}
