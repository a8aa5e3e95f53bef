//! Kinds of resources in a state or a plan of Terraform.

use serde_json::{Value, json};
use vxtap::config::Config;
use vxtap::import::{ImportError, Imported};

use crate::{Source, import_text, input};

pub(crate) fn resource(kind: &str, name: &str, values: Value) -> Value {
    let mut resource =
        json!({"type": kind, "address": format!("{kind}.{name}"), "mode": "managed"});
    resource["values"] = values;
    resource
}

pub(crate) fn filter(id: &str) -> Value {
    resource("aws_ec2_traffic_mirror_filter", "f", json!({"id": id, "network_services": []}))
}

pub(crate) fn session(number: u32, interface: &str) -> Value {
    resource(
        "aws_ec2_traffic_mirror_session",
        &format!("s{number}"),
        json!({
        "id": format!("tms-{number}"), "network_interface_id": interface, "traffic_mirror_filter_id": "tmf-1",
        "traffic_mirror_target_id": "tmt-1", "session_number": 1, "packet_length": 0, "virtual_network_id": 100}),
    )
}

pub(crate) fn rule(more: &Value) -> Value {
    let mut values = json!({"id": "tmfr-1", "traffic_mirror_filter_id": "tmf-1", "traffic_direction": "ingress",
        "rule_number": 1, "rule_action": "accept", "protocol": 6, "source_cidr_block": "0.0.0.0/0",
        "destination_cidr_block": "0.0.0.0/0", "source_port_range": [], "destination_port_range": []});
    values.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    resource("aws_ec2_traffic_mirror_filter_rule", "r", values)
}

fn state(resources: &[Value]) -> (Config, Vec<String>) {
    let text = json!({"values": {"root_module": {"resources": resources}}}).to_string();
    let (config, imported) = import_text(Source::Terraform, text);
    (config, imported.left_out)
}

fn sources(config: &Config) -> Vec<Option<String>> {
    config.sessions.iter().map(|it| it.source.map(|source| source.to_string())).collect()
}

fn addresses(config: &Config) -> Vec<Vec<String>> {
    let of = |it: &vxtap::config::Eni| it.addresses.iter().map(ToString::to_string).collect();
    config.enis.iter().map(of).collect()
}

/// The pattern of the provider's own documentation. Without it, two sessions with one VNI could not
/// be told apart.
#[test]
fn the_primary_interface_of_an_instance_is_known() {
    let instance = |name: &str, key: &str, eni: &str, address: &str| {
        resource(
            "aws_instance",
            name,
            json!({"id": format!("i-{name}"), key: eni, "private_ip": address,
            "secondary_private_ips": [], "ipv6_addresses": ["2001:db8::7"], "subnet_id": "subnet-1", "tags": {"Name": name}}),
        )
    };
    // The data source has another name for the interface.
    let (config, left_out) = state(&[
        filter("tmf-1"),
        session(1, "eni-1"),
        session(2, "eni-2"),
        instance("web", "primary_network_interface_id", "eni-1", "10.0.1.5"),
        instance("db", "network_interface_id", "eni-2", "10.0.1.6"),
    ]);
    assert_eq!(sources(&config), [Some("10.0.1.5".to_owned()), Some("10.0.1.6".to_owned())]);
    assert_eq!(addresses(&config)[1], ["10.0.1.6/32", "2001:db8::7/128"]);
    assert_eq!(left_out, [""; 0]);

    // An interface that is a resource too has more to say.
    let own = resource(
        "aws_network_interface",
        "e",
        json!({"id": "eni-1", "private_ip": "10.0.1.5",
        "private_ips": ["10.0.1.5", "10.0.1.9"], "mac_address": "02:00:00:00:00:01"}),
    );
    let instance = instance("web", "primary_network_interface_id", "eni-1", "10.0.1.5");
    let (config, _) = state(&[filter("tmf-1"), session(1, "eni-1"), instance, own]);
    assert_eq!(addresses(&config), [["10.0.1.5/32", "10.0.1.9/32"]]);
    assert!(config.enis[0].mac.is_some());
}

/// The resource has no VPC, the data source has no description.
#[test]
fn a_resource_and_a_data_source_describe_one_interface() {
    let described = |name: &str, more: Value| {
        let mut values = json!({"id": "eni-1", "private_ip": "10.0.1.5", "private_ips": ["10.0.1.5"],
            "mac_address": "02:00:00:00:00:01", "subnet_id": "subnet-1"});
        values.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        resource("aws_network_interface", name, values)
    };
    let data =
        described("data", json!({"vpc_id": "vpc-1", "private_ips": ["10.0.1.5", "10.0.1.9"]}));
    let vpc = resource("aws_vpc", "v", json!({"id": "vpc-1", "cidr_block": "10.0.0.0/16"}));
    let own = described("own", json!({"description": "web"}));
    for two in [[own.clone(), data.clone()], [data.clone(), own]] {
        let mut resources = vec![filter("tmf-1"), session(1, "eni-1"), vpc.clone()];
        resources.extend(two);
        let (config, left_out) = state(&resources);
        assert_eq!(addresses(&config), [["10.0.1.5/32", "10.0.1.9/32"]]);
        assert_eq!((config.enis[0].vpc_prefixes.len(), left_out), (1, Vec::new()));
    }
    for contradiction in [
        json!({"mac_address": "02:00:00:00:00:02"}),
        json!({"private_ip": "10.0.1.6", "private_ips": ["10.0.1.6"]}),
        json!({"private_ips": ["10.0.1.7"]}),
        json!({"subnet_id": "subnet-2"}),
    ] {
        let two = [data.clone(), described("other", contradiction)];
        let text = json!({"values": {"root_module": {"resources": two}}}).to_string();
        let error = Source::Terraform.import(&[input("in", text)]).unwrap_err();
        let ImportError::Nothing { left_out, .. } = error else { panic!("{error}") };
        assert_eq!(left_out, ["the interface eni-1 is described twice, and not the same way"]);
    }
}

#[test]
fn sessions_that_cannot_be_told_apart_are_all_left_out() {
    let (config, left_out) =
        state(&[filter("tmf-1"), session(1, "eni-1"), session(2, "eni-2"), session(3, "eni-3")]);
    assert!(config.sessions.is_empty());
    let sentence = "sessions tms-1, tms-2, tms-3: each has VNI 100 from an unknown source, so that their frames cannot be \
                    told apart; add a description of the mirrored interfaces, or give the sessions different VNIs";
    assert_eq!(left_out, [sentence]);
}

#[test]
fn resources_of_the_cloud_control_provider_are_read() {
    let mut described = rule(
        &json!({"destination_port_range": {"from_port": 443, "to_port": 443}, "source_port_range": null}),
    );
    described["type"] = json!("awscc_ec2_traffic_mirror_filter_rule");
    let mut session = session(1, "eni-1");
    session["type"] = json!("awscc_ec2_traffic_mirror_session");
    let (config, left_out) = state(&[
        resource(
            "awscc_ec2_traffic_mirror_filter",
            "f",
            json!({"id": "tmf-1", "traffic_mirror_filter_id": "tmf-1",
            "network_services": ["amazon-dns"], "tags": [{"key": "Name", "value": "f"}]}),
        ),
        described,
        session,
        resource(
            "awscc_ec2_network_interface",
            "e",
            json!({"id": "eni-1", "network_interface_id": "eni-1",
            "primary_private_ip_address": "10.0.1.5", "subnet_id": "subnet-1",
            "private_ip_addresses": [{"primary": true, "private_ip_address": "10.0.1.5"}, {"private_ip_address": "10.0.1.6"}],
            "ipv_6_addresses": [{"ipv_6_address": "2001:db8::7"}], "ipv_4_prefixes": [{"ipv_4_prefix": "10.0.2.0/28"}]}),
        ),
        resource("awscc_ec2_subnet", "n", json!({"id": "subnet-1", "vpc_id": "vpc-1"})),
        resource(
            "awscc_ec2_vpc",
            "v",
            json!({"id": "vpc-1", "cidr_block": "10.0.0.0/16",
            "cidr_block_associations": ["vpc-cidr-assoc-1"]}),
        ),
    ]);
    assert_eq!(left_out, [""; 0]);
    assert_eq!(sources(&config), [Some("10.0.1.5".to_owned())]);
    assert_eq!(
        addresses(&config),
        [["10.0.1.5/32", "10.0.1.6/32", "10.0.2.0/28", "2001:db8::7/128"]]
    );
    assert_eq!(config.enis[0].vpc_prefixes[0].to_string(), "10.0.0.0/16");
    let ports = config.filters[0].rules[0].destination_ports.unwrap();
    assert_eq!((ports.first, ports.last), (443, 443));
}

/// `create_before_destroy`: the old object is in the state until it is destroyed.
#[test]
fn a_deposed_object_is_left_out() {
    let mut old = session(1, "eni-1");
    old["values"]["id"] = json!("tms-0");
    old["deposed_key"] = json!("00000001");
    let (config, left_out) = state(&[filter("tmf-1"), session(1, "eni-1"), old]);
    assert_eq!(config.sessions.len(), 1);
    assert_eq!(config.sessions[0].name, "tms-1");
    let sentence = "in: aws_ec2_traffic_mirror_session.s1: a deposed object (00000001), which was replaced and is going \
                    to be destroyed";
    assert_eq!(left_out, [sentence]);
}

/// An attribute that is not in the planned values may be unset, or not known yet: the changes say
/// which.
#[test]
fn attributes_that_a_plan_does_not_know_are_not_taken_as_unset() {
    let plan = |unknown: &Value, values: Value| {
        let planned = rule(&values);
        let change = json!({"address": planned["address"], "change": {"after_unknown": unknown}});
        let resources = [filter("tmf-1"), planned, session(1, "eni-1")];
        let text = json!({"planned_values": {"root_module": {"resources": resources}}, "resource_changes": [change]});
        import_text(Source::Terraform, text.to_string())
    };
    let passes = "session tms-1: its filter tmf-1 lacks a rule that is left out: all that the mirror sends passes";
    let place = "in: aws_ec2_traffic_mirror_filter_rule.r";
    let apply = "is not known before `terraform apply`; show the state after it";
    for (unknown, values, key) in [
        (json!({"protocol": true}), json!({"protocol": null}), "protocol"),
        (
            json!({"destination_port_range": [{"from_port": true}]}),
            json!({}),
            "destination_port_range",
        ),
        (
            json!({"source_cidr_block": true}),
            json!({"source_cidr_block": null}),
            "source_cidr_block",
        ),
    ] {
        let (config, Imported { left_out, notes, .. }) = plan(&unknown, values);
        assert_eq!((config.filters[0].rules.len(), config.sessions[0].filter.clone()), (0, None));
        assert_eq!(left_out, [format!("{place}: {key} {apply}")]);
        assert!(notes.contains(&passes.to_owned()), "{notes:?}");
    }
    // Not known and not needed, and known.
    let unknown = json!({"arn": true, "id": true, "destination_port_range": [], "source_port_range": [{"to_port": false}]});
    let (config, imported) = plan(&unknown, json!({}));
    assert_eq!((config.filters[0].rules.len(), imported.left_out), (1, Vec::new()));
}

/// Instances of `count` and `for_each`, in modules, as `tofu` prints them too.
#[test]
fn instances_in_modules_are_read() {
    let each = |index: Value, number: u32| {
        let mut each = session(number, &format!("eni-{number}"));
        each["address"] =
            json!(format!("module.m[\"a\"].aws_ec2_traffic_mirror_session.s[{index}]"));
        each["index"] = index;
        each["provider_name"] = json!("registry.opentofu.org/hashicorp/aws");
        each["values"]["virtual_network_id"] = json!(number);
        each
    };
    let text = json!({"format_version": "1.0", "values": {"root_module": {"child_modules": [{"address": "module.m[\"a\"]",
        "resources": [filter("tmf-1"), each(json!(0), 7), each(json!("b"), 8)]}]}}});
    let (config, imported) = import_text(Source::Terraform, text.to_string());
    let vnis: Vec<_> = config.sessions.iter().map(|session| session.vni).collect();
    assert_eq!((vnis, imported.left_out), (vec![7, 8], Vec::new()));
}
