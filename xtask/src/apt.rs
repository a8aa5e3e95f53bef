//! Packages of Debian's archive, through an apt with a package list of its own: the system's is not
//! changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::shell::{self, say};

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// apt with a state of its own.
pub(crate) struct Apt {
    directory: PathBuf,
}

impl Apt {
    /// Opens a package list of these releases, from the mirrors that the system uses. The list is
    /// kept in `directory`.
    pub(crate) fn open(directory: PathBuf, releases: &Releases) -> Result<Self> {
        let apt = Self { directory };
        for part in ["lists/partial", "cache/archives/partial"] {
            let path = apt.directory.join(part);
            fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        }
        let targets = shell::output(Command::new("apt-get").args([
            "indextargets",
            "--format",
            "$(REPO_URI) $(RELEASE)",
            "Created-By: Packages",
        ]));
        let sources =
            sources(&targets.context("apt-get does not say where packages come from")?, releases)?;
        fs::write(apt.directory.join("sources.list"), sources)?;
        fs::write(apt.directory.join("nothing-installed"), "")?;
        if !apt.directory.join("complete").exists() {
            say("reading the list of packages");
            shell::run(&mut apt.command("apt-get", &["update", "--quiet"]))?;
            fs::write(apt.directory.join("complete"), "")?;
        }
        Ok(apt)
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        for (name, place) in [
            ("Dir::Etc::SourceList", "sources.list"),
            ("Dir::State::Lists", "lists"),
            ("Dir::State::status", "nothing-installed"),
            ("Dir::Cache", "cache"),
        ] {
            command.arg("-o").arg(format!("{name}={}", self.directory.join(place).display()));
        }
        // Download as this user: apt's own may not write here.
        command.args(["-o", "Dir::Etc::SourceParts=/dev/null", "-o", "APT::Sandbox::User=root"]);
        command.args(arguments);
        command
    }

    /// Returns the names of the packages that begin with `prefix`.
    pub(crate) fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let names = shell::output(&mut self.command("apt-cache", &["pkgnames", prefix]));
        Ok(names.context("apt-cache does not list packages")?.lines().map(str::to_owned).collect())
    }

    /// Returns the names of a package and of all packages that it depends on.
    pub(crate) fn with_dependencies(&self, package: &str) -> Result<Vec<String>> {
        let arguments =
            ["install", "--print-uris", "--yes", "--quiet", "--no-install-recommends", package];
        let lines = shell::output(&mut self.command("apt-get", &arguments));
        let lines = lines.with_context(|| format!("the archive has no package {package}"))?;
        // `'URI' NAME_VERSION_ARCHITECTURE.deb SIZE HASH`
        let name = |line: &str| {
            let file = line.strip_prefix('\'')?.split(' ').nth(1)?;
            Some(file.split_once('_')?.0.to_owned())
        };
        Ok(lines.lines().filter_map(name).collect())
    }

    /// Downloads packages and unpacks them into `directory`.
    pub(crate) fn unpack(&self, names: &[String], directory: &Path) -> Result<()> {
        let downloads = directory.join("packages");
        fs::create_dir_all(&downloads)?;
        let mut command = self.command("apt-get", &["download", "--quiet"]);
        shell::run(command.args(names).current_dir(&downloads))?;
        for entry in fs::read_dir(&downloads)?.flatten() {
            shell::run(Command::new("dpkg-deb").arg("-x").arg(entry.path()).arg(directory))?;
        }
        fs::remove_dir_all(&downloads)?;
        Ok(())
    }
}

/// Releases of Debian to take packages from.
pub(crate) enum Releases {
    /// The release of this system, and another one.
    OwnAnd(&'static str),
    Only(&'static str),
}

/// Returns the text of apt's list of sources.
fn sources(targets: &str, releases: &Releases) -> Result<String> {
    let mut lines = Vec::new();
    for line in targets.lines() {
        let Some((uri, release)) = line.split_once(' ') else { continue };
        let entry = |release: &str| format!("deb [signed-by={KEYRING}] {uri} {release} main\n");
        let is_main = !release.contains('-') && uri.trim_end_matches('/').ends_with("/debian");
        match releases {
            Releases::OwnAnd(_) if release.ends_with("-security") => lines.push(entry(release)),
            Releases::OwnAnd(other) if is_main => lines.extend([entry(release), entry(other)]),
            Releases::Only(other) if is_main => lines.push(entry(other)),
            Releases::OwnAnd(_) | Releases::Only(_) => {}
        }
    }
    lines.dedup();
    if lines.is_empty() {
        bail!("this system's packages do not come from Debian's archive");
    }
    Ok(lines.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_names_the_mirrors_of_the_system() {
        let targets = "http://mirror/debian/ bookworm\nhttp://mirror/debian/ bookworm-updates\n\
                       http://mirror/debian-security/ bookworm-security\nhttps://other/apt cloud\n";
        let own = Releases::OwnAnd("trixie-backports");
        let list = sources(targets, &own).expect("it is Debian");
        let lines: Vec<_> =
            list.lines().filter_map(|line| line.split_once("] ")).map(|(_, rest)| rest).collect();
        assert_eq!(
            lines,
            [
                "http://mirror/debian/ bookworm main",
                "http://mirror/debian/ trixie-backports main",
                "http://mirror/debian-security/ bookworm-security main",
            ]
        );
        assert!(sources("https://other/apt cloud\n", &own).is_err());
        let list = sources(targets, &Releases::Only("trixie")).expect("it is Debian");
        assert_eq!(list, format!("deb [signed-by={KEYRING}] http://mirror/debian/ trixie main\n"));
    }
}
