//! Looks for things that must be gone when an engine or a test has ended.

use std::fs;
use std::process;

use anyhow::{Context, Result};

use crate::{NetNs, netns};

/// Returns the text of `ip link` about the XDP program on `interface`, or `None` when there is no
/// program.
///
/// # Errors
/// When the interface does not exist.
pub fn xdp_program(netns: &NetNs, interface: &str) -> Result<Option<String>> {
    let shown = netns.ip(&["-o", "-d", "link", "show", "dev", interface])?;
    let program = shown.find("prog/xdp").map(|at| shown[at..].trim_end().to_owned());
    Ok(program)
}

/// Ends the test when an XDP program is still attached to `interface`.
///
/// # Panics
/// When there is one, or the interface does not exist.
pub fn assert_no_xdp_program(netns: &NetNs, interface: &str) {
    match xdp_program(netns, interface) {
        Ok(None) => {}
        Ok(Some(program)) => panic!("{interface} still has an XDP program: {program}"),
        Err(error) => panic!("cannot look for an XDP program on {interface}: {error:#}"),
    }
}

/// Returns the names of the test namespaces of this process that exist.
pub fn namespaces() -> Vec<String> {
    netns::names_with_prefix(&format!("vxtap-test-{}-", process::id()))
}

/// Returns the targets of the open file descriptors of the process `pid`, sorted.
///
/// Compare two snapshots. Targets are paths and names such as `anon_inode:bpf-map`, `socket:[N]`,
/// `/memfd:umem (deleted)`.
///
/// # Errors
/// When the process is gone or belongs to another user.
pub fn open_files(pid: u32) -> Result<Vec<String>> {
    let directory = format!("/proc/{pid}/fd");
    let entries = fs::read_dir(&directory).with_context(|| format!("cannot read {directory}"))?;
    // The descriptor that reads the directory is gone by the time its link is followed.
    let mut files: Vec<String> = entries
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .map(|target| target.to_string_lossy().into_owned())
        .filter(|target| *target != directory)
        .collect();
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_file_is_listed_until_it_is_closed() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let path = file.path().to_string_lossy().into_owned();
        let listed = |path: &String| open_files(process::id()).expect("our own").contains(path);
        assert!(listed(&path));
        drop(file);
        assert!(!listed(&path));
    }
}
