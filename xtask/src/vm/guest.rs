//! Programs of the guest: tests, the tools that they call, and the init that starts them.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::kernel::Kernel;
use crate::shell::{self, say};

/// A test program and the tests of it that the guest runs: those that need privileges and have one
/// of the words in their names; all if there are no words.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) name: &'static str,
    words: Vec<&'static str>,
    pub(super) path: PathBuf,
    /// Number of these tests.
    pub(super) tests: usize,
}

impl Program {
    /// Returns the program with the tests for this kernel.
    pub(super) fn on(&self, kernel: &Kernel) -> Result<Self> {
        let mut words = self.words.clone();
        if kernel.has_segments() && self.name == "wire" {
            words.extend(NEEDS_SEGMENTS);
        }
        // A word that selects nothing, after a test was renamed, is an error.
        for word in &words {
            count(&self.path, &[word])?;
        }
        let tests = count(&self.path, &words)?;
        Ok(Self { words, path: self.path.clone(), tests, ..*self })
    }
}

/// Test programs and words, for every kernel. The other tests of `engine` take minutes under
/// emulation or need tshark.
const PROGRAMS: [(&str, &[&str]); 4] = [
    ("zero_copy", &[]),
    ("steering", &["sockets", "attached", "driver"]),
    ("wire", &["udp_sockets", "geneve_comes"]),
    ("engine", &["bystanders", "fallback", "two_interfaces", "another_mtu"]),
];

/// Tests of `wire` with frames of 9000 bytes through AF_XDP.
const NEEDS_SEGMENTS: [&str; 2] = ["native_copy", "generic"];

/// Tools that the tests call.
pub(super) const TOOLS: [&str; 9] =
    ["ip", "tc", "ethtool", "sysctl", "ss", "setpriv", "ping", "prlimit", "tcpdump"];

/// Last line of a guest that has run all its programs.
pub(super) const END: &str = "vxtap-guest: the end";

/// Builds the test programs and the command that they start.
pub(super) fn build() -> Result<Vec<Program>> {
    let mut command = shell::workspace("build");
    command.args(["--bin", "vxtap"]);
    for (name, _) in PROGRAMS {
        command.args(["--test", name]);
    }
    say("vm: building the tests");
    let output = command.arg("--message-format=json").stderr(Stdio::inherit()).output();
    let output = output.context("cannot start cargo")?;
    if !output.status.success() {
        bail!("the tests cannot be built");
    }
    let messages = String::from_utf8_lossy(&output.stdout).into_owned();
    let program = |(name, words): (&'static str, &'static [&'static str])| {
        let path = executable(&messages, name).with_context(|| format!("cargo built no {name}"))?;
        Ok(Program { name, words: words.into(), path, tests: 0 })
    };
    PROGRAMS.into_iter().map(program).collect()
}

/// Returns the path of a test program of `tests/` from cargo's messages; other packages have test
/// programs with the same names.
fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    let manifest = shell::root().join("tests/Cargo.toml");
    messages.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let is_it = message["target"]["name"] == name
            && message["target"]["kind"][0] == "test"
            && message["manifest_path"].as_str().map(Path::new) == Some(&manifest);
        is_it.then(|| message["executable"].as_str().map(PathBuf::from)).flatten()
    })
}

/// Returns the number of tests of a program that these words select.
fn count(program: &PathBuf, words: &[&str]) -> Result<usize> {
    let listed = shell::output(Command::new(program).args(["--list", "--ignored"]).args(words));
    let listed =
        listed.with_context(|| format!("{} does not list its tests", program.display()))?;
    let count = listed.lines().filter(|line| line.ends_with(": test")).count();
    if count == 0 {
        bail!("{} has none of the tests {words:?}", program.display());
    }
    Ok(count)
}

/// Returns the script that the guest's kernel starts first. Its busybox has the shell and the tools
/// that are not in [`TOOLS`].
pub(super) fn init(modules: &[String], programs: &[Program], kernel: &Kernel) -> String {
    let mut insmod = String::new();
    for module in modules {
        // Writing to a string cannot fail.
        let _ = writeln!(insmod, "insmod /modules/{module} || exit");
    }
    let mut tests = String::new();
    for Program { name, words, .. } in programs {
        let words = words.join(" ");
        let _ = writeln!(tests, "echo 'vxtap-guest: {name}'");
        let _ = writeln!(tests, "/tests/{name} --ignored --test-threads=1 {words} </dev/null 2>&1");
    }
    format!(
        "#!/bin/busybox sh
# An init that ends makes the kernel panic, which ends the machine.
/bin/busybox --install -s /bin
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
mount -t bpf none /sys/fs/bpf
mount -t tmpfs none /run
mount -t tmpfs none /tmp
export PATH=/usr/sbin:/usr/bin:/bin HOME=/ VXTAP_MODE='{}' VXTAP_JUMBO_MODE='{}'
{insmod}sysctl -qw net.ipv6.conf.all.disable_ipv6=1
ip link set lo up
ip link set eth0 up
ip link set eth1 up
{tests}echo '{END}'
poweroff -f
",
        kernel.mode, kernel.jumbo_mode
    )
}
