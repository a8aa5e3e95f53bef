//! `cargo xtask setup`: installs packages and tools that the other commands need.

mod packages;
mod rust_tools;
mod suricata;

use anyhow::Result;

use crate::shell::say;
use packages::{BENCH, C_BUILD, DEMO, MICRO, TESTS, VM};

/// Installs missing packages and tools, names each step, and does nothing if all are there.
///
/// Packages come through apt-get on Debian and Ubuntu; elsewhere the exact list is printed. `demo`,
/// `test`, `bench` and `ci` call the part they need themselves. Building and running vxtap needs
/// none of this.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Also the tools that build the XDP program: the sources of Rust's core library, LLVM 22 and
    /// bpf-linker.
    #[arg(long)]
    ebpf: bool,
    /// Also the tools of `ci`: rustfmt, clippy and cargo-deny.
    #[arg(long)]
    ci: bool,
    /// Also the programs of `bench`: tcpdump, dumpcap, valgrind.
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

/// Installs the packages for `demo`.
pub(crate) fn demo() -> Result<()> {
    packages::ensure(DEMO)
}

/// Installs the packages for the tests: to build libbpf, libxdp and the programs that use them, and
/// to make and inspect traffic.
pub(crate) fn tests() -> Result<()> {
    packages::ensure(&[DEMO, C_BUILD, TESTS].concat())?;
    suricata::ensure()
}

/// Installs the packages for `test --vm`, which boots other kernels.
pub(crate) fn vm() -> Result<()> {
    packages::ensure(&[DEMO, C_BUILD, TESTS, VM].concat())
}

/// Installs the packages for `bench`: to build the receivers that vxtap is compared with, and those
/// receivers that are programs of their own.
pub(crate) fn bench() -> Result<()> {
    packages::ensure(&[DEMO, C_BUILD, BENCH, MICRO].concat())
}

/// Installs the packages for `bench --micro`, which counts instructions.
pub(crate) fn micro() -> Result<()> {
    packages::ensure(MICRO)
}

/// Installs the tools for `build-ebpf`.
pub(crate) fn ebpf() -> Result<()> {
    rust_tools::ensure_rust_src()?;
    rust_tools::ensure_bpf_linker()
}

/// Installs the tools of `ci` that the tests do not need.
pub(crate) fn checks() -> Result<()> {
    rust_tools::ensure_component("rustfmt", "fmt")?;
    rust_tools::ensure_component("clippy", "clippy")?;
    rust_tools::ensure_cargo_deny()
}
