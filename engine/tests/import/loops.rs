//! `Fn::ForEach` among the resources of a template.

use vxtap::config::Action;

use crate::functions::{MORE, import, template};
use crate::{Source, import_text};

#[test]
fn loops_are_expanded_where_they_make_a_mirror() {
    let with = |body: &str| import(&(template("PacketLength: 1", MORE) + body));
    let (config, left_out) = with(
        "  Fn::ForEach::Topics: [Name, [a, b], {'T${Name}': {Type: AWS::SNS::Topic}}]\n  \
                                   Fn::ForEach::Odd: 7\n",
    );
    assert_eq!((config.sessions.len(), left_out), (1, Vec::new()));

    let rules = "  Fn::ForEach::Rules:\n    - Prefix\n    - ['10.0.0.0/8', '192.168.0.0/16']\n    - Fn::ForEach::Actions:\n        \
                 - Action\n        - [accept, reject]\n        - 'R&{Prefix}${Action}':\n            \
                 Type: AWS::EC2::TrafficMirrorFilterRule\n            Properties:\n              TrafficMirrorFilterId: !Ref F\n              \
                 TrafficDirection: egress\n              RuleNumber: !FindInMap [Numbers, !Ref Action, !Join ['', [r, !Select [0, !Split ['.', !Ref Prefix]]]]]\n              \
                 RuleAction: !Ref Action\n              SourceCidrBlock: !Ref Prefix\n              DestinationCidrBlock: 0.0.0.0/0\n";
    let numbers = "Mappings: {Numbers: {accept: {r10: 1, r192: 2}, reject: {r10: 3, r192: 4}}}";
    let (config, left_out) = import(&(template("PacketLength: 1", numbers) + rules));
    let of = |action| config.filters[0].rules.iter().filter(|it| it.action == action).count();
    assert_eq!((of(Action::Accept), of(Action::Reject), left_out), (3, 2, Vec::new()));

    // A loop over what is not known may make a rule of any filter.
    let unknown = rules.replace("['10.0.0.0/8', '192.168.0.0/16']", "!Ref N");
    let (config, left_out) = with(&unknown);
    assert_eq!(config.sessions[0].filter, None);
    assert_eq!(
        left_out[0],
        "in: Fn::ForEach::Rules: Ref N is a parameter without a default; write the value in its place"
    );
    // Loops multiply; they end all the same.
    let wide = "  Fn::ForEach::A: [A, !Split [',', !Ref Wide], {Fn::ForEach::B: [B, !Split [',', !Ref Wide], \
                {'S${A}x${B}': {Type: AWS::EC2::TrafficMirrorSession}}]}]\n";
    let many: Vec<_> = (0..200).map(|number| number.to_string()).collect();
    let more = format!("Parameters: {{Wide: {{Type: String, Default: '{}'}}}}", many.join(","));
    let (_, left_out) = import(&(template("PacketLength: 1", &more) + wide));
    assert!(
        left_out.contains(&"in: Fn::ForEach::A: more than 5000 resources".to_owned()),
        "{left_out:?}"
    );
}

/// As for every other value of a parameter, a comment says so: of all that the loops make.
#[test]
fn a_default_that_decides_about_a_loop_is_a_comment() {
    let more = "Parameters: {Zones: {Type: CommaDelimitedList, Default: 'a,b'}, Tiers: {Type: CommaDelimitedList, Default: 'x,y'}, \
                Net: {Type: String, Default: 10.0.0.0/8}}\n\
                Mappings: {Numbers: {a: {x: 1, y: 2}, b: {x: 3, y: 4}}}";
    let loops = "  Fn::ForEach::Zones:\n    - Zone\n    - !Ref Zones\n    - 'E${Zone}':\n        \
                 Type: AWS::EC2::NetworkInterface\n        Properties: {PrivateIpAddress: 10.0.2.5}\n      \
                 Fn::ForEach::Tiers:\n        - Tier\n        - !Ref Tiers\n        - 'S${Zone}${Tier}':\n            \
                 Type: AWS::EC2::TrafficMirrorSession\n            Properties:\n              \
                 NetworkInterfaceId: !Ref E\n              TrafficMirrorFilterId: !Ref F\n              \
                 SessionNumber: !Join ['', ['1', !FindInMap [Numbers, !Ref Zone, !Ref Tier]]]\n              \
                 VirtualNetworkId: !FindInMap [Numbers, !Ref Zone, !Ref Tier]\n          \
                 'R${Zone}${Tier}':\n            Type: AWS::EC2::TrafficMirrorFilterRule\n            Properties:\n              \
                 TrafficMirrorFilterId: !Ref F\n              TrafficDirection: egress\n              \
                 RuleNumber: !FindInMap [Numbers, !Ref Zone, !Ref Tier]\n              RuleAction: accept\n              \
                 SourceCidrBlock: !Ref Net\n              DestinationCidrBlock: 0.0.0.0/0\n  \
                 O: {Type: AWS::EC2::TrafficMirrorSession, Properties: {NetworkInterfaceId: !Ref Ea, TrafficMirrorFilterId: !Ref F, \
                 SessionNumber: 1, VirtualNetworkId: 9}}\n";
    let text = template("PacketLength: 1", more) + loops;
    let (config, imported) = import_text(Source::Cloudformation, text);
    assert_eq!((config.sessions.len(), imported.left_out.len()), (6, 0), "{imported:?}");
    let (zones, tiers) = (
        "# parameter Zones taken at its default \"a,b\"\n",
        "# parameter Tiers taken at its default \"x,y\"\n",
    );
    let net = "# parameter Net taken at its default \"10.0.0.0/8\"\n";
    for place in ["ax", "ay", "bx", "by"] {
        for block in [
            format!("{zones}{tiers}[[session]]\nname = \"S{place}\"\n"),
            format!("# R{place}\n{zones}{tiers}{net}[[filter.rule]]\n"),
        ] {
            assert!(imported.toml.contains(&block), "{block}\nin\n{}", imported.toml);
        }
    }
    let interface = format!("{zones}[[eni]]\nid = \"Ea\"\n");
    assert!(imported.toml.contains(&interface), "{}", imported.toml);
    // A resource of no loop has no such comment.
    assert!(imported.toml.contains("\n\n[[session]]\nname = \"S\"\n"), "{}", imported.toml);
}
