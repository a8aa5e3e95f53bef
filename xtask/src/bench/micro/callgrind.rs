//! Output of callgrind: instructions by function.
//!
//! The format is that of <https://valgrind.org/docs/manual/cl-format.html>, written with
//! `--compress-strings=no` and `--compress-pos=no`, so that every line stands for itself.

use std::collections::HashMap;

use anyhow::{Context, Result, bail, ensure};

/// Instructions by function, including those of the functions that it calls.
#[derive(Debug, Default)]
pub(super) struct Profile {
    inclusive: HashMap<String, u64>,
}

impl Profile {
    /// Reads a file's text. Functions of the same name, as the instances of a generic one are, are
    /// one.
    ///
    /// # Errors
    /// When the text is not in the format, or counts something else than instructions.
    pub(super) fn parse(text: &str) -> Result<Self> {
        ensure!(
            text.lines().any(|line| line == "events: Ir"),
            "callgrind has counted no instructions"
        );
        let mut profile = Self::default();
        let mut function = None;
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("fn=") {
                function = Some(profile.inclusive.entry(name.to_owned()).or_default());
            } else if line.starts_with(|first: char| first.is_ascii_digit()) {
                // `LINE COST`: of the function itself, or behind a line `calls=` of what it calls.
                let cost = line.split_once(' ').map(|(_, cost)| cost);
                let cost: u64 =
                    cost.and_then(|cost| cost.parse().ok()).context(format!("no cost: {line}"))?;
                **function
                    .as_mut()
                    .context("callgrind gives a cost before the first function")? += cost;
            }
        }
        Ok(profile)
    }

    /// The instructions of `function`, which is a whole name or the end of one, behind `::`.
    ///
    /// # Errors
    /// When there is no such function, or more than one.
    pub(super) fn of(&self, function: &str) -> Result<u64> {
        let ends = |name: &str| {
            name.strip_suffix(function).is_some_and(|rest| rest.is_empty() || rest.ends_with("::"))
        };
        let mut found = self.inclusive.iter().filter(|(name, _)| ends(name));
        match (found.next(), found.next()) {
            (Some((_, &cost)), None) => Ok(cost),
            (None, _) => {
                bail!("callgrind saw no function {function}: renamed, or inlined into its caller?")
            }
            (Some((one, _)), Some((two, _))) => bail!("{function} may be {one} or {two}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
version: 1
creator: callgrind-3.19.0
positions: line
events: Ir
summary: 152

ob=/tmp/bench
fl=engine/src/worker/stages/filter.rs
fn=vxtap::worker::stages::Stages::filter
10 30
fi=library/core/src/slice.rs
7 12
fe=engine/src/worker/stages/filter.rs
12 5
cfi=engine/src/worker/frame_accounting.rs
cfn=vxtap::worker::frame_accounting::FrameAccounting::receive
calls=4 77
14 100

fl=engine/src/worker/frame_accounting.rs
fn=vxtap::worker::frame_accounting::FrameAccounting::receive
77 100

totals: 152
";

    #[test]
    fn a_function_has_its_own_instructions_inlined_ones_and_those_of_what_it_calls() {
        let profile = Profile::parse(TEXT).unwrap();
        assert_eq!(profile.of("Stages::filter").unwrap(), 147);
        assert_eq!(profile.of("FrameAccounting::receive").unwrap(), 100);
    }

    #[test]
    fn a_function_that_is_not_there_is_an_error_and_no_zero() {
        let profile = Profile::parse(TEXT).unwrap();
        let error = profile.of("Accounting::receive").expect_err("not a whole name");
        assert_eq!(
            error.to_string(),
            "callgrind saw no function Accounting::receive: renamed, or inlined into its caller?"
        );
        let twice = TEXT
            .replace("frame_accounting::FrameAccounting", "stages::filter::Stages")
            .replace("receive", "filter");
        assert!(Profile::parse(&twice).unwrap().of("Stages::filter").is_err());
    }

    #[test]
    fn what_is_no_count_of_instructions_is_refused() {
        assert!(Profile::parse("events: Dr\n").is_err());
        assert!(Profile::parse("events: Ir\n12 30\n").is_err());
        assert!(Profile::parse("events: Ir\nfn=f\n12\n").is_err());
    }
}
