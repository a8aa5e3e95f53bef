//! `vxtap import`: makes a configuration from the output of other tools.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use vxtap::import::{self, INPUT_BYTES_MAX, ImportError, Imported, Input, Options};

use super::args::{ImportArgs, ImportSource};
use super::log;
use super::{CommandError, cannot_print, print};

/// Reads the files and writes the configuration.
pub(super) fn import(args: &ImportArgs) -> Result<(), CommandError> {
    let ImportArgs { source, files, target, output } = args;
    let stdin = [PathBuf::from("-")];
    let files = if files.is_empty() { &stdin[..] } else { files };
    let inputs = files.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    let read = match source {
        ImportSource::Aws => import::aws,
        ImportSource::Terraform => import::terraform,
        ImportSource::Cloudformation => import::cloudformation,
    };
    let options = Options { target: target.clone() };
    let Imported { toml, left_out, notes } = read(&inputs, &options).map_err(refused_or_failed)?;
    match output {
        Some(path) => write(path, &toml)?,
        None => print(&toml).map_err(cannot_print)?,
    }
    report(&left_out, &notes);
    Ok(())
}

/// Inputs that were read and have nothing of a mirror are a failure; all else is wrong usage.
fn refused_or_failed(error: ImportError) -> CommandError {
    if let ImportError::Nothing { left_out, notes, .. } = &error {
        report(left_out, notes);
        return CommandError::Failed(error.into());
    }
    CommandError::Refused(error.into())
}

fn report(left_out: &[String], notes: &[String]) {
    for (what, sentences) in [("left out", left_out), ("note", notes)] {
        for sentence in sentences {
            log(&format!("{what}: {sentence}"));
        }
    }
}

fn read(path: &Path) -> Result<Input, CommandError> {
    let is_stdin = path == Path::new("-");
    let name = if is_stdin { "standard input".to_owned() } else { path.display().to_string() };
    let source: io::Result<Box<dyn Read>> = if is_stdin {
        Ok(Box::new(io::stdin().lock()))
    } else {
        File::open(path).map(|file| Box::new(file) as _)
    };
    let mut bytes = Vec::new();
    source
        .and_then(|source| source.take(INPUT_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| CommandError::Refused(anyhow!("cannot read {name}: {error}")))?;
    if bytes.len() as u64 > INPUT_BYTES_MAX {
        let mib = INPUT_BYTES_MAX >> 20;
        return Err(CommandError::Refused(anyhow!(
            "{name}: longer than {mib} MiB, which no description of a mirror is"
        )));
    }
    Ok(Input { name, bytes })
}

/// Writes to a temporary file and renames it, so that readers find the old content or the new one.
fn write(path: &Path, toml: &str) -> Result<(), CommandError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".part");
    let written = fs::write(&beside, toml).and_then(|()| fs::rename(&beside, path));
    written.map_err(|error| {
        // The temporary file may not exist.
        let _ = fs::remove_file(&beside);
        CommandError::Failed(anyhow!("cannot write {}: {error}", path.display()))
    })
}
