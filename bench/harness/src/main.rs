//! The `vxbench` command.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use vxtap_harness::{compare, receive, search};

/// Measures receivers of mirrored traffic side by side.
#[derive(Debug, Parser)]
#[command(name = "vxbench", version, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Compare(Box<compare::CompareOptions>),
    Search(Box<search::SearchOptions>),
    Receive(receive::ReceiveOptions),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Compare(options) => compare::run(&options),
        Command::Search(options) => search::run(&options),
        Command::Receive(options) => receive::run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vxbench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_every_command_is_explained() {
        let mut command = Arguments::command();
        command.build();
        command.clone().debug_assert();
        for sub in command.get_subcommands() {
            assert!(sub.get_about().is_some(), "{} has no description", sub.get_name());
        }
    }
}
