//! Developer commands of vxtap: `cargo xtask COMMAND`.
//!
//! One module per command. Messages go to standard error.

mod apt;
mod bench;
mod build_ebpf;
mod check;
mod ci;
mod demo;
mod long;
mod privileged;
mod setup;
mod shell;
mod stages;
mod tally;
mod test;
mod vm;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Developer commands of vxtap.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

// The help text of each is with its options.
#[derive(Subcommand)]
enum Command {
    Setup(setup::Options),
    Demo(demo::Options),
    Test(test::Options),
    Bench(bench::Options),
    Check(check::Options),
    Ci(ci::Options),
    BuildEbpf(build_ebpf::Options),
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            shell::say(format!("failed: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Setup(options) => setup::run(&options),
        Command::Demo(options) => demo::run(&options),
        Command::Test(options) => test::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Check(options) => check::run(&options),
        Command::Ci(options) => ci::run(&options),
        Command::BuildEbpf(options) => build_ebpf::run(&options),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_every_argument_is_explained() {
        let mut command = Arguments::command();
        command.build();
        command.clone().debug_assert();
        for sub in command.get_subcommands() {
            assert!(sub.get_about().is_some(), "{} has no description", sub.get_name());
            for argument in sub.get_arguments() {
                assert!(
                    argument.get_help().is_some(),
                    "{} of {}",
                    argument.get_id(),
                    sub.get_name()
                );
            }
        }
    }
}
