//! Kernels from Debian's archive, by a private list of packages that leaves the system's own alone.

use std::cmp::Ordering;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::kernel::Kernel;
use crate::shell::{self, say};

/// The next release of Debian, whose backports have newer kernels.
const NEWER: &str = "trixie-backports";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A kernel and its modules, unpacked.
#[derive(Debug)]
pub(super) struct Files {
    /// Version, as `uname -r` says it.
    pub(super) release: String,
    pub(super) vmlinuz: PathBuf,
    /// Directory with the modules.
    pub(super) modules: PathBuf,
}

/// Finds and unpacks a kernel, downloading it unless it is here.
pub(super) fn kernel(kernel: &Kernel) -> Result<Files> {
    let apt = Apt::new()?;
    let release = newest(&apt.releases()?, kernel)
        .with_context(|| format!("the archive has no kernel {} for the cloud", kernel.version))?;
    let directory = cache()?.join(&release);
    if !directory.join("complete").exists() {
        apt.unpack(&release, &directory)?;
        fs::write(directory.join("complete"), "")?;
    }
    let modules = first_existing(
        &directory,
        &[&format!("lib/modules/{release}"), &format!("usr/lib/modules/{release}")],
    )?;
    let vmlinuz = first_existing(
        &directory,
        &[&format!("boot/vmlinuz-{release}"), &format!("usr/lib/modules/{release}/vmlinuz")],
    )?;
    Ok(Files { release, vmlinuz, modules })
}

fn cache() -> Result<PathBuf> {
    let path = shell::target_dir()?.join("vm");
    fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
    Ok(path)
}

fn first_existing(directory: &Path, places: &[&str]) -> Result<PathBuf> {
    let mut paths = places.iter().map(|place| directory.join(place));
    paths.find(|path| path.exists()).with_context(|| format!("none of {places:?} is in the package"))
}

/// The newest release that the entry asks for: one of its version, else, where that does as well, the oldest newer one.
fn newest(releases: &[String], kernel: &Kernel) -> Option<String> {
    let is_version =
        |release: &&String| release.strip_prefix(kernel.version).is_some_and(|rest| rest.starts_with('.'));
    let same = releases.iter().filter(is_version).max_by(|a, b| order(a, b));
    let newer = || {
        let later = releases.iter().filter(|release| order(release, kernel.version) == Ordering::Greater);
        later.min_by(|a, b| order(a, b)).filter(|_| kernel.or_newer)
    };
    same.or_else(newer).cloned()
}

/// Orders by the numbers in the names.
fn order(one: &str, other: &str) -> Ordering {
    let numbers = |text: &str| -> Vec<u64> {
        text.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
    };
    numbers(one).cmp(&numbers(other))
}

/// apt with a state of its own.
struct Apt {
    directory: PathBuf,
}

impl Apt {
    fn new() -> Result<Self> {
        let apt = Self { directory: cache()?.join("apt") };
        for part in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(apt.directory.join(part))?;
        }
        let targets = shell::output(Command::new("apt-get").args([
            "indextargets",
            "--format",
            "$(REPO_URI) $(RELEASE)",
            "Created-By: Packages",
        ]));
        let sources = sources(&targets.context("apt-get does not say where packages come from")?)?;
        fs::write(apt.directory.join("sources.list"), sources)?;
        if !apt.directory.join("lists/lock").exists() || apt.releases()?.is_empty() {
            say("vm: reading what kernels there are");
            shell::run(&mut apt.command("apt-get", &["update", "--quiet"]))?;
        }
        Ok(apt)
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        for (name, place) in [
            ("Dir::Etc::SourceList", "sources.list"),
            ("Dir::State::Lists", "lists"),
            ("Dir::Cache", "cache"),
        ] {
            command.arg("-o").arg(format!("{name}={}", self.directory.join(place).display()));
        }
        // Downloads as this user, who may write here.
        command.args(["-o", "Dir::Etc::SourceParts=/dev/null", "-o", "APT::Sandbox::User=root"]);
        command.args(arguments);
        command
    }

    /// Releases for virtual machines: `linux-image-RELEASE` or, from 6.19 on, `linux-binary-RELEASE`.
    fn releases(&self) -> Result<Vec<String>> {
        let mut command = self.command("apt-cache", &["pkgnames", "linux-"]);
        let names = shell::output(&mut command).context("apt-cache does not list packages")?;
        let release = |name: &str| {
            let name = name.strip_prefix("linux-image-").or_else(|| name.strip_prefix("linux-modules-"))?;
            let is_release = name.ends_with("-cloud-amd64") && name.matches('.').count() >= 2;
            is_release.then(|| name.to_owned())
        };
        Ok(names.lines().filter_map(release).collect())
    }

    /// Downloads and unpacks a kernel and its modules.
    fn unpack(&self, release: &str, directory: &Path) -> Result<()> {
        let mut names = Command::new("true");
        names.arg(release);
        let listed =
            shell::output(&mut self.command("apt-cache", &["pkgnames", "linux-"])).unwrap_or_default();
        let listed: Vec<_> = listed.lines().collect();
        let candidates =
            ["linux-image-", "linux-modules-", "linux-binary-"].map(|kind| format!("{kind}{release}"));
        let names: Vec<_> = candidates.iter().filter(|name| listed.contains(&name.as_str())).collect();
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

/// The list: this system's release with its security updates, and the backports to the next one, from the same mirrors.
fn sources(targets: &str) -> Result<String> {
    let mut lines = Vec::new();
    for line in targets.lines() {
        let Some((uri, release)) = line.split_once(' ') else { continue };
        let entry = |release: &str| format!("deb [signed-by={KEYRING}] {uri} {release} main\n");
        if release.ends_with("-security") {
            lines.push(entry(release));
        } else if !release.contains('-') && uri.trim_end_matches('/').ends_with("/debian") {
            lines.extend([entry(release), entry(NEWER)]);
        }
    }
    lines.dedup();
    if lines.is_empty() {
        bail!("this system's packages do not come from Debian's archive, where the kernels are");
    }
    Ok(lines.concat())
}

#[cfg(test)]
mod tests {
    use super::super::kernel::KERNELS;
    use super::*;

    #[test]
    fn the_newest_of_a_version_is_taken_and_a_newer_version_only_where_it_may_be() {
        let releases = [
            "6.1.0-9-cloud-amd64",
            "6.1.0-56-cloud-amd64",
            "6.19.2+deb13-cloud-amd64",
            "7.2.1+deb13-cloud-amd64",
        ];
        let releases = releases.map(str::to_owned);
        let of = |place: usize| newest(&releases, &KERNELS[place]);
        assert_eq!(of(0).as_deref(), Some("6.1.0-56-cloud-amd64"));
        assert_eq!(of(1), None);
        assert_eq!(of(2).as_deref(), Some("6.19.2+deb13-cloud-amd64"));
    }

    #[test]
    fn the_list_names_the_mirrors_of_the_system() {
        let targets = "http://mirror/debian/ bookworm\nhttp://mirror/debian/ bookworm-updates\n\
                       http://mirror/debian-security/ bookworm-security\nhttps://other/apt cloud\n";
        let list = sources(targets).expect("it is Debian");
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
        assert!(sources("https://other/apt cloud\n").is_err());
    }
}
