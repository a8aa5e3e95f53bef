//! JSON that is not what `terraform show -json` prints.

use super::assert_refused;

const RULE: &str = r#"{"values": {"root_module": {"resources": [{"address": "aws_x.web[0]", "type": "aws_ec2_traffic_mirror_filter_rule", "values": {"id": "tmfr-1", "traffic_mirror_filter_id": "tmf-1", "traffic_direction": "ingress", "rule_number": 10, "rule_action": "accept", "protocol": 6, "source_cidr_block": "10.0.0.0/8", "destination_cidr_block": "0.0.0.0/0", "source_port_range": [], "destination_port_range": [{"from_port": 22, "to_port": 22}]}}]}}}"#;
const SESSION: &str = r#"{"values": {"root_module": {"resources": [{"address": "aws_x.web[0]", "type": "aws_ec2_traffic_mirror_session", "values": {"id": "tms-1", "network_interface_id": "eni-1", "traffic_mirror_filter_id": "tmf-1", "session_number": 1, "virtual_network_id": 7, "packet_length": 0}}]}}}"#;
const INTERFACE: &str = r#"{"values": {"root_module": {"resources": [{"address": "aws_x.web[0]", "type": "aws_network_interface", "values": {"id": "eni-1", "mac_address": "02:aa:bb:cc:dd:01", "private_ip": "10.0.1.5", "private_ips": ["10.0.1.5"], "ipv4_prefixes": []}}]}}}"#;

/// Whole inputs.
const WHOLE: &[(&str, &str)] = &[
    ("", "the file is empty"),
    (
        r#"resource "aws_ec2_traffic_mirror_filter" "web" {}
"#,
        "not a JSON object, which `terraform show -json` prints; .tf files are not read",
    ),
    (
        r#"{"version": 4, "serial": 7, "lineage": "a-b", "resources": []}"#,
        "a state file as Terraform keeps it: `terraform show -json` prints what is read here",
    ),
    (
        r#"{"TrafficMirrorFilters": []}"#,
        "neither values nor planned_values: not what `terraform show -json` prints",
    ),
    ("[]", "not a JSON object, which `terraform show -json` prints; .tf files are not read"),
    (r#"{"values": []}"#, "values: found a list, expected an object"),
    (r#"{"values": {}}"#, "values.root_module: missing"),
    (
        r#"{"values": {"root_module": {"resources": {}}}}"#,
        "values.root_module.resources: found an object, expected a list",
    ),
    (
        r#"{"values": {"root_module": {"resources": [{"type": 7}]}}}"#,
        "values.root_module.resources[0].type: found 7, expected a string",
    ),
    (
        r#"{"values": {"root_module": {"resources": [{"type": "aws_network_interface"}]}}}"#,
        "values.root_module.resources[0].address: missing",
    ),
    (
        r#"{"values": {"root_module": {"resources": [{"type": "aws_network_interface", "address": "a.b"}]}}}"#,
        "values.root_module.resources[0].values: missing",
    ),
    (r#"{"values": {"root_module": {}}} {}"#, "line 1, column 33: not JSON: trailing characters"),
    (r#"{"values""#, "line 1, column 9: not JSON: EOF while parsing an object"),
];

/// An input that is right, what is replaced in it, and by what.
const CHANGED: &[(&str, &str, &str, &str)] = &[
    (
        RULE,
        r#""ingress""#,
        r#""in""#,
        r#"aws_x.web[0].traffic_direction: found "in", expected "ingress" or "egress""#,
    ),
    (RULE, r#""rule_number": 10, "#, "", "aws_x.web[0].rule_number: missing"),
    (
        RULE,
        r#""protocol": 6"#,
        r#""protocol": -2"#,
        "aws_x.web[0].protocol: found -2, expected an integer from -1 to 255",
    ),
    (
        RULE,
        r#"[{"from_port": 22, "to_port": 22}]"#,
        r#"[{"from_port": 22, "to_port": 22}, {"from_port": 80, "to_port": 80}]"#,
        "aws_x.web[0].destination_port_range: found 2 blocks, expected one at most",
    ),
    (RULE, r#""10.0.0.0/8""#, "null", "aws_x.web[0].source_cidr_block: missing"),
    (
        RULE,
        r#"[{"from_port": 22, "to_port": 22}]"#,
        "[22]",
        "aws_x.web[0].destination_port_range[0]: found 22, expected an object",
    ),
    (
        RULE,
        r#""tmf-1""#,
        r#"["tmf-1"]"#,
        "aws_x.web[0].traffic_mirror_filter_id: found a list, expected a string",
    ),
    (
        SESSION,
        r#""session_number": 1"#,
        r#""session_number": 0"#,
        "aws_x.web[0].session_number: found 0, expected an integer from 1 to 32766",
    ),
    (
        SESSION,
        r#""virtual_network_id": 7"#,
        r#""virtual_network_id": -1"#,
        "aws_x.web[0].virtual_network_id: found -1, expected an integer from 0 to 16777215",
    ),
    (
        SESSION,
        r#""packet_length": 0"#,
        r#""packet_length": "all""#,
        r#"aws_x.web[0].packet_length: found "all", expected an integer from 0 to 65535"#,
    ),
    (
        INTERFACE,
        r#""02:aa:bb:cc:dd:01""#,
        r#""eth0""#,
        r#"aws_x.web[0].mac_address: found "eth0", expected a MAC address such as "02:aa:bb:cc:dd:01""#,
    ),
    (
        INTERFACE,
        r#"["10.0.1.5"]"#,
        r#""10.0.1.5""#,
        r#"aws_x.web[0].private_ips: found "10.0.1.5", expected a list"#,
    ),
    (
        INTERFACE,
        r#"["10.0.1.5"]"#,
        r#"["10.0.1.5/24"]"#,
        r#"aws_x.web[0].private_ips[0]: found "10.0.1.5/24", expected an IP address"#,
    ),
];

#[test]
fn each_has_an_error_of_one_sentence() {
    for (text, expected) in WHOLE {
        assert_refused(vxtap::import::terraform, text, expected);
    }
    for (base, from, to, expected) in CHANGED {
        assert_eq!(base.matches(from).count(), 1, "{from}");
        assert!(
            vxtap::import::terraform(&[super::input(base.as_bytes())], &vxtap::import::Options::default())
                .is_ok(),
            "{base}"
        );
        assert_refused(vxtap::import::terraform, &base.replace(from, to), expected);
    }
}

#[test]
fn modules_may_not_lie_in_each_other_without_end() {
    let deep = format!(
        "{{\"values\": {{\"root_module\": {}{{}}{}}}}}",
        "{\"child_modules\": [".repeat(66),
        "]}".repeat(66)
    );
    assert_refused(
        vxtap::import::terraform,
        &deep,
        "line 1, column 1224: too many lists and objects inside each other",
    );
}
