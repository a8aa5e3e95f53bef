//! Fixtures with random damage: nothing panics, what is accepted is a configuration, and every
//! error is one line.

use std::panic::catch_unwind;
use std::path::Path;

use proptest::prelude::RngExt as _;
use proptest::test_runner::TestRng;
use serde_json::{Value, json};
use vxtap::Config;
use vxtap::import::ImportError;

use crate::order::random;
use crate::{SCENARIOS, Source, input};

/// Damaged inputs per importer and kind of damage.
const INPUTS: usize = 3_000;

/// Imports the text; whether it was accepted.
fn check(source: Source, bytes: &[u8]) -> bool {
    let shown = || String::from_utf8_lossy(bytes);
    let outcome = catch_unwind(|| source.import(&[input("damaged", bytes)]));
    match outcome.unwrap_or_else(|_| panic!("{source:?} panics at:\n{}", shown())) {
        Ok(imported) => {
            let config = Config::from_toml(Path::new("imported"), &imported.toml);
            assert!(config.is_ok(), "{config:?}\n{}\nof\n{}", imported.toml, shown());
            for sentence in imported.left_out.iter().chain(&imported.notes) {
                assert_one_line(sentence, bytes);
            }
            true
        }
        Err(error) => {
            if let ImportError::Nothing { left_out, notes, .. } = &error {
                for sentence in left_out.iter().chain(notes) {
                    assert_one_line(sentence, bytes);
                }
            }
            assert_one_line(&error.to_string(), bytes);
            false
        }
    }
}

fn assert_one_line(sentence: &str, bytes: &[u8]) {
    let is_line = !sentence.trim().is_empty() && !sentence.contains(char::is_control);
    assert!(is_line, "{sentence:?} of\n{}", String::from_utf8_lossy(bytes));
}

fn below(random: &mut TestRng, end: usize) -> usize {
    random.random_range(0..end.max(1))
}

/// A place in the bytes and a length from there.
fn span(random: &mut TestRng, len: usize) -> std::ops::Range<usize> {
    let start = below(random, len);
    start..(start + below(random, 40)).min(len)
}

/// Flips bits, cuts pieces out, and puts pieces of the same or other text elsewhere.
fn damage(bytes: &mut Vec<u8>, other: &[u8], random: &mut TestRng) {
    /// Texts that have a meaning in JSON or YAML.
    const TELLING: &[u8] = b"{}[]\",:'&*!|>-#? \n\t\\0\x00\x80";
    for _ in 0..=below(random, 3) {
        if bytes.is_empty() {
            return;
        }
        let at = below(random, bytes.len());
        match below(random, 6) {
            0 => bytes[at] ^= 1 << below(random, 8),
            1 => bytes[at] = TELLING[below(random, TELLING.len())],
            2 => bytes.insert(at, TELLING[below(random, TELLING.len())]),
            3 => drop(bytes.drain(span(random, bytes.len()))),
            4 => {
                let piece = other[span(random, other.len())].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => bytes.truncate(at),
        }
    }
}

/// Puts another value, or one from elsewhere in the document, in the place of one.
fn swap(document: &mut Value, random: &mut TestRng) {
    let mut values = Vec::new();
    collect(document, String::new(), &mut values);
    for _ in 0..=below(random, 2) {
        let pointer = &values[below(random, values.len())].0;
        let other = match below(random, 12) {
            0 => Value::Null,
            1 => json!(true),
            2 => json!(0),
            3 => json!(-1),
            4 => json!(u64::MAX),
            5 => json!(1.5e300),
            6 => json!(""),
            7 => json!("a\n\u{7f}\u{1b}[31m\"\\'''#\u{2028}"),
            8 => json!([]),
            9 => json!({"Ref": "Vni"}),
            10 => json!("x".repeat(300)),
            _ => values[below(random, values.len())].1.clone(),
        };
        // A swap before this one may have taken the place away.
        if let Some(place) = document.pointer_mut(pointer) {
            *place = other;
        }
    }
}

/// All values of a document with their pointers.
fn collect(value: &Value, pointer: String, values: &mut Vec<(String, Value)>) {
    match value {
        Value::Array(list) => {
            for (at, element) in list.iter().enumerate() {
                collect(element, format!("{pointer}/{at}"), values);
            }
        }
        Value::Object(object) => {
            for (key, member) in object {
                let key = key.replace('~', "~0").replace('/', "~1");
                collect(member, format!("{pointer}/{key}"), values);
            }
        }
        _ => {}
    }
    values.push((pointer, value.clone()));
}

fn fixtures(source: Source) -> Vec<Vec<u8>> {
    let files: Vec<String> = match source {
        Source::Aws => {
            SCENARIOS.iter().chain(&["everything_odd"]).map(|name| format!("{name}.json")).collect()
        }
        Source::Terraform => vec!["state.json".to_owned(), "plan.json".to_owned()],
        Source::Cloudformation => {
            ["template.yaml", "template.json", "odd.yaml"].map(str::to_owned).to_vec()
        }
    };
    files.iter().map(|file| source.fixture(file).bytes).collect()
}

/// Asserts that the damage lets some inputs through and breaks others: else it would show nothing.
fn assert_both(source: Source, accepted: usize) {
    assert!(
        (INPUTS / 50..INPUTS * 49 / 50).contains(&accepted),
        "{source:?}: {accepted} of {INPUTS}"
    );
}

fn check_damaged(source: Source) {
    let fixtures = fixtures(source);
    let mut runner = random();
    let random = runner.rng();
    let accepted = (0..INPUTS).filter(|at| {
        let mut bytes = fixtures[at % fixtures.len()].clone();
        let other = &fixtures[below(random, fixtures.len())];
        damage(&mut bytes, other, random);
        check(source, &bytes)
    });
    assert_both(source, accepted.count());
}

fn check_swapped(source: Source) {
    let documents: Vec<Vec<Value>> = fixtures(source)
        .iter()
        .filter_map(|bytes| {
            serde_json::Deserializer::from_slice(bytes).into_iter().collect::<Result<_, _>>().ok()
        })
        .collect();
    let mut runner = random();
    let random = runner.rng();
    let accepted = (0..INPUTS).filter(|at| {
        let mut documents = documents[at % documents.len()].clone();
        let which = below(random, documents.len());
        swap(&mut documents[which], random);
        let texts: Vec<_> = documents.iter().map(Value::to_string).collect();
        check(source, texts.join("\n").as_bytes())
    });
    assert_both(source, accepted.count());
}

#[test]
fn damaged_output_of_the_aws_cli() {
    check_damaged(Source::Aws);
}

#[test]
fn damaged_output_of_terraform() {
    check_damaged(Source::Terraform);
}

#[test]
fn damaged_templates() {
    check_damaged(Source::Cloudformation);
}

#[test]
fn values_of_the_aws_cli_in_each_others_places() {
    check_swapped(Source::Aws);
}

#[test]
fn values_of_terraform_in_each_others_places() {
    check_swapped(Source::Terraform);
}

#[test]
fn values_of_templates_in_each_others_places() {
    check_swapped(Source::Cloudformation);
}
