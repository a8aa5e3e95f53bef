//! `vxtap import` as its users meet it: where it reads and writes, and its exit codes.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::golden::fixture;

fn vxtap(arguments: &[&str], directory: &Path, stdin: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_vxtap"))
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stdin).unwrap();
    child.wait_with_output().unwrap()
}

fn outcome(output: &Output) -> (Option<i32>, &str, &str) {
    let text = |bytes| str::from_utf8(bytes).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn files_and_standard_input_are_read_and_the_result_passes_check() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = fixture("aws/tcp_without_ssh.json").bytes;
    fs::write(directory.path().join("mirror.json"), &bytes).unwrap();
    let from_file = vxtap(&["import", "aws", "mirror.json"], directory.path(), b"");
    let (code, toml, stderr) = outcome(&from_file);
    assert_eq!((code, stderr), (Some(0), ""));
    let body = toml.split_once('\n').unwrap().1;
    for arguments in [&["import", "aws"][..], &["import", "aws", "-"]] {
        let from_stdin = vxtap(arguments, directory.path(), &bytes);
        let (code, text, stderr) = outcome(&from_stdin);
        assert_eq!((code, stderr), (Some(0), ""));
        assert!(text.starts_with("# Written by `vxtap import aws` from standard input.\n"), "{text}");
        assert_eq!(text.split_once('\n').unwrap().1, body);
    }

    let written = vxtap(&["import", "aws", "mirror.json", "-o", "mirror.toml"], directory.path(), b"");
    assert_eq!(outcome(&written), (Some(0), "", ""));
    assert_eq!(fs::read_to_string(directory.path().join("mirror.toml")).unwrap(), toml);
    assert!(!directory.path().join("mirror.toml.part").exists());
    // The interface is the user's to add.
    let capture = format!("{toml}\n[capture]\ninterface = \"lo\"\n");
    fs::write(directory.path().join("whole.toml"), capture).unwrap();
    let checked = vxtap(&["check", "-c", "whole.toml"], directory.path(), b"");
    let (code, stdout, stderr) = outcome(&checked);
    assert_eq!((code, stderr), (Some(0), ""), "{stdout}");
}

#[test]
fn what_was_left_out_is_told_beside_the_result() {
    let directory = tempfile::tempdir().unwrap();
    let plan = vxtap(&["import", "terraform"], directory.path(), &fixture("terraform/plan.json").bytes);
    let (code, stdout, stderr) = outcome(&plan);
    assert_eq!((code, stderr.lines().count()), (Some(0), 3), "{stderr}");
    assert!(stderr.lines().all(|line| line.starts_with("vxtap: left out: ")), "{stderr}");
    assert!(stdout.contains("[[session]]"));
}

#[test]
fn wrong_input_and_places_have_their_exit_codes() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = fixture("aws/capture_all.json").bytes;
    for (arguments, stdin, expected) in [
        (
            &["import", "aws", "none.json"][..],
            &b""[..],
            (2, "cannot read none.json: No such file or directory (os error 2)"),
        ),
        (&["import", "aws"], b"", (2, "standard input: the file is empty")),
        (
            &["import", "aws", "--target", "tmt-9"],
            &bytes,
            (2, "no session sends to the target tmt-9; targets are tmt-0f2"),
        ),
        (
            &["import", "aws", "-o", "none/mirror.toml"],
            &bytes,
            (1, "cannot write none/mirror.toml: No such file or directory (os error 2)"),
        ),
    ] {
        let output = vxtap(arguments, directory.path(), stdin);
        let (code, sentence) = expected;
        assert_eq!(outcome(&output), (Some(code), "", &*format!("vxtap: {sentence}\n")), "{arguments:?}");
    }
}
