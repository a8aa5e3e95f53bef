//! `cargo xtask bench --micro`: the parts of the data path, timed and counted, without a kernel.

mod callgrind;
mod ceilings;

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::setup;
use crate::shell::{self, say};

/// Length of the timed part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// Criterion's default: some minutes.
    Full,
    /// Enough to see that all of it works, and figures of one digit.
    Quick,
}

impl Length {
    /// Returns the length that the arguments of `bench --micro` ask for.
    ///
    /// # Errors
    /// When it is something else.
    pub(super) fn of(arguments: &[OsString]) -> Result<Self> {
        match arguments {
            [] => Ok(Self::Full),
            [quick] if quick == "--quick" => Ok(Self::Quick),
            _ => bail!("`bench --micro` takes no other argument than --quick"),
        }
    }
}

/// Counts instructions, asserts that nothing allocates, times every part, and counts events where
/// the machine can.
///
/// # Errors
/// When something cannot be built, a ceiling is exceeded, or something allocates.
pub(super) fn run(length: Length) -> Result<()> {
    check_instructions()?;
    shell::run(shell::workspace("test").args(["--test", "allocations"]))?;
    let mut bench = cargo(&["bench"]);
    bench.args(["--bench", "parts", "--bench", "worker", "--", "--noplot"]);
    if length == Length::Quick {
        bench.args(["--warm-up-time", "0.2", "--measurement-time", "0.5", "--sample-size", "10"]);
    }
    shell::run(&mut bench)?;
    events()?;
    let target = shell::target_dir()?;
    say(format!(
        "micro: the times are in {}, callgrind's files in {}",
        target.join("criterion").display(),
        callgrind_directory()?.display()
    ));
    Ok(())
}

/// Counts the instructions per frame, which repeat exactly, and compares them with their ceilings.
///
/// # Errors
/// When something cannot be built, or a ceiling is exceeded.
pub(crate) fn check_instructions() -> Result<()> {
    setup::micro()?;
    ceilings::check(&program()?, &callgrind_directory()?)
}

/// Counts hardware events while a worker works, if the CPU has counters: a virtual machine usually
/// has none.
fn events() -> Result<()> {
    let perf = |arguments: &[&str]| {
        let mut command = Command::new("perf");
        command.args([
            "stat",
            "-e",
            "cycles,instructions,cache-misses,branch-misses,dTLB-load-misses",
        ]);
        command.args(arguments);
        command
    };
    let probe = perf(&["--", "true"]).output();
    let Ok(probe) = probe else {
        say("micro: no hardware events: perf is not installed");
        return Ok(());
    };
    if !counts_cycles(&String::from_utf8_lossy(&probe.stderr)) {
        say(
            "micro: no hardware events: this machine has no counters, or does not let us read them",
        );
        return Ok(());
    }
    let program = program()?;
    let program = program.to_str().context("the target directory is not UTF-8")?;
    shell::run(&mut perf(&["--", program, "1", "1", "false"]))
}

/// Returns `true` if the output of `perf stat` has a number of cycles.
fn counts_cycles(printed: &str) -> bool {
    let cycles = printed.lines().find(|line| line.contains("cycles"));
    cycles.is_some_and(|line| line.trim_start().starts_with(|first: char| first.is_ascii_digit()))
}

fn callgrind_directory() -> Result<PathBuf> {
    Ok(shell::target_dir()?.join("callgrind"))
}

/// Returns a cargo command on the engine, with its internals open to benches.
fn cargo(words: &[&str]) -> Command {
    let mut command = shell::cargo();
    command.args(words).args(["--locked", "-p", "vxtap", "--features", "internals"]);
    command
}

/// Builds the program whose instructions are counted, and returns where it is.
fn program() -> Result<PathBuf> {
    let mut build = cargo(&["bench"]);
    build.args(["--bench", "instructions", "--no-run", "--message-format=json-render-diagnostics"]);
    say("$ cargo bench -p vxtap --features internals --bench instructions --no-run");
    let output = build.stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    let executable =
        executable(&String::from_utf8_lossy(&output.stdout)).context("cargo built no bench")?;
    fs::canonicalize(&executable).with_context(|| format!("cannot find {executable}"))
}

/// Returns the program that cargo's messages, a JSON value each line, name.
fn executable(messages: &str) -> Option<String> {
    let values = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut programs = values
        .filter(|value| value["target"]["name"] == "instructions")
        .filter_map(|value| Some(value["executable"].as_str()?.to_owned()));
    programs.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_the_one_that_cargo_built_for_the_bench() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"vxtap"},"executable":"/target/vxtap"}
not json
{"reason":"compiler-artifact","target":{"name":"instructions"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"instructions"},"executable":"/target/instructions-1"}"#;
        assert_eq!(executable(messages).as_deref(), Some("/target/instructions-1"));
        assert_eq!(executable(""), None);
    }

    #[test]
    fn a_machine_without_counters_is_recognised() {
        let without = " Performance counter stats for 'true':\n\n   <not supported>      cycles\n";
        let with = " Performance counter stats for 'true':\n\n         1,234,567      cycles:u   # 1 GHz\n";
        assert!(!counts_cycles(without));
        assert!(counts_cycles(with));
        assert!(!counts_cycles("No permission to enable cycles event.\n"));
    }
}
