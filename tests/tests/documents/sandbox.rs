//! A place for the commands of a document: namespaces in which nothing of the host can be written.
//!
//! The whole file system is there, read-only. `/etc`, `/run`, `/tmp`, `/var/lib` and `/var/log` are
//! empty file systems in memory (`/etc` has a copy of the host's). The working directory looks like
//! a clone of the repository, and its files are gone with it. Processes see no others than those of
//! the sandbox.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use vxtap_tests::{NetNs, Process, TIMEOUT, wait_until};

/// Working directory of the commands.
const HOME: &str = "/tmp/vxtap";

/// Makes the file systems. `$1` is the repository, `$2` the directory of the built programs, `$3`
/// that of unpacked tools; all three may lie below a directory that is hidden here.
const SETUP: &str = r#"
set -eu
mount -t tmpfs none /mnt
mkdir /mnt/repository /mnt/programs /mnt/tools /mnt/etc /mnt/bin
mount --bind "$1" /mnt/repository
mount --bind "$2" /mnt/programs
if [ -d "$3" ]; then mount --bind "$3" /mnt/tools; fi
cp -a /etc/. /mnt/etc/
ln -s /mnt/programs/vxtap /mnt/programs/vxgen /mnt/bin/
if [ -e /mnt/tools/suricata/suricata ]; then ln -s /mnt/tools/suricata/suricata /mnt/bin/; fi
mount --bind /mnt/etc /etc
for directory in /run /tmp /var/lib /var/log; do mount -t tmpfs -o mode=755 none $directory; done
mkdir /run/lock /tmp/vxtap
for entry in /mnt/repository/*; do ln -s "$entry" /tmp/vxtap/; done
rm -f /tmp/vxtap/target
mount -o remount,bind,ro /
mount -o remount,bind,ro /mnt/repository
mount -o remount,bind,ro /mnt/programs
touch /tmp/ready
exec sleep infinity
"#;

/// The namespaces of a document, in the network namespace of a test.
pub(crate) struct Sandbox {
    /// Ends the sandbox when it is dropped.
    _process: Process,
    /// The first process inside, as the host numbers it.
    init: u32,
}

/// A command that runs in the sandbox.
pub(crate) struct Running {
    process: Process,
    text: String,
    log: PathBuf,
}

impl Sandbox {
    pub(crate) fn new(netns: &NetNs) -> Result<Self> {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
        let test = std::env::current_exe()?;
        let programs = test.parent().and_then(Path::parent).context("tests lie in deps")?;
        let tools = programs.parent().context("a profile lies in target")?.join("tools");
        let mut command = netns.command("unshare");
        command.args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
        command.args(["sh", "-c", SETUP, "sh"]).args([&repository, programs, &tools]);
        let mut process = Process::spawn("the sandbox", command.stdin(Stdio::null()))?;
        let mut init = None;
        wait_until("the file systems of the sandbox", TIMEOUT, || {
            init = child_of(process.id());
            let is_ready = init
                .is_some_and(|init| Path::new(&format!("/proc/{init}/root/tmp/ready")).exists());
            is_ready || process.ended().is_ok_and(|status| status.is_some())
        })?;
        ensure!(process.ended()?.is_none(), "the file systems of the sandbox cannot be made");
        Ok(Self { _process: process, init: init.context("the sandbox has a process")? })
    }

    /// Returns a path of the sandbox as the test sees it. Relative ones begin at the working
    /// directory.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        let absolute = Path::new(HOME).join(path);
        let inside = absolute.strip_prefix("/").unwrap_or(&absolute);
        Path::new(&format!("/proc/{}/root", self.init)).join(inside)
    }

    /// Runs a command to its end; each of its programs has to succeed.
    pub(crate) fn run(&self, text: &str) -> Result<String> {
        self.spawn(text, &format!("set -o pipefail\n{text}"))?.finish()
    }

    /// Starts a command. Its status is that of its first program.
    pub(crate) fn start(&self, text: &str) -> Result<Running> {
        self.spawn(text, &format!("{text}\nexit ${{PIPESTATUS[0]}}"))
    }

    /// Starts a script in a shell, as a terminal would: with a process group of its own.
    fn spawn(&self, text: &str, script: &str) -> Result<Running> {
        let log = self.path(&format!("/tmp/log-{}", self.commands_started()));
        let output =
            fs::File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
        let mut command = Command::new("nsenter");
        command.arg("--target").arg(self.init.to_string());
        command.args(["--mount", "--net", "--pid", &format!("--wdns={HOME}"), "--", "setsid"]);
        // A shell in the background ignores SIGINT, and so would all that it starts.
        command.args(["env", "--default-signal=INT", "bash", "-c", script]).process_group(0);
        command.env("PATH", format!("/mnt/bin:{}", std::env::var("PATH").unwrap_or_default()));
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        Ok(Running { process: Process::spawn(text, &mut command)?, text: text.to_owned(), log })
    }

    fn commands_started(&self) -> usize {
        let entries = fs::read_dir(self.path("/tmp")).into_iter().flatten();
        entries.flatten().filter(|it| it.file_name().to_string_lossy().starts_with("log-")).count()
    }
}

impl Running {
    /// Text that the command has written so far, to both streams.
    pub(crate) fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    pub(crate) fn has_ended(&mut self) -> Result<Option<ExitStatus>> {
        self.process.ended()
    }

    /// Waits for the end of the command, which has to be a success.
    pub(crate) fn finish(mut self) -> Result<String> {
        let status = self.process.wait(TIMEOUT);
        self.check(status.with_context(|| self.output())?)
    }

    /// Presses Ctrl-C: each process of the command gets SIGINT. vxtap then has to end well; others
    /// are of several minds about their exit code.
    pub(crate) fn interrupt(mut self) -> Result<String> {
        let shell = child_of(self.process.id()).context("nsenter has a child")?;
        killpg(Pid::from_raw(shell.cast_signed()), Signal::SIGINT)?;
        let status = self.process.wait(TIMEOUT);
        let status = status.with_context(|| self.output())?;
        if self.text.starts_with("vxtap") { self.check(status) } else { Ok(self.output()) }
    }

    fn check(&self, status: ExitStatus) -> Result<String> {
        if !status.success() {
            bail!("`{}`: {status}\n{}", self.text, self.output());
        }
        Ok(self.output())
    }

    /// Waits until the command has ended, or for `time`; returns its status if it has ended.
    pub(crate) fn wait_for(&mut self, time: Duration) -> Result<Option<ExitStatus>> {
        let start = Instant::now();
        while start.elapsed() < time {
            if let Some(status) = self.process.ended()? {
                return Ok(Some(status));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(None)
    }
}

/// Returns the child of a process that has one.
fn child_of(pid: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}
