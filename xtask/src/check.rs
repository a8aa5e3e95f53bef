//! `cargo xtask check`: rules for text that no other tool knows.

mod paths;
mod prose;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::shell::{self, say};

/// Checks the prose of comments and documents, and that the paths in documents exist.
///
/// Reads all files that git tracks. Comment lines and prose have at most 100 columns, no sentence
/// begins with a question word, and a path of this repository that a document names is there.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {}

/// A violation of a rule.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    /// Number of the line, from 1.
    line: usize,
    message: String,
}

/// Runs the command.
///
/// # Errors
/// When a rule is violated, with all places, or a file cannot be read.
pub(crate) fn run(_options: &Options) -> Result<()> {
    let files = tracked()?;
    let mut findings = Vec::new();
    for file in &files {
        let Some(language) = prose::Language::of(file) else { continue };
        // A file that was removed and is not committed yet is still listed.
        let Ok(text) = fs::read_to_string(shell::root().join(file)) else { continue };
        let mut found = prose::check(&text, language);
        if language == prose::Language::Markdown {
            found.extend(paths::check(&text, file, &files));
        }
        findings.extend(
            found.iter().map(|Finding { line, message }| format!("{file}:{line}: {message}")),
        );
    }
    if !findings.is_empty() {
        bail!("{} findings:\n  {}", findings.len(), findings.join("\n  "));
    }
    say(format!("check: prose and paths of {} files", files.len()));
    Ok(())
}

/// Returns the paths of all tracked files, from the root of the checkout.
fn tracked() -> Result<BTreeSet<String>> {
    let mut git = Command::new("git");
    // The checkout may belong to another user than the one who runs this.
    git.args(["-c", "safe.directory=*", "ls-files", "-z"]).current_dir(shell::root());
    let listed = shell::output(&mut git).context("git does not list the tracked files")?;
    let files: BTreeSet<_> =
        listed.split('\0').filter(|file| !file.is_empty()).map(str::to_owned).collect();
    if files.is_empty() {
        bail!("git tracks no file here");
    }
    Ok(files)
}
