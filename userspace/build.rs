//! Builds the XDP object that the binary embeds.

use anyhow::{Context as _, Result};
use aya_build::{Package, Toolchain, build_ebpf};

fn main() -> Result<()> {
    // SAFETY: a build script has one thread here, so nothing reads the environment meanwhile.
    //
    // `-Z build-std=core` is what makes `core` for the BPF target on a stable toolchain.
    unsafe { std::env::set_var("RUSTC_BOOTSTRAP", "1") };
    build_ebpf(
        [Package {
            name: "pointsman-ebpf",
            root_dir: "../ebpf",
            features: &["kernel"],
            ..Default::default()
        }],
        Toolchain::Custom("1.95.0"),
    )
    .context("the XDP object does not build; `cargo xtask setup` installs what it needs")
}
