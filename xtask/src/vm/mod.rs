//! `cargo xtask test --vm`: privileged tests on other kernels, in a machine that QEMU emulates.
//!
//! The kernels are Debian's, downloaded and unpacked, never installed. The guest has no disk: an
//! initial file system in memory holds the test programs as they were built here, with their
//! libraries, and an init that runs them and powers off. Its output on the serial console is the
//! result.

mod fetch;
mod guest;
mod image;
mod kernel;
mod machine;
mod network;

use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::setup;
use crate::shell::{self, say};
use kernel::{KERNELS, Kernel};

/// Runs the guest's tests on the kernels with these versions, or on all known ones.
pub(crate) fn run(versions: &[String]) -> Result<()> {
    let kernels = chosen(versions)?;
    // Asked first: the answer should not come after minutes of building.
    shell::root_prefix().context("the guest's network needs root")?;
    setup::vm()?;
    let programs = guest::build()?;
    let mut failed = Vec::new();
    for kernel in kernels {
        let start = Instant::now();
        let files = fetch::kernel(kernel)?;
        say(format!("vm: {} as kernel {} or its successor", files.release, kernel.version));
        let programs =
            programs.iter().map(|program| program.on(kernel)).collect::<Result<Vec<_>>>()?;
        let image = image::make(&files, &programs, kernel)?;
        let outcome = machine::run(&files, &image, &programs);
        let seconds = start.elapsed().as_secs();
        match outcome {
            Ok(passed) => {
                say(format!("vm: {}: {passed} tests passed in {seconds} s", files.release));
            }
            Err(error) => {
                say(format!("vm: {}: FAILED after {seconds} s: {error:#}", files.release));
                failed.push(files.release);
            }
        }
    }
    if !failed.is_empty() {
        bail!("tests failed on {}", failed.join(", "));
    }
    Ok(())
}

/// Returns the versions of all kernels, the oldest first.
pub(crate) fn versions() -> impl Iterator<Item = &'static str> {
    KERNELS.iter().map(|kernel| kernel.version)
}

fn chosen(versions: &[String]) -> Result<Vec<&'static Kernel>> {
    if versions.is_empty() {
        return Ok(KERNELS.iter().collect());
    }
    let known = |version: &String| {
        let kernel = KERNELS.iter().find(|kernel| kernel.version == version);
        let all: Vec<_> = KERNELS.iter().map(|kernel| kernel.version).collect();
        kernel.ok_or_else(|| anyhow::anyhow!("no kernel {version}; there are {}", all.join(", ")))
    };
    versions.iter().map(known).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_chosen_by_version() {
        assert_eq!(chosen(&[]).expect("all").len(), KERNELS.len());
        assert_eq!(chosen(&["6.12".to_owned()]).expect("known")[0].version, "6.12");
        let error = chosen(&["5.4".to_owned()]).expect_err("unknown").to_string();
        assert_eq!(error, "no kernel 5.4; there are 6.1, 6.12, 6.18");
    }
}
