//! `cargo xtask ci`: everything that must pass before a change is merged, in the order of what
//! fails fastest.

use std::time::Instant;

use anyhow::Result;

use crate::shell::{self, say};
use crate::{bench, setup, test, vm};

/// Runs what continuous integration runs: formatting, clippy, fuzz targets, documentation,
/// dependencies, instructions and allocations per frame, a smoke test of the comparison, other
/// kernels, eBPF objects, every test.
///
/// Installs what is missing first. Security advisories are not part of it: whether they can be
/// fetched depends on the network (`cargo deny check advisories`).
#[derive(Debug, clap::Args)]
pub(crate) struct Options {}

pub(crate) fn run(_options: &Options) -> Result<()> {
    let start = Instant::now();
    setup::tests()?;
    setup::checks()?;
    shell::run(shell::cargo().args(["fmt", "--all", "--check"]))?;
    clippy(&["--workspace"])?;
    // What no member turns on by itself.
    clippy(&["-p", "vxtap", "--features", "internals"])?;
    clippy(&["-p", "vxtap-bench", "--features", "af-xdp"])?;
    clippy(&["-p", "vxtap-tests", "--features", "guest"])?;
    fuzz_targets()?;
    let mut doc = shell::cargo();
    doc.args(["doc", "--workspace", "--no-deps", "--document-private-items"])
        .env("RUSTDOCFLAGS", "-D warnings");
    shell::run(&mut doc)?;
    shell::run(shell::cargo().args(["deny", "--locked", "check", "bans", "licenses", "sources"]))?;
    say(format!("ci: checks passed after {} s; now what a frame costs", start.elapsed().as_secs()));
    bench::micro::check()?;
    say(format!(
        "ci: costs checked after {} s; now the comparison's smoke test",
        start.elapsed().as_secs()
    ));
    bench::smoke_test()?;
    say(format!(
        "ci: the comparison works after {} s; now the oldest kernel and the one with zero-copy",
        start.elapsed().as_secs()
    ));
    vm::run(&["6.1".to_owned(), "6.18".to_owned()])?;
    say(format!("ci: other kernels tested after {} s; now the tests", start.elapsed().as_secs()));
    // The closing lines of `cargo test` stay the last ones.
    test::run_stages(&test::Options::default())?;
    Ok(())
}

/// Clippy over all targets of these packages; a warning is a failure.
fn clippy(packages: &[&str]) -> Result<()> {
    let mut clippy = shell::cargo();
    clippy.arg("clippy").args(packages).args(["--all-targets", "--locked", "--", "-D", "warnings"]);
    shell::run(&mut clippy)
}

/// Clippy over the fuzz targets, so that they do not rot. Nothing is linked, so that libFuzzer,
/// which is C++, need not be built.
fn fuzz_targets() -> Result<()> {
    let mut clippy = shell::cargo();
    clippy.args([
        "clippy",
        "--manifest-path",
        "fuzz/Cargo.toml",
        "--locked",
        "--",
        "-D",
        "warnings",
    ]);
    clippy
        .env("CARGO_TARGET_DIR", shell::target_dir()?)
        .env("CUSTOM_LIBFUZZER_PATH", "target/none.a");
    shell::run(&mut clippy)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::*;

    const MEMBERS: [&str; 6] = ["engine", "ebpf", "bench", "bench/harness", "tests", "xtask"];

    fn read(path: &str) -> String {
        fs::read_to_string(shell::root().join(path))
            .unwrap_or_else(|e| panic!("cannot read {path}: {e}"))
    }

    /// Crates from outside that the members' manifests name.
    fn named_by_members() -> BTreeSet<String> {
        let manifests = MEMBERS.map(|member| read(&format!("{member}/Cargo.toml"))).concat();
        let entries = manifests.lines().filter(|line| line.contains("workspace = true"));
        let names = entries.filter_map(|line| line.split(['.', ' ']).next());
        // The remaining ones are keys of `[package]` and `[lints]`, and members.
        let ours = ["version", "edition", "rust-version", "license", "publish", "workspace"];
        let names = names.filter(|name| !ours.contains(name) && !name.starts_with("vxtap"));
        names.map(str::to_owned).collect()
    }

    #[test]
    fn every_direct_dependency_and_no_other_is_explained() {
        let page = read("docs/dependencies.md");
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        let explained: BTreeSet<String> = rows.map(str::to_owned).collect();
        assert_eq!(explained, named_by_members());
    }

    #[test]
    fn the_workspace_declares_no_dependency_that_nobody_uses() {
        let manifest = read("Cargo.toml");
        let (_, table) =
            manifest.split_once("[workspace.dependencies]").expect("the table is there");
        let (table, _) = table.split_once("\n[").expect("another one follows");
        let names = table
            .lines()
            .filter_map(|line| line.split_once(" = "))
            .map(|(name, _)| name.to_owned());
        let declared: BTreeSet<String> = names.filter(|name| !name.starts_with("vxtap")).collect();
        assert_eq!(declared, named_by_members());
    }
}
