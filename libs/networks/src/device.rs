//! The device that networks run on.
//!
//! libtorch finds CUDA in a library of its own, `libtorch_cuda.so`, which registers itself when it is loaded. Nothing here refers
//! to a symbol of it, so a linker would drop it, and linking it by force would ask every CPU image for NVIDIA's libraries.
//! So it is loaded by name where it is there. **Invariant:** that happens before libtorch is asked for CUDA the first time, because
//! libtorch remembers the answer: `Device::cuda_if_available` is called here and nowhere else.
//! This module must not know who asks, and what they do without CUDA.

use std::sync::OnceLock;

use dlopen2::raw::Library;
use tch::Device;

use crate::Error;

/// libtorch's CUDA half. The loader looks where the program's rpath and `LD_LIBRARY_PATH` point, then in the system's folders.
const LIBRARY: &str = "libtorch_cuda.so";

/// The library for as long as the program runs, or what the loader said.
static LOADED: OnceLock<Result<Library, String>> = OnceLock::new();

/// CUDA's first device.
///
/// # Errors
/// There is none. The error says whether the library is missing, cannot be loaded, or finds no device.
pub fn cuda() -> Result<Device, Error> {
    let loaded = LOADED.get_or_init(|| load(LIBRARY));
    match (Device::cuda_if_available(), loaded) {
        (Device::Cpu, Ok(_)) => Err(Error::NoCuda(format!("{LIBRARY} is loaded, and finds no device that its driver lets it use"))),
        (Device::Cpu, Err(why)) => Err(Error::NoCuda(why.clone())),
        (device, _) => Ok(device),
    }
}

/// CUDA's first device where there is one, else the CPU.
pub fn device() -> Device {
    cuda().unwrap_or(Device::Cpu)
}

/// All symbols at once: one that is missing is told now, not in the middle of a run. They are visible to all, because
/// libtorch's other CUDA libraries, which it loads itself when it needs them, refer to them.
fn load(name: &str) -> Result<Library, String> {
    Library::open_with_flags(name, Some(libc::RTLD_NOW | libc::RTLD_GLOBAL)).map_err(|error| match error {
        // Its text names the file that is missing, which may be another one.
        dlopen2::Error::OpeningLibraryError(why) => format!("{name} cannot be loaded: {why}"),
        other => format!("{name} cannot be loaded: {other}"),
    })
}

#[cfg(test)]
mod tests {
    use super::{cuda, device, load};
    use tch::Device;

    #[test]
    fn the_loader_is_quoted() {
        let why = load("libplimsoll_is_not_there.so").map(drop).unwrap_err();
        assert!(why.contains("libplimsoll_is_not_there.so: cannot open shared object file"), "{why}");
    }

    #[test]
    fn without_cuda_the_error_says_why_and_the_cpu_is_used() {
        match cuda() {
            Ok(found) => assert_eq!(device(), found),
            Err(error) => {
                assert!(error.to_string().contains("libtorch_cuda.so"), "{error}");
                assert_eq!(device(), Device::Cpu);
                // The answer does not change while the program runs.
                assert_eq!(cuda().unwrap_err().to_string(), error.to_string());
            }
        }
    }
}
