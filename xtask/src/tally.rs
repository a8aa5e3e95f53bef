//! Runs `cargo test`, shows its output as it comes, and adds up its closing lines.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Start of the reason of every ignored test: it needs privileges or a program that a machine may
/// lack.
const GOOD_REASON: &str = "ignored, requires ";

/// End of the reason of a test that only an emulated machine can run.
const GUEST_REASON: &str = "run by cargo xtask test --vm";

/// Sums over the test binaries of one `cargo test`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) ignored: u64,
    /// Names of the ignored tests that are left to an emulated machine.
    pub(crate) guest: Vec<String>,
    /// Lines of tests that are ignored without a good reason.
    pub(crate) unreasoned: Vec<String>,
}

/// Runs the command, which is a `cargo test`, and copies its output to standard output. Calls
/// `at_end` when all tests have run, before the closing line of the last test binary is shown.
///
/// # Errors
/// When a test fails or nothing was run at all.
pub(crate) fn run(command: &mut Command, at_end: impl FnOnce()) -> Result<Tally> {
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start cargo test")?;
    let output = child.stdout.take().context("cargo test has no output")?;
    let tally = relay(BufReader::new(output), &mut std::io::stdout(), at_end)?;
    let status = child.wait().context("cannot wait for cargo test")?;
    if !status.success() {
        bail!("cargo test failed ({status})");
    }
    Ok(tally)
}

/// Copies `input` to `output` line by line, and adds it up. A closing line is held back until
/// another line follows, or `at_end` was called.
fn relay(input: impl BufRead, output: &mut impl Write, at_end: impl FnOnce()) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut closing = Vec::new();
    for line in input.split(b'\n') {
        let mut line = line.context("cannot read the output of cargo test")?;
        tally.add(&String::from_utf8_lossy(&line));
        line.push(b'\n');
        let is_blank = line.iter().all(u8::is_ascii_whitespace);
        if line.starts_with(CLOSING.as_bytes()) || (is_blank && !closing.is_empty()) {
            closing.extend(line);
            continue;
        }
        write(output, &closing)?;
        closing.clear();
        write(output, &line)?;
    }
    output.flush().context(CANNOT_WRITE)?;
    at_end();
    write(output, &closing)?;
    Ok(tally)
}

/// Start of the closing line of a test binary.
const CLOSING: &str = "test result: ";

const CANNOT_WRITE: &str = "cannot write to standard output";

fn write(output: &mut impl Write, bytes: &[u8]) -> Result<()> {
    output.write_all(bytes).context(CANNOT_WRITE)
}

impl Tally {
    /// Counts one line of output.
    fn add(&mut self, line: &str) {
        if line.contains(CLOSING) {
            self.passed += number_before(line, " passed;");
            self.ignored += number_before(line, " ignored;");
        } else if let Some((name, reason)) = ignored(line) {
            if !reason.contains(GOOD_REASON) {
                self.unreasoned.push(line.to_owned());
            } else if reason.trim_end().ends_with(GUEST_REASON) {
                self.guest.push(name.to_owned());
            }
        }
    }

    /// Returns the number of tests that were left for root.
    pub(crate) const fn privileged(&self) -> u64 {
        self.ignored - self.guest.len() as u64
    }
}

/// Splits a line `test NAME ... ignored, REASON` into the name and the rest.
fn ignored(line: &str) -> Option<(&str, &str)> {
    let (name, reason) = line.strip_prefix("test ")?.split_once(" ... ")?;
    reason.starts_with("ignored").then_some((name, reason))
}

/// The number that stands before `label`, 0 when there is none.
fn number_before(line: &str, label: &str) -> u64 {
    let before = line.split(label).next().unwrap_or_default();
    before.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_lines_of_all_binaries_are_added_up() {
        let mut tally = Tally::default();
        tally.add(
            "test result: ok. 12 passed; 0 failed; 3 ignored; 0 measured; 1 filtered out; finished in 0.01s",
        );
        tally.add(
            "test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
        );
        tally.add("running 12 tests");
        assert_eq!(tally, Tally { passed: 17, ignored: 3, ..Tally::default() });
    }

    #[test]
    fn a_test_ignored_for_another_reason_is_named() {
        let mut tally = Tally::default();
        tally.add(
            "test a_pair_passes ... ignored, requires CAP_NET_ADMIN and CAP_BPF; run by cargo xtask test",
        );
        tally.add("test later ... ignored, too slow");
        tally.add("test engine/src/lib.rs - (line 3) ... ignored");
        assert_eq!(
            tally.unreasoned,
            ["test later ... ignored, too slow", "test engine/src/lib.rs - (line 3) ... ignored"]
        );
    }

    #[test]
    fn the_output_goes_through_unchanged_while_it_is_counted() {
        // A byte that is not UTF-8: tests may print anything.
        let text =
            b"running 2 tests\n\xFF\ntest result: ok. 2 passed; 0 failed; 1 ignored; 0 measured\n";
        let mut shown = Vec::new();
        let tally = relay(&text[..], &mut shown, || ()).expect("memory does not fail");
        assert_eq!(shown, text);
        assert_eq!((tally.passed, tally.ignored), (2, 1));
    }

    #[test]
    fn what_is_said_at_the_end_comes_before_the_closing_line_of_the_last_binary() {
        let text = b"running 1 test\ntest result: ok. 1 passed\n\nrunning 2 tests\n\
                     test a ... ok\n\ntest result: ok. 2 passed\n\n";
        let shown = std::cell::RefCell::new(Vec::new());
        let before = std::cell::Cell::new(0);
        let mut output = Shared(&shown);
        relay(&text[..], &mut output, || before.set(shown.borrow().len())).expect("no failure");
        assert_eq!(shown.borrow()[..], text[..]);
        assert_eq!(&shown.borrow()[before.get()..], b"test result: ok. 2 passed\n\n");
    }

    /// Output that can be looked at while it is written.
    struct Shared<'a>(&'a std::cell::RefCell<Vec<u8>>);

    impl Write for Shared<'_> {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn tests_for_an_emulated_machine_are_not_left_for_root() {
        let mut tally = Tally::default();
        tally.add("test wire::geneve ... ignored, requires geneve; run by cargo xtask test --vm");
        tally.add("test a_pair ... ignored, requires CAP_BPF; run by cargo xtask test");
        tally.add("test result: ok. 0 passed; 0 failed; 2 ignored; 0 measured");
        assert_eq!(tally.guest, ["wire::geneve"]);
        assert_eq!(tally.privileged(), 1);
    }

    #[test]
    fn a_failing_run_is_an_error() {
        assert_eq!(run(&mut Command::new("true"), || ()).expect("succeeds"), Tally::default());
        let error = run(Command::new("sh").args(["-c", "exit 101"]), || ()).expect_err("fails");
        assert_eq!(error.to_string(), "cargo test failed (exit status: 101)");
    }
}
