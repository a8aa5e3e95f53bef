//! Builds the eBPF objects and stores them in `ebpf/`, from where the engine and the generator
//! embed them; with `--check`, compares the stored objects with their source instead.
//! `cargo xtask build-ebpf` runs this.
//!
//! The programs need `core` for a target that rustup does not ship, which takes an unstable cargo
//! flag; `RUSTC_BOOTSTRAP=1` lets the stable compiler accept it, so that host and kernel code come
//! from one compiler.

mod facts;
mod toolchain;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use anyhow::{Context, Result, bail};
use clap::Parser;

use facts::{Facts, strip};
use toolchain::Toolchain;

/// Builds the eBPF programs, which the repository holds as ebpf/vxtap.bpf.o and ebpf/vxgen.bpf.o
#[derive(Debug, Parser)]
#[command(name = "cargo xtask build-ebpf", bin_name = "cargo xtask build-ebpf")]
struct Options {
    /// Write nothing; fail if a committed object differs from a build of its source
    #[arg(long)]
    check: bool,
}

/// A binary of the package `vxtap-ebpf` and the file that holds it.
struct Target {
    binary: &'static str,
    committed: &'static str,
}

const TARGETS: [Target; 2] = [
    Target { binary: "vxtap-xdp", committed: "ebpf/vxtap.bpf.o" },
    Target { binary: "vxgen-xdp", committed: "ebpf/vxgen.bpf.o" },
];

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("build-ebpf: failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the command.
///
/// # Errors
/// When a part of the toolchain is missing, a program does not build, or, with `--check`, a
/// committed object differs.
fn run(options: &Options) -> Result<()> {
    let root = &root()?;
    let toolchain = Toolchain::find()?;
    let objects = toolchain.build(root, TARGETS.map(|target| target.binary))?;
    for (target, object) in TARGETS.iter().zip(objects) {
        let built = strip(&object, &toolchain.versions).context("cannot strip the object")?;
        if options.check {
            check(root, target.committed, &built)?;
        } else {
            write(root, target.committed, &built, &toolchain.versions)?;
        }
    }
    Ok(())
}

/// Returns the root of the checkout that cargo runs this program for.
fn root() -> Result<PathBuf> {
    let manifest =
        env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let root = Path::new(&manifest).ancestors().nth(2);
    root.map(Path::to_owned).context("this package lies in xtask/ebpf")
}

fn write(root: &Path, committed: &str, built: &[u8], versions: &str) -> Result<()> {
    fs::write(root.join(committed), built).with_context(|| format!("cannot write {committed}"))?;
    eprintln!("wrote {committed} ({} bytes, {versions})", built.len());
    Ok(())
}

fn check(root: &Path, committed: &str, built: &[u8]) -> Result<()> {
    let bytes = fs::read(root.join(committed))
        .with_context(|| format!("cannot read {committed}; run `cargo xtask build-ebpf`"))?;
    let is = Facts::of(&bytes)
        .with_context(|| format!("cannot read {committed}; run `cargo xtask build-ebpf`"))?;
    let should_be = Facts::of(built)?;
    let Some(difference) = is.difference(&should_be) else {
        eprintln!("{committed} matches its source");
        return Ok(());
    };
    bail!(
        "{committed} does not match its source ({difference}); run `cargo xtask build-ebpf` and commit the result \
         (committed object built with {}, this one with {})",
        is.tools,
        should_be.tools
    )
}
