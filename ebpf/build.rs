//! Flags for the linker of the BPF object.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("bpf") {
        // 32-bit sub-registers, jumps on them and atomic fetches: in every kernel since 5.12.
        println!("cargo::rustc-link-arg-bins=--cpu=v3");
    }
}
