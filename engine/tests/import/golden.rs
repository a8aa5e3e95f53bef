//! Whole descriptions, and the configurations that they become, which lie beside them as `NAME.toml`.
//!
//! `UPDATE_GOLDEN=1` writes the new texts, for you to read.

use std::fs;
use std::path::{Path, PathBuf};

use vxtap::Config;
use vxtap::import::{self, ImportError, Imported, Input, Options};

type Import = fn(&[Input], &Options) -> Result<Imported, ImportError>;

fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import")
}

pub(super) fn fixture(path: &str) -> Input {
    Input { name: path.to_owned(), bytes: fs::read(home().join(path)).unwrap() }
}

fn parse(toml: &str) -> Config {
    Config::from_toml(Path::new("imported"), toml).unwrap()
}

/// Imports a fixture and compares the text with the one beside it.
fn check(import: Import, path: &str, left_out: &[&str]) {
    let imported = import(&[fixture(path)], &Options::default()).unwrap();
    let golden = home().join(format!("{path}.toml"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&golden, &imported.toml).unwrap();
    }
    let expected = fs::read_to_string(&golden).expect("the expected text");
    assert_eq!(imported.toml, expected, "{path}; UPDATE_GOLDEN=1 writes the new text, for you to read");
    assert_eq!(imported.left_out, left_out, "{path}");
    parse(&imported.toml);
}

const SCENARIOS: [&str; 7] = [
    "capture_all",
    "tcp_without_ssh",
    "web_and_database",
    "dns_egress",
    "ipv6_beside_ipv4",
    "headers_only",
    "two_sessions",
];

#[test]
fn the_scenarios_as_the_aws_cli_prints_them() {
    for scenario in SCENARIOS {
        check(import::aws, &format!("aws/{scenario}.json"), &[]);
    }
}

/// What `explain` is tested with was written by hand; what is imported says the same.
#[test]
fn the_scenarios_are_imported_as_they_were_written_by_hand() {
    for scenario in SCENARIOS {
        let imported = import::aws(&[fixture(&format!("aws/{scenario}.json"))], &Options::default()).unwrap();
        let imported = parse(&imported.toml);
        let by_hand = fs::read_to_string(home().join(format!("../scenarios/{scenario}.toml"))).unwrap();
        let by_hand = parse(&by_hand);
        assert_eq!(imported.sessions.len(), by_hand.sessions.len(), "{scenario}");
        for (one, two) in imported.sessions.iter().zip(&by_hand.sessions) {
            assert_eq!((one.vni, one.source, one.packet_length), (two.vni, two.source, two.packet_length));
            let filter = |config: &Config, name: &Option<String>| {
                let mut filter =
                    config.filters.iter().find(|it| Some(&it.name) == name.as_ref()).unwrap().clone();
                filter.name.clear();
                filter.rules.sort_by_key(|rule| (rule.direction.to_string(), rule.number));
                filter
            };
            assert_eq!(filter(&imported, &one.filter), filter(&by_hand, &two.filter), "{scenario}");
        }
    }
}

#[test]
fn what_is_odd_is_noted_or_left_out() {
    check(
        import::aws,
        "aws/everything_odd.json",
        &[
            "aws/everything_odd.json: the list goes on (NextToken): without --max-items and --no-paginate the AWS CLI \
             prints all of it",
            "session tms-0f4: its filter tmf-gone is not in the input",
            "session tms-0f6: its VNI is not in the input; set its virtual network ID, or import from what runs",
            "session tms-0f5: VNI 7 from any source is that of tms-0f3 too",
            "rule tmfr-05: its filter tmf-gone is not in the input",
        ],
    );
}

#[test]
fn modules_counts_and_unset_values_of_a_state() {
    check(import::terraform, "terraform/state.json", &[]);
}

#[test]
fn what_a_plan_does_not_know_is_left_out() {
    check(
        import::terraform,
        "terraform/plan.json",
        &[
            "aws_ec2_traffic_mirror_filter_rule.unknown: traffic_mirror_filter_id is not known before `terraform apply`; \
             show the state after it",
            "aws_ec2_traffic_mirror_session.unknown: traffic_mirror_filter_id is not known before `terraform apply`; show \
             the state after it",
            "session aws_ec2_traffic_mirror_session.no_vni: its VNI is not in the input; set its virtual network ID, \
             or import from what runs",
        ],
    );
}

#[test]
fn templates_in_both_languages() {
    check(import::cloudformation, "cloudformation/template.yaml", &[]);
    check(
        import::cloudformation,
        "cloudformation/template.json",
        &["session S2: its VNI is not in the input; set its virtual network ID, or import from what runs"],
    );
}

/// Without the line that names the files.
fn body(imported: &Imported) -> &str {
    imported.toml.split_once('\n').unwrap().1
}

#[test]
fn the_order_of_documents_and_files_does_not_matter() {
    let whole = fixture("aws/everything_odd.json");
    let expected = import::aws(std::slice::from_ref(&whole), &Options::default()).unwrap();
    let documents: Vec<serde_json::Value> =
        serde_json::Deserializer::from_slice(&whole.bytes).into_iter().map(Result::unwrap).collect();
    assert_eq!(documents.len(), 6);
    for turn in 0..documents.len() {
        let mut documents = documents.clone();
        documents.rotate_left(turn);
        if turn % 2 == 1 {
            documents.swap(0, 3);
        }
        for document in &mut documents {
            let lists = document.as_object_mut().unwrap().values_mut().filter_map(|it| it.as_array_mut());
            lists.for_each(|list| list.reverse());
        }
        let bytes = |document: &serde_json::Value| document.to_string().into_bytes();
        let stream = Input { name: "stream".to_owned(), bytes: documents.iter().flat_map(bytes).collect() };
        let files: Vec<_> =
            documents.iter().map(|it| Input { name: "file".to_owned(), bytes: bytes(it) }).collect();
        for inputs in [std::slice::from_ref(&stream), &files] {
            let found = import::aws(inputs, &Options::default()).unwrap();
            assert_eq!(body(&found), body(&expected));
            let mut sentences = found.left_out.clone();
            sentences.retain(|it| !it.contains("NextToken"));
            assert_eq!(sentences, expected.left_out[1..]);
        }
    }
}

#[test]
fn a_target_selects_its_sessions() {
    let input = fixture("aws/everything_odd.json");
    let names = |target: &str| {
        let options = Options { target: Some(target.to_owned()) };
        let imported =
            import::aws(std::slice::from_ref(&input), &options).map_err(|error| error.to_string())?;
        Ok(parse(&imported.toml).sessions.iter().map(|session| session.name.clone()).collect::<Vec<_>>())
    };
    // By its id, and by the interface behind it.
    assert_eq!(names("tmt-0f2"), Ok::<_, String>(vec!["tms-0f1".to_owned(), "tms-0f3".to_owned()]));
    assert_eq!(names("eni-0f9"), names("tmt-0f2"));
    assert_eq!(names("tmt-0f4"), Ok(vec!["tms-0f2".to_owned()]));
    assert_eq!(
        names("tmt-none"),
        Err("no session sends to the target tmt-none; targets are tmt-0f2, tmt-0f4".to_owned())
    );
}
