//! Running test programs as root that an ordinary user has built.

use std::process::Command;

use anyhow::{Context, Result};

use crate::shell;

/// Checks that this process is root or can become root.
///
/// # Errors
/// When it cannot.
pub(crate) fn check() -> Result<()> {
    prefix().map(drop)
}

/// Returns `cargo test` that starts the finished test programs as root. Only these: cargo starts
/// them through its `runner`, so that nothing is built as root.
///
/// # Errors
/// As [`check`], and when rustc does not say what it builds for.
pub(crate) fn cargo_test() -> Result<Command> {
    let prefix = prefix()?;
    let mut command = shell::workspace("test");
    if !prefix.is_empty() {
        let version = shell::output(Command::new("rustc").arg("-vV"))
            .context("cannot ask rustc for its version")?;
        let host = host_of(&version).context("rustc does not say what it builds for")?;
        command.env(runner_variable(host), prefix.join(" "));
    }
    Ok(command)
}

/// Returns the words that make a test program run as root.
fn prefix() -> Result<Vec<&'static str>> {
    let mut prefix = shell::root_prefix().context(
        "the privileged tests need root (network namespaces, AF_XDP sockets, eBPF programs); `cargo xtask test \
         --unprivileged` leaves them out",
    )?;
    if !prefix.is_empty() {
        // The tests see the environment that the user set for them, RUST_BACKTRACE for example.
        prefix.push("-E");
    }
    Ok(prefix)
}

fn host_of(version: &str) -> Option<&str> {
    version.lines().find_map(|line| line.strip_prefix("host: "))
}

/// Returns the environment variable of cargo's `target.TRIPLE.runner`.
fn runner_variable(host: &str) -> String {
    format!("CARGO_TARGET_{}_RUNNER", host.to_uppercase().replace(['-', '.'], "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runner_is_set_for_the_host_triple() {
        let version =
            "rustc 1.95.0 (59807616e 2026-04-14)\nbinary: rustc\nhost: x86_64-unknown-linux-gnu\n";
        let host = host_of(version).expect("the line is there");
        assert_eq!(runner_variable(host), "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER");
    }
}
