//! Tools that come through rustup and cargo; they go to the user's own directories.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::packages;
use crate::shell::{self, say};

/// Version of the bpf-linker that linked the committed objects. Another one may give other
/// instructions.
const BPF_LINKER: &str = "0.13.0";

/// Version of the cargo-deny that `deny.toml` was written for.
const CARGO_DENY: &str = "0.20.2";

/// Directory of Debian's LLVM 22, which bpf-linker's build does not find by itself.
const LLVM_PREFIX: &str = "/usr/lib/llvm-22";

/// Installs the sources of Rust's core library, which is compiled for the eBPF target.
///
/// # Errors
/// When they are missing and rustup is too, or fails.
pub(super) fn ensure_rust_src() -> Result<()> {
    let rustc = shell::output(
        Command::new("rustc").args(["--print", "sysroot"]).current_dir(shell::root()),
    );
    let sysroot = rustc.context("cannot ask rustc for its sysroot")?;
    if Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core").is_dir() {
        return Ok(());
    }
    add_component("rust-src")
}

/// Installs the linker of the XDP program, and LLVM to build it with.
///
/// # Errors
/// When LLVM 22 cannot be installed or cargo fails.
pub(super) fn ensure_bpf_linker() -> Result<()> {
    let version = shell::output(Command::new("bpf-linker").arg("--version"));
    if version.as_deref().is_some_and(|text| is_version(text, BPF_LINKER)) {
        return Ok(());
    }
    say(format!("setup: bpf-linker {BPF_LINKER} is missing; building it takes some minutes"));
    packages::ensure(packages::LLVM)?;
    let arguments =
        ["bpf-linker", "--version", BPF_LINKER, "--no-default-features", "--features", "llvm-22"];
    let mut install = cargo_install(&arguments);
    if Path::new(LLVM_PREFIX).is_dir() {
        install.env("LLVM_PREFIX", LLVM_PREFIX);
    }
    shell::run(&mut install)
}

/// Installs the checker of licences, sources and duplicate dependencies.
///
/// # Errors
/// When cargo fails.
pub(super) fn ensure_cargo_deny() -> Result<()> {
    if shell::output(shell::cargo().args(["deny", "--version"])).is_some() {
        return Ok(());
    }
    say("setup: cargo-deny is missing; building it takes some minutes");
    shell::run(&mut cargo_install(&["cargo-deny", "--version", CARGO_DENY]))
}

/// Installs a component of the toolchain unless `cargo SUBCOMMAND --version` works.
///
/// # Errors
/// When it is missing and rustup is too, or fails.
pub(super) fn ensure_component(component: &str, subcommand: &str) -> Result<()> {
    if shell::output(shell::cargo().args([subcommand, "--version"])).is_some() {
        return Ok(());
    }
    add_component(component)
}

fn add_component(component: &str) -> Result<()> {
    say(format!("setup: {component} is missing"));
    if shell::find("rustup").is_none() {
        bail!(
            "{component} is missing and there is no rustup: install it the way Rust was installed here"
        );
    }
    shell::run(
        Command::new("rustup").args(["component", "add", component]).current_dir(shell::root()),
    )
}

fn cargo_install(arguments: &[&str]) -> Command {
    let mut command = shell::cargo();
    command.args(["install", "--locked"]).args(arguments);
    command
}

/// Returns `true` if `text`, the output of `PROGRAM --version`, has exactly this version.
fn is_version(text: &str, version: &str) -> bool {
    text.split_whitespace().nth(1) == Some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_of_the_linker_is_not_taken_for_ours() {
        assert!(is_version("bpf-linker 0.13.0\n", "0.13.0"));
        assert!(!is_version("bpf-linker 0.13.01\n", "0.13.0"));
        assert!(!is_version("bpf-linker 0.10.3\n", "0.13.0"));
        assert!(!is_version("", "0.13.0"));
    }
}
