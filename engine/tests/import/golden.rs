//! Each fixture with its expected configuration and what is expected to be left out of it.
//!
//! `UPDATE_GOLDEN=1` writes the configurations anew, for you to read.

use std::fs;
use std::path::Path;
use std::process::Command;

use vxtap::Config;

use crate::{SCENARIOS, Source, input};

/// Imports `file` and compares with `expected`; the configuration is one that the engine takes.
fn check(source: Source, file: &str, expected: &str, left_out: &[&str], notes: &[&str]) {
    let imported = source.import(&[source.fixture(file)]).unwrap();
    assert_eq!(imported.left_out, left_out, "{file}");
    assert_eq!(imported.notes, notes, "{file}");

    let golden = source.path(expected);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&golden, &imported.toml).unwrap();
    }
    let text = fs::read_to_string(&golden).expect("the expected configuration");
    assert_eq!(imported.toml, text, "{file}; UPDATE_GOLDEN=1 writes the new text, for you to read");

    Config::from_toml(&golden, &text).unwrap();
    assert_checked(&golden);
}

/// The command takes the file as it is.
fn assert_checked(config: &Path) {
    let output = Command::new(env!("CARGO_BIN_EXE_vxtap"))
        .arg("check")
        .arg("-c")
        .arg(config)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*errors), (Some(0), ""), "{}", config.display());
}

#[test]
fn scenarios_as_the_aws_cli_prints_them() {
    for scenario in SCENARIOS {
        check(Source::Aws, &format!("{scenario}.json"), &format!("{scenario}.toml"), &[], &[]);
    }
}

#[test]
fn everything_odd_that_the_aws_cli_prints() {
    let left_out = [
        "everything_odd.json: TrafficMirrorSessions goes on (NextToken), and the rest is not in the input: without \
         --max-items and --no-paginate the AWS CLI prints all of it",
        "rule tmfr-05: its filter tmf-gone is not in the input",
        "session tms-0f6: its VNI is not in the input; set its virtual network ID, or import from what runs",
        "sessions tms-0f3, tms-0f5: each has VNI 7 from an unknown source, so that their frames cannot be told apart; \
         add a description of the mirrored interfaces, or give the sessions different VNIs",
    ];
    let notes = [
        "session tms-0f4: its filter tmf-gone is not in the input: all that the mirror sends passes",
    ];
    check(Source::Aws, "everything_odd.json", "everything_odd.toml", &left_out, &notes);
}

#[test]
fn a_state_of_terraform() {
    let notes = [
        "amazon-dns of sessions tms-0f1, tms-0f2: the VPC of the interface is not in the input, so that the DNS server \
         at the VPC's base address plus 2 is not recognised and its traffic passes only where a rule accepts it; add a \
         state with the VPC and the subnet as resources or data sources",
    ];
    check(Source::Terraform, "state.json", "state.toml", &[], &notes);
}

#[test]
fn a_plan_of_terraform() {
    let left_out = [
        "plan.json: aws_ec2_traffic_mirror_filter_rule.unknown: traffic_mirror_filter_id is not known before `terraform apply`; \
         show the state after it",
        "plan.json: aws_ec2_traffic_mirror_session.unknown: traffic_mirror_filter_id is not known before `terraform apply`; show \
         the state after it",
        "session aws_ec2_traffic_mirror_session.no_vni: its VNI is not in the input; set its virtual network ID, or \
         import from what runs",
    ];
    // The rule may be one of any filter.
    let notes = [
        "session aws_ec2_traffic_mirror_session.known: its filter tmf-0a1 may lack a rule that is left out: all that the \
         mirror sends passes",
    ];
    check(Source::Terraform, "plan.json", "plan.toml", &left_out, &notes);
}

#[test]
fn a_template_in_yaml() {
    let left_out = [
        "template.yaml: Web.Condition: the condition IsProduction is not known: Ref AWS::Region cannot be resolved from \
         the template alone; write the value in its place",
    ];
    let notes = [
        "session Session: its filter WebFilter lacks a rule that is left out: all that the mirror sends passes",
    ];
    check(Source::Cloudformation, "template.yaml", "template_yaml.toml", &left_out, &notes);
}

#[test]
fn a_template_in_json() {
    let left_out = [
        "session S2: its VNI is not in the input; set its virtual network ID, or import from what runs",
    ];
    let notes = [
        "session S: eni-0f3 is not in the input: known by VNI 7 alone, from any source; set its source, or add a description \
         of the interface with its private address",
        "session S: takes VNI 7 from any source, so that frames of session S2, whose VNI is not known, count as its own if \
         they have it",
    ];
    check(Source::Cloudformation, "template.json", "template_json.toml", &left_out, &notes);
}

#[test]
fn a_template_in_the_less_usual_forms_of_yaml() {
    let notes = [
        "session Other: WithoutPrimary has no primary address in the input: known by VNI 12 alone, from any source; set its \
         source, or add a description of the interface with its private address",
    ];
    check(Source::Cloudformation, "odd.yaml", "odd.toml", &[], &notes);
}

/// As editors on Windows save it.
#[test]
fn a_byte_order_mark_and_other_line_ends_change_nothing() {
    for (source, file) in [(Source::Cloudformation, "odd.yaml"), (Source::Terraform, "state.json")]
    {
        let fixture = source.fixture(file);
        let text = String::from_utf8(fixture.bytes.clone()).unwrap().replace('\n', "\r\n");
        let saved = input(file, format!("\u{feff}{text}"));
        assert_eq!(source.import(&[saved]), source.import(&[fixture]), "{file}");
    }
}

/// The mirror that the AWS CLI describes is the one that the scenario has by hand; only names
/// differ.
#[test]
fn the_aws_cli_says_the_same_as_the_scenarios() {
    for scenario in SCENARIOS {
        let imported =
            Source::Aws.import(&[Source::Aws.fixture(&format!("{scenario}.json"))]).unwrap();
        let imported = Config::from_toml(Path::new(scenario), &imported.toml).unwrap();
        let by_hand = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios").join(scenario);
        let by_hand = Config::read(&by_hand.with_extension("toml")).unwrap();

        assert_eq!(imported.enis, by_hand.enis, "{scenario}");
        assert_eq!(sessions(&imported), sessions(&by_hand), "{scenario}");
        assert_eq!(imported.filters.len(), by_hand.filters.len(), "{scenario}");
    }
}

/// All that decides about frames: each session with what it asks of them and with its filter, whose
/// name does not count.
fn sessions(config: &Config) -> Vec<impl PartialEq + std::fmt::Debug> {
    let sessions = config.sessions.iter().map(|session| {
        let name = session.filter.as_ref().unwrap();
        let mut filter = config.filters.iter().find(|filter| filter.name == *name).unwrap().clone();
        filter.name = String::new();
        let key = (session.vni, session.source, session.eni.clone());
        (key, session.packet_length, session.number, session.outputs.clone(), filter)
    });
    sessions.collect()
}
