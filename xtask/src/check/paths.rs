//! Rule for documents: a path of this repository that they name exists.

use std::collections::BTreeSet;
use std::path::{Component, Path};

use super::Finding;

/// Checks the code spans and the links of a document with this path. `files` are all files of the
/// repository.
pub(super) fn check(text: &str, document: &str, files: &BTreeSet<String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut in_fence = false;
    for (line, text) in (1..).zip(text.lines()) {
        if text.trim_start().starts_with("```") {
            in_fence = !in_fence;
        }
        if in_fence {
            continue;
        }
        let spans = text.split('`').skip(1).step_by(2).map(without_position);
        let spans = spans.filter(|span| looks_like_path(span, files)).flat_map(alternatives);
        let missing = spans.filter(|path| !exists(path, files));
        let links = links(text).filter(|target| !is_target(target, document, files));
        findings.extend(missing.chain(links.map(str::to_owned)).map(|path| Finding {
            line,
            message: format!("there is no {path} in this repository"),
        }));
    }
    findings
}

/// Removes `:LINE` or `:LINE-LINE` from the end.
fn without_position(span: &str) -> &str {
    match span.rsplit_once(':') {
        Some((path, position)) if position.starts_with(|c: char| c.is_ascii_digit()) => path,
        _ => span,
    }
}

/// Returns `true` if a code span names a file of Rust, or a path that begins with a directory of
/// the repository: one at its root, or one of a package's modules.
fn looks_like_path(span: &str, files: &BTreeSet<String>) -> bool {
    let is_path_character = |c: char| c.is_ascii_alphanumeric() || "_-./{},*".contains(c);
    if !span.chars().all(is_path_character) {
        return false;
    }
    if Path::new(span).extension().is_some_and(|extension| extension == "rs") {
        return !span.starts_with(['/', '.', '*']);
    }
    let Some((first, _)) = span.split_once('/') else { return false };
    files.iter().any(|file| {
        let at_root = file.split_once('/').is_some_and(|(directory, _)| directory == first);
        at_root || file.contains(&format!("/src/{first}/"))
    })
}

/// Expands `a/{b,c}` to `a/b` and `a/c`.
fn alternatives(span: &str) -> Vec<String> {
    let parts = span.split_once('{').and_then(|(before, rest)| {
        rest.split_once('}').map(|(inside, after)| (before, inside, after))
    });
    let Some((before, inside, after)) = parts else { return vec![span.to_owned()] };
    let expand = |word: &str| alternatives(&format!("{before}{word}{after}"));
    inside.split(',').flat_map(expand).collect()
}

/// Returns `true` if the path is a file or a directory, from the root or from a directory below it.
fn exists(path: &str, files: &BTreeSet<String>) -> bool {
    let path = path.trim_end_matches('/');
    let wanted: Vec<_> = path.split('/').collect();
    files.iter().any(|file| {
        let parts: Vec<_> = file.split('/').collect();
        let mut windows = parts.windows(wanted.len());
        windows.any(|window| window.iter().zip(&wanted).all(|(part, wanted)| fits(part, wanted)))
    })
}

/// Compares a component with one that may have `*` in it.
fn fits(part: &str, wanted: &str) -> bool {
    match wanted.split_once('*') {
        None => part == wanted,
        Some((before, after)) => {
            let rest = part.strip_prefix(before);
            rest.is_some_and(|rest| {
                (0..=rest.len()).any(|at| rest.is_char_boundary(at) && fits(&rest[at..], after))
            })
        }
    }
}

/// Returns the targets of links that are neither on the network nor in the same document.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let targets = targets.filter(|target| !target.contains("://") && !target.starts_with('#'));
    targets.filter_map(|target| target.split('#').next())
}

/// Returns `true` if a link of the document leads to a file or a directory.
fn is_target(target: &str, document: &str, files: &BTreeSet<String>) -> bool {
    let directory = Path::new(document).parent().unwrap_or(Path::new(""));
    let mut parts = Vec::new();
    for component in directory.join(target).components() {
        match component {
            Component::Normal(part) => parts.push(part.to_string_lossy().into_owned()),
            Component::ParentDir if parts.pop().is_none() => return false,
            _ => {}
        }
    }
    let path = parts.join("/");
    let inside = format!("{path}/");
    path.is_empty() || files.iter().any(|file| *file == path || file.starts_with(&inside))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(text: &str) -> Vec<String> {
        let files = [
            "README.md",
            "docs/testing.md",
            "engine/src/lib.rs",
            "engine/src/worker/batch.rs",
            "engine/tests/import/aws/one.json",
            "engine/tests/import/terraform/one.json",
        ];
        let files = files.map(str::to_owned).into();
        let findings = check(text, "docs/testing.md", &files);
        let name = |finding: Finding| finding.message.split(' ').nth(3).map(str::to_owned);
        findings.into_iter().filter_map(name).collect()
    }

    #[test]
    fn a_path_that_does_not_exist_is_found() {
        assert_eq!(missing("See `engine/src/decap.rs`."), ["engine/src/decap.rs"]);
        assert_eq!(missing("`decap.rs` and `lib.rs`"), ["decap.rs"]);
        assert_eq!(missing("`worker/batch.rs`, `worker/taps`"), ["worker/taps"]);
        assert_eq!(missing("`engine/tests/import/{aws,gcp}`"), ["engine/tests/import/gcp"]);
        assert_eq!(missing("`engine/tests/*/gcp`"), ["engine/tests/*/gcp"]);
        assert_eq!(
            missing("a [link](tuning.md#a) and [one](../engine/no.rs)"),
            ["tuning.md", "../engine/no.rs"]
        );
        assert_eq!(check("x\n`engine/no`", "a.md", &["engine/a".to_owned()].into())[0].line, 2);
    }

    #[test]
    fn paths_that_exist_and_other_code_are_left_alone() {
        for text in [
            "`engine/src/lib.rs`, `engine/src/`, `engine/src/lib.rs:37`, `docs`",
            "`engine/tests/import/{aws,terraform}`, `engine/tests/import/*/one.json`",
            "[testing](testing.md), [above](../README.md#top), [here](#here), [web](https://a.org/b)",
            "`target/release/vxtap`, `/proc/net/dev`, `a/b`, `vxtap.toml`, `cargo run engine/x`",
            "```\n`engine/src/none.rs`\n```",
        ] {
            assert_eq!(missing(text), [""; 0], "{text}");
        }
    }
}
