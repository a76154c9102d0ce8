//! Writes `crds/generated/*.yaml`, one file a kind. A test fails when the files differ from what this writes.

use std::path::Path;

fn main() -> anyhow::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("generated");
    std::fs::create_dir_all(&folder)?;
    for crd in plimsoll_crds::all() {
        std::fs::write(folder.join(format!("{}.yaml", crd.spec.names.plural)), serde_yaml::to_string(&crd)?)?;
    }
    Ok(())
}
