//! Keys of pcapng outputs that belong together.

use super::{assert_refusals, parse};
use crate::config::{Output, OutputKind};

fn text(keys: &str) -> String {
    format!("[[output]]\nname = \"a\"\ntype = \"pcapng\"\n{keys}")
}

#[test]
fn files_that_would_have_one_name_are_refused() {
    let table = [
        (
            "path = \"a\"\nmembers = 2",
            "4:8: output[0].path: found \"a\", allowed is a name with {member} in it, for the number of each member, as members is set",
        ),
        (
            "path = \"{session}\"\nrotate_s = 60",
            "4:8: output[0].path: found \"{session}\", allowed is a name that tells one file from the next, with {number} or a \
             time such as %Y%m%dT%H%M%SZ, as rotate_s is set",
        ),
        (
            "path = \"{member}\"\nkeep_s = 60",
            "4:8: output[0].path: found \"{member}\", allowed is a name that tells files apart, with fields such as {number} or \
             %Y%m%dT%H%M%SZ, as keep_s is set",
        ),
        (
            "path = \"{number}\"\nkeep_mib = 59\nrotate_mib = 60",
            "5:12: output[0].keep_mib: found 59, allowed is 60 (rotate_mib) or more, else no file is kept",
        ),
        (
            "path = \"{session}.part\"",
            "4:8: output[0].path: found \"{session}.part\", allowed is a name that does not end in .part or .zst, the \
             endings of unfinished and compressed files",
        ),
        (
            "path = \"a.zst\"\ncompression = \"zstd\"",
            "4:8: output[0].path: found \"a.zst\", allowed is a name that does not end in .part or .zst, the endings of \
             unfinished and compressed files",
        ),
        (
            "path = \"a/%Y/b\"",
            "4:8: output[0].path: found \"a/%Y\", allowed is a directory without fields: they stand in the name of the file",
        ),
        (
            "path = \"a%x\"",
            "4:8: output[0].path: found \"%x\", allowed is a file name with the fields %Y %m %d %H %M %S %j %y %s %F %T, {session} {vni} {source} \
             {member} {number}; %% and {{ stand for % and {",
        ),
    ];
    let table: Vec<_> = table.iter().map(|(keys, message)| (text(keys), *message)).collect();
    let table: Vec<_> = table.iter().map(|(text, message)| (text.as_str(), *message)).collect();
    assert_refusals(&table);
}

#[test]
fn values_outside_their_ranges_are_refused() {
    let table = [
        (
            "rotate_mib = 0",
            "14: output[0].rotate_mib: found 0, allowed is an integer from 1 to 1048576",
        ),
        (
            "rotate_s = 31622401",
            "12: output[0].rotate_s: found 31622401, allowed is an integer from 1 to 31622400",
        ),
        (
            "keep_files = 0",
            "14: output[0].keep_files: found 0, allowed is an integer from 1 to 1000000",
        ),
        (
            "keep_mib = 0",
            "12: output[0].keep_mib: found 0, allowed is an integer from 1 to 1073741824",
        ),
        ("keep_s = 0", "10: output[0].keep_s: found 0, allowed is an integer from 1 to 316224000"),
        (
            "undeclared_files_per_hour = 0",
            "29: output[0].undeclared_files_per_hour: found 0, allowed is an integer from 1 to 1000000",
        ),
        (
            "undeclared_min_free_percent = 91",
            "31: output[0].undeclared_min_free_percent: found 91, allowed is an integer from 0 to 90",
        ),
        (
            "compression = \"gzip\"",
            "15: output[0].compression: found \"gzip\", allowed is \"none\" or \"zstd\"",
        ),
        (
            "fsync = \"always\"",
            "9: output[0].fsync: found \"always\", allowed is \"never\", \"file\" or \"second\"",
        ),
        ("owner = \"a:b:c\"", "9: output[0].owner: found \"a:b:c\", allowed is USER or USER:GROUP"),
        ("owner = \":b\"", "9: output[0].owner: found \":b\", allowed is USER or USER:GROUP"),
    ];
    let table: Vec<_> = table
        .iter()
        .map(|(key, message)| {
            (text(&format!("path = \"{{number}}\"\n{key}")), format!("5:{message}"))
        })
        .collect();
    let table: Vec<_> =
        table.iter().map(|(text, message)| (text.as_str(), message.as_str())).collect();
    assert_refusals(&table);
}

#[test]
fn a_path_built_by_a_program_stands_for_itself() {
    let kind = OutputKind::pcapng("/d/100%{vni}.pcapng");
    assert_eq!(kind.only_file(), Some("/d/100%{vni}.pcapng".into()));
    let Ok(config) = parse(&text("path = \"100%%{{vni}.pcapng\"")) else { panic!("refused") };
    assert_eq!(config.outputs, [Output::new("a", OutputKind::pcapng("100%{vni}.pcapng"))]);
    let Ok(config) = parse(&text("path = \"{vni}.pcapng\"")) else { panic!("refused") };
    assert_eq!(config.outputs[0].kind.only_file(), None);
}
