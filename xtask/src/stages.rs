//! The stages of a long command: each is timed, and a table at the end has their times and results.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::shell::say;

/// The stages so far.
#[derive(Debug)]
pub(crate) struct Stages {
    command: &'static str,
    rows: Vec<Row>,
}

/// One stage that has ended.
#[derive(Debug)]
struct Row {
    name: String,
    time: Duration,
    passed: bool,
}

impl Stages {
    /// Starts the list of stages of a command, which the messages name.
    pub(crate) const fn new(command: &'static str) -> Self {
        Self { command, rows: Vec::new() }
    }

    /// Runs a stage and notes its time and result.
    ///
    /// # Errors
    /// When the stage fails, with its error.
    pub(crate) fn run<T>(
        &mut self,
        name: impl Into<String>,
        stage: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let start = self.begin(&name.into());
        let result = stage();
        self.end(start, result.is_ok());
        result
    }

    /// Runs a stage that the following ones do not depend on: its error is shown, and noted.
    pub(crate) fn try_run(&mut self, name: impl Into<String>, stage: impl FnOnce() -> Result<()>) {
        let name = name.into();
        if let Err(error) = self.run(name.clone(), stage) {
            say(format!("{}: {name}: FAILED: {error:#}", self.command));
        }
    }

    /// Returns the names of the stages that failed.
    pub(crate) fn failed(&self) -> Vec<&str> {
        self.rows.iter().filter(|row| !row.passed).map(|row| row.name.as_str()).collect()
    }

    /// Announces a stage, for [`Stages::end`].
    pub(crate) fn begin(&self, name: &str) -> Started {
        say(format!("{}: {name}", self.command));
        Started { name: name.to_owned(), start: Instant::now() }
    }

    /// Notes the time and the result of a stage.
    pub(crate) fn end(&mut self, started: Started, passed: bool) {
        self.rows.push(Row { name: started.name, time: started.start.elapsed(), passed });
    }

    /// Returns the time of all stages.
    pub(crate) fn total(&self) -> Duration {
        self.rows.iter().map(|row| row.time).sum()
    }

    /// Returns the table: name, minutes and seconds, and result of each stage, and their sum.
    pub(crate) fn table(&self) -> String {
        let total = "all stages";
        let names = self.rows.iter().map(|row| row.name.as_str()).chain([total]);
        let width = names.map(|name| name.chars().count()).max().unwrap_or_default();
        let mut table = String::new();
        for Row { name, time, passed } in &self.rows {
            let result = if *passed { "passed" } else { "FAILED" };
            // Writing to a string cannot fail.
            let _ = writeln!(table, "{name:<width$} {} {result}", minutes(*time));
        }
        let _ = writeln!(table, "{total:<width$} {}", minutes(self.total()));
        table
    }
}

/// A stage that has begun.
#[derive(Debug)]
pub(crate) struct Started {
    name: String,
    start: Instant,
}

/// Returns a time in minutes and seconds, right-aligned.
fn minutes(time: Duration) -> String {
    let seconds = (time + Duration::from_millis(500)).as_secs();
    format!("{:>4} min {:>2} s", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn the_table_has_the_time_and_the_result_of_each_stage_and_the_sum() {
        let row = |name: &str, seconds, passed| Row {
            name: name.to_owned(),
            time: Duration::from_secs(seconds),
            passed,
        };
        let rows = vec![row("clippy", 61, true), row("documentation", 5, false)];
        let stages = Stages { command: "ci", rows };
        assert_eq!(
            stages.table(),
            "clippy           1 min  1 s passed\n\
             documentation    0 min  5 s FAILED\n\
             all stages       1 min  6 s\n"
        );
    }

    #[test]
    fn a_stage_that_fails_is_noted_and_its_error_returned() {
        let mut stages = Stages::new("ci");
        assert_eq!(stages.run("one", || Ok(7)).expect("succeeds"), 7);
        let result: Result<()> = stages.run("two", || bail!("broken"));
        assert_eq!(result.expect_err("fails").to_string(), "broken");
        stages.try_run("three", || bail!("broken too"));
        stages.try_run("four", || Ok(()));
        assert_eq!(stages.failed(), ["two", "three"]);
    }
}
