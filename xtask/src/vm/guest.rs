//! What runs in the guest: test programs, the tools that they call, and the init that starts them.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::kernel::Kernel;
use crate::shell::{self, say};

/// A test program, and which of its tests are run in the guest: all those that need privileges and
/// whose names hold one of the words; all if there is none.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) name: &'static str,
    words: Vec<&'static str>,
    pub(super) path: PathBuf,
    /// How many tests that is.
    pub(super) tests: usize,
}

impl Program {
    /// The program with the tests that this kernel is to pass.
    pub(super) fn on(&self, kernel: &Kernel) -> Result<Self> {
        let mut words = self.words.clone();
        if kernel.has_segments() && self.name == "wire" {
            words.extend(NEEDS_SEGMENTS);
        }
        let tests = count(&self.path, &words)?;
        Ok(Self { words, path: self.path.clone(), tests, ..*self })
    }
}

/// What is listed runs on every kernel. The rest of `engine` takes minutes under emulation or needs
/// tshark.
const PROGRAMS: [(&str, &[&str]); 4] = [
    ("zero_copy", &[]),
    ("steering", &["sockets", "attached", "driver"]),
    ("wire", &["udp_sockets", "geneve_comes"]),
    ("engine", &["bystanders", "ladder", "two_interfaces", "another_mtu"]),
];

/// Tests of `wire` with frames of 9000 bytes through AF_XDP.
const NEEDS_SEGMENTS: [&str; 2] = ["native_copy", "generic"];

/// Tools that the tests call.
pub(super) const TOOLS: [&str; 9] =
    ["ip", "tc", "ethtool", "sysctl", "ss", "setpriv", "ping", "prlimit", "tcpdump"];

/// What the guest's last line begins with.
pub(super) const END: &str = "vxtap-guest: the end";

/// Builds the test programs, with those for the guest.
pub(super) fn build() -> Result<Vec<Program>> {
    let mut command = shell::cargo();
    command.args(["build", "-p", "vxtap", "--locked"]);
    shell::run(&mut command)?;
    let mut command = shell::cargo();
    command.args(["test", "-p", "vxtap-tests", "--features", "guest", "--no-run", "--locked"]);
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

/// The program of a test, from cargo's messages.
fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    messages.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let is_it = message["target"]["name"] == name && message["target"]["kind"][0] == "test";
        is_it.then(|| message["executable"].as_str().map(PathBuf::from)).flatten()
    })
}

/// How many tests of a program these words choose.
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

/// The first program of the guest. Its busybox has the shell and what else is not named in
/// [`TOOLS`].
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
export PATH=/usr/sbin:/usr/bin:/bin HOME=/ VXTAP_RUNG='{}' VXTAP_JUMBO_RUNG='{}'
{insmod}sysctl -qw net.ipv6.conf.all.disable_ipv6=1
ip link set lo up
ip link set eth0 up
ip link set eth1 up
{tests}echo '{END}'
poweroff -f
",
        kernel.rung, kernel.jumbo_rung
    )
}
