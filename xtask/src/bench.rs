//! `cargo xtask bench`: builds the instrument, then measures with it.

pub(crate) mod micro;

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{setup, shell};

/// Measures vxtap side by side with what else receives mirrored traffic:
/// `vxbench compare ARGUMENTS`.
///
/// Builds vxgen and vxbench, installs what they need, and runs the comparison as root, through sudo
/// where needed, in network namespaces of its own. Prints tables; leaves them, every single run as
/// JSON, and plots in `bench` in the target directory. `cargo xtask bench -- --help` lists the
/// arguments; docs/performance.md says what the columns mean.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Instead: times the parts of the data path without a kernel, counts instructions per frame,
    /// and fails when they are above their ceilings or something allocates; --quick says no more
    /// than that all of it works
    #[arg(long)]
    micro: bool,
    /// Arguments of `vxbench compare`, as --rows, --sizes, --rounds or --quick
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    if options.micro {
        return micro::run(micro::Length::of(&options.arguments)?);
    }
    setup::bench()?;
    let mut command = compare(&options.arguments)?;
    // Ctrl-C then reaches vxbench alone, which cleans up.
    Err(command.exec()).context("cannot start vxbench")
}

/// Runs the smoke test: every receiver gets some traffic, and delivers what was sent. Proves
/// nothing about speed, so it takes the programs of the tests, which are built anyway.
///
/// # Errors
/// When something cannot be built, or a run is not sane.
pub(crate) fn smoke_test() -> Result<()> {
    setup::bench()?;
    // The test among the targets gives the dependencies the features that all tests build with.
    let mut build = shell::workspace("build");
    build.args(["--bin", "vxgen", "--bin", "vxbench", "--test", "receivers"]);
    shell::run(&mut build)?;
    shell::run(&mut program("debug", &["--quick".into()])?)
}

/// Runs the smoke test with the programs of a measurement.
///
/// # Errors
/// As [`smoke_test`].
pub(crate) fn optimised_smoke_test() -> Result<()> {
    setup::bench()?;
    shell::run(&mut compare(&["--quick".into()])?)
}

/// Builds the instrument and returns the command that runs it.
fn compare(arguments: &[OsString]) -> Result<Command> {
    shell::run(shell::cargo().args([
        "build",
        "--release",
        "-p",
        "vxtap-bench",
        "-p",
        "vxtap-harness",
    ]))?;
    program("release", arguments)
}

/// Returns the command that runs the instrument as root, from the directory of a profile.
fn program(profile: &str, arguments: &[OsString]) -> Result<Command> {
    let target = shell::target_dir()?;
    let program = target.join(profile).join("vxbench");
    let mut command =
        shell::as_root(program.to_str().context("the target directory is not UTF-8")?)?;
    command.arg("compare").args(with_directory(arguments, &target.join("bench")));
    Ok(command)
}

/// The arguments, with a directory for the results unless they name one.
fn with_directory(arguments: &[OsString], directory: &Path) -> Vec<OsString> {
    let mut arguments = arguments.to_vec();
    let names_one = |argument: &OsString| {
        argument == "--out" || argument.to_string_lossy().starts_with("--out=")
    };
    if !arguments.iter().any(names_one) {
        arguments.extend(["--out".into(), directory.into()]);
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(arguments: &[&str]) -> String {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        with_directory(&arguments, Path::new("target/bench"))
            .join(" ".as_ref())
            .to_string_lossy()
            .into_owned()
    }

    #[test]
    fn results_go_to_the_target_directory_unless_told_otherwise() {
        assert_eq!(line(&["--rounds", "3"]), "--rounds 3 --out target/bench");
        assert_eq!(line(&["--out", "here", "--quick"]), "--out here --quick");
        assert_eq!(line(&["--out=here"]), "--out=here");
    }
}
