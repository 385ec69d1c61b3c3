//! `setup`: says what is missing, and installs it. Every verb begins with it.
//!
//! Where all is there it looks at files only, and is silent.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    privilege::Privilege,
    step::{Step, command, render, say, search_path},
};

/// How much of the machine a verb needs. Each scope includes the ones before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scope {
    /// The toolchain and the linker for the BPF target.
    Build,
    /// The programs that run in the network namespaces.
    Laboratory,
    /// Miri.
    Tests,
}

/// The last version of the linker that links by the LLVM inside rustc; later ones want LLVM
/// installed.
const BPF_LINKER: &str = "0.10.3";

/// Components of the toolchain, and a file by which each is known.
const COMPONENTS: [(&str, &str); 3] = [
    ("rust-src", "lib/rustlib/src/rust/library/Cargo.lock"),
    ("clippy", "bin/cargo-clippy"),
    ("rustfmt", "bin/rustfmt"),
];

/// Components of the nightly toolchain.
const MIRI_COMPONENTS: [(&str, &str); 2] =
    [("miri", "bin/miri"), ("rust-src", "lib/rustlib/src/rust/library/Cargo.lock")];

/// Programs of the laboratory, and Debian's package of each.
const PROGRAMS: [(&str, &str); 10] = [
    ("ip", "iproute2"),
    ("ethtool", "ethtool"),
    ("nft", "nftables"),
    ("ping", "iputils-ping"),
    ("curl", "curl"),
    ("iperf3", "iperf3"),
    ("tcpdump", "tcpdump"),
    ("tshark", "tshark"),
    // Its service is installed disabled, so nothing starts.
    ("tayga", "tayga"),
    // Its service would start at once: see `keep_from_starting`.
    ("bird", BIRD),
];

/// Debian's package of BIRD.
const BIRD: &str = "bird2";

/// Where programs for root are, which an ordinary user's `$PATH` may leave out.
const ROOT_DIRS: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// Makes sure that all that `scope` includes is installed.
///
/// # Errors
///
/// When something is missing and cannot be installed from here; the message says how to.
pub(crate) fn ensure(scope: Scope) -> Result<()> {
    if !cfg!(target_os = "linux") {
        bail!("Pointsman is for Linux: XDP is a part of its kernel");
    }
    add_components(None, &COMPONENTS)?;
    install_bpf_linker()?;
    if scope >= Scope::Laboratory {
        install_programs()?;
        if !Path::new("/sys/kernel/btf/vmlinux").exists() {
            say(
                "this kernel has no /sys/kernel/btf/vmlinux: build it with CONFIG_DEBUG_INFO_BTF if a program does not load",
            );
        }
    }
    if scope >= Scope::Tests {
        add_components(Some("nightly"), &MIRI_COMPONENTS)?;
    }
    Ok(())
}

/// Whether `program` is in `$PATH` or where root finds its programs.
pub(crate) fn is_installed(program: &str) -> bool {
    env::split_paths(&search_path())
        .chain(ROOT_DIRS.map(PathBuf::from))
        .any(|dir| dir.join(program).is_file())
}

/// Adds what is missing of `components` to a toolchain: to the workspace's own, if none is named.
fn add_components(toolchain: Option<&str>, components: &[(&str, &str)]) -> Result<()> {
    let sysroot = sysroot(toolchain)?;
    for (component, file) in components {
        if sysroot.join(file).exists() {
            continue;
        }
        let mut rustup = command("rustup");
        rustup.args(["component", "add", component]);
        if let Some(toolchain) = toolchain {
            rustup.args(["--toolchain", toolchain]);
        }
        Step::new(format!("installing the component {component}"), rustup)
            .hide_output()
            .run()
            .with_context(|| {
                format!(
                    "the toolchain in {} lacks {component}: install it, so that {} exists",
                    sysroot.display(),
                    sysroot.join(file).display(),
                )
            })?;
    }
    Ok(())
}

/// The directory of a toolchain: of the workspace's own, if none is named.
fn sysroot(toolchain: Option<&str>) -> Result<PathBuf> {
    let mut rustc = command("rustc");
    rustc
        .args(toolchain.map(|name| format!("+{name}")))
        .args(["--print", "sysroot"])
        // Where rustup installs toolchains as they are asked for, it does so here, and shows it.
        .stderr(Stdio::inherit());
    let printed = output(&mut rustc).with_context(|| match toolchain {
        Some(name) => format!(
            "Miri needs a {name} toolchain, and there is none: `rustup toolchain install {name} \
             --profile minimal --component miri,rust-src`"
        ),
        None => "rustc does not run: install the toolchain of rust-toolchain.toml by \
                 `rustup toolchain install`"
            .to_owned(),
    })?;
    Ok(PathBuf::from(printed.trim_end()))
}

/// Installs the linker for the BPF target, unless the right version is what `$PATH` finds.
fn install_bpf_linker() -> Result<()> {
    if has_bpf_linker() {
        return Ok(());
    }
    let mut cargo = command("cargo");
    cargo
        .args(["install", "--locked", "--force", &format!("bpf-linker@{BPF_LINKER}")])
        // Nothing of it belongs among the workspace's own build products.
        .env_remove("CARGO_TARGET_DIR");
    Step::new(format!("installing bpf-linker {BPF_LINKER}"), cargo).run()?;
    if !has_bpf_linker() {
        bail!(
            "bpf-linker {BPF_LINKER} is installed, but another one comes first in PATH: remove that"
        );
    }
    Ok(())
}

fn has_bpf_linker() -> bool {
    output(command("bpf-linker").arg("--version"))
        .is_ok_and(|version| version.split_whitespace().last() == Some(BPF_LINKER))
}

/// Installs the programs of the laboratory, on Debian and its kin.
fn install_programs() -> Result<()> {
    let packages = missing_packages(is_installed);
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.join(" ");
    if !is_installed("apt-get") {
        bail!("missing: {list} (Debian's names). Install them by this system's package manager");
    }
    let privilege = Privilege::find()
        .with_context(|| format!("missing packages: {list}. As root: `apt-get install {list}`"))?;
    // A password is asked for here, where nothing is drawn over the question.
    if privilege == Privilege::Sudo {
        let mut sudo = command("sudo");
        sudo.arg("--validate");
        Step::new(format!("becoming root to install {list}"), sudo).run()?;
    }
    Step::new("fetching the lists of packages", apt_get(privilege, &["update"]))
        .hide_output()
        .run()?;
    if packages.contains(&BIRD) {
        keep_from_starting(privilege, "bird.service")?;
    }
    let mut install = apt_get(privilege, &["install", "--yes", "--no-install-recommends"]);
    install.args(&packages);
    Step::new(format!("installing {list}"), install).hide_output().run()
}

/// Masks a service, which stays so: a router of the laboratory is not to be one of this host.
fn keep_from_starting(privilege: Privilege, service: &str) -> Result<()> {
    // As `sd_booted` tells whether there is a manager of services.
    if !Path::new("/run/systemd/system").exists() {
        return Ok(());
    }
    say(format!("{service} is kept from starting; `systemctl unmask {service}` lets it"));
    let mut mask = as_root(privilege, "systemctl");
    mask.args(["mask", "--quiet", service]);
    Step::new(format!("masking {service}"), mask).hide_output().run()
}

/// The packages of the programs that `is_installed` does not know.
fn missing_packages(is_installed: impl Fn(&str) -> bool) -> Vec<&'static str> {
    PROGRAMS
        .into_iter()
        .filter(|(program, _)| !is_installed(program))
        .map(|(_, package)| package)
        .collect()
}

/// A program, as root.
fn as_root(privilege: Privilege, program: &str) -> Command {
    match privilege {
        Privilege::Root => command(program),
        Privilege::Sudo => {
            let mut sudo = command("sudo");
            sudo.arg(program);
            sudo
        }
    }
}

/// `apt-get`, as root, asking nothing.
fn apt_get(privilege: Privilege, args: &[&str]) -> Command {
    let mut env = as_root(privilege, "env");
    env.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]).args(args);
    env
}

/// Runs `command`, and returns what it printed.
///
/// # Errors
///
/// When it does not start, does not succeed, or prints other than UTF-8.
fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        bail!("`{}` failed ({})", render(command), output.status);
    }
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_installed() {
        assert!(missing_packages(|_| true).is_empty());
        assert_eq!(missing_packages(|program| program != "nft"), ["nftables"]);
        assert_eq!(missing_packages(|_| false).len(), PROGRAMS.len());
    }

    #[test]
    fn programs_are_looked_for_in_directories() {
        assert!(is_installed("sh"));
        assert!(!is_installed("no-such-program"));
        // A directory of that name is not a program.
        assert!(!is_installed("."));
    }

    #[test]
    fn packages_are_installed_without_a_question_and_as_root() {
        let line = "env DEBIAN_FRONTEND=noninteractive apt-get update";
        assert_eq!(render(&apt_get(Privilege::Root, &["update"])), line);
        assert_eq!(render(&apt_get(Privilege::Sudo, &["update"])), format!("sudo {line}"));
    }

    #[test]
    fn a_wider_scope_includes_the_narrower() {
        assert!(Scope::Build < Scope::Laboratory && Scope::Laboratory < Scope::Tests);
    }

    #[test]
    fn output_is_that_of_a_command_that_succeeds() {
        assert!(output(command("sh").args(["-c", "echo ok"])).is_ok_and(|text| text == "ok\n"));
        let error = output(command("sh").args(["-c", "exit 1"]));
        assert!(
            error.is_err_and(|error| error.to_string() == "`sh -c exit 1` failed (exit status: 1)")
        );
    }
}
