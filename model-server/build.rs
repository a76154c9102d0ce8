//! Lets the program find libtorch where it was when it was built; in an image it lies in the system's folders.

fn main() {
    println!("cargo::rerun-if-env-changed=LIBTORCH");
    if let Ok(path) = std::env::var("LIBTORCH") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{path}/lib,--disable-new-dtags");
    }
}
