//! Named network namespaces that are removed when their guard is dropped.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::marker::PhantomData;
use std::panic;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use anyhow::{Context, Result};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::process::{capture, capture_with_input};

/// Directory in which ip-netns(8) keeps the names.
const NAMES: &str = "/run/netns";

/// Prefix of the namespaces of tests; the id of the creating process and a number follow.
const TEST_PREFIX: &str = "vxtap-test-";

/// A named network namespace; removed, with every process still in it, when dropped.
///
/// Not `Send`: the test that made it removes it.
#[derive(Debug)]
pub struct NetNs {
    name: String,
    not_send: PhantomData<*const ()>,
}

impl NetNs {
    /// Makes a namespace for one test, named `vxtap-test-PID-N`, with its loopback up and IPv6 off.
    ///
    /// The first call in a process removes the namespaces that killed test programs left.
    ///
    /// # Errors
    /// As [`NetNs::named`].
    pub fn new() -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        static CLEAR: Once = Once::new();
        // Another test program may be clearing at the same moment; what stays does no harm.
        CLEAR.call_once(|| drop(remove_stale(TEST_PREFIX)));
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self::named(&format!("{TEST_PREFIX}{}-{number}", process::id()))
    }

    /// Makes a namespace called `name`, with its loopback up and IPv6 off.
    ///
    /// IPv6 is off so that neighbour discovery and multicast reports do not join the frames that a
    /// test counts.
    ///
    /// # Errors
    /// When the name is taken or this process lacks `CAP_SYS_ADMIN`.
    pub fn named(name: &str) -> Result<Self> {
        capture(Command::new(ip()).args(["netns", "add", name]))
            .with_context(|| format!("cannot make the network namespace {name}"))?;
        let namespace = Self { name: name.to_owned(), not_send: PhantomData };
        namespace.run(disable_ipv6)?;
        namespace.ip(&["link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// Name, as ip-netns(8) lists it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Calls `body` on a new thread inside the namespace and returns its result; a panic passes
    /// through.
    ///
    /// Sockets opened and threads started there stay in the namespace. `/sys` still shows the outer
    /// one; a program that reads it is started with [`NetNs::command`].
    ///
    /// # Panics
    /// When `body` panics or the namespace cannot be entered.
    pub fn run<T: Send>(&self, body: impl FnOnce() -> T + Send) -> T {
        let path = path_of(&self.name);
        let result = thread::scope(|scope| {
            let inside = scope.spawn(move || {
                let namespace = File::open(&path)
                    .unwrap_or_else(|e| panic!("cannot open {}: {e}", path.display()));
                setns(&namespace, CloneFlags::CLONE_NEWNET)
                    .unwrap_or_else(|e| panic!("cannot enter {}: {e}", path.display()));
                body()
            });
            inside.join()
        });
        result.unwrap_or_else(|panicked| panic::resume_unwind(panicked))
    }

    /// Returns the command that runs `program` inside the namespace, with the `/sys` that belongs
    /// to it.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(ip());
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Runs `ip ARGS...` inside the namespace and returns its output.
    ///
    /// # Errors
    /// When `ip` fails; the text has its standard error.
    pub fn ip(&self, args: &[&str]) -> Result<String> {
        capture(Command::new(ip()).args(["-n", &self.name]).args(args))
    }

    /// Runs several commands of `ip`, a line each, inside the namespace.
    ///
    /// # Errors
    /// When one fails; the text has its standard error, and the number of the line.
    pub fn ip_batch(&self, lines: &[String]) -> Result<()> {
        let mut command = Command::new(ip());
        command.args(["-n", &self.name, "-batch", "-"]);
        capture_with_input(&mut command, &lines.join("\n")).map(drop)
    }
}

impl Drop for NetNs {
    fn drop(&mut self) {
        let Err(error) = remove(&self.name) else { return };
        // A second panic would abort the whole test binary and hide the first.
        if thread::panicking() {
            eprintln!("{error:#}");
        } else {
            panic!("{error:#}");
        }
    }
}

/// Removes the namespaces `PREFIX PID ...` whose process PID is gone, and returns their names.
///
/// A killed test or demo leaves its namespaces behind; the next run removes them.
///
/// # Errors
/// When one of them cannot be removed.
pub fn remove_stale(prefix: &str) -> Result<Vec<String>> {
    let mut removed = Vec::new();
    for name in names_with_prefix(prefix) {
        let Some(owner) = owner_of(&name, prefix) else { continue };
        if !Path::new("/proc").join(owner.to_string()).exists() {
            remove(&name)?;
            removed.push(name);
        }
    }
    Ok(removed)
}

/// Returns the names of the existing namespaces that start with `prefix`.
pub(crate) fn names_with_prefix(prefix: &str) -> Vec<String> {
    // Without the directory there has never been a namespace.
    let entries = fs::read_dir(NAMES).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|n| n.starts_with(prefix))
        .collect()
}

/// Returns the process id that follows `prefix` in `name`.
fn owner_of(name: &str, prefix: &str) -> Option<u32> {
    let rest = name.strip_prefix(prefix)?;
    rest.split('-').next()?.parse().ok()
}

fn path_of(name: &str) -> PathBuf {
    Path::new(NAMES).join(name)
}

/// Ends the processes inside the namespace, which would keep it and its interfaces alive, then
/// removes it.
fn remove(name: &str) -> Result<()> {
    let inside = capture(Command::new(ip()).args(["netns", "pids", name])).unwrap_or_default();
    for pid in inside.split_whitespace().filter_map(|pid| pid.parse().ok()) {
        // It may have ended by itself since it was listed.
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    capture(Command::new(ip()).args(["netns", "delete", name]))
        .with_context(|| format!("cannot remove the network namespace {name}"))?;
    Ok(())
}

fn disable_ipv6() -> Result<()> {
    let switch = Path::new("/proc/sys/net/ipv6/conf/all/disable_ipv6");
    if !switch.exists() {
        return Ok(());
    }
    fs::write(switch, "1").with_context(|| format!("cannot write {}", switch.display()))
}

/// Returns the path of `ip`, whose directory the search path of an ordinary user may lack.
fn ip() -> &'static str {
    if Path::new("/usr/sbin/ip").exists() { "/usr/sbin/ip" } else { "ip" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_of_a_namespace_is_read_from_its_name() {
        assert_eq!(owner_of("vxtap-test-4711-3", "vxtap-test-"), Some(4711));
        assert_eq!(owner_of("vxtap-demo-rx-4711", "vxtap-demo-rx-"), Some(4711));
        assert_eq!(owner_of("vxtap-demo-rx-", "vxtap-demo-rx-"), None);
        assert_eq!(owner_of("blue", "vxtap-test-"), None);
    }
}
