//! JSON that is not what the AWS CLI prints.

use super::{assert_refused, assert_refused_bytes};

const RULE: &str = r#"{"TrafficMirrorFilterRules": [{"TrafficMirrorFilterRuleId": "tmfr-1", "TrafficMirrorFilterId": "tmf-1", "TrafficDirection": "ingress", "RuleNumber": 10, "RuleAction": "accept", "Protocol": 6, "SourceCidrBlock": "10.0.0.0/8", "DestinationCidrBlock": "0.0.0.0/0", "DestinationPortRange": {"FromPort": 22, "ToPort": 22}}]}"#;
const SESSION: &str = r#"{"TrafficMirrorSessions": [{"TrafficMirrorSessionId": "tms-1", "TrafficMirrorTargetId": "tmt-1", "TrafficMirrorFilterId": "tmf-1", "NetworkInterfaceId": "eni-1", "SessionNumber": 1, "VirtualNetworkId": 7, "PacketLength": 100}]}"#;
const INTERFACE: &str = r#"{"NetworkInterfaces": [{"NetworkInterfaceId": "eni-1", "MacAddress": "02:aa:bb:cc:dd:01", "PrivateIpAddress": "10.0.1.5", "Ipv6Addresses": [{"Ipv6Address": "2001:db8::5"}], "Ipv4Prefixes": [{"Ipv4Prefix": "10.0.2.0/28"}]}]}"#;
const FILTER: &str = r#"{"TrafficMirrorFilters": [{"TrafficMirrorFilterId": "tmf-1", "IngressFilterRules": [], "EgressFilterRules": [{"TrafficMirrorFilterRuleId": "tmfr-1", "TrafficDirection": "egress", "RuleNumber": 1, "RuleAction": "accept", "SourceCidrBlock": "::/0", "DestinationCidrBlock": "::/0"}], "NetworkServices": ["amazon-dns"]}]}"#;
const TARGET: &str =
    r#"{"TrafficMirrorTargets": [{"TrafficMirrorTargetId": "tmt-1", "NetworkInterfaceId": "eni-9"}]}"#;
const VPC: &str = r#"{"Vpcs": [{"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/16"}]}"#;

/// Whole inputs.
const WHOLE: &[(&str, &str)] = &[
    ("", "the file is empty"),
    ("  \n", "the file is empty"),
    ("\u{feff}", "the file is empty"),
    ("\u{feff}null", "found null, expected an object, as `aws ec2 describe-... --output json` prints it"),
    ("not json", "line 1, column 2: not JSON: expected ident"),
    (r#"{"TrafficMirrorFilters": ["#, "line 1, column 26: not JSON: EOF while parsing a list"),
    (
        r#"{"TrafficMirrorFilters": []} {"NetworkInterfaces": [}"#,
        "line 1, column 53: not JSON: expected value",
    ),
    ("[]", "found a list, expected an object, as `aws ec2 describe-... --output json` prints it"),
    (
        r#"{"Reservations": []}"#,
        r#"unknown list "Reservations": known are TrafficMirrorFilters, TrafficMirrorFilterRules, TrafficMirrorSessions, TrafficMirrorTargets, NetworkInterfaces and Vpcs"#,
    ),
    (r#"{"TrafficMirrorFilters": {}}"#, "TrafficMirrorFilters: found an object, expected a list"),
    (r#"{"TrafficMirrorFilters": [7]}"#, "TrafficMirrorFilters[0]: found 7, expected an object"),
];

/// An input that is right, what is replaced in it, and by what.
const CHANGED: &[(&str, &str, &str, &str)] = &[
    (
        RULE,
        r#""TrafficMirrorFilterRuleId": "tmfr-1", "#,
        "",
        "TrafficMirrorFilterRules[0].TrafficMirrorFilterRuleId: missing",
    ),
    (
        RULE,
        r#""TrafficMirrorFilterId": "tmf-1", "#,
        "",
        "TrafficMirrorFilterRules[0] (tmfr-1).TrafficMirrorFilterId: missing",
    ),
    (
        RULE,
        r#""tmfr-1""#,
        "7",
        "TrafficMirrorFilterRules[0].TrafficMirrorFilterRuleId: found 7, expected a string",
    ),
    (
        RULE,
        r#""ingress""#,
        r#""inbound""#,
        r#"TrafficMirrorFilterRules[0] (tmfr-1).TrafficDirection: found "inbound", expected "ingress" or "egress""#,
    ),
    (
        RULE,
        r#""RuleNumber": 10"#,
        r#""RuleNumber": 0"#,
        "TrafficMirrorFilterRules[0] (tmfr-1).RuleNumber: found 0, expected an integer from 1 to 4294967295",
    ),
    (
        RULE,
        r#""RuleNumber": 10"#,
        r#""RuleNumber": 4294967296"#,
        "TrafficMirrorFilterRules[0] (tmfr-1).RuleNumber: found 4294967296, expected an integer from 1 to 4294967295",
    ),
    (
        RULE,
        r#""RuleNumber": 10"#,
        r#""RuleNumber": 1.5"#,
        "TrafficMirrorFilterRules[0] (tmfr-1).RuleNumber: found 1.5, expected an integer from 1 to 4294967295",
    ),
    (
        RULE,
        r#""RuleNumber": 10"#,
        r#""RuleNumber": "ten""#,
        r#"TrafficMirrorFilterRules[0] (tmfr-1).RuleNumber: found "ten", expected an integer from 1 to 4294967295"#,
    ),
    (
        RULE,
        r#""accept""#,
        r#""allow""#,
        r#"TrafficMirrorFilterRules[0] (tmfr-1).RuleAction: found "allow", expected "accept" or "reject""#,
    ),
    (
        RULE,
        r#""Protocol": 6"#,
        r#""Protocol": 256"#,
        "TrafficMirrorFilterRules[0] (tmfr-1).Protocol: found 256, expected an integer from -1 to 255",
    ),
    (
        RULE,
        r#""Protocol": 6"#,
        r#""Protocol": "tcp""#,
        r#"TrafficMirrorFilterRules[0] (tmfr-1).Protocol: found "tcp", expected an integer from -1 to 255"#,
    ),
    (
        RULE,
        r#""Protocol": 6"#,
        r#""Protocol": 47"#,
        "TrafficMirrorFilterRules[0] (tmfr-1).DestinationPortRange: ports need protocol 6 (TCP) or 17 (UDP)",
    ),
    (
        RULE,
        r#""Protocol": 6, "#,
        "",
        "TrafficMirrorFilterRules[0] (tmfr-1).DestinationPortRange: ports need protocol 6 (TCP) or 17 (UDP)",
    ),
    (
        RULE,
        r#""10.0.0.0/8""#,
        r#""10.0.0.0/33""#,
        r#"TrafficMirrorFilterRules[0] (tmfr-1).SourceCidrBlock: found "10.0.0.0/33", expected an address prefix such as "10.0.0.0/8""#,
    ),
    (
        RULE,
        r#""10.0.0.0/8""#,
        r#"["10.0.0.0/8"]"#,
        "TrafficMirrorFilterRules[0] (tmfr-1).SourceCidrBlock: found a list, expected a string",
    ),
    (
        RULE,
        r#""0.0.0.0/0""#,
        r#""::/0""#,
        r#"TrafficMirrorFilterRules[0] (tmfr-1).DestinationCidrBlock: found "::/0", expected a prefix of the family of the source 10.0.0.0/8"#,
    ),
    (
        RULE,
        r#"{"FromPort": 22, "ToPort": 22}"#,
        r#"{"FromPort": 22}"#,
        "TrafficMirrorFilterRules[0] (tmfr-1).DestinationPortRange.ToPort: missing",
    ),
    (
        RULE,
        r#"{"FromPort": 22, "ToPort": 22}"#,
        r#"{"FromPort": 22, "ToPort": 65536}"#,
        "TrafficMirrorFilterRules[0] (tmfr-1).DestinationPortRange.ToPort: found 65536, expected an integer from 0 to 65535",
    ),
    (
        RULE,
        r#"{"FromPort": 22, "ToPort": 22}"#,
        r#"{"FromPort": 23, "ToPort": 22}"#,
        "TrafficMirrorFilterRules[0] (tmfr-1).DestinationPortRange: the range 23-22 ends before it begins",
    ),
    (
        RULE,
        r#"{"FromPort": 22, "ToPort": 22}"#,
        "22",
        "TrafficMirrorFilterRules[0] (tmfr-1).DestinationPortRange: found 22, expected an object",
    ),
    (
        SESSION,
        r#""NetworkInterfaceId": "eni-1", "#,
        "",
        "TrafficMirrorSessions[0] (tms-1).NetworkInterfaceId: missing",
    ),
    (
        SESSION,
        r#""SessionNumber": 1"#,
        r#""SessionNumber": 32767"#,
        "TrafficMirrorSessions[0] (tms-1).SessionNumber: found 32767, expected an integer from 1 to 32766",
    ),
    (
        SESSION,
        r#""PacketLength": 100"#,
        r#""PacketLength": -1"#,
        "TrafficMirrorSessions[0] (tms-1).PacketLength: found -1, expected an integer from 0 to 65535",
    ),
    (
        SESSION,
        r#""PacketLength": 100"#,
        r#""PacketLength": 65536"#,
        "TrafficMirrorSessions[0] (tms-1).PacketLength: found 65536, expected an integer from 0 to 65535",
    ),
    (
        SESSION,
        r#""VirtualNetworkId": 7"#,
        r#""VirtualNetworkId": 16777216"#,
        "TrafficMirrorSessions[0] (tms-1).VirtualNetworkId: found 16777216, expected an integer from 0 to 16777215",
    ),
    (
        SESSION,
        r#""VirtualNetworkId": 7"#,
        r#""VirtualNetworkId": true"#,
        "TrafficMirrorSessions[0] (tms-1).VirtualNetworkId: found true, expected an integer from 0 to 16777215",
    ),
    (
        INTERFACE,
        r#""02:aa:bb:cc:dd:01""#,
        r#""02:aa:bb:cc:dd""#,
        r#"NetworkInterfaces[0] (eni-1).MacAddress: found "02:aa:bb:cc:dd", expected a MAC address such as "02:aa:bb:cc:dd:01""#,
    ),
    (
        INTERFACE,
        r#""10.0.1.5""#,
        r#""10.0.1""#,
        r#"NetworkInterfaces[0] (eni-1).PrivateIpAddress: found "10.0.1", expected an IP address"#,
    ),
    (
        INTERFACE,
        r#""2001:db8::5""#,
        r#""2001:db8::5/64""#,
        r#"NetworkInterfaces[0] (eni-1).Ipv6Addresses[0].Ipv6Address: found "2001:db8::5/64", expected an IP address"#,
    ),
    (
        INTERFACE,
        r#"{"Ipv6Address": "2001:db8::5"}"#,
        r#""2001:db8::5""#,
        r#"NetworkInterfaces[0] (eni-1).Ipv6Addresses[0]: found "2001:db8::5", expected an object"#,
    ),
    (
        INTERFACE,
        r#""10.0.2.0/28""#,
        r#""10.0.2.0-28""#,
        r#"NetworkInterfaces[0] (eni-1).Ipv4Prefixes[0].Ipv4Prefix: found "10.0.2.0-28", expected an address prefix such as "10.0.0.0/8""#,
    ),
    (
        FILTER,
        r#""amazon-dns""#,
        r#""amazon-ntp""#,
        r#"TrafficMirrorFilters[0] (tmf-1).NetworkServices[0]: found "amazon-ntp", expected "amazon-dns""#,
    ),
    (
        FILTER,
        r#""TrafficDirection": "egress""#,
        r#""TrafficDirection": "ingress""#,
        "TrafficMirrorFilters[0] (tmf-1).EgressFilterRules[0] (tmfr-1): stands in the egress list of tmf-1, but is an ingress rule of tmf-1",
    ),
    (
        FILTER,
        r#"["amazon-dns"]"#,
        r#""amazon-dns""#,
        r#"TrafficMirrorFilters[0] (tmf-1).NetworkServices: found "amazon-dns", expected a list"#,
    ),
    (
        TARGET,
        r#", "NetworkInterfaceId": "eni-9""#,
        "",
        "TrafficMirrorTargets[0] (tmt-1): has neither an interface nor a load balancer nor an endpoint",
    ),
    (
        VPC,
        r#""10.0.0.0/16""#,
        r#""fd00::/16""#,
        r#"Vpcs[0] (vpc-1).CidrBlock: found "fd00::/16", expected an IPv4 prefix such as "10.0.0.0/16""#,
    ),
];

#[test]
fn each_has_an_error_of_one_sentence() {
    for (text, expected) in WHOLE {
        assert_refused(vxtap::import::aws, text, expected);
    }
    for (base, from, to, expected) in CHANGED {
        assert_eq!(base.matches(from).count(), 1, "{from}");
        assert!(
            vxtap::import::aws(&[super::input(base.as_bytes())], &vxtap::import::Options::default()).is_ok(),
            "{base}"
        );
        assert_refused(vxtap::import::aws, &base.replace(from, to), expected);
    }
}

#[test]
fn what_is_not_text_or_too_deep_is_refused() {
    assert_refused_bytes(vxtap::import::aws, b"{\"a\": \"\xff\"}", "byte 8 is not UTF-8 text");
    let deep = format!("{{\"Vpcs\": {}", "[".repeat(100_000));
    assert_refused(
        vxtap::import::aws,
        &deep,
        "line 1, column 136: too many lists and objects inside each other",
    );
}

#[test]
fn what_contradicts_itself_is_refused() {
    let twice = [SESSION, &SESSION.replace("\"SessionNumber\": 1", "\"SessionNumber\": 2")].concat();
    let error = super::error(vxtap::import::aws, twice.as_bytes());
    assert_eq!(error, "the session tms-1 is described twice, and not the same way");
    let second =
        SESSION.replace("tms-1", "tms-2").replace("\"VirtualNetworkId\": 7", "\"VirtualNetworkId\": 8");
    let error = super::error(vxtap::import::aws, [FILTER, INTERFACE, SESSION, &second].concat().as_bytes());
    assert_eq!(error, "interface eni-1: the sessions tms-1 and tms-2 have the same number");
    let again = RULE.replace("tmfr-1", "tmfr-2").replace("accept", "reject");
    let filter = FILTER.replace("tmfr-1", "tmfr-3");
    let error = super::error(vxtap::import::aws, [&filter, RULE, &again].concat().as_bytes());
    assert_eq!(error, "filter tmf-1: the rules tmfr-1 and tmfr-2 are both ingress rule 10");
}

#[test]
fn names_cannot_break_the_sentence() {
    let text = SESSION.replace("tms-1", "tms\\n-1").replace("\"SessionNumber\": 1, ", "");
    assert_refused(vxtap::import::aws, &text, "TrafficMirrorSessions[0] (tms\\n-1).SessionNumber: missing");
}
