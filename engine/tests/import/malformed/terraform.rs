//! Inputs that `terraform show -json` cannot have printed.

use serde_json::{Value, json};
use vxtap::import::ImportError;

use super::{Case, FILE, case, check, check_left_out, with};
use crate::{Source, input};

fn state(resources: &[Value]) -> String {
    json!({"format_version": "1.0", "values": {"root_module": {"resources": resources}}})
        .to_string()
}

fn resource(kind: &str, address: &str, values: &Value) -> Value {
    json!({"type": kind, "address": address, "values": values})
}

fn rule(values: &Value) -> Value {
    resource("aws_ec2_traffic_mirror_filter_rule", "rule.web", values)
}

/// A rule with one attribute changed.
fn rule_case<'c>(key: &str, value: Value, error: &'c str) -> Case<'c> {
    let values = json!({
        "id": "tmfr-1", "traffic_mirror_filter_id": "tmf-1", "traffic_direction": "egress", "rule_number": 10,
        "rule_action": "accept", "protocol": 17, "source_cidr_block": "::/0", "destination_cidr_block": "::/0",
        "source_port_range": [], "destination_port_range": [], "description": "",
    });
    case(state(&[rule(&with(&values, key, value))]), error)
}

fn session_case<'c>(key: &str, value: Value, error: &'c str) -> Case<'c> {
    let values = json!({
        "id": "tms-1", "network_interface_id": "eni-1", "traffic_mirror_filter_id": "tmf-1", "session_number": 1,
        "packet_length": 0, "virtual_network_id": 7,
    });
    let session =
        resource("aws_ec2_traffic_mirror_session", "session.web[0]", &with(&values, key, value));
    case(state(&[session]), error)
}

#[test]
fn files_that_terraform_show_does_not_print() {
    const NONE: &str =
        "in.json: neither values nor planned_values: not what `terraform show -json` prints";
    const NO_OBJECT: &str =
        "in.json: not a JSON object, which `terraform show -json` prints; .tf files are not read";
    let hcl = "resource \"aws_ec2_traffic_mirror_filter\" \"web\" {\n  description = \"web\"\n}\n";
    let deep = r#"{"child_modules":["#.repeat(100);
    let deep = format!(r#"{{"values":{{"root_module":{deep}"#);
    let cases = [
        case("", "in.json: the file is empty"),
        case("\u{feff}\r\n", "in.json: the file is empty"),
        case(b"\xff\xfe{\0}\0".to_vec(), NONE),
        case(b"\xff\xfe{\0}".to_vec(), "in.json: byte 5 is not UTF-16 text"),
        case(hcl, NO_OBJECT),
        case("[]", NO_OBJECT),
        case("{}", NONE),
        case(
            "{\"@level\":\"info\",\"type\":\"version\"}\n{\"@level\":\"info\"}\n",
            "in.json: the log that `terraform plan -json` prints; `terraform show -json PLANFILE` prints what is read here",
        ),
        // An empty state.
        case(
            r#"{"format_version": "1.0"}"#,
            "in.json: no traffic mirror; found no objects at all; a mirror has aws_ec2_traffic_mirror_filter, \
             _filter_rule, _session and _target, or the same of awscc",
        ),
        case(
            r#"{"version": 4, "serial": 3, "lineage": "0a", "resources": []}"#,
            "in.json: a state file as Terraform keeps it: `terraform show -json` prints what is read here",
        ),
        case("{\"values\":\n x}", "in.json: line 2, column 2: not JSON: expected value"),
        case(
            r#"{"values": {"root_module""#,
            "in.json: line 1, column 25: not JSON: EOF while parsing an object",
        ),
        case(r#"{"values": {}} {}"#, "in.json: line 1, column 16: not JSON: trailing characters"),
        case(r#"{"values": {}}"#, "in.json: values.root_module: missing"),
        case(r#"{"values": []}"#, "in.json: values: found a list, expected an object"),
        case(
            r#"{"values": {"root_module": 7}}"#,
            "in.json: values.root_module: found 7, expected an object",
        ),
        case(
            r#"{"planned_values": {"root_module": {"resources": {}}}}"#,
            "in.json: planned_values.root_module.resources: found an object, expected a list",
        ),
        case(
            r#"{"values": {"root_module": {"child_modules": ["a"]}}}"#,
            "in.json: values.root_module.child_modules[0]: found \"a\", expected an object",
        ),
        // More modules inside each other than the JSON reader follows; people have three or four.
        case(deep, "in.json: line 1, column 1159: too many lists and objects inside each other"),
        case(
            r#"{"values":"#.repeat(100_000),
            "in.json: line 1, column 1271: too many lists and objects inside each other",
        ),
    ];
    check(Source::Terraform, &cases);
}

#[test]
fn resources_that_are_none() {
    let module = "in.json: values.root_module.resources[0]";
    let missing = format!("{module}.type: missing");
    let no_address = format!("{module}.address: missing");
    let no_values = format!("{module}.values: missing");
    let filter = "aws_ec2_traffic_mirror_filter";
    let service = json!({"id": "tmf-1", "network_services": ["dns"]});
    let mac = json!({"id": "eni-1", "mac_address": "02-aa-bb-cc-dd-01"});
    let tags = json!({"id": "tmf-1", "tags": ["Name"]});
    let one = |number: u32| {
        resource(
            filter,
            "filter.web",
            &json!({"id": "tmf-1", "description": format!("take {number}")}),
        )
    };
    let cases = [
        case(state(&[json!({"address": "a"})]), &missing),
        case(state(&[json!({"type": filter, "values": {}})]), &no_address),
        case(state(&[json!({"type": filter, "address": "a"})]), &no_values),
        case(
            state(&[resource(filter, "filter.web", &json!([]))]),
            "in.json: filter.web: found a list, expected an object",
        ),
        case(
            state(&[resource(filter, "filter.web", &service)]),
            "in.json: filter.web.network_services[0]: found \"dns\", expected \"amazon-dns\"",
        ),
        case(
            state(&[resource(filter, "filter.web", &tags)]),
            "in.json: filter.web.tags[0]: found \"Name\", expected an object",
        ),
        case(
            state(&[resource("aws_network_interface", "data.eni", &mac)]),
            "in.json: data.eni.mac_address: found \"02-aa-bb-cc-dd-01\", expected a MAC address such as \
             \"02:aa:bb:cc:dd:01\"",
        ),
        case(
            state(&[resource(
                "aws_network_interface",
                "data.eni",
                &json!({"private_ips": "10.0.0.1"}),
            )]),
            "in.json: data.eni.private_ips: found \"10.0.0.1\", expected a list",
        ),
        session_case(
            "session_number",
            json!(32_767),
            "in.json: session.web[0].session_number: found 32767, expected an integer from 1 to 32766",
        ),
        session_case(
            "session_number",
            Value::Null,
            "in.json: session.web[0].session_number: missing",
        ),
        session_case(
            "packet_length",
            json!(65_536),
            "in.json: session.web[0].packet_length: found 65536, expected an integer from 0 to 65535",
        ),
        // The provider itself lets this one pass.
        session_case(
            "virtual_network_id",
            json!(16_777_216),
            "in.json: session.web[0].virtual_network_id: found 16777216, expected an integer from 0 to 16777215",
        ),
        session_case(
            "network_interface_id",
            json!(["eni-1"]),
            "in.json: session.web[0].network_interface_id: found a list, expected a string",
        ),
    ];
    check_left_out(Source::Terraform, &cases);
    let twice = "the filter tmf-1 is described twice, and not the same way";
    let imported = Source::Terraform.import(&[input(FILE, state(&[one(1), one(2), one(1)]))]);
    let Err(ImportError::Nothing { left_out, .. }) = imported else { panic!("{imported:?}") };
    assert_eq!(left_out, [twice]);
}

#[test]
fn rules_that_are_none() {
    let block = |from: u32, to: u32| json!({"from_port": from, "to_port": to});
    let cases = [
        rule_case(
            "traffic_direction",
            json!("out"),
            "in.json: rule.web.traffic_direction: found \"out\", expected \"ingress\" or \"egress\"",
        ),
        rule_case(
            "rule_action",
            json!("Accept"),
            "in.json: rule.web.rule_action: found \"Accept\", expected \"accept\" or \"reject\"",
        ),
        rule_case(
            "rule_number",
            json!(0),
            "in.json: rule.web.rule_number: found 0, expected an integer from 1 to 4294967295",
        ),
        rule_case("rule_number", Value::Null, "in.json: rule.web.rule_number: missing"),
        rule_case(
            "protocol",
            json!([6]),
            "in.json: rule.web.protocol: found a list, expected an integer from -1 to 255",
        ),
        rule_case(
            "source_cidr_block",
            json!("everyone"),
            "in.json: rule.web.source_cidr_block: found \"everyone\", expected an address prefix such as \"10.0.0.0/8\"",
        ),
        rule_case(
            "destination_cidr_block",
            json!("0.0.0.0/0"),
            "in.json: rule.web.destination_cidr_block: found \"0.0.0.0/0\", expected a prefix of the family of the source ::/0",
        ),
        rule_case(
            "source_port_range",
            json!([block(1, 2), block(3, 4)]),
            "in.json: rule.web.source_port_range: found 2 blocks, expected one at most",
        ),
        rule_case(
            "source_port_range",
            json!([[]]),
            "in.json: rule.web.source_port_range[0]: found a list, expected an object",
        ),
        rule_case(
            "source_port_range",
            json!([block(9, 8)]),
            "in.json: rule.web.source_port_range[0]: the range 9-8 ends before it begins",
        ),
        rule_case(
            "destination_port_range",
            json!([{"from_port": 1}]),
            "in.json: rule.web.destination_port_range[0].to_port: missing",
        ),
        rule_case(
            "destination_port_range",
            json!([block(1, 65_536)]),
            "in.json: rule.web.destination_port_range[0].to_port: found 65536, expected an integer from 0 to 65535",
        ),
        rule_case("id", json!(7), "in.json: rule.web.id: found 7, expected a string"),
    ];
    check_left_out(Source::Terraform, &cases);
}
