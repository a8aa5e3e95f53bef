//! The emulated machine, and the result of its tests, which its console shows.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::fetch::Files;
use super::guest::{END, Program};
use super::network::{Network, QUEUES};
use crate::shell;

/// Longest run in seconds.
const TIMEOUT_S: &str = "240";

/// Boots the kernel and runs the guest's tests; returns how many passed.
///
/// # Errors
/// When a test fails, is missing, or the guest does not come to its end.
pub(super) fn run(files: &Files, image: &Path, programs: &[Program]) -> Result<usize> {
    let network = Network::new()?;
    let mut child = command(&network, files, image)?
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start QEMU")?;
    let console = child.stdout.take().context("QEMU has no console")?;
    let mut lines = Vec::new();
    for line in BufReader::new(console).split(b'\n') {
        let line = String::from_utf8_lossy(&line.context("cannot read the console")?)
            .trim_end()
            .to_owned();
        let _ = writeln!(std::io::stderr(), "  | {line}");
        lines.push(line);
    }
    let status = child.wait().context("cannot wait for QEMU")?;
    if !status.success() {
        bail!("the machine did not end by itself within {TIMEOUT_S} s ({status})");
    }
    check_console(&lines, programs)
}

/// Returns the command that starts QEMU, with emulation only: `/dev/kvm` may be there and not work.
/// The NICs have no offloads, which XDP excludes, and an IOMMU, which zero-copy needs to bind.
fn command(network: &Network, files: &Files, image: &Path) -> Result<Command> {
    let nic = |tap: &str, more: &str| {
        format!(
            "virtio-net-pci,netdev={tap},disable-legacy=on,iommu_platform=on,guest_tso4=off,guest_tso6=off,guest_ecn=off,\
             guest_ufo=off,guest_csum=off,host_mtu=1500{more}"
        )
    };
    let mut command = shell::as_root("timeout")?;
    command.args([TIMEOUT_S, "ip", "netns", "exec", &network.namespace, "qemu-system-x86_64"]);
    command.args([
        "-M",
        "q35",
        "-accel",
        "tcg,thread=multi",
        "-cpu",
        "max",
        "-smp",
        "2",
        "-m",
        "1024",
    ]);
    command.args([
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-serial",
        "stdio",
        "-no-reboot",
    ]);
    command.arg("-kernel").arg(&files.vmlinuz).arg("-initrd").arg(image);
    command.args(["-append", "console=ttyS0 panic=-1 quiet net.ifnames=0"]);
    let tap = |id: &str, queues: u32| {
        let queues = if queues > 1 { format!(",queues={queues}") } else { String::new() };
        format!("tap,id={id},ifname={id},script=no,downscript=no,vhost=off{queues}")
    };
    let vectors = 2 * QUEUES + 2;
    command.args(["-netdev", &tap("tap0", 1), "-device", &nic("tap0", "")]);
    command.args([
        "-netdev",
        &tap("tap1", QUEUES),
        "-device",
        &nic("tap1", &format!(",mq=on,vectors={vectors}")),
    ]);
    Ok(command)
}

/// Checks that each program passed all its tests and that the guest came to its end; returns the
/// number of tests.
fn check_console(lines: &[String], programs: &[Program]) -> Result<usize> {
    if !lines.iter().any(|line| line == END) {
        bail!("the guest did not come to its end");
    }
    let mut results = lines.iter().filter(|line| line.starts_with("test result: "));
    let mut passed = 0;
    for program in programs {
        let result = results.next().with_context(|| format!("{} has not run", program.name))?;
        if !result.starts_with(&format!("test result: ok. {} passed; 0 failed;", program.tests)) {
            bail!("{}: {result}, of {} tests", program.name, program.tests);
        }
        passed += program.tests;
    }
    Ok(passed)
}
