//! Packages of the operating system: how each is recognised, and apt-get for the missing ones.

use std::process::Command;

use anyhow::{Result, bail};

use crate::shell::{self, say};

/// A package by its Debian name, and the sign that it, or its counterpart elsewhere, is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Package {
    name: &'static str,
    probe: Probe,
}

/// The part of a package that is needed; looked for instead of asking the package database, so that
/// it works on every system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Probe {
    /// A program.
    Program(&'static str),
    /// A C library with its headers, by its pkg-config name.
    Library(&'static str),
}

/// Namespaces, the veth pair and its offloads.
pub(super) const DEMO: &[Package] = &[program("iproute2", "ip"), program("ethtool", "ethtool")];

/// The C builds of libbpf (the second opinion on the XDP program) and libxdp (a receiver that vxtap
/// is compared with; clang compiles its programs, m4 writes one of them), and libpcap.
///
/// pkg-config comes before the libraries that it is asked about.
pub(super) const C_BUILD: &[Package] = &[
    program("gcc", "cc"),
    program("make", "make"),
    program("pkg-config", "pkg-config"),
    program("clang", "clang"),
    program("m4", "m4"),
    library("libelf-dev", "libelf"),
    library("zlib1g-dev", "zlib"),
    library("libpcap-dev", "libpcap"),
];

/// Traffic, other readers of pcapng files, strace, which shows what is synced to the disk, and the
/// programs of the documents' commands.
pub(super) const TESTS: &[Package] = &[
    program("iputils-ping", "ping"),
    program("tcpdump", "tcpdump"),
    program("tshark", "tshark"),
    program("strace", "strace"),
    program("socat", "socat"),
    program("netcat-openbsd", "nc"),
    program("zstd", "zstd"),
    program("python3", "python3"),
];

/// The machine of `test --vm`, and the parts of its guest.
pub(super) const VM: &[Package] = &[
    program("qemu-system-x86", "qemu-system-x86_64"),
    program("busybox-static", "busybox"),
    program("binutils", "strip"),
    program("xz-utils", "xz"),
    program("debian-archive-keyring", "apt-get"),
];

/// Receivers that vxtap is compared with.
pub(super) const BENCH: &[Package] =
    &[program("tcpdump", "tcpdump"), program("wireshark-common", "dumpcap")];

/// The counter of instructions.
pub(super) const MICRO: &[Package] = &[program("valgrind", "valgrind")];

/// Library that bpf-linker is built against.
pub(super) const LLVM: &[Package] = &[program("llvm-22-dev", "llvm-config-22")];

const fn program(name: &'static str, program: &'static str) -> Package {
    Package { name, probe: Probe::Program(program) }
}

const fn library(name: &'static str, library: &'static str) -> Package {
    Package { name, probe: Probe::Library(library) }
}

impl Probe {
    fn succeeds(self) -> bool {
        match self {
            Self::Program(name) => shell::find(name).is_some(),
            Self::Library(name) => {
                shell::output(Command::new("pkg-config").args(["--exists", name])).is_some()
            }
        }
    }

    fn describe(self) -> String {
        match self {
            Self::Program(name) => format!("the program {name}"),
            Self::Library(name) => {
                format!("the C library {name} with its headers and pkg-config file")
            }
        }
    }
}

/// Installs those of `packages` that are missing; does nothing when all are there.
///
/// # Errors
/// When some are missing and there is no apt-get, no root, or apt-get fails.
pub(super) fn ensure(packages: &[Package]) -> Result<()> {
    let missing = missing(packages);
    if missing.is_empty() {
        return Ok(());
    }
    if shell::find("apt-get").is_none() {
        bail!("{}", by_hand(&missing));
    }
    let names: Vec<&str> = missing.iter().map(|package| package.name).collect();
    say(format!("setup: missing packages: {}", names.join(" ")));
    apt_get(&["update"])?;
    for package in &missing {
        require_candidate(package)?;
    }
    apt_get(&[&["install", "--yes", "--no-install-recommends"], &names[..]].concat())?;
    let still_missing = self::missing(packages);
    if !still_missing.is_empty() {
        bail!("apt-get succeeded, but this is still missing: {}", list(&still_missing));
    }
    Ok(())
}

fn missing(packages: &[Package]) -> Vec<Package> {
    packages.iter().copied().filter(|package| !package.probe.succeeds()).collect()
}

/// Runs apt-get as root; it asks nothing and waits up to two minutes for another one to finish.
fn apt_get(arguments: &[&str]) -> Result<()> {
    let options =
        ["DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet", "-o", "DPkg::Lock::Timeout=120"];
    shell::run(shell::as_root("env")?.args(options).args(arguments))
}

/// Fails, and says how to go on, when the configured sources do not have `package`.
fn require_candidate(package: &Package) -> Result<()> {
    let name = package.name;
    let policy =
        shell::output(Command::new("apt-cache").args(["policy", name])).unwrap_or_default();
    if has_candidate(&policy) {
        return Ok(());
    }
    let origin = if LLVM.contains(package) {
        "Debian has it in its security updates (from Debian 12 on), LLVM itself at https://apt.llvm.org for Debian and \
         Ubuntu"
    } else {
        "on Ubuntu some packages are in the component `universe`"
    };
    bail!(
        "the configured package sources do not have {name}: {origin}; add the source, then run this again"
    )
}

/// Returns `true` if the output of `apt-cache policy` names a version that can be installed.
fn has_candidate(policy: &str) -> bool {
    policy
        .lines()
        .any(|line| line.trim().strip_prefix("Candidate:").is_some_and(|v| v.trim() != "(none)"))
}

/// Returns the message for a system without apt-get.
fn by_hand(missing: &[Package]) -> String {
    format!(
        "this system has no apt-get; install these with its own package manager, then run this again:{}",
        list(missing)
    )
}

fn list(packages: &[Package]) -> String {
    let lines = packages
        .iter()
        .map(|package| format!("\n  {} (Debian: {})", package.probe.describe(), package.name));
    lines.collect::<Vec<_>>().concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_there_is_missing() {
        let there = program("dash", "sh");
        let absent = program("nothing", "no-such-program-anywhere");
        let library = library("libnothing-dev", "no-such-library-anywhere");
        assert_eq!(missing(&[there, absent, library]), [absent, library]);
    }

    #[test]
    fn nothing_is_done_when_all_is_there() {
        ensure(&[program("dash", "sh")]).expect("sh is there");
    }

    #[test]
    fn a_system_without_apt_get_is_told_the_exact_list() {
        let text = by_hand(&[program("tcpdump", "tcpdump"), library("libelf-dev", "libelf")]);
        assert_eq!(
            text,
            "this system has no apt-get; install these with its own package manager, then run this again:\n  \
             the program tcpdump (Debian: tcpdump)\n  \
             the C library libelf with its headers and pkg-config file (Debian: libelf-dev)"
        );
    }

    #[test]
    fn a_package_without_a_version_has_no_candidate() {
        assert!(has_candidate(
            "llvm-22-dev:\n  Installed: (none)\n  Candidate: 1:22.1.8-1~deb12u1\n"
        ));
        assert!(!has_candidate("llvm-22-dev:\n  Installed: (none)\n  Candidate: (none)\n"));
        assert!(!has_candidate(""));
    }
}
