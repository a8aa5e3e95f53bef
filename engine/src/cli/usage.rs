//! Remedies for wrong arguments: the option or the command that does what was asked for.

use std::path::Path;

use clap::Parser as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::args::Cli;

/// Reads the arguments of the process. Wrong ones end it with a usage text and, where it can be
/// told, with the right ones.
pub(super) fn parse() -> Cli {
    let command = std::env::args().nth(1);
    Cli::try_parse().unwrap_or_else(|error| with_remedy(error, command.as_deref()).exit())
}

/// Adds a remedy to an error. `command` is the first argument of the process.
fn with_remedy(mut error: clap::Error, command: Option<&str>) -> clap::Error {
    let remedy = match (error.kind(), error.get(ContextKind::InvalidArg)) {
        (ErrorKind::UnknownArgument, Some(ContextValue::String(argument))) => {
            remedy(command.unwrap_or_default(), argument)
        }
        _ => None,
    };
    // An option of a similar name is more probable.
    if let Some(remedy) = remedy.filter(|_| error.get(ContextKind::SuggestedArg).is_none()) {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![remedy.into()]));
    }
    error
}

/// Returns the remedy for an argument that a command does not know.
fn remedy(command: &str, argument: &str) -> Option<String> {
    let is_option = argument.starts_with('-');
    let is_toml = Path::new(argument).extension().is_some_and(|extension| extension == "toml");
    Some(match (command, argument) {
        ("run", "-w" | "-o" | "--write" | "--output") => {
            "an [[output]] of the configuration writes files; without one `vxtap run` writes \
             vxtap-INTERFACE-TIME.pcapng into the working directory"
                .to_owned()
        }
        ("tail", "-w" | "-o" | "--write" | "--output") => {
            "the frames go to standard output: `vxtap tail > FILE`".to_owned()
        }
        ("tail", "-n" | "-c") => "the number of frames is given with --count".to_owned(),
        ("run" | "tail", "-r" | "--read") => {
            "`vxtap decap FILE -o OUT` and `vxtap explain FILE -c CONFIG` read capture files"
                .to_owned()
        }
        ("run", _) if is_option => {
            "everything else is set in the configuration: `vxtap config --example` prints one"
                .to_owned()
        }
        ("run" | "check", _) if is_toml => {
            format!("the configuration is given with -c: `vxtap {command} -c {argument}`")
        }
        ("run" | "reload", _) if !is_option => {
            format!("the interface is given with -i: `vxtap {command} -i {argument}`")
        }
        ("tail", _) if !is_option => {
            "the interface is given with -i, a session with -s; there are no filter expressions"
                .to_owned()
        }
        ("check", _) if !is_option => {
            format!("the configuration is given with -c: `vxtap check -c {argument}`")
        }
        ("explain", _) if !is_option => {
            format!("the configuration is given with -c: `vxtap explain CAPTURE -c {argument}`")
        }
        ("decap", _) if !is_option => {
            format!("the output is given with -o: `vxtap decap IN -o {argument}`")
        }
        ("-i" | "--interface" | "-c" | "--config", _) => {
            "the command comes first: `vxtap run -i INTERFACE`".to_owned()
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the line with the remedy for a command line.
    fn tip(line: &str) -> Option<String> {
        let arguments: Vec<_> = line.split(' ').collect();
        let error = Cli::try_parse_from(&arguments).expect_err("wrong usage");
        let text = with_remedy(error, arguments.get(1).copied()).to_string();
        text.lines().find_map(|line| line.trim().strip_prefix("tip: ").map(str::to_owned))
    }

    #[test]
    fn wrong_arguments_are_answered_with_the_right_ones() {
        let in_file =
            "everything else is set in the configuration: `vxtap config --example` prints one";
        let files = "an [[output]] of the configuration writes files; without one `vxtap run` writes \
                     vxtap-INTERFACE-TIME.pcapng into the working directory";
        for (line, expected) in [
            ("vxtap run eth1", "the interface is given with -i: `vxtap run -i eth1`"),
            ("vxtap run a.toml", "the configuration is given with -c: `vxtap run -c a.toml`"),
            ("vxtap run -i eth1 -w x", files),
            ("vxtap run -i eth1 --port 4789", in_file),
            ("vxtap run -n", in_file),
            (
                "vxtap tail -r x",
                "`vxtap decap FILE -o OUT` and `vxtap explain FILE -c CONFIG` read capture files",
            ),
            ("vxtap tail -w x", "the frames go to standard output: `vxtap tail > FILE`"),
            (
                "vxtap tail port 53",
                "the interface is given with -i, a session with -s; there are no filter expressions",
            ),
            ("vxtap check a", "the configuration is given with -c: `vxtap check -c a`"),
            ("vxtap reload eth1", "the interface is given with -i: `vxtap reload -i eth1`"),
            ("vxtap decap a b", "the output is given with -o: `vxtap decap IN -o b`"),
            ("vxtap -i eth1", "the command comes first: `vxtap run -i INTERFACE`"),
        ] {
            assert_eq!(tip(line).as_deref(), Some(expected), "{line}");
        }
        assert_eq!(
            tip("vxtap run --intreface eth1").as_deref(),
            Some("a similar argument exists: '--interface'")
        );
        assert_eq!(tip("vxtap run -i a/b"), None);
    }
}
