//! Sessions and interfaces that `aws ec2 describe-...` cannot have printed.

use serde_json::{Value, json};

use super::aws::session;
use super::{Case, case, check_left_out, with};
use crate::Source;

fn session_case<'c>(key: &str, value: Value, error: &'c str) -> Case<'c> {
    case(json!({"TrafficMirrorSessions": [with(&session(), key, value)]}).to_string(), error)
}

fn interface_case<'c>(key: &str, value: Value, error: &'c str) -> Case<'c> {
    let interface = with(&json!({"NetworkInterfaceId": "eni-1"}), key, value);
    case(json!({"NetworkInterfaces": [interface]}).to_string(), error)
}

#[test]
fn sessions_and_interfaces_that_are_none() {
    const SESSION: &str = "in.json: TrafficMirrorSessions[0] (tms-1)";
    const INTERFACE: &str = "in.json: NetworkInterfaces[0] (eni-1)";
    let of_session = |what: &str| format!("{SESSION}.{what}");
    let of_interface = |what: &str| format!("{INTERFACE}.{what}");
    let sessions = [
        ("SessionNumber", json!(0), "SessionNumber: found 0, expected an integer from 1 to 32766"),
        (
            "SessionNumber",
            json!(32_767),
            "SessionNumber: found 32767, expected an integer from 1 to 32766",
        ),
        ("SessionNumber", Value::Null, "SessionNumber: missing"),
        (
            "PacketLength",
            json!(65_536),
            "PacketLength: found 65536, expected an integer from 0 to 65535",
        ),
        ("PacketLength", json!(-1), "PacketLength: found -1, expected an integer from 0 to 65535"),
        (
            "PacketLength",
            json!({}),
            "PacketLength: found an object, expected an integer from 0 to 65535",
        ),
        (
            "VirtualNetworkId",
            json!(1 << 24),
            "VirtualNetworkId: found 16777216, expected an integer from 0 to 16777215",
        ),
        (
            "VirtualNetworkId",
            json!([7]),
            "VirtualNetworkId: found a list, expected an integer from 0 to 16777215",
        ),
        ("NetworkInterfaceId", json!(7), "NetworkInterfaceId: found 7, expected a string"),
        ("TrafficMirrorFilterId", Value::Null, "TrafficMirrorFilterId: missing"),
        (
            "TrafficMirrorTargetId",
            json!({}),
            "TrafficMirrorTargetId: found an object, expected a string",
        ),
    ];
    let interfaces = [
        (
            "MacAddress",
            json!("02:aa:bb:cc:dd"),
            "MacAddress: found \"02:aa:bb:cc:dd\", expected a MAC address such as \"02:aa:bb:cc:dd:01\"",
        ),
        (
            "PrivateIpAddress",
            json!("10.0.0.256"),
            "PrivateIpAddress: found \"10.0.0.256\", expected an IP address",
        ),
        (
            "PrivateIpAddresses",
            json!(["10.0.0.1"]),
            "PrivateIpAddresses[0]: found \"10.0.0.1\", expected an object",
        ),
        (
            "Ipv6Addresses",
            json!([{"Ipv6Address": "::/0"}]),
            "Ipv6Addresses[0].Ipv6Address: found \"::/0\", expected an IP address",
        ),
        ("Ipv4Prefixes", json!([{}]), "Ipv4Prefixes[0].Ipv4Prefix: missing"),
        (
            "TagSet",
            json!([{"Key": "Name", "Value": 7}]),
            "TagSet[0].Value: found 7, expected a string",
        ),
        ("VpcId", json!(false), "VpcId: found false, expected a string"),
    ];
    for (key, value, what) in sessions {
        check_left_out(Source::Aws, &[session_case(key, value, &of_session(what))]);
    }
    for (key, value, what) in interfaces {
        check_left_out(Source::Aws, &[interface_case(key, value, &of_interface(what))]);
    }
}
