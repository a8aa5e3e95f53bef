//! `cargo xtask test`: the eBPF object check, then every test.

use std::process::Command;

use anyhow::{Result, bail};

use crate::shell::{self, say};
use crate::tally::{self, Tally};
use crate::{build_ebpf, long, privileged, setup, vm};

/// Compares the committed eBPF object with its source, then runs every test.
///
/// The unit, property, documentation and unprivileged integration tests run as the user who calls
/// this. The privileged ones (marked `#[ignore = "requires ..."]`, so that a plain `cargo test`
/// leaves them out) are built as that user too and run as root, through sudo where needed, one
/// after the other; they touch nothing but network namespaces of their own. Without root this
/// fails. Every ignored test must say what it requires, and as many must pass as were ignored
/// before.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Options {
    /// Leave out the privileged tests, and say how many.
    #[arg(long)]
    unprivileged: bool,
    /// Instead of the tests on this kernel: those that other kernels decide, on these, each in an
    /// emulated machine. Without a version: on all, which are 6.1, 6.12, and 6.18 or a newer one.
    #[arg(long, value_name = "KERNEL", num_args = 0.., conflicts_with = "unprivileged")]
    vm: Option<Vec<String>>,
    /// Instead: the tests that take too long for every change, each named with its time at the end:
    /// all other kernels, properties with many cases, the optimised comparison.
    #[arg(long, conflicts_with_all = ["unprivileged", "vm"])]
    long: bool,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    if options.long {
        return long::run();
    }
    if let Some(versions) = &options.vm {
        return vm::run(versions);
    }
    if !options.unprivileged {
        // Asked first: the answer should not come after minutes of building.
        privileged::check()?;
    }
    setup::tests()?;
    setup::ebpf()?;

    say("test 1/3: the committed eBPF objects against their source");
    build_ebpf::run(&build_ebpf::Options { check: true })?;

    say("test 2/3: unit, property, documentation and unprivileged integration tests");
    let unprivileged = ordinary()?;
    let as_root = if options.unprivileged {
        None
    } else {
        say("test 3/3: privileged tests, as root");
        Some(privileged(&unprivileged, || ())?)
    };
    say("test: the eBPF objects match their source");
    say(format!("test: {} unprivileged tests passed", unprivileged.passed));
    match as_root {
        Some(tally) => say(format!("test: {} privileged tests passed as root", tally.passed)),
        None => say(format!("test: {} privileged tests were NOT run", unprivileged.privileged())),
    }
    let guest = unprivileged.guest.len();
    say(format!("test: {guest} tests are left to other kernels (cargo xtask test --vm)"));
    Ok(())
}

/// Runs every test that an ordinary user may run.
///
/// # Errors
/// When a test fails, or is ignored without saying what it requires.
pub(crate) fn ordinary() -> Result<Tally> {
    let tally = tally::run(shell::workspace("test").arg("--no-fail-fast"), || ())?;
    if !tally.unreasoned.is_empty() {
        bail!(
            "an ignored test says what it needs, as #[ignore = \"requires ...\"]; these do not:\n{}",
            tally.unreasoned.join("\n")
        );
    }
    Ok(tally)
}

/// Runs the tests that `ordinary` left for root; calls `at_end` before the closing line of the last
/// one is shown.
///
/// # Errors
/// When a test fails, or not as many pass as were left.
pub(crate) fn privileged(ordinary: &Tally, at_end: impl FnOnce()) -> Result<Tally> {
    let tally = tally::run(&mut privileged_tests(&ordinary.guest)?, at_end)?;
    compare(ordinary, &tally)?;
    Ok(tally)
}

/// `cargo test` for the ignored tests: without documentation tests, which cannot be given a reason,
/// and without those for an emulated machine.
fn privileged_tests(guest: &[String]) -> Result<Command> {
    let mut command = privileged::cargo_test()?;
    command.args(["--no-fail-fast", "--tests", "--", "--ignored", "--test-threads=1"]);
    // By parts of names: a test of root's that has one in its own would be missing in the count.
    for name in guest {
        command.args(["--skip", name]);
    }
    Ok(command)
}

/// Every test that the first run ignored must have passed in the second.
fn compare(ordinary: &Tally, privileged: &Tally) -> Result<()> {
    let (ignored, passed) = (ordinary.privileged(), privileged.passed);
    if ignored != passed {
        bail!("{ignored} tests were left for root, but {passed} passed there");
    }
    if ignored == 0 {
        bail!("no privileged test was found; there must be some");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_privileged_test_that_nobody_ran_is_a_failure() {
        let tally = |passed, ignored| Tally { passed, ignored, ..Tally::default() };
        assert!(compare(&tally(90, 7), &tally(7, 0)).is_ok());
        let error = compare(&tally(90, 7), &tally(6, 0)).expect_err("one is missing");
        assert_eq!(error.to_string(), "7 tests were left for root, but 6 passed there");
        let error = compare(&tally(90, 0), &tally(0, 0)).expect_err("none is suspicious");
        assert_eq!(error.to_string(), "no privileged test was found; there must be some");
    }
}
