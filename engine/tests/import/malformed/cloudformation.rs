//! Templates that are none, or that say less than is needed.

use serde_json::{Value, json};

use super::{Case, FILE, case, check, check_left_out, with};
use crate::{Source, input};

fn template(resources: &Value) -> String {
    json!({"Resources": resources}).to_string()
}

fn rule() -> Value {
    json!({
        "TrafficMirrorFilterId": {"Ref": "F"}, "TrafficDirection": "egress", "RuleNumber": 10, "RuleAction": "accept",
        "Protocol": 6, "SourceCidrBlock": "10.0.0.0/8", "DestinationCidrBlock": "0.0.0.0/0",
    })
}

/// A rule with one property changed.
fn rule_case<'c>(key: &str, value: Value, error: &'c str) -> Case<'c> {
    let properties = with(&rule(), key, value);
    let rule = json!({"Type": "AWS::EC2::TrafficMirrorFilterRule", "Properties": properties});
    case(template(&json!({"F": {"Type": "AWS::EC2::TrafficMirrorFilter"}, "R": rule})), error)
}

/// The YAML of a session whose interface, the last property, is the text.
fn session_yaml(interface: &str) -> String {
    format!(
        "Parameters:\n  Interface: {{Type: String}}\nResources:\n  S:\n    Type: AWS::EC2::TrafficMirrorSession\n    \
         Properties:\n      SessionNumber: 1\n      VirtualNetworkId: 7\n      TrafficMirrorFilterId: tmf-1\n      \
         NetworkInterfaceId: {interface}\n"
    )
}

#[test]
fn templates_without_what_they_need() {
    let cases = [
        case("7", "in.json: found 7, expected a template with Resources"),
        case("- Resources\n", "in.json: found a list, expected a template with Resources"),
        case(r#"{"a": [1]}"#, "in.json: no Resources, which every CloudFormation template has"),
        case("Resources:\n", "in.json: no Resources, which every CloudFormation template has"),
        case("Resources: []\n", "in.json: Resources: found a list, expected a map of resources"),
        case(
            "Resources: {B: {Type: AWS::S3::Bucket, Condition: [7]}, F: {}}\n",
            "in.json: no traffic mirror; found AWS::S3::Bucket (1), a resource without a type (1); a mirror has \
             AWS::EC2::TrafficMirrorFilter, TrafficMirrorFilterRule, TrafficMirrorSession and TrafficMirrorTarget",
        ),
    ];
    check(Source::Cloudformation, &cases);
}

#[test]
fn resources_without_what_they_need() {
    let filter = json!({"Type": "AWS::EC2::TrafficMirrorFilter"});
    let cases = [
        case("Resources: {F: 7}\n", "in.json: F: found 7, expected an object"),
        case(template(&json!({"F": {"Properties": {}}})), "in.json: F.Type: missing"),
        case(
            template(&json!({"F": {"Type": ["a"]}})),
            "in.json: F.Type: found a list, expected a string",
        ),
        case(
            template(&json!({"R": {"Type": "AWS::EC2::TrafficMirrorFilterRule"}})),
            "in.json: R.TrafficMirrorFilterId: missing",
        ),
        case(
            template(&json!({"F": with(&filter, "Properties", json!([]))})),
            "in.json: F: found a list, expected an object",
        ),
        case(
            template(&json!({"F": with(&filter, "Condition", json!({"Fn::Not": []}))})),
            "in.json: F.Condition: found an object, expected a string",
        ),
        case(
            template(
                &json!({"F": with(&filter, "Properties", json!({"NetworkServices": "amazon-dns"}))}),
            ),
            "in.json: F.NetworkServices: found \"amazon-dns\", expected a list",
        ),
        case(
            "Resources:\n  E:\n    Type: AWS::EC2::NetworkInterface\n    Properties:\n      PrivateIpAddresses:\n        \
             - {PrivateIpAddress: 10.0.0.1, Primary: maybe}\n",
            "in.json: E.PrivateIpAddresses[0].Primary: found \"maybe\", expected true or false",
        ),
    ];
    check_left_out(Source::Cloudformation, &cases);
}

#[test]
fn what_the_template_alone_does_not_say() {
    const PLACE: &str = "in.json: S.NetworkInterfaceId: ";
    const WRITE: &str = " cannot be resolved from the template alone; write the value in its place";
    let cannot = |what: &str| format!("{PLACE}{what}{WRITE}");
    let cases = [
        ("!Ref Nothing", cannot("Ref Nothing")),
        ("!Ref AWS::Region", cannot("Ref AWS::Region")),
        ("{Ref: AWS::Region}", cannot("Ref AWS::Region")),
        (
            "!Ref Interface",
            format!(
                "{PLACE}Ref Interface is a parameter without a default; write the value in its place"
            ),
        ),
        ("!Ref [a]", format!("{PLACE}Ref is not followed by the name of a resource or parameter")),
        (
            "!Sub \"${Interface}\"",
            format!(
                "{PLACE}Ref Interface is a parameter without a default; write the value in its place"
            ),
        ),
        (
            "!If [IsProduction, eni-1, eni-2]",
            format!("{PLACE}the condition IsProduction is not in the template"),
        ),
        (
            "{Fn::If: [IsProduction, eni-1, eni-2]}",
            format!("{PLACE}the condition IsProduction is not in the template"),
        ),
        ("!ImportValue interface", cannot("Fn::ImportValue")),
        ("{Fn::ImportValue: {Fn::Sub: a}}", cannot("Fn::ImportValue")),
        ("!Condition IsProduction", cannot("Condition")),
        ("!GetAtt S.OwnerId", cannot("Fn::GetAtt S.OwnerId")),
        ("!GetAtt Nothing.Id", cannot("Fn::GetAtt Nothing.Id")),
        ("{Fn::GetAtt: [S, OwnerId]}", cannot("Fn::GetAtt S.OwnerId")),
        (
            "!GetAtt S",
            format!(
                "{PLACE}Fn::GetAtt is not followed by the name of a resource and of an attribute"
            ),
        ),
        ("[eni-1]", format!("{PLACE}found a list, expected a string")),
        ("{Id: eni-1}", format!("{PLACE}found an object, expected a string")),
        ("7", format!("{PLACE}found 7, expected a string")),
        ("", format!("{PLACE}missing")),
    ];
    for (interface, error) in cases {
        check_left_out(Source::Cloudformation, &[case(session_yaml(interface), &error)]);
    }
}

#[test]
fn rules_that_are_none() {
    let cases = [
        rule_case(
            "TrafficDirection",
            json!("both"),
            "in.json: R.TrafficDirection: found \"both\", expected \"ingress\" or \"egress\"",
        ),
        rule_case(
            "RuleAction",
            json!(1),
            "in.json: R.RuleAction: found 1, expected \"accept\" or \"reject\"",
        ),
        rule_case(
            "RuleNumber",
            json!("0"),
            "in.json: R.RuleNumber: found \"0\", expected an integer from 1 to 4294967295",
        ),
        rule_case(
            "RuleNumber",
            json!("ten"),
            "in.json: R.RuleNumber: found \"ten\", expected an integer from 1 to 4294967295",
        ),
        rule_case(
            "Protocol",
            json!("256"),
            "in.json: R.Protocol: found \"256\", expected an integer from -1 to 255",
        ),
        rule_case(
            "SourceCidrBlock",
            json!("10.0.0.0"),
            "in.json: R.SourceCidrBlock: found \"10.0.0.0\", expected an address prefix such as \"10.0.0.0/8\"",
        ),
        rule_case(
            "DestinationCidrBlock",
            json!("::/0"),
            "in.json: R.DestinationCidrBlock: found \"::/0\", expected a prefix of the family of the source 10.0.0.0/8",
        ),
        rule_case(
            "DestinationPortRange",
            json!({"FromPort": 1}),
            "in.json: R.DestinationPortRange.ToPort: missing",
        ),
        rule_case(
            "DestinationPortRange",
            json!({"FromPort": {"Fn::FindInMap": ["a", "b", "c"]}, "ToPort": 1}),
            "in.json: R.DestinationPortRange.FromPort: Fn::FindInMap: the template has no a, b, c",
        ),
        rule_case(
            "SourcePortRange",
            json!({"FromPort": 2, "ToPort": "1"}),
            "in.json: R.SourcePortRange: the range 2-1 ends before it begins",
        ),
    ];
    check_left_out(Source::Cloudformation, &cases);
}

/// The session of everything that is not declared has this name in vxtap.
#[test]
fn a_name_that_the_configuration_cannot_have_is_left_out_with_its_place() {
    let session = json!({"Type": "AWS::EC2::TrafficMirrorSession", "Properties": {
        "NetworkInterfaceId": "eni-1", "TrafficMirrorFilterId": {"Ref": "F"}, "SessionNumber": 1, "VirtualNetworkId": 7}});
    let text =
        template(&json!({"F": {"Type": "AWS::EC2::TrafficMirrorFilter"}, "default": session}));
    let expected = "in.json: default: name: found \"default\", allowed is another name, because this is the session of \
                    everything that is not declared";
    check_left_out(Source::Cloudformation, &[case(text, expected)]);
}

/// Resources that do not belong to the mirror may have any content, even without their required
/// properties.
#[test]
fn a_filter_needs_no_properties_and_other_resources_are_not_read() {
    let text = "Resources:\n  F: {Type: AWS::EC2::TrafficMirrorFilter}\n  B: {Type: AWS::S3::Bucket, Properties: !Sub x}\n";
    let imported = Source::Cloudformation.import(&[input(FILE, text)]).unwrap();
    assert!(imported.toml.contains("name = \"F\"") && imported.left_out.is_empty(), "{imported:?}");
}
