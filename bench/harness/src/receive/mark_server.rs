//! The receiver's side of the protocol.

use std::fs;
use std::io::{BufRead, Write};

use anyhow::{Context, Result, bail};

use super::shared_counts::Counts;
use crate::mark_protocol::{END, MARK, Mark, Ready};

impl From<Counts> for Mark {
    fn from(counts: Counts) -> Self {
        let Counts { frames, bytes, foreign, damaged } = counts;
        Self { frames, bytes, foreign, damaged, ..Self::default() }
    }
}

/// Writes that the receiver is ready, and answers each `mark` until `end` or the end of the input.
///
/// The answer is what `mark` returns, with the resident memory of this process.
///
/// # Errors
/// When `mark` fails, when a line is neither `mark` nor `end`, and when the lines cannot be read or
/// written.
pub fn serve(
    input: impl BufRead,
    mut output: impl Write,
    about: String,
    mut mark: impl FnMut() -> Result<Mark>,
) -> Result<()> {
    write_line(&mut output, &Ready { ready: true, about })?;
    for line in input.lines() {
        match line.context("cannot read standard input")?.trim() {
            MARK => write_line(&mut output, &Mark { rss_kib: resident_kib()?, ..mark()? })?,
            END => break,
            other => bail!("`{other}` is no line of the protocol: write `{MARK}` or `{END}`"),
        }
    }
    Ok(())
}

fn write_line(output: &mut impl Write, message: &impl serde::Serialize) -> Result<()> {
    let line = serde_json::to_string(message)?;
    writeln!(output, "{line}")
        .and_then(|()| output.flush())
        .context("cannot write to standard output")
}

/// Resident memory of this process in KiB (`VmRSS`, `proc_pid_status(5)`).
fn resident_kib() -> Result<u64> {
    let status =
        fs::read_to_string("/proc/self/status").context("cannot read /proc/self/status")?;
    vm_rss(&status).context("/proc/self/status has no VmRSS")
}

fn vm_rss(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the answers to these lines as text.
    fn answers(input: &str) -> (Result<()>, Vec<String>) {
        let mut output = Vec::new();
        let mut calls = 0;
        let result = serve(input.as_bytes(), &mut output, "a test".to_owned(), || {
            calls += 1;
            Ok(Mark { frames: calls, kernel_lost: Some(7), ..Mark::default() })
        });
        let lines = String::from_utf8(output).expect("text").lines().map(str::to_owned).collect();
        (result, lines)
    }

    fn frames(line: &str) -> u64 {
        serde_json::from_str::<Mark>(line).expect("a mark").frames
    }

    #[test]
    fn the_first_line_says_ready_and_each_mark_gets_one() {
        let (result, lines) = answers("mark\nmark\n");
        result.expect("the input ends there");
        assert_eq!(lines[0], r#"{"ready":true,"about":"a test"}"#);
        assert_eq!(lines[1..].iter().map(|line| frames(line)).collect::<Vec<_>>(), [1, 2]);
        let mark: Mark = serde_json::from_str(&lines[1]).expect("a mark");
        assert_eq!((mark.kernel_lost, mark.latency), (Some(7), None));
        assert!(mark.rss_kib > 100, "{mark:?}");
    }

    #[test]
    fn nothing_is_answered_after_the_end() {
        let (result, lines) = answers("mark\nend\nmark\n");
        result.expect("ended");
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn a_line_that_means_nothing_is_an_error() {
        let (result, lines) = answers("marks\n");
        let error = result.expect_err("no such line").to_string();
        assert_eq!(error, "`marks` is no line of the protocol: write `mark` or `end`");
        assert_eq!(lines.len(), 1);
    }

    #[test]
    fn resident_memory_is_read_from_the_kernels_text() {
        assert_eq!(vm_rss("VmHWM:\t    9 kB\nVmRSS:\t  3652 kB\nRssAnon:\t 1 kB\n"), Some(3652));
        assert_eq!(vm_rss("VmHWM:\t    9 kB\n"), None);
    }
}
