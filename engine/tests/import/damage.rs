//! Every damage of one kind to a sample of each source: nothing panics, and each report names the
//! file and the place.

use std::panic::catch_unwind;

use serde_json::{Value, json};
use vxtap::import::ImportError;

use crate::{SCENARIOS, Source, input};

/// Name of the damaged file in each report.
const FILE: &str = "damaged";

/// Outcome of an import: the sentences, and whether there is a configuration.
struct Outcome {
    is_accepted: bool,
    sentences: Vec<String>,
}

fn import(source: Source, text: &str) -> Outcome {
    let outcome = catch_unwind(|| source.import(&[input(FILE, text)]));
    match outcome.unwrap_or_else(|_| panic!("{source:?} panics at:\n{text}")) {
        Ok(imported) => Outcome { is_accepted: true, sentences: imported.left_out },
        Err(ImportError::Nothing { message, left_out, .. }) => Outcome {
            is_accepted: false,
            sentences: left_out.into_iter().chain([message]).collect(),
        },
        Err(error) => Outcome { is_accepted: false, sentences: vec![error.to_string()] },
    }
}

fn samples(source: Source) -> Vec<String> {
    let files: Vec<String> = match source {
        Source::Aws => vec![format!("{}.json", SCENARIOS[2]), "everything_odd.json".to_owned()],
        Source::Terraform => vec!["state.json".to_owned(), "plan.json".to_owned()],
        Source::Cloudformation => vec!["template.json".to_owned()],
    };
    files.iter().map(|file| String::from_utf8(source.fixture(file).bytes).unwrap()).collect()
}

/// JSON that ends early is refused with the line and column of its end. Only the AWS CLI's output
/// has several documents, between which it may end.
#[test]
fn a_file_that_ends_early_is_refused_at_its_end() {
    for source in [Source::Aws, Source::Terraform, Source::Cloudformation] {
        for text in samples(source) {
            let text = text.trim_end();
            // Between two documents the rest is a whole input.
            let ends: Vec<usize> =
                (1..text.len()).filter(|&end| text.is_char_boundary(end)).collect();
            let mut accepted = 0;
            for &end in ends.iter().step_by(3) {
                let Outcome { is_accepted, sentences } = import(source, &text[..end]);
                accepted += usize::from(is_accepted);
                let at = format!("{FILE}: line {}, column ", text[..end].matches('\n').count() + 1);
                let is_placed = is_accepted || sentences.iter().any(|it| it.starts_with(&at));
                let is_whole = matches!(source, Source::Aws) && text[..end].ends_with(['}', '\n']);
                assert!(is_placed || is_whole, "{source:?} up to byte {end}: {sentences:?}");
            }
            let is_stream = matches!(source, Source::Aws);
            assert!(accepted == 0 || is_stream, "{source:?}: {accepted} pieces are accepted");
        }
    }
}

/// YAML may end early and still be a template; then what is missing is said, or nothing was.
#[test]
fn a_template_in_yaml_that_ends_early() {
    for file in ["template.yaml", "odd.yaml"] {
        let text = String::from_utf8(Source::Cloudformation.fixture(file).bytes).unwrap();
        let ends: Vec<usize> = (1..text.len()).filter(|&end| text.is_char_boundary(end)).collect();
        for end in ends {
            let Outcome { is_accepted, sentences } = import(Source::Cloudformation, &text[..end]);
            let is_named = sentences.iter().any(|it| it.starts_with(FILE));
            assert!(is_accepted || is_named, "{file} up to byte {end}: {sentences:?}");
        }
    }
}

/// All places of a document, as JSON pointers.
fn pointers(value: &Value, pointer: String, all: &mut Vec<String>) {
    match value {
        Value::Array(list) => {
            for (at, element) in list.iter().enumerate() {
                pointers(element, format!("{pointer}/{at}"), all);
            }
        }
        Value::Object(object) => {
            for (key, member) in object {
                let key = key.replace('~', "~0").replace('/', "~1");
                pointers(member, format!("{pointer}/{key}"), all);
            }
        }
        _ => {}
    }
    all.push(pointer);
}

/// Properties that are read as a number, a word, an address or an identifier, in one of the
/// sources: a list or an object in their place is reported, with their names.
const TYPED: &[&str] = &[
    "TrafficMirrorFilterId",
    "TrafficMirrorSessionId",
    "NetworkInterfaceId",
    "SessionNumber",
    "VirtualNetworkId",
    "PacketLength",
    "TrafficDirection",
    "RuleNumber",
    "RuleAction",
    "Protocol",
    "SourceCidrBlock",
    "DestinationCidrBlock",
    "FromPort",
    "ToPort",
    "MacAddress",
    "PrivateIpAddress",
    "Ipv6Address",
    "traffic_mirror_filter_id",
    "network_interface_id",
    "session_number",
    "virtual_network_id",
    "packet_length",
    "traffic_direction",
    "rule_number",
    "rule_action",
    "protocol",
    "source_cidr_block",
    "destination_cidr_block",
    "from_port",
    "to_port",
    "mac_address",
    "private_ip",
];

/// Each value of a sample in turn is replaced by one of another type.
#[test]
fn a_value_of_another_type_never_panics_and_is_reported_with_its_place() {
    let others = [
        Value::Null,
        json!(true),
        json!(-1),
        json!(1e300),
        json!("\u{1b}[31m\n"),
        json!([]),
        json!([[]]),
        json!({}),
        json!({"a": {}}),
    ];
    for source in [Source::Aws, Source::Terraform, Source::Cloudformation] {
        let mut reported = 0;
        for text in samples(source) {
            let documents: Vec<Value> =
                serde_json::Deserializer::from_str(&text).into_iter().map(Result::unwrap).collect();
            for (at, document) in documents.iter().enumerate() {
                let mut places = Vec::new();
                pointers(document, String::new(), &mut places);
                for place in &places {
                    for other in &others {
                        let mut documents = documents.clone();
                        *documents[at].pointer_mut(place).unwrap() = other.clone();
                        reported += usize::from(check(source, &documents, place, other));
                    }
                }
            }
        }
        // Without a floor, a test that reaches no place would pass.
        assert!(reported > 20, "{source:?}: {reported}");
    }
}

/// Returns whether the value had to be reported, and was.
fn check(source: Source, documents: &[Value], place: &str, other: &Value) -> bool {
    let texts: Vec<_> = documents.iter().map(Value::to_string).collect();
    let Outcome { is_accepted, sentences } = import(source, &texts.join("\n"));
    let shown = || format!("{source:?}: {other} at {place}: {sentences:?}");
    for sentence in &sentences {
        assert!(!sentence.is_empty() && !sentence.contains(char::is_control), "{}", shown());
    }
    assert!(is_accepted || !sentences.is_empty(), "{}", shown());
    let key = place.rsplit('/').next().unwrap_or_default();
    let is_structure = other.as_object().is_some_and(|it| !it.is_empty()) || *other == json!([[]]);
    if !is_structure || !TYPED.contains(&key) || !is_read(source, place) {
        return false;
    }
    let is_placed = |it: &String| it.starts_with(FILE) && it.contains(key);
    assert!(sentences.iter().any(is_placed), "{}", shown());
    true
}

/// Returns whether the importer looks at a place at all.
fn is_read(source: Source, place: &str) -> bool {
    match source {
        Source::Aws => !place.contains("/Attachment/") && !place.contains("/Association/"),
        // Of a plan, resources that are not known yet are left out before.
        Source::Terraform => place.starts_with("/values") && place.contains("values/"),
        Source::Cloudformation => place.contains("/Properties/"),
    }
}
