//! `cargo xtask test --long`: the tests that take too long for every change.

use anyhow::{Result, bail};

use crate::shell::{self, say};
use crate::stages::Stages;
use crate::{bench, privileged, setup, vm};

/// Cases of each property, 256 by default, unless the property has a number of its own.
const CASES: &str = "20000";

/// Stops of an engine under load.
const STOPS: &str = "200";

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
    stages.try_run(format!("{STOPS} stops under load"), stops);
    stages.try_run(format!("properties, {CASES} cases"), properties);
    stages.try_run("comparison, optimised build, smoke test", bench::optimised_smoke_test);
    say(format!("test --long: the tests and their times\n{}", stages.table().trim_end()));
    let failed = stages.failed();
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

/// Runs the test of stops under load, which stops an engine a few times else, with more stops.
fn stops() -> Result<()> {
    let mut command = privileged::cargo_test()?;
    command.args(["--test", "engine", "stops::"]);
    command.args(["--", "--ignored", "--test-threads=1"]);
    shell::run(command.env("VXTAP_STOPS", STOPS))
}

/// Runs the unit and property tests with more cases.
fn properties() -> Result<()> {
    let mut command = shell::workspace("test");
    shell::run(command.arg("--lib").arg("--tests").env("PROPTEST_CASES", CASES))
}
