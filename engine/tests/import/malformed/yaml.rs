//! Texts that are not YAML, or are YAML that CloudFormation does not accept.

use super::{case, check};
use crate::Source;

#[test]
fn texts_that_are_not_yaml() {
    let cases = [
        case("", "in.json: the file is empty"),
        case("\n  \n", "in.json: the file is empty"),
        case("# a comment\n", "in.json: the file is empty"),
        case(b"Resources: \xe4\n".to_vec(), "in.json: byte 12 is not UTF-8 text"),
        case("\u{feff}\u{0}", "in.json: line 1, column 1: not YAML: found unprintable character"),
        case(
            "Resources:\n\tF: 1\n",
            "in.json: line 2, column 2: not YAML: tabs disallowed within this context (block indentation)",
        ),
        case(
            "Resources: [a, b",
            "in.json: line 2, column 1: not YAML: while parsing a flow sequence, expected ',' or ']'",
        ),
        case(
            "Resources: {a: b",
            "in.json: line 2, column 1: not YAML: while parsing a flow mapping, did not find expected ',' or '}'",
        ),
        case(
            "Resources: 'F",
            "in.json: line 1, column 12: not YAML: while scanning a quoted scalar, found unexpected end of stream",
        ),
        case(
            "Resources:\n  A: 1\n B: 2\n",
            "in.json: line 3, column 2: not YAML: while parsing a block mapping, did not find expected key",
        ),
        case(
            "a: b: c\n",
            "in.json: line 1, column 5: not YAML: mapping values are not allowed in this context",
        ),
        case(
            "{\"Resources\": {}",
            "in.json: line 1, column 16: not JSON: EOF while parsing an object",
        ),
        case("{\"Resources\": {}} x", "in.json: line 1, column 19: not JSON: trailing characters"),
    ];
    check(Source::Cloudformation, &cases);
}

#[test]
fn yaml_that_no_template_is() {
    let cases = [
        case(
            "Resources: {}\n---\nResources: {}\n",
            "in.json: line 2, column 1: a second document; a template is one",
        ),
        case(
            "Resources: {}\nResources: {}\n",
            "in.json: line 2, column 1: the key \"Resources\" stands twice",
        ),
        case(
            "Resources:\n  F:\n    Type: a\n    Type: b\n",
            "in.json: line 4, column 5: the key \"Type\" stands twice",
        ),
        case(
            "a: &here 1\nb: *here\n",
            "in.json: line 2, column 4: aliases (*name) are not read, write the value",
        ),
        case(
            "? [a, b]\n: c\n",
            "in.json: line 1, column 3: found a list or map where a key is expected",
        ),
        case("{a: b}: c\n", "in.json: line 1, column 2: not JSON: key must be a string"),
        case(
            "- {a: b}\n- ? {c: d}\n  : e\n",
            "in.json: line 2, column 5: found a list or map where a key is expected",
        ),
    ];
    check(Source::Cloudformation, &cases);
}

/// Neither is followed to the end of the stack, nor of patience.
#[test]
fn nesting_without_end() {
    const DEEP: usize = 100_000;
    let lists = format!("a: {}", "[".repeat(DEEP));
    let maps = format!("a: {}", "{a: ".repeat(DEEP));
    let indented: String =
        (0..2_000).flat_map(|depth| [" ".repeat(depth), "a:\n".to_owned()]).collect();
    let cases = [
        case(lists, "in.json: line 1, column 259: too many lists and maps inside each other"),
        case(maps, "in.json: line 1, column 512: too many lists and maps inside each other"),
        case(
            "- ".repeat(DEEP),
            "in.json: line 1, column 257: too many lists and maps inside each other",
        ),
        case(
            "? ".repeat(DEEP),
            "in.json: line 1, column 3: found a list or map where a key is expected",
        ),
        case(indented, "in.json: line 129, column 129: too many lists and maps inside each other"),
        case(
            "{\"a\":".repeat(DEEP),
            "in.json: line 1, column 636: too many lists and objects inside each other",
        ),
    ];
    check(Source::Cloudformation, &cases);
}
