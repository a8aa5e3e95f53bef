//! Running other programs, with and without root.

use std::env;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Writes a message to standard error.
pub(crate) fn say(message: impl AsRef<str>) {
    eprintln!("xtask: {}", message.as_ref());
}

/// Writes the result of a command to standard output.
#[expect(clippy::print_stdout, reason = "the result of a command, not a message about it")]
pub(crate) fn print(text: &str) {
    println!("{}", text.trim_end());
}

/// Returns the root of the checkout that cargo runs this xtask for.
///
/// The variable of cargo takes precedence over the path at compile time: checkouts that share a
/// target directory share the program too.
pub(crate) fn root() -> PathBuf {
    let manifest =
        env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let manifest = PathBuf::from(manifest);
    manifest.parent().map_or_else(|| manifest.clone(), Path::to_owned)
}

/// Returns the target directory in use: this program lies in `TARGET/PROFILE/`.
///
/// # Errors
/// When the path of this program is unknown.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let program = env::current_exe().context("cannot find the path of xtask")?;
    program
        .ancestors()
        .nth(2)
        .map(Path::to_owned)
        .context("xtask does not lie in a target directory")
}

/// Returns the cargo that runs this xtask, in the checkout's root.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Returns `cargo SUBCOMMAND` for all packages, with the features that tests and benches need.
///
/// Targets are chosen by further arguments. Packages are not: cargo gives the dependencies other
/// features for each selection of packages, and would compile them again.
pub(crate) fn workspace(subcommand: &str) -> Command {
    let mut command = cargo();
    command.args([subcommand, "--locked", "--workspace", "--features", "vxtap/internals"]);
    command
}

/// Shows the command, then runs it to its end.
///
/// # Errors
/// When it cannot be started or fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    say(format!("$ {}", line(command)));
    let status = command.status().with_context(|| format!("cannot start {}", line(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", line(command));
    }
    Ok(())
}

/// Returns what the command writes to standard output, or `None` when it is missing or fails.
pub(crate) fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Returns `true` if this process is root.
pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Returns the words that come before a command that needs root: none for root, else `sudo` with
/// its options.
///
/// Without a terminal no password can be typed, so sudo must not wait for one.
///
/// # Errors
/// When this process is not root and cannot become root.
pub(crate) fn root_prefix() -> Result<Vec<&'static str>> {
    if is_root() {
        return Ok(Vec::new());
    }
    if find("sudo").is_none() {
        bail!("this needs root and there is no sudo: run it as root");
    }
    if io::stdin().is_terminal() {
        return Ok(vec!["sudo"]);
    }
    if output(Command::new("sudo").args(["-n", "true"])).is_none() {
        bail!("this needs root and sudo asks for a password: run it as root, or from a terminal");
    }
    Ok(vec!["sudo", "-n"])
}

/// Returns the command that runs `program` as root.
///
/// # Errors
/// As [`root_prefix`].
pub(crate) fn as_root(program: &str) -> Result<Command> {
    let mut words = root_prefix()?;
    words.push(program);
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    Ok(command)
}

/// Finds `program` on the search path or in the directories of administration tools, which the path
/// of an ordinary user may lack.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    directories.map(|directory| directory.join(program)).find(|file| file.is_file())
}

/// Returns the command as it is typed in a shell.
fn line(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    let words = std::iter::once(name).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_the_checkout() {
        assert!(root().join("Cargo.lock").is_file());
        assert!(root().join("xtask/Cargo.toml").is_file());
    }

    #[test]
    fn a_program_is_found_on_the_search_path_and_an_invented_one_is_not() {
        assert!(find("sh").is_some());
        assert_eq!(find("no-such-program-anywhere"), None);
    }

    #[test]
    fn a_failing_command_is_named_in_the_error() {
        let error = run(Command::new("sh").args(["-c", "exit 3"])).expect_err("fails");
        assert_eq!(error.to_string(), "sh -c exit 3 failed (exit status: 3)");
    }

    #[test]
    fn a_missing_program_has_no_output() {
        assert_eq!(output(&mut Command::new("no-such-program-anywhere")), None);
        assert_eq!(output(Command::new("sh").args(["-c", "echo x; exit 1"])), None);
        assert_eq!(output(Command::new("sh").args(["-c", "echo x"])).as_deref(), Some("x\n"));
    }
}
