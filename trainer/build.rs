//! Lets the program find libtorch and DuckDB where they were when it was built; in an image they lie in the system's folders.

fn main() {
    for (variable, folder) in [("LIBTORCH", "/lib"), ("DUCKDB_LIB_DIR", "")] {
        println!("cargo::rerun-if-env-changed={variable}");
        if let Ok(path) = std::env::var(variable) {
            println!("cargo::rustc-link-arg=-Wl,-rpath,{path}{folder},--disable-new-dtags");
        }
    }
}
