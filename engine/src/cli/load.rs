//! Configuration of a command, from its arguments and the file.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{anyhow, ensure};
use jiff::Timestamp;
use vxtap::config::{Config, ConfigError, INTERFACES_MAX, Output, OutputKind};
use vxtap::interface;

use super::CommandError;
use super::args::{DecapArgs, RunArgs};

/// Returns whether an argument stands for standard input or output.
pub(super) fn is_standard(path: &Path) -> bool {
    path == Path::new("-")
}

/// Returns the path of a file to read; `-` is standard input.
fn input_path(path: &Path) -> &Path {
    if is_standard(path) { Path::new("/dev/stdin") } else { path }
}

/// Returns the name of a file to read in messages; `-` is standard input.
pub(super) fn input_name(path: &Path) -> &Path {
    if is_standard(path) { Path::new("standard input") } else { path }
}

/// Reads a configuration file; `-` is standard input.
pub(super) fn read(path: &Path) -> Result<Config, CommandError> {
    let config = if is_standard(path) {
        Config::from_reader(input_name(path), io::stdin())
    } else {
        Config::read(path)
    };
    config.map_err(|error| CommandError::Refused(error.into()))
}

/// Makes the configuration of `vxtap run`: that of the file with the interfaces of the command
/// line. Loading again applies the changes of the file only.
#[derive(Debug)]
pub(super) struct Loader {
    interfaces: Vec<String>,
    path: Option<PathBuf>,
    /// Time of the start, for the name of the default output file.
    time: String,
}

impl Loader {
    pub(super) fn new(args: RunArgs) -> Self {
        let RunArgs { interface: interfaces, config: path, progress: _ } = args;
        Self { interfaces, path, time: utc_now() }
    }

    /// The configuration file.
    pub(super) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    pub(super) fn load(&self) -> Result<Config, CommandError> {
        check_arguments(&self.interfaces).map_err(CommandError::Refused)?;
        if self.path().is_some_and(is_standard) {
            let reason = anyhow!("the configuration is read again by a reload: name a file, not -");
            return Err(CommandError::Refused(reason));
        }
        let mut config = read_or_default(self.path())?;
        if !self.interfaces.is_empty() {
            config.capture.interfaces.clone_from(&self.interfaces);
        }
        if config.capture.interfaces.is_empty() {
            return Err(CommandError::Refused(self.no_interface()));
        }
        if config.outputs.is_empty() {
            let name = default_file_name(&config.capture.interfaces, &self.time);
            config.outputs.push(pcapng("pcapng", name.into()));
        }
        validated(config, self.path())
    }

    fn no_interface(&self) -> anyhow::Error {
        let there = present_interfaces();
        match self.path() {
            Some(path) => anyhow!(
                "no interface to capture from: set capture.interface in {} or use -i INTERFACE{there}",
                path.display()
            ),
            None => anyhow!(
                "no interface to capture from: use -i INTERFACE, or -c FILE with a configuration{there}"
            ),
        }
    }
}

/// Lists the interfaces of this network namespace for a sentence; returns an empty string if the
/// kernel cannot be asked.
fn present_interfaces() -> String {
    let interfaces = interface::all().unwrap_or_default();
    // Nothing is mirrored to the loopback interface.
    let names: Vec<_> =
        interfaces.into_iter().map(|it| it.name).filter(|name| name != "lo").collect();
    if names.is_empty() { String::new() } else { format!("; there are: {}", names.join(", ")) }
}

/// Checks the interfaces of the command line against each other.
fn check_arguments(interfaces: &[String]) -> anyhow::Result<()> {
    for (position, name) in interfaces.iter().enumerate() {
        ensure!(!interfaces[..position].contains(name), "-i {name} is given twice");
    }
    ensure!(
        interfaces.len() <= INTERFACES_MAX as usize,
        "-i is given {} times, allowed are {INTERFACES_MAX} interfaces at most",
        interfaces.len()
    );
    Ok(())
}

/// Returns the configuration of `vxtap decap`: that of the file with the output of the command line
/// as the only one.
pub(super) fn for_decap(args: &DecapArgs) -> Result<Config, CommandError> {
    let DecapArgs { input, output, config } = args;
    refuse_same_input(input, config.as_deref())?;
    let output = if is_standard(output) { Path::new("/dev/stdout") } else { output };
    if is_same_file(input_path(input), output) {
        let reason =
            anyhow!("{} is input and output at once: name another output", input.display());
        return Err(CommandError::Refused(reason));
    }
    let mut config = read_or_default(config.as_deref())?;
    config.outputs = vec![pcapng("decap", output.to_owned())];
    config.sessions.iter_mut().for_each(|session| session.outputs = None);
    validated(config, None)
}

/// Refuses standard input as capture and configuration at once.
pub(super) fn refuse_same_input(capture: &Path, config: Option<&Path>) -> Result<(), CommandError> {
    if is_standard(capture) && config.is_some_and(is_standard) {
        let reason = anyhow!("standard input is capture and configuration at once: name a file");
        return Err(CommandError::Refused(reason));
    }
    Ok(())
}

/// Returns the name of the file that `vxtap run` writes if no output is configured. It has the
/// interface's, if there is only one.
pub(super) fn default_file_name(interfaces: &[String], time: &str) -> String {
    match interfaces {
        [interface] => format!("vxtap-{interface}-{time}.pcapng"),
        _ => format!("vxtap-{time}.pcapng"),
    }
}

/// Returns the current time in UTC as `20240229T235959Z` (ISO 8601, basic form), which sorts and is
/// safe in file names.
fn utc_now() -> String {
    Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string()
}

fn read_or_default(path: Option<&Path>) -> Result<Config, CommandError> {
    path.map_or_else(|| Ok(Config::default()), read)
}

/// Checks a configuration that the command line has changed; `path` names its file in errors.
fn validated(config: Config, path: Option<&Path>) -> Result<Config, CommandError> {
    let named = |error: ConfigError| match path {
        Some(path) => anyhow!("{}: {error}", path.display()),
        None => error.into(),
    };
    config.validate().map_err(|error| CommandError::Refused(named(error)))?;
    Ok(config)
}

fn pcapng(name: &str, path: PathBuf) -> Output {
    Output::new(name, OutputKind::pcapng(path))
}

/// Returns `true` if both paths lead to the same regular file.
fn is_same_file(one: &Path, other: &Path) -> bool {
    match (fs::metadata(one), fs::metadata(other)) {
        (Ok(one), Ok(other)) if one.is_file() => {
            (one.dev(), one.ino()) == (other.dev(), other.ino())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        fs::write(file.path(), text).expect("written");
        file
    }

    fn run(interface: Option<&str>, config: Option<&Path>) -> Result<Config, CommandError> {
        Loader::new(RunArgs {
            interface: interface.map(str::to_owned).into_iter().collect(),
            config: config.map(Path::to_owned),
            progress: None,
        })
        .load()
    }

    #[test]
    fn the_interface_of_the_command_line_takes_precedence() {
        let file = file("[capture]\ninterface = \"eth1\"\nports = [1]");
        let config = run(Some("eth2"), Some(file.path())).expect("valid");
        assert_eq!(
            (config.capture.interfaces, config.capture.ports),
            (vec!["eth2".to_owned()], vec![1.into()])
        );
        assert_eq!(run(None, Some(file.path())).expect("valid").capture.interfaces, ["eth1"]);
    }

    #[test]
    fn without_an_output_the_frames_go_to_a_file_in_the_working_directory() {
        let config = run(Some("eth1"), None).expect("valid");
        let [Output { kind: OutputKind::Pcapng { path, .. }, .. }] = config.outputs.as_slice()
        else {
            panic!("{:?}", config.outputs)
        };
        let name = path.to_str().expect("UTF-8");
        assert!(name.starts_with("vxtap-eth1-2") && name.ends_with("Z.pcapng"), "{name}");
        assert_eq!(path.components().count(), 1);
    }

    #[test]
    fn a_file_of_several_interfaces_is_not_named_after_the_first() {
        let names = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
            default_file_name(&names, "T")
        };
        assert_eq!(names(&["eth1"]), "vxtap-eth1-T.pcapng");
        assert_eq!(names(&["eth1", "eth2"]), "vxtap-T.pcapng");
    }

    #[test]
    fn a_configured_output_is_the_only_one() {
        let file = file("[[output]]\nname = \"disk\"\ntype = \"pcapng\"\npath = \"x\"");
        assert_eq!(
            run(Some("eth1"), Some(file.path())).expect("valid").outputs,
            [pcapng("disk", "x".into())]
        );
    }

    #[test]
    fn decap_takes_the_output_of_the_command_line_and_the_sessions_of_the_file() {
        let text = "[[output]]\nname = \"disk\"\ntype = \"pcapng\"\npath = \"x\"\n[[session]]\nname = \"a\"\nvni = 1";
        let file = file(text);
        let args = DecapArgs {
            input: "in".into(),
            output: "out".into(),
            config: Some(file.path().to_owned()),
        };
        let config = for_decap(&args).expect("valid");
        assert_eq!(config.outputs, [pcapng("decap", "out".into())]);
        assert_eq!(config.sessions.len(), 1);
    }
}
