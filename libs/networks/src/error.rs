//! What can go wrong with a network.

/// An error of a network.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// libtorch failed.
    #[error("libtorch: {0}")]
    Torch(#[from] tch::TchError),
    /// CUDA was asked for and is not there.
    #[error("{0}")]
    NoCuda(String),
    /// The weights are not a safetensors file.
    #[error("the weights are not a safetensors file: {0}")]
    Format(#[from] safetensors::SafeTensorError),
    /// The weights do not belong to this network.
    #[error("the weights do not fit the network: {0}")]
    Mismatch(String),
    /// The artifact cannot be read.
    #[error(transparent)]
    Artifact(#[from] plimsoll_artifact::Error),
    /// The columns do not fit the model.
    #[error(transparent)]
    Features(#[from] plimsoll_features::Error),
}
