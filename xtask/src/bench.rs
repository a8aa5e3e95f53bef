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

/// The smoke test: every receiver gets some traffic, and what it delivers must make sense. Says
/// nothing about speed.
///
/// # Errors
/// When something cannot be built, or a run is not sane.
pub(crate) fn smoke_test() -> Result<()> {
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
    let target = shell::target_dir()?;
    let program = target.join("release/vxbench");
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
