//! `cargo xtask ci`: everything that must pass before a change is merged, in the order of what
//! fails fastest.

use std::time::Duration;

use anyhow::Result;

use crate::shell::{self, say};
use crate::stages::Stages;
use crate::{bench, build_ebpf, check, privileged, setup, test, vm};

/// More than this for all stages is too long for anybody to wait; a warning says so.
const LIMIT: Duration = Duration::from_secs(25 * 60);

/// Runs what continuous integration runs: formatting, clippy, fuzz targets, documentation,
/// dependencies, eBPF objects, instructions per frame, a smoke test of the comparison, other
/// kernels, every test.
///
/// Installs what is missing first. A table at the end has the time of each stage. Security
/// advisories are not part of it, since fetching them depends on the network
/// (`cargo deny check advisories`).
#[derive(Debug, clap::Args)]
pub(crate) struct Options {}

pub(crate) fn run(_options: &Options) -> Result<()> {
    let mut stages = Stages::new("ci");
    let mut is_reported = false;
    let result = run_stages(&mut stages, &mut is_reported);
    if !is_reported {
        report(&stages);
    }
    result
}

fn run_stages(stages: &mut Stages, is_reported: &mut bool) -> Result<()> {
    stages.run("setup", || {
        // Asked first: the answer should not come after minutes of building.
        privileged::check()?;
        setup::tests()?;
        setup::checks()?;
        setup::ebpf()
    })?;
    stages.run("formatting", || shell::run(shell::cargo().args(["fmt", "--all", "--check"])))?;
    stages.run("prose and paths", || check::run(&check::Options {}))?;
    stages.run("dependencies", || {
        let arguments = ["deny", "--locked", "check", "bans", "licenses", "sources"];
        shell::run(shell::cargo().args(arguments))
    })?;
    stages.run("clippy", clippy)?;
    stages.run("fuzz targets", fuzz_targets)?;
    stages.run("documentation", || {
        let mut doc = shell::workspace("doc");
        doc.args(["--no-deps", "--document-private-items"]).env("RUSTDOCFLAGS", "-D warnings");
        shell::run(&mut doc)
    })?;
    stages.run("eBPF objects", || build_ebpf::run(&build_ebpf::Options { check: true }))?;
    stages.run("instructions per frame", bench::micro::check_instructions)?;
    stages.run("building the tests", || shell::run(shell::workspace("test").arg("--no-run")))?;
    stages.run("comparison, smoke test", bench::smoke_test)?;
    for kernel in ["6.1", "6.18"] {
        stages.run(format!("kernel {kernel}"), || vm::run(&[kernel.to_owned()]))?;
    }
    let ordinary = stages.run("tests", test::ordinary)?;
    // The closing lines of `cargo test` stay the last ones, so the table comes before them.
    let mut privileged = Some(stages.begin("privileged tests"));
    let result = test::privileged(&ordinary, || {
        if let Some(started) = privileged.take() {
            stages.end(started, true);
        }
        report(stages);
        *is_reported = true;
    });
    if let Some(started) = privileged {
        stages.end(started, result.is_ok());
    }
    result.map(drop)
}

/// Shows the table, and a warning when all stages together took too long.
fn report(stages: &Stages) {
    say(format!("ci: the stages and their times\n{}", stages.table().trim_end()));
    if stages.total() > LIMIT {
        let minutes = LIMIT.as_secs() / 60;
        say(format!(
            "ci: warning: this took more than {minutes} minutes: docs/testing.md, \"Time\""
        ));
    }
}

/// Runs clippy over all targets, then over what other features make of them; a warning is a
/// failure.
fn clippy() -> Result<()> {
    let deny_warnings = ["--", "-D", "warnings"];
    shell::run(shell::workspace("clippy").arg("--all-targets").args(deny_warnings))?;
    // The libraries and programs without `internals`, the generator with AF_XDP. The test gives the
    // dependencies the same features as above.
    let mut others = shell::cargo();
    others.args(["clippy", "--locked", "--workspace", "--features", "vxtap-bench/af-xdp"]);
    others.args(["--lib", "--bins", "--test", "command"]).args(deny_warnings);
    shell::run(&mut others)?;
    // The library without the command, then with the importers alone.
    for features in [&[][..], &["--features", "import"]] {
        let mut library = shell::cargo();
        library.args(["check", "--locked", "-p", "vxtap", "--no-default-features", "--lib"]);
        shell::run(library.args(features))?;
    }
    Ok(())
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

    const MEMBERS: [&str; 7] =
        ["engine", "ebpf", "bench", "bench/harness", "tests", "xtask", "xtask/ebpf"];

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

    /// Names and versions of the packages in a lock file.
    fn locked(path: &str) -> BTreeSet<String> {
        let text = read(path);
        let packages = text.split("[[package]]").skip(1);
        packages.map(|package| package.lines().skip(1).take(2).collect()).collect()
    }

    #[test]
    fn the_fuzz_targets_are_built_with_the_same_dependencies_as_the_rest() {
        let profile = |path| {
            let text = read(path);
            let (_, profile) = text.split_once("[profile.dev]").expect("the profile is there");
            profile.split("\n[[").next().unwrap_or_default().trim().to_owned()
        };
        assert_eq!(profile("fuzz/Cargo.toml"), profile("Cargo.toml"));
        let own = ["arbitrary", "jobserver", "libfuzzer-sys", "vxtap-fuzz"];
        let (fuzz, all) = (locked("fuzz/Cargo.lock"), locked("Cargo.lock"));
        let others: Vec<_> = fuzz
            .difference(&all)
            .filter(|package| !own.iter().any(|name| package.contains(&format!("\"{name}\""))))
            .collect();
        assert!(others.is_empty(), "copy these from Cargo.lock to fuzz/Cargo.lock: {others:?}");
    }
}
