//! In whatever order things come, the configuration is the same.

use proptest::prelude::{Just, Strategy as _};
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config as Settings, RngAlgorithm, TestRng, TestRunner};
use serde_json::Value;
use vxtap::import::{Imported, Input};

use crate::{SCENARIOS, Source, input};

/// The seed is fixed: a test that fails fails again.
pub(crate) fn random() -> TestRunner {
    TestRunner::new_with_rng(Settings::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

fn shuffled<T: Clone + std::fmt::Debug + 'static>(things: &[T], random: &mut TestRunner) -> Vec<T> {
    Just(things.to_vec()).prop_shuffle().new_tree(random).unwrap().current()
}

/// Returns the configuration without the comment that names the files.
fn import(source: Source, inputs: &[Input]) -> Imported {
    let imported = source.import(inputs).unwrap();
    let (files, rest) = imported.toml.split_once('\n').unwrap();
    assert!(files.starts_with("# Written by"), "{files}");
    Imported { toml: rest.to_owned(), ..imported }
}

/// The JSON documents of a fixture of the AWS CLI.
fn documents(file: &str) -> Vec<Value> {
    let Input { bytes, .. } = Source::Aws.fixture(file);
    serde_json::Deserializer::from_slice(&bytes).into_iter().map(Result::unwrap).collect()
}

fn stream(file: &str, documents: &[Value]) -> Input {
    let texts: Vec<_> = documents.iter().map(Value::to_string).collect();
    input(file, texts.join("\n"))
}

/// Turns every list around, at every depth.
fn reverse(value: &mut Value) {
    match value {
        Value::Array(list) => {
            list.reverse();
            list.iter_mut().for_each(reverse);
        }
        Value::Object(object) => object.values_mut().for_each(reverse),
        _ => {}
    }
}

fn aws_fixtures() -> impl Iterator<Item = String> {
    SCENARIOS.iter().chain(&["everything_odd"]).map(|name| format!("{name}.json"))
}

#[test]
fn documents_of_a_stream_come_in_any_order() {
    let mut random = random();
    for file in aws_fixtures() {
        let expected = import(Source::Aws, &[Source::Aws.fixture(&file)]);
        for _ in 0..20 {
            let documents = shuffled(&documents(&file), &mut random);
            assert_eq!(import(Source::Aws, &[stream(&file, &documents)]), expected, "{file}");
        }
    }
}

#[test]
fn each_document_may_be_a_file_and_files_come_in_any_order() {
    let mut random = random();
    for file in aws_fixtures() {
        let expected = import(Source::Aws, &[Source::Aws.fixture(&file)]);
        // Reports of left-out parts name the file, so all files have one name.
        let files: Vec<_> = documents(&file)
            .iter()
            .map(|document| stream(&file, std::slice::from_ref(document)))
            .collect();
        for _ in 0..20 {
            assert_eq!(import(Source::Aws, &shuffled(&files, &mut random)), expected, "{file}");
        }
    }
}

/// A second look at part of the account says what the first said.
#[test]
fn a_file_that_is_given_twice_changes_nothing() {
    for file in aws_fixtures() {
        let fixture = Source::Aws.fixture(&file);
        let twice = [fixture.clone(), fixture.clone()];
        assert_eq!(import(Source::Aws, &twice), import(Source::Aws, &[fixture]), "{file}");
    }
}

#[test]
fn lists_may_stand_the_other_way_round() {
    let json = aws_fixtures()
        .map(|file| (Source::Aws, file))
        .chain(["state.json", "plan.json"].map(|file| (Source::Terraform, file.to_owned())));
    for (source, file) in json {
        let expected = import(source, &[source.fixture(&file)]);
        let mut documents: Vec<Value> =
            serde_json::Deserializer::from_slice(&source.fixture(&file).bytes)
                .into_iter()
                .map(Result::unwrap)
                .collect();
        documents.iter_mut().for_each(reverse);
        assert_eq!(import(source, &[stream(&file, &documents)]), expected, "{file}");
    }
}

/// The addresses of an interface are a set for AWS and for Terraform.
#[test]
fn the_primary_address_is_first_and_the_others_are_sorted() {
    let interface = |addresses: &str| {
        let text = format!(
            r#"{{"TrafficMirrorFilters": [{{"TrafficMirrorFilterId": "tmf-1"}}],
            "TrafficMirrorSessions": [{{"TrafficMirrorSessionId": "tms-1", "TrafficMirrorFilterId": "tmf-1",
              "NetworkInterfaceId": "eni-1", "SessionNumber": 1, "VirtualNetworkId": 1}}],
            "NetworkInterfaces": [{{"NetworkInterfaceId": "eni-1", "PrivateIpAddress": "10.0.0.7",
              "PrivateIpAddresses": [{addresses}]}}]}}"#
        );
        import(Source::Aws, &[input("eni.json", text)])
    };
    let address = |last: u8| format!(r#"{{"PrivateIpAddress": "10.0.0.{last}"}}"#);
    let expected = interface(&[9, 7, 5].map(address).join(","));
    assert!(
        expected.toml.contains(r#"addresses = ["10.0.0.7", "10.0.0.5", "10.0.0.9"]"#),
        "{}",
        expected.toml
    );
    assert_eq!(interface(&[5, 9, 7].map(address).join(",")), expected);
}

/// Documents of Terraform and templates are one each; several files join, and resources have any
/// order in them.
#[test]
fn templates_and_states_come_in_any_order() {
    for (source, files) in [
        (Source::Terraform, ["state.json", "other.json"]),
        (Source::Cloudformation, ["template.yaml", "template.json"]),
    ] {
        let fixture = |file| match file {
            "other.json" => input(
                file,
                r#"{"values": {"root_module": {"resources": [
                {"type": "aws_ec2_traffic_mirror_filter", "address": "f.a", "values": {"id": "tmf-a"}}]}}}"#,
            ),
            file => source.fixture(file),
        };
        let [one, two] = files.map(fixture);
        let together = import(source, &[one.clone(), two.clone()]);
        assert_eq!(import(source, &[two, one]), together, "{source:?}");
    }
}
