//! Inputs that `aws ec2 describe-...` cannot have printed.

use serde_json::{Value, json};

use super::{Case, case, check, check_left_out, with};
use crate::Source;

pub(super) fn rule() -> Value {
    json!({
        "TrafficMirrorFilterRuleId": "tmfr-1", "TrafficMirrorFilterId": "tmf-1", "TrafficDirection": "ingress",
        "RuleNumber": 10, "RuleAction": "accept", "Protocol": 6,
        "SourceCidrBlock": "10.0.0.0/8", "DestinationCidrBlock": "0.0.0.0/0",
    })
}

pub(super) fn session() -> Value {
    json!({
        "TrafficMirrorSessionId": "tms-1", "TrafficMirrorFilterId": "tmf-1", "NetworkInterfaceId": "eni-1",
        "SessionNumber": 1, "VirtualNetworkId": 7,
    })
}

pub(super) fn filters(rules: &Value) -> Value {
    json!({"TrafficMirrorFilters": [{"TrafficMirrorFilterId": "tmf-1", "IngressFilterRules": rules}]})
}

/// A filter's only rule with one property changed; `error` is said of that rule.
fn rule_case<'c>(key: &str, value: Value, error: &'c str) -> Case<'c> {
    case(filters(&json!([with(&rule(), key, value)])).to_string(), error)
}

#[test]
fn texts_that_are_not_json() {
    let cases = [
        case("", "in.json: the file is empty"),
        case(" \n\t\r\n", "in.json: the file is empty"),
        case("\u{feff}", "in.json: the file is empty"),
        case(
            "\u{feff}garbage",
            "in.json: line 1, column 1: not JSON: expected value; the AWS CLI prints JSON with `--output json`",
        ),
        case(b"{\"Vpcs\": [\"\xff\"]}".to_vec(), "in.json: byte 12 is not UTF-8 text"),
        case("{\n \"Vpcs\": [}\n]}", "in.json: line 2, column 11: not JSON: expected value"),
        case(r#"{"Vpcs": ["#, "in.json: line 1, column 10: not JSON: EOF while parsing a list"),
        case("{}\n{\"Vpcs\": [],}", "in.json: line 2, column 13: not JSON: trailing comma"),
        case("{} {", "in.json: line 1, column 4: not JSON: EOF while parsing an object"),
        case(
            "[".repeat(100_000),
            "in.json: line 1, column 128: too many lists and objects inside each other",
        ),
        case(
            r#"{"Vpcs":"#.repeat(100_000),
            "in.json: line 1, column 1017: too many lists and objects inside each other",
        ),
    ];
    check(Source::Aws, &cases);
}

#[test]
fn json_of_something_else() {
    let cases = [
        case(
            "[]",
            "in.json: found a list, expected an object, as `aws ec2 describe-... --output json` prints it",
        ),
        case(
            "7",
            "in.json: found 7, expected an object, as `aws ec2 describe-... --output json` prints it",
        ),
        case(r#"{"Vpcs": {}}"#, "in.json: Vpcs: found an object, expected a list"),
        case(
            r#"{"a": [1]}"#,
            "in.json: no traffic mirror; found a (1); a mirror has TrafficMirrorFilters, \
             TrafficMirrorFilterRules, TrafficMirrorSessions and TrafficMirrorTargets",
        ),
        case(
            r#"{"SecurityGroups": [{}, {}], "Vpcs": [7]}"#,
            "in.json: no traffic mirror; found SecurityGroups (2), Vpcs (1); \
             a mirror has TrafficMirrorFilters, TrafficMirrorFilterRules, TrafficMirrorSessions and TrafficMirrorTargets",
        ),
    ];
    check(Source::Aws, &cases);
}

#[test]
fn objects_that_are_none() {
    let cases = [
        case(r#"{"Vpcs": [[]]}"#, "in.json: Vpcs[0]: found a list, expected an object"),
        case(r#"{"Vpcs": [{}]}"#, "in.json: Vpcs[0].VpcId: missing"),
        case(r#"{"Vpcs": [{"VpcId": ""}]}"#, "in.json: Vpcs[0].VpcId: missing"),
        case(
            r#"{"Vpcs": [{"VpcId": "vpc-1", "CidrBlock": "::/0"}]}"#,
            "in.json: Vpcs[0] (vpc-1).CidrBlock: found \"::/0\", expected an IPv4 prefix such as \"10.0.0.0/16\"",
        ),
        case(
            r#"{"TrafficMirrorTargets": [{"TrafficMirrorTargetId": "tmt-1"}]}"#,
            "in.json: TrafficMirrorTargets[0] (tmt-1): has neither an interface nor a load balancer nor an endpoint",
        ),
        case(
            r#"{"TrafficMirrorFilters": [{"TrafficMirrorFilterId": ["tmf-1"]}]}"#,
            "in.json: TrafficMirrorFilters[0].TrafficMirrorFilterId: found a list, expected a string",
        ),
        case(
            r#"{"TrafficMirrorFilters": [{"TrafficMirrorFilterId": "tmf-1", "NetworkServices": ["amazon-ntp"]}]}"#,
            "in.json: TrafficMirrorFilters[0] (tmf-1).NetworkServices[0]: found \"amazon-ntp\", expected \"amazon-dns\"",
        ),
        case(
            r#"{"TrafficMirrorFilters": [{"TrafficMirrorFilterId": "tmf-1", "Tags": "none"}]}"#,
            "in.json: TrafficMirrorFilters[0] (tmf-1).Tags: found \"none\", expected a list",
        ),
    ];
    check_left_out(Source::Aws, &cases);
}

/// The place of a rule in its filter, followed by what is wrong.
macro_rules! of_rule {
    ($what:literal) => {
        concat!("in.json: TrafficMirrorFilters[0] (tmf-1).IngressFilterRules[0] (tmfr-1)", $what)
    };
}

#[test]
fn rules_that_are_none() {
    let cases = [
        rule_case(
            "RuleNumber",
            json!(0),
            of_rule!(".RuleNumber: found 0, expected an integer from 1 to 4294967295"),
        ),
        rule_case(
            "RuleNumber",
            json!(1_u64 << 32),
            of_rule!(".RuleNumber: found 4294967296, expected an integer from 1 to 4294967295"),
        ),
        rule_case(
            "RuleNumber",
            json!(1.5),
            of_rule!(".RuleNumber: found 1.5, expected an integer from 1 to 4294967295"),
        ),
        rule_case(
            "RuleNumber",
            json!(true),
            of_rule!(".RuleNumber: found true, expected an integer from 1 to 4294967295"),
        ),
        rule_case("RuleNumber", Value::Null, of_rule!(".RuleNumber: missing")),
        rule_case(
            "TrafficDirection",
            json!("inbound"),
            of_rule!(".TrafficDirection: found \"inbound\", expected \"ingress\" or \"egress\""),
        ),
        rule_case(
            "TrafficDirection",
            json!("egress"),
            of_rule!(": stands in the ingress list of tmf-1, but is an egress rule of tmf-1"),
        ),
        rule_case(
            "TrafficMirrorFilterId",
            json!("tmf-2"),
            of_rule!(": stands in the ingress list of tmf-1, but is an ingress rule of tmf-2"),
        ),
        rule_case(
            "RuleAction",
            json!("deny"),
            of_rule!(".RuleAction: found \"deny\", expected \"accept\" or \"reject\""),
        ),
        rule_case(
            "Protocol",
            json!(256),
            of_rule!(".Protocol: found 256, expected an integer from -1 to 255"),
        ),
        rule_case("Protocol", json!(-2), of_rule!(".Protocol: found -2, expected an integer from -1 to 255")),
        rule_case(
            "Protocol",
            json!("tcp"),
            of_rule!(".Protocol: found \"tcp\", expected an integer from -1 to 255"),
        ),
        rule_case(
            "SourceCidrBlock",
            json!("10.0.0.0/33"),
            of_rule!(
                ".SourceCidrBlock: found \"10.0.0.0/33\", expected an address prefix such as \"10.0.0.0/8\""
            ),
        ),
        rule_case("SourceCidrBlock", json!(10), of_rule!(".SourceCidrBlock: found 10, expected a string")),
        rule_case("SourceCidrBlock", Value::Null, of_rule!(".SourceCidrBlock: missing")),
        rule_case(
            "DestinationCidrBlock",
            json!("::/0"),
            of_rule!(
                ".DestinationCidrBlock: found \"::/0\", expected a prefix of the family of the source 10.0.0.0/8"
            ),
        ),
        case(
            json!({"TrafficMirrorFilterRules": [with(&rule(), "TrafficMirrorFilterId", Value::Null)]})
                .to_string(),
            "in.json: TrafficMirrorFilterRules[0] (tmfr-1).TrafficMirrorFilterId: missing",
        ),
    ];
    check_left_out(Source::Aws, &cases);
}

#[test]
fn ports_that_are_none() {
    let ports = |from: i64, to: i64| json!({"FromPort": from, "ToPort": to});
    let cases = [
        rule_case(
            "SourcePortRange",
            ports(0, 65_536),
            of_rule!(".SourcePortRange.ToPort: found 65536, expected an integer from 0 to 65535"),
        ),
        rule_case(
            "SourcePortRange",
            ports(-1, -1),
            of_rule!(".SourcePortRange.FromPort: found -1, expected an integer from 0 to 65535"),
        ),
        rule_case(
            "DestinationPortRange",
            ports(443, 80),
            of_rule!(".DestinationPortRange: the range 443-80 ends before it begins"),
        ),
        rule_case(
            "DestinationPortRange",
            json!({"ToPort": 80}),
            of_rule!(".DestinationPortRange.FromPort: missing"),
        ),
        rule_case(
            "DestinationPortRange",
            json!({"FromPort": 80}),
            of_rule!(".DestinationPortRange.ToPort: missing"),
        ),
        rule_case(
            "DestinationPortRange",
            json!("80"),
            of_rule!(".DestinationPortRange: found \"80\", expected an object"),
        ),
    ];
    check_left_out(Source::Aws, &cases);
}
