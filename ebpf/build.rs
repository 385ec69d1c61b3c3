//! Flags for the linker of the BPF object.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("bpf") {
        // Headers stand at odd offsets. Without this each field is loaded byte by byte; with it the
        // object is for machines that load unaligned words, as x86-64 and arm64 do.
        println!("cargo::rustc-link-arg-bins=--cpu-features=+allows-misaligned-mem-access");
    }
}
