//! `vxtap import` as a process: inputs, outputs, messages and exit codes.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use vxtap::Config;

use crate::Source;

/// Runs `vxtap import` in the directory of the source's fixtures, with the text on its standard
/// input.
fn import(source: Source, arguments: &[&str], stdin: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_vxtap"))
        .args(["import", source.name()])
        .args(arguments)
        .current_dir(source.path(""))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that is refused does not read.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    child.wait_with_output().unwrap()
}

/// Exit code, standard output and standard error.
fn parts(output: &Output) -> (Option<i32>, &str, &str) {
    let text = |bytes| str::from_utf8(bytes).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn golden(source: Source, file: &str) -> String {
    fs::read_to_string(source.path(file)).unwrap()
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn without_files_and_with_a_hyphen_it_reads_standard_input() {
    let fixture = Source::Aws.fixture("two_sessions.json").bytes;
    let expected =
        golden(Source::Aws, "two_sessions.toml").replace("two_sessions.json", "standard input");
    for arguments in [&[][..], &["-"]] {
        let output = import(Source::Aws, arguments, &fixture);
        assert_eq!(parts(&output), (Some(0), &*expected, ""), "{arguments:?}");
    }
    let output = import(Source::Terraform, &[], b"");
    assert_eq!(parts(&output), (Some(2), "", "vxtap: standard input: the file is empty\n"));
}

#[test]
fn the_configuration_is_on_standard_output_and_what_is_left_out_on_standard_error() {
    let report = "vxtap: left out: session S2: its VNI is not in the input; set its virtual network ID, or import from \
                  what runs\n\
                  vxtap: note: session S: eni-0f3 is not in the input: known by VNI 7 alone, from any source; set its \
                  source, or add a description of the interface with its private address\n\
                  vxtap: note: session S: takes VNI 7 from any source, so that frames of session S2, whose VNI is not \
                  known, count as its own if they have it\n";
    let output = import(Source::Cloudformation, &["template.json"], b"");
    let expected = golden(Source::Cloudformation, "template_json.toml");
    assert_eq!(parts(&output), (Some(0), &*expected, report));
}

#[test]
fn several_files_make_one_configuration() {
    let output = import(
        Source::Terraform,
        &["state.json", "-", "state.json"],
        br#"{"values": {"root_module": {}}}"#,
    );
    let expected = golden(Source::Terraform, "state.toml")
        .replace("state.json", "state.json, standard input, state.json");
    let (code, toml, _) = parts(&output);
    assert_eq!((code, toml), (Some(0), &*expected));

    // These two describe different accounts, in which other objects have the same identifiers.
    let output = import(Source::Aws, &["capture_all.json", "dns_egress.json"], b"");
    let (code, toml, report) = parts(&output);
    assert_eq!(code, Some(0), "{toml}{report}");
    let sentence = "vxtap: left out: the rule tmfr-000 is described twice, and not the same way\n";
    assert!(report.contains(sentence), "{report}");
}

#[test]
fn the_output_file_is_written_whole_and_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("vxtap.toml");
    fs::write(&path, "what stood there before").unwrap();
    let output = import(Source::Cloudformation, &["odd.yaml", "-o", path.to_str().unwrap()], b"");
    let (code, stdout, notes) = parts(&output);
    assert_eq!((code, stdout), (Some(0), ""));
    assert!(
        notes.starts_with("vxtap: note: session Other: ") && notes.lines().count() == 1,
        "{notes}"
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), golden(Source::Cloudformation, "odd.toml"));
    assert_eq!(names(directory.path()), ["vxtap.toml"]);
}

#[test]
fn a_refused_input_leaves_the_output_file_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("vxtap.toml");
    fs::write(&path, "what stood there before").unwrap();
    let output = import(Source::Aws, &["-o", path.to_str().unwrap()], b"[]");
    let error = "vxtap: standard input: found a list, expected an object, as `aws ec2 describe-... --output json` \
                 prints it\n";
    assert_eq!(parts(&output), (Some(2), "", error));
    assert_eq!(fs::read_to_string(&path).unwrap(), "what stood there before");
    assert_eq!(names(directory.path()), ["vxtap.toml"]);
}

#[test]
fn an_output_file_that_cannot_be_written_is_a_failure() {
    let directory = tempfile::tempdir().unwrap();
    let absent = directory.path().join("absent/vxtap.toml");
    let absent = absent.to_str().unwrap();
    let output = import(Source::Cloudformation, &["template.yaml", "-o", absent], b"");
    let error = format!("vxtap: cannot write {absent}: No such file or directory (os error 2)\n");
    assert_eq!(parts(&output), (Some(1), "", &*error));

    // A directory stands where the file is to be: nothing is left beside it.
    let taken = directory.path().join("taken");
    fs::create_dir(&taken).unwrap();
    let taken = taken.to_str().unwrap();
    let output = import(Source::Cloudformation, &["template.yaml", "--output", taken], b"");
    let error = format!("vxtap: cannot write {taken}: Is a directory (os error 21)\n");
    assert_eq!(parts(&output), (Some(1), "", &*error));
    assert_eq!(names(directory.path()), ["taken"]);
}

#[test]
fn an_input_file_that_is_not_there_is_refused() {
    let output = import(Source::Aws, &["capture_all.json", "absent.json"], b"");
    let error = "vxtap: cannot read absent.json: No such file or directory (os error 2)\n";
    assert_eq!(parts(&output), (Some(2), "", error));
    let output = import(Source::Aws, &["."], b"");
    assert_eq!(
        parts(&output),
        (Some(2), "", "vxtap: cannot read .: Is a directory (os error 21)\n")
    );
}

#[test]
fn sessions_of_one_target_are_taken_by_its_id_or_by_what_stands_behind_it() {
    const ARN: &str = "arn:aws:elasticloadbalancing:eu-central-1:111122223333:loadbalancer/net/ids/50dc6c495c0c9188";
    let sessions = |target: &str| {
        let output = import(Source::Aws, &["everything_odd.json", "--target", target], b"");
        let (code, toml, report) = parts(&output);
        assert_eq!(code, Some(0), "{report}");
        let config = Config::from_toml(Path::new("imported"), toml).unwrap();
        config.sessions.into_iter().map(|session| session.name).collect::<Vec<_>>()
    };
    // Two more that send there, `tms-0f3` and `tms-0f5`, cannot be told apart.
    let of_interface = ["tms-0f1", "tms-0f4"];
    assert_eq!(sessions("tmt-0f2"), of_interface);
    assert_eq!(sessions("eni-0f9"), of_interface);
    let of_balancer = ["tms-0f2"];
    assert_eq!(sessions("tmt-0f4"), of_balancer);
    assert_eq!(sessions(ARN), of_balancer);

    let output = import(Source::Aws, &["everything_odd.json", "--target", "tmt-0f3"], b"");
    let error = "vxtap: no session sends to the target tmt-0f3; targets are tmt-0f2, tmt-0f4\n";
    assert_eq!(parts(&output), (Some(2), "", error));
}

#[test]
fn wrong_usage_says_what_is_known() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_vxtap")).args(["import", "pulumi"]).output().unwrap();
    let (code, stdout, stderr) = parts(&output);
    assert_eq!((code, stdout), (Some(2), ""));
    assert!(stderr.contains("possible values: aws, terraform, cloudformation"), "{stderr}");
}

/// Nothing was wrong with the command, and yet there is no configuration.
#[test]
fn an_input_without_a_mirror_is_a_failure_that_says_what_is_in_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("vxtap.toml");
    let path = path.to_str().unwrap();
    let output = import(Source::Aws, &["-o", path], b"{}");
    let error = "vxtap: standard input: no traffic mirror; found no objects at all; a mirror has TrafficMirrorFilters, \
                 TrafficMirrorFilterRules, TrafficMirrorSessions and TrafficMirrorTargets\n";
    assert_eq!(parts(&output), (Some(1), "", error));

    let instance = br#"{"values": {"root_module": {"resources": [{"type": "aws_instance", "address": "aws_instance.web",
        "values": {"id": "i-1", "primary_network_interface_id": "eni-1", "private_ip": "10.0.1.5"}}]}}}"#;
    let output = import(Source::Terraform, &["-o", path], instance);
    let error = "vxtap: standard input: no traffic mirror; found aws_instance (1); a mirror has \
                 aws_ec2_traffic_mirror_filter, _filter_rule, _session and _target, or the same of awscc\n";
    assert_eq!(parts(&output), (Some(1), "", error));

    let bucket = b"Resources: {B: {Type: AWS::S3::Bucket}, T: {Type: AWS::SNS::Topic}, A: {Type: AWS::S3::Bucket}}";
    let output = import(Source::Cloudformation, &["-o", path], bucket);
    let error = "vxtap: standard input: no traffic mirror; found AWS::S3::Bucket (2), AWS::SNS::Topic (1); a mirror has \
                 AWS::EC2::TrafficMirrorFilter, TrafficMirrorFilterRule, TrafficMirrorSession and TrafficMirrorTarget\n";
    assert_eq!(parts(&output), (Some(1), "", error));
    assert_eq!(names(directory.path()), [""; 0]);
}

#[test]
fn an_input_of_which_everything_is_left_out_is_a_failure_with_the_reasons() {
    let session = br#"{"TrafficMirrorSessions": [{"TrafficMirrorSessionId": "tms-1"}, 7]}"#;
    let output = import(Source::Aws, &[], session);
    let errors = "vxtap: left out: standard input: TrafficMirrorSessions[0] (tms-1).NetworkInterfaceId: missing\n\
                  vxtap: left out: standard input: TrafficMirrorSessions[1]: found 7, expected an object\n\
                  vxtap: standard input: no session and no filter of a traffic mirror can be used\n";
    assert_eq!(parts(&output), (Some(1), "", errors));
}

/// As `>` of Windows PowerShell writes what `terraform show -json` prints.
#[test]
fn utf16_with_a_byte_order_mark_is_read() {
    let text = String::from_utf8(Source::Terraform.fixture("state.json").bytes).unwrap();
    for bytes in [u16::to_le_bytes, u16::to_be_bytes] {
        let utf16: Vec<u8> = format!("\u{feff}{text}").encode_utf16().flat_map(bytes).collect();
        let output = import(Source::Terraform, &[], &utf16);
        let expected =
            golden(Source::Terraform, "state.toml").replace("state.json", "standard input");
        let (code, toml, _) = parts(&output);
        assert_eq!((code, toml), (Some(0), &*expected));
    }
}
