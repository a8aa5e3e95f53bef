//! The demo's directory.

use std::fs::{self, File};
use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::{env, path};

use anyhow::{Context, Result};

use crate::shell;

/// Names inside the directory.
const CAPTURE: &str = "demo.pcapng";
const CONFIG: &str = "vxtap.toml";
const ENGINE_LOG: &str = "vxtap.log";
const GENERATOR_LOG: &str = "vxgen.log";

/// Directory of the capture file, the configuration and the logs.
#[derive(Debug)]
pub(super) struct Files {
    directory: PathBuf,
}

impl Files {
    /// Makes the directory and removes what an earlier demo wrote there.
    pub(super) fn create(directory: Option<PathBuf>) -> Result<Self> {
        let directory = match directory {
            Some(directory) => directory,
            None => shell::target_dir()?.join("demo"),
        };
        let directory = path::absolute(directory)?;
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        for name in [CAPTURE, CONFIG, ENGINE_LOG, GENERATOR_LOG] {
            // A file that cannot be removed cannot be written either, which is an error later.
            let _ = fs::remove_file(directory.join(name));
        }
        Ok(Self { directory })
    }

    pub(super) fn capture(&self) -> PathBuf {
        self.directory.join(CAPTURE)
    }

    pub(super) fn config(&self) -> PathBuf {
        self.directory.join(CONFIG)
    }

    pub(super) fn write_config(&self, text: &str) -> Result<()> {
        let path = self.config();
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    pub(super) fn engine_log(&self) -> Result<File> {
        self.open(ENGINE_LOG)
    }

    pub(super) fn generator_log(&self) -> Result<File> {
        self.open(GENERATOR_LOG)
    }

    pub(super) fn engine_log_text(&self) -> String {
        self.text(ENGINE_LOG)
    }

    pub(super) fn generator_log_text(&self) -> String {
        self.text(GENERATOR_LOG)
    }

    /// Gives the files to the user who called sudo; root's capture file would be unreadable for
    /// them.
    pub(super) fn hand_over(&self) -> Result<()> {
        let id = |name| env::var(name).ok()?.parse::<u32>().ok();
        let (Some(user), Some(group)) = (id("SUDO_UID"), id("SUDO_GID")) else { return Ok(()) };
        let mut paths = vec![self.directory.clone()];
        paths.extend(
            [CAPTURE, CONFIG, ENGINE_LOG, GENERATOR_LOG].map(|name| self.directory.join(name)),
        );
        for path in paths.into_iter().filter(|path| path.exists()) {
            chown(&path, Some(user), Some(group))
                .with_context(|| format!("cannot hand {} over", path.display()))?;
        }
        Ok(())
    }

    fn open(&self, name: &str) -> Result<File> {
        let path = self.directory.join(name);
        File::create(&path).with_context(|| format!("cannot write {}", path.display()))
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.directory.join(name)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demo_starts_without_the_files_of_the_one_before() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let create = || Files::create(Some(directory.path().join("demo"))).expect("may be made");
        let files = create();
        files.write_config("old").expect("may be written");
        fs::write(files.capture(), "old").expect("may be written");
        let files = create();
        assert!(!files.config().exists() && !files.capture().exists());
        assert_eq!(files.engine_log_text(), "");
    }
}
