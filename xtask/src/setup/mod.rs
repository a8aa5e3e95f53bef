//! `cargo xtask setup`: what the other commands need, installed when it is missing.

mod packages;
mod rust_tools;
mod suricata;

use anyhow::Result;

use crate::shell::say;
use packages::{BENCH, C_BUILD, DEMO, MICRO, TESTS, VM};

/// Installs what is missing, says each step, and does nothing when all is there.
///
/// Packages come through apt-get on Debian and Ubuntu; elsewhere the exact list is printed. `demo`,
/// `test`, `bench` and `ci` call the part they need themselves. Building and running vxtap needs
/// none of this.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Also what building the XDP program needs: the sources of Rust's core library, LLVM 22 and
    /// bpf-linker.
    #[arg(long)]
    ebpf: bool,
    /// Also what `ci` checks with: rustfmt, clippy and cargo-deny.
    #[arg(long)]
    ci: bool,
    /// Also what `bench` compares with and measures with: tcpdump, dumpcap, valgrind.
    #[arg(long)]
    bench: bool,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    tests()?;
    if options.ebpf {
        ebpf()?;
    }
    if options.ci {
        checks()?;
    }
    if options.bench {
        bench()?;
    }
    say("setup: all is there");
    Ok(())
}

/// What `demo` needs.
pub(crate) fn demo() -> Result<()> {
    packages::ensure(DEMO)
}

/// What the tests need: to build libbpf, libxdp and what uses them, and to make and look at
/// traffic.
pub(crate) fn tests() -> Result<()> {
    packages::ensure(&[DEMO, C_BUILD, TESTS].concat())?;
    suricata::ensure()
}

/// What `test --vm` needs: to boot other kernels.
pub(crate) fn vm() -> Result<()> {
    packages::ensure(&[DEMO, C_BUILD, TESTS, VM].concat())
}

/// What `bench` needs: to build the receivers that vxtap is compared with, and the programs among
/// them.
pub(crate) fn bench() -> Result<()> {
    packages::ensure(&[DEMO, C_BUILD, BENCH, MICRO].concat())
}

/// What `bench --micro` needs: to count instructions.
pub(crate) fn micro() -> Result<()> {
    packages::ensure(MICRO)
}

/// What `build-ebpf` needs.
pub(crate) fn ebpf() -> Result<()> {
    rust_tools::ensure_rust_src()?;
    rust_tools::ensure_bpf_linker()
}

/// What `ci` checks with besides the tests.
pub(crate) fn checks() -> Result<()> {
    rust_tools::ensure_component("rustfmt", "fmt")?;
    rust_tools::ensure_component("clippy", "clippy")?;
    rust_tools::ensure_cargo_deny()
}
