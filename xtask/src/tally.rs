//! Runs `cargo test`, shows its output as it comes, and adds up its closing lines.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// What the reason of every ignored test starts with: it needs privileges or a program that a
/// machine may lack.
const GOOD_REASON: &str = "ignored, requires ";

/// Sums over the test binaries of one `cargo test`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) ignored: u64,
    /// Lines of tests that are ignored without such a reason.
    pub(crate) unreasoned: Vec<String>,
}

/// Runs the command, which is a `cargo test`, with its output going through.
///
/// # Errors
/// When a test fails or nothing was run at all.
pub(crate) fn run(command: &mut Command) -> Result<Tally> {
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start cargo test")?;
    let output = child.stdout.take().context("cargo test has no output")?;
    let tally = relay(BufReader::new(output), &mut std::io::stdout())?;
    let status = child.wait().context("cannot wait for cargo test")?;
    if !status.success() {
        bail!("cargo test failed ({status})");
    }
    Ok(tally)
}

/// Copies `input` to `output` line by line, and adds it up.
fn relay(input: impl BufRead, output: &mut impl Write) -> Result<Tally> {
    let mut tally = Tally::default();
    for line in input.split(b'\n') {
        let mut line = line.context("cannot read what cargo test says")?;
        tally.add(&String::from_utf8_lossy(&line));
        line.push(b'\n');
        output.write_all(&line).context("cannot write to standard output")?;
    }
    Ok(tally)
}

impl Tally {
    /// Counts one line of output.
    fn add(&mut self, line: &str) {
        if line.contains("test result: ") {
            self.passed += number_before(line, " passed;");
            self.ignored += number_before(line, " ignored;");
        } else if line.starts_with("test ")
            && line.contains("... ignored")
            && !line.contains(GOOD_REASON)
        {
            self.unreasoned.push(line.to_owned());
        }
    }
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
        assert_eq!(tally, Tally { passed: 17, ignored: 3, unreasoned: Vec::new() });
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
        let tally = relay(&text[..], &mut shown).expect("memory does not fail");
        assert_eq!(shown, text);
        assert_eq!((tally.passed, tally.ignored), (2, 1));
    }

    #[test]
    fn a_failing_run_is_an_error() {
        assert_eq!(run(&mut Command::new("true")).expect("succeeds"), Tally::default());
        let error = run(Command::new("sh").args(["-c", "exit 101"])).expect_err("fails");
        assert_eq!(error.to_string(), "cargo test failed (exit status: 101)");
    }
}
