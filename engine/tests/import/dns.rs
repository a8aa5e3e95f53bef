//! The prefixes of VPCs, by which Amazon's DNS server is recognised.

use serde_json::{Value, json};

use crate::{Source, import_text};

/// Prefixes of the only interface, and what is said about its DNS server; nothing is left out.
fn prefixes(source: Source, text: &str) -> (Vec<String>, Vec<String>) {
    let (config, imported) = import_text(source, text);
    let prefixes = config.enis[0].vpc_prefixes.iter().map(ToString::to_string);
    assert_eq!(imported.left_out, [""; 0]);
    let is_dns = |sentence: &String| sentence.starts_with("amazon-dns");
    (prefixes.collect(), imported.notes.into_iter().filter(is_dns).collect())
}

/// The sentence about a server that is not known.
fn unknown(session: &str, reason: &str, remedy: &str) -> String {
    format!(
        "amazon-dns of session {session}: {reason}, so that the DNS server at the VPC's base address plus 2 is not \
         recognised and its traffic passes only where a rule accepts it; {remedy}"
    )
}

fn aws(parts: &[Value], services: &Value) -> (Vec<String>, Vec<String>) {
    let mirror = json!({
        "TrafficMirrorFilters": [{"TrafficMirrorFilterId": "tmf-1", "NetworkServices": services}],
        "TrafficMirrorSessions": [{"TrafficMirrorSessionId": "tms-1", "TrafficMirrorFilterId": "tmf-1",
            "NetworkInterfaceId": "eni-1", "SessionNumber": 1, "VirtualNetworkId": 100}]});
    let texts: Vec<_> = parts.iter().chain([&mirror]).map(Value::to_string).collect();
    prefixes(Source::Aws, &texts.join("\n"))
}

#[test]
fn prefixes_that_are_not_in_force_do_not_count() {
    let association =
        |block: &str, state: &str| json!({"CidrBlock": block, "CidrBlockState": {"State": state}});
    let interface =
        json!({"NetworkInterfaces": [{"NetworkInterfaceId": "eni-1", "VpcId": "vpc-1"}]});
    let vpcs = json!({"Vpcs": [{"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/16", "CidrBlockAssociationSet": [
        association("10.0.0.0/16", "associated"), association("10.1.0.0/16", "associated"),
        association("10.2.0.0/16", "disassociated"), association("10.3.0.0/16", "failed"),
        association("10.4.0.0/16", "associating"), {"CidrBlock": "10.5.0.0/16"}]}]});
    let (prefixes, notes) = aws(&[interface, vpcs], &json!(["amazon-dns"]));
    assert_eq!(prefixes, ["10.0.0.0/16", "10.1.0.0/16", "10.5.0.0/16"]);
    assert_eq!(notes, [""; 0]);
}

#[test]
fn a_server_that_is_not_known_is_said_where_it_matters() {
    const REMEDY: &str = "add the output of `aws ec2 describe-vpcs` to the input";
    let interface = |more: Value| {
        let mut interface = json!({"NetworkInterfaceId": "eni-1", "PrivateIpAddress": "10.0.1.5"});
        interface.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"NetworkInterfaces": [interface]})
    };
    let dns = json!(["amazon-dns"]);
    for (more, reason) in [
        (json!({"VpcId": "vpc-1"}), "the prefixes of vpc-1 are not in the input"),
        (json!({"SubnetId": "subnet-1"}), "the VPC of subnet-1 is not in the input"),
        (json!({}), "the VPC of the interface is not in the input"),
    ] {
        let (prefixes, notes) = aws(&[interface(more.clone())], &dns);
        assert_eq!((prefixes, notes), (Vec::new(), vec![unknown("tms-1", reason, REMEDY)]));
        let (_, notes) = aws(&[interface(more)], &json!([]));
        assert_eq!(notes, [""; 0]);
    }
    // The subnet leads to the VPC.
    let parts = [
        interface(json!({"SubnetId": "subnet-1"})),
        json!({"Subnets": [{"SubnetId": "subnet-1", "VpcId": "vpc-1", "CidrBlock": "10.0.1.0/24"}]}),
        json!({"Vpcs": [{"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/16"}]}),
    ];
    assert_eq!(aws(&parts, &dns), (vec!["10.0.0.0/16".to_owned()], Vec::new()));
}

#[test]
fn the_subnet_of_a_state_leads_to_the_vpc() {
    let resource = |kind: &str, mode: &str, values: Value| json!({"type": kind, "address": format!("{kind}.x"), "mode": mode, "values": values});
    let with = |more: Vec<Value>| {
        let mut resources = vec![
            resource(
                "aws_ec2_traffic_mirror_filter",
                "managed",
                json!({"id": "tmf-1", "network_services": ["amazon-dns"]}),
            ),
            resource(
                "aws_ec2_traffic_mirror_session",
                "managed",
                json!({"id": "tms-1", "network_interface_id": "eni-1",
                "traffic_mirror_filter_id": "tmf-1", "session_number": 1, "virtual_network_id": 100}),
            ),
            resource(
                "aws_network_interface",
                "managed",
                json!({"id": "eni-1", "private_ip": "10.0.1.5", "subnet_id": "subnet-1"}),
            ),
        ];
        resources.extend(more);
        prefixes(
            Source::Terraform,
            &json!({"values": {"root_module": {"resources": resources}}}).to_string(),
        )
    };
    let remedy = "add a state with the VPC and the subnet as resources or data sources";
    let reason = "the VPC of subnet-1 is not in the input";
    assert_eq!(with(Vec::new()), (Vec::new(), vec![unknown("tms-1", reason, remedy)]));
    let (prefixes, notes) = with(vec![
        resource("aws_subnet", "data", json!({"id": "subnet-1", "vpc_id": "vpc-1"})),
        resource(
            "aws_vpc",
            "data",
            json!({"id": "vpc-1", "cidr_block": "10.0.0.0/16", "cidr_block_associations": [
            {"association_id": "a", "cidr_block": "10.0.0.0/16", "state": "associated"},
            {"association_id": "b", "cidr_block": "10.1.0.0/16", "state": "disassociated"}]}),
        ),
        resource(
            "aws_vpc_ipv4_cidr_block_association",
            "managed",
            json!({"vpc_id": "vpc-1", "cidr_block": "10.2.0.0/16"}),
        ),
    ]);
    assert_eq!(
        (prefixes, notes),
        (vec!["10.0.0.0/16".to_owned(), "10.2.0.0/16".to_owned()], Vec::new())
    );
}

#[test]
fn the_subnet_of_a_template_leads_to_the_vpc() {
    let template = |vpc: &str| {
        format!(
            "Parameters: {{Net: {{Type: String}}}}\nResources:\n  \
             F: {{Type: AWS::EC2::TrafficMirrorFilter, Properties: {{NetworkServices: [amazon-dns]}}}}\n  \
             V: {{Type: AWS::EC2::VPC, Properties: {{CidrBlock: {vpc}}}}}\n  \
             More: {{Type: AWS::EC2::VPCCidrBlock, Properties: {{VpcId: !GetAtt V.VpcId, CidrBlock: 10.2.0.0/16}}}}\n  \
             N: {{Type: AWS::EC2::Subnet, Properties: {{VpcId: !Ref V, CidrBlock: 10.0.1.0/24}}}}\n  \
             E: {{Type: AWS::EC2::NetworkInterface, Properties: {{SubnetId: !Ref N, PrivateIpAddress: 10.0.1.5}}}}\n  \
             S: {{Type: AWS::EC2::TrafficMirrorSession, Properties: {{NetworkInterfaceId: !Ref E, \
             TrafficMirrorFilterId: !Ref F, SessionNumber: 1, VirtualNetworkId: 100}}}}\n"
        )
    };
    let both = vec!["10.0.0.0/16".to_owned(), "10.2.0.0/16".to_owned()];
    assert_eq!(prefixes(Source::Cloudformation, &template("10.0.0.0/16")), (both, Vec::new()));
    // A prefix that the template does not determine is none.
    let text = template("!Ref Net").replace("10.2.0.0/16", "!ImportValue x");
    let notes = vec![unknown(
        "S",
        "the prefixes of V are not in the input",
        "set vpc_prefixes in its [[eni]]",
    )];
    assert_eq!(prefixes(Source::Cloudformation, &text), (Vec::new(), notes));
}

/// It decides about the prefixes of the interface, whose comment it is.
#[test]
fn a_default_that_decides_about_a_prefix_is_a_comment() {
    let text = "Parameters: {Net: {Type: String, Default: 10.0.0.0/16}, More: {Type: String, Default: 10.2.0.0/16}}\n\
                Resources:\n  \
                F: {Type: AWS::EC2::TrafficMirrorFilter, Properties: {NetworkServices: [amazon-dns]}}\n  \
                V: {Type: AWS::EC2::VPC, Properties: {CidrBlock: !Ref Net}}\n  \
                M: {Type: AWS::EC2::VPCCidrBlock, Properties: {VpcId: !Ref V, CidrBlock: !Ref More}}\n  \
                N: {Type: AWS::EC2::Subnet, Properties: {VpcId: !Ref V, CidrBlock: !Ref Net}}\n  \
                E: {Type: AWS::EC2::NetworkInterface, Properties: {SubnetId: !Ref N, PrivateIpAddress: 10.0.1.5}}\n  \
                S: {Type: AWS::EC2::TrafficMirrorSession, Properties: {NetworkInterfaceId: !Ref E, \
                TrafficMirrorFilterId: !Ref F, SessionNumber: 1, VirtualNetworkId: 100}}\n";
    let (config, imported) = import_text(Source::Cloudformation, text);
    assert_eq!(config.enis[0].vpc_prefixes.len(), 2);
    let comments = "# parameter More taken at its default \"10.2.0.0/16\"\n\
                    # parameter Net taken at its default \"10.0.0.0/16\"\n[[eni]]\n";
    assert!(imported.toml.contains(comments), "{}", imported.toml);
}
