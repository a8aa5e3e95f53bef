//! The library alone brings none of the command's dependencies.

use std::process::Command;

/// Crates that only the features `cli` and `import` need.
const OPTIONAL: [&str; 6] =
    ["anyhow", "clap", "saphyr-parser", "serde", "serde_json", "signal-hook"];

/// Returns the names of the packages that a build of vxtap with these features links.
fn packages(features: &[&str]) -> Vec<String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["tree", "--offline", "--locked", "--package", "vxtap", "--edges", "normal"]);
    cargo.args(["--prefix", "none", "--format", "{lib}"]).args(features);
    let output = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let listing = String::from_utf8(output.stdout).expect("UTF-8");
    listing.lines().map(|line| line.trim_end_matches(" (*)").replace('_', "-")).collect()
}

fn optional_ones(features: &[&str]) -> Vec<&'static str> {
    let packages = packages(features);
    let is_there = |name: &&str| packages.contains(&name.replace('_', "-"));
    OPTIONAL.into_iter().filter(is_there).collect()
}

#[test]
fn the_library_without_features_has_no_dependency_of_the_command() {
    assert_eq!(optional_ones(&["--no-default-features"]), [""; 0]);
    assert_eq!(
        optional_ones(&["--no-default-features", "--features", "import"]),
        ["saphyr-parser", "serde_json"]
    );
    assert_eq!(optional_ones(&[]), OPTIONAL);
}
