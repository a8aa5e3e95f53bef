//! Suricata for the tests: the system's own, or the one of Debian's next release, unpacked beside
//! the system.
//!
//! Debian 12 has none. The one of the next release runs with its own libraries and its own loader,
//! out of the directory that it is unpacked to.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::apt::{Apt, Releases};
use crate::shell::{self, say};

const RELEASE: &str = "trixie";

/// Makes `target/tools/suricata/suricata`, unless the system has one.
pub(super) fn ensure() -> Result<()> {
    let directory = shell::target_dir()?.join("tools/suricata");
    let program = directory.join("suricata");
    if program.exists() || shell::find("suricata").is_some() {
        return Ok(());
    }
    say(format!("setup: suricata, which this system does not have, from {RELEASE}"));
    let apt = Apt::open(directory.join("apt"), &Releases::Only(RELEASE))?;
    let mut packages = apt.with_dependencies("suricata")?;
    // Its service files and its updater of rules are of no use here.
    packages
        .retain(|name| name == "suricata" || (name.starts_with("lib") && !name.contains("python")));
    let root = directory.join("root");
    apt.unpack(&packages, &root)?;
    let (loader, libraries) = loader(&root)?;
    let script = format!(
        "#!/bin/sh\nexec '{}' --library-path '{}' '{}' \"$@\"\n",
        loader.display(),
        libraries.display(),
        root.join("usr/bin/suricata").display()
    );
    fs::write(&program, script)?;
    fs::set_permissions(&program, Permissions::from_mode(0o755))?;
    Ok(())
}

/// Returns the loader among the unpacked libraries, and their directory.
fn loader(root: &Path) -> Result<(PathBuf, PathBuf)> {
    for directory in
        fs::read_dir(root.join("usr/lib")).context("no libraries were unpacked")?.flatten()
    {
        let Ok(files) = fs::read_dir(directory.path()) else { continue };
        let mut names = files.flatten().map(|file| file.file_name());
        let is_loader = |name: &std::ffi::OsString| name.to_string_lossy().starts_with("ld-linux");
        if let Some(name) = names.find(is_loader) {
            return Ok((directory.path().join(name), directory.path()));
        }
    }
    anyhow::bail!("no loader is among the unpacked libraries")
}
