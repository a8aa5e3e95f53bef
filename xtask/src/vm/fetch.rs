//! Kernels from Debian's archive.

use std::cmp::Ordering;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::kernel::Kernel;
use crate::apt::{Apt, Releases};
use crate::shell;

/// The next release of Debian, whose backports have newer kernels.
const NEWER: &str = "trixie-backports";

/// A kernel and its modules, unpacked.
#[derive(Debug)]
pub(super) struct Files {
    /// Version, as in `uname -r`.
    pub(super) release: String,
    pub(super) vmlinuz: PathBuf,
    /// Directory with the modules.
    pub(super) modules: PathBuf,
}

/// Finds and unpacks a kernel, downloading it unless it is here.
pub(super) fn kernel(kernel: &Kernel) -> Result<Files> {
    let apt = Apt::open(cache()?.join("apt"), &Releases::OwnAnd(NEWER))?;
    let release = newest(&releases(&apt)?, kernel)
        .with_context(|| format!("the archive has no kernel {} for the cloud", kernel.version))?;
    let directory = cache()?.join(&release);
    if !directory.join("complete").exists() {
        unpack(&apt, &release, &directory)?;
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
    paths
        .find(|path| path.exists())
        .with_context(|| format!("none of {places:?} is in the package"))
}

/// Returns the newest release with the kernel's version; if there is none and a newer kernel is
/// allowed, the oldest newer one.
fn newest(releases: &[String], kernel: &Kernel) -> Option<String> {
    let is_version = |release: &&String| {
        release.strip_prefix(kernel.version).is_some_and(|rest| rest.starts_with('.'))
    };
    let same = releases.iter().filter(is_version).max_by(|a, b| order(a, b));
    let newer = || {
        let later =
            releases.iter().filter(|release| order(release, kernel.version) == Ordering::Greater);
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

/// Returns the releases for virtual machines: `linux-image-RELEASE` or, from 6.19 on,
/// `linux-binary-RELEASE`.
fn releases(apt: &Apt) -> Result<Vec<String>> {
    let release = |name: &String| {
        let name =
            name.strip_prefix("linux-image-").or_else(|| name.strip_prefix("linux-modules-"))?;
        let is_release = name.ends_with("-cloud-amd64") && name.matches('.').count() >= 2;
        is_release.then(|| name.to_owned())
    };
    Ok(apt.names("linux-")?.iter().filter_map(release).collect())
}

/// Downloads and unpacks a kernel and its modules.
fn unpack(apt: &Apt, release: &str, directory: &Path) -> Result<()> {
    let listed = apt.names("linux-")?;
    let candidates =
        ["linux-image-", "linux-modules-", "linux-binary-"].map(|kind| format!("{kind}{release}"));
    let names: Vec<_> = candidates.into_iter().filter(|name| listed.contains(name)).collect();
    apt.unpack(&names, directory)
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
}
