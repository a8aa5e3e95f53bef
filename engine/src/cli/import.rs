//! `vxtap import`.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use vxtap::import::{self, INPUT_BYTES_MAX, Imported, Input, Options};

use super::args::{ImportArgs, ImportSource};
use super::say;
use super::{Failure, cannot_print, print};

/// Reads the files and writes a configuration.
pub(super) fn import(args: &ImportArgs) -> Result<(), Failure> {
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
    let Imported { toml, left_out } =
        read(&inputs, &options).map_err(|error| Failure::Refused(error.into()))?;
    match output {
        Some(path) => write(path, &toml)?,
        None => print(&toml).map_err(cannot_print)?,
    }
    for sentence in left_out {
        say(&format!("left out: {sentence}"));
    }
    Ok(())
}

fn read(path: &Path) -> Result<Input, Failure> {
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
        .map_err(|error| Failure::Refused(anyhow!("cannot read {name}: {error}")))?;
    if bytes.len() as u64 > INPUT_BYTES_MAX {
        let mib = INPUT_BYTES_MAX >> 20;
        return Err(Failure::Refused(anyhow!(
            "{name}: longer than {mib} MiB, which no description of a mirror is"
        )));
    }
    Ok(Input { name, bytes })
}

/// Writes beside the file and moves the result there, so that who reads it finds the old one or the
/// new one.
fn write(path: &Path, toml: &str) -> Result<(), Failure> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".part");
    let written = fs::write(&beside, toml).and_then(|()| fs::rename(&beside, path));
    written.map_err(|error| {
        // What is not there needs no removing.
        let _ = fs::remove_file(&beside);
        Failure::Failed(anyhow!("cannot write {}: {error}", path.display()))
    })
}
