//! Whatever the input is: a valid configuration, or an error of one line.

use proptest::prelude::*;
use vxtap::import::{self, ImportError, Imported, Input, Options};

use super::golden::fixture;

type Import = fn(&[Input], &Options) -> Result<Imported, ImportError>;

const FIXTURES: [(Import, &str); 5] = [
    (import::aws, "aws/everything_odd.json"),
    (import::terraform, "terraform/state.json"),
    (import::terraform, "terraform/plan.json"),
    (import::cloudformation, "cloudformation/template.yaml"),
    (import::cloudformation, "cloudformation/template.json"),
];

/// Values of other types and ranges, as they stand in JSON and in YAML.
const VALUES: [&str; 14] = [
    "null",
    "true",
    "-1",
    "0",
    "65536",
    "4294967296",
    "1e300",
    "\"\"",
    "\"\\n\"",
    "\"x\"",
    "[]",
    "{}",
    "[{}]",
    "{\"Ref\": \"x\"}",
];

/// A change of a text at a place that is a share of its length.
#[derive(Clone, Debug)]
enum Change {
    Byte(u8),
    Cut(usize),
    Copy(usize),
    /// What stands between the next colon and the end of its line.
    Value(usize),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        any::<u8>().prop_map(Change::Byte),
        (0_usize..40).prop_map(Change::Cut),
        (0_usize..200).prop_map(Change::Copy),
        (0..VALUES.len()).prop_map(Change::Value),
    ]
}

fn apply(bytes: &mut Vec<u8>, place: prop::sample::Index, change: &Change) {
    let at = place.index(bytes.len().max(1)).min(bytes.len());
    let end = |len: usize| (at + len).min(bytes.len());
    match *change {
        Change::Byte(byte) => {
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
        }
        Change::Cut(len) => drop(bytes.drain(at..end(len))),
        Change::Copy(len) => {
            let copy = bytes[at..end(len)].to_vec();
            bytes.splice(at..at, copy);
        }
        Change::Value(value) => {
            let Some(colon) = bytes[at..].iter().position(|&byte| byte == b':') else { return };
            let rest = &bytes[at + colon + 1..];
            let len = rest.iter().position(|byte| b",\n}".contains(byte)).unwrap_or(rest.len());
            let from = at + colon + 1;
            bytes.splice(from..from + len, [b" ", VALUES[value].as_bytes()].concat());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn damaged_input_is_read_or_refused_in_one_line(
        which in 0..FIXTURES.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), change()), 1..4),
    ) {
        let (import, path) = FIXTURES[which];
        let mut input = fixture(path);
        for (place, change) in &changes {
            apply(&mut input.bytes, *place, change);
        }
        match import(&[input], &Options::default()) {
            Ok(imported) => {
                let config = vxtap::Config::from_toml(std::path::Path::new("imported"), &imported.toml);
                prop_assert!(config.is_ok(), "{:?}", config);
                prop_assert!(imported.left_out.iter().all(|it| !it.contains('\n')));
            }
            Err(error) => {
                let sentence = error.to_string();
                prop_assert!(!sentence.is_empty() && !sentence.contains('\n'), "{sentence:?}");
            }
        }
    }
}
