//! `cargo xtask test --long`: the tests that take too long for every change.

use anyhow::{Result, bail};

use crate::shell::{self, say};
use crate::stages::Stages;
use crate::{bench, privileged, setup, tally, vm};

/// Cases of each property, 256 by default, unless the property has a number of its own.
const CASES: &str = "4000";

/// Part of the names of the tests that repeat something, more often here than else.
const REPEATED: &str = "again_and_again";

/// Runs each of the long tests, then shows a table with their names, times and results.
///
/// # Errors
/// When one of them fails; the others are run nevertheless.
pub(crate) fn run() -> Result<()> {
    // Asked first: the answer should not come after minutes of building.
    privileged::check()?;
    setup::tests()?;
    let mut stages = Stages::new("test --long");
    for version in vm::versions() {
        stages.try_run(format!("kernel {version}"), || vm::run(&[version.to_owned()]));
    }
    stages.try_run("repeated under load", repeated);
    stages.try_run(format!("properties, {CASES} cases"), properties);
    stages.try_run("comparison, optimised build, smoke test", bench::optimised_smoke_test);
    say(format!("test --long: the tests and their times\n{}", stages.table().trim_end()));
    let failed = stages.failed();
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

/// Runs the privileged tests that repeat something.
fn repeated() -> Result<()> {
    let mut command = privileged::cargo_test()?;
    command.args(["--no-fail-fast", "--tests", REPEATED]);
    command.args(["--", "--ignored", "--test-threads=1"]).env("VXTAP_LONG", "1");
    if tally::run(&mut command, || ())?.passed == 0 {
        bail!("no test has {REPEATED} in its name");
    }
    Ok(())
}

/// Runs the unit and property tests with more cases.
fn properties() -> Result<()> {
    let mut command = shell::workspace("test");
    shell::run(command.arg("--lib").arg("--tests").env("PROPTEST_CASES", CASES))
}
