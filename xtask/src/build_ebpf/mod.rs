//! `cargo xtask build-ebpf`: builds the eBPF objects and stores them in `ebpf/`, from where the
//! engine and the generator embed them; with `--check`, says whether these objects are what the
//! source gives.
//!
//! The programs need `core` for a target that rustup does not ship, which takes an unstable cargo
//! flag; `RUSTC_BOOTSTRAP=1` lets the stable compiler accept it, so that all sides come from one
//! compiler.

mod facts;
mod toolchain;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use facts::{Facts, strip};
use toolchain::Toolchain;

/// Builds the eBPF programs, which the repository holds as ebpf/vxtap.bpf.o and ebpf/vxgen.bpf.o
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Write nothing; fail if a committed object differs from what the source gives
    #[arg(long)]
    pub(crate) check: bool,
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

/// Runs the command.
///
/// # Errors
///
/// A part of the toolchain is missing, a program does not build, or, with `--check`, a committed
/// object differs.
pub(crate) fn run(options: &Options) -> Result<()> {
    let root = &crate::shell::root();
    let toolchain = Toolchain::find()?;
    for target in TARGETS {
        let object = toolchain.build(root, target.binary)?;
        let built = strip(&object, &toolchain.versions).context("cannot strip the object")?;
        if options.check {
            check(root, target.committed, &built)?;
        } else {
            write(root, target.committed, &built, &toolchain.versions)?;
        }
    }
    Ok(())
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
        eprintln!("{committed} is what the source gives");
        return Ok(());
    };
    bail!(
        "{committed} is not what the source gives ({difference}); run `cargo xtask build-ebpf` and commit the result \
         (committed object built with {}, this one with {})",
        is.tools,
        should_be.tools
    )
}
