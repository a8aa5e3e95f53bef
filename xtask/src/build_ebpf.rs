//! `cargo xtask build-ebpf`: builds the eBPF objects, or compares them with their source.
//!
//! A program of its own does it, in the package `xtask-ebpf`: what it is built from (readers and
//! writers of ELF files) should not delay the other commands.

use anyhow::Result;

use crate::shell;

/// Builds the eBPF programs, which the repository holds as ebpf/vxtap.bpf.o and ebpf/vxgen.bpf.o
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Write nothing; fail if a committed object differs from a build of its source
    #[arg(long)]
    pub(crate) check: bool,
}

/// Runs the command.
///
/// # Errors
/// When a part of the toolchain is missing, a program does not build, or, with `--check`, a
/// committed object differs.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut command = shell::cargo();
    command.args(["run", "--quiet", "--locked", "--package", "xtask-ebpf", "--"]);
    if options.check {
        command.arg("--check");
    }
    shell::run(&mut command)
}
