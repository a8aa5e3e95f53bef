//! References of templates: those that the template determines, and those that it does not.

use vxtap::config::Config;

use crate::{Source, import_text};

/// A template with a filter `F` of one rule, an interface `E`, and a session `S` with the
/// properties.
pub(crate) fn template(session: &str, more: &str) -> String {
    let has = |key: &str| session.contains(key);
    let default = |key: &str, value: &str| {
        if has(key) { String::new() } else { format!("      {key}: {value}\n") }
    };
    format!(
        "Transform: AWS::LanguageExtensions\n{more}\nResources:\n  F: {{Type: AWS::EC2::TrafficMirrorFilter}}\n  \
         A: {{Type: AWS::EC2::TrafficMirrorFilterRule, Properties: {{TrafficMirrorFilterId: !Ref F, TrafficDirection: ingress, \
         RuleNumber: 9, RuleAction: accept, SourceCidrBlock: 0.0.0.0/0, DestinationCidrBlock: 0.0.0.0/0}}}}\n  \
         E: {{Type: AWS::EC2::NetworkInterface, Properties: {{PrivateIpAddress: 10.0.1.5}}}}\n  \
         S:\n    Type: AWS::EC2::TrafficMirrorSession\n    Properties:\n{}{}{}{}      {session}\n",
        default("NetworkInterfaceId", "!Ref E"),
        default("TrafficMirrorFilterId", "!Ref F"),
        default("SessionNumber", "1"),
        default("VirtualNetworkId", "7"),
    )
}

pub(crate) fn import(text: &str) -> (Config, Vec<String>) {
    let (config, imported) = import_text(Source::Cloudformation, text);
    (config, imported.left_out)
}

/// The VNI of the session whose VNI is the text, or the reason for which there is none.
fn vni(value: &str, more: &str) -> Result<u32, String> {
    let (config, left_out) = import(&template(&format!("VirtualNetworkId: {value}"), more));
    match config.sessions.first() {
        Some(session) => Ok(session.vni),
        None => Err(left_out.join("\n").replace("in: S.VirtualNetworkId", "here")),
    }
}

pub(crate) const MORE: &str = "Parameters: {P: {Type: Number, Default: 40}, L: {Type: CommaDelimitedList, Default: 'a, 42'}, \
                    N: {Type: Number}, Env: {Type: String, Default: dev}, \
                    M: {Type: 'AWS::SSM::Parameter::Value<String>', Default: '100'}, \
                    D: {Type: String, Default: '{{resolve:ssm:vni}}'}, Name: {Type: 'AWS::SSM::Parameter::Name', Default: '44'}}\n\
                    Mappings: {Map: {dev: {Vni: 43}, eu-central-1: {Vni: 1}}}\n\
                    Conditions: {Yes: !Equals [!Ref Env, dev], No: !Not [!Condition 'Yes'], \
                    Region: !Equals [!Ref 'AWS::Region', eu-central-1], Either: !Or [!Condition Region, !Condition 'Yes'], \
                    Both: !And [!Condition Region, !Condition 'No'], Open: !And [!Condition Region, !Condition 'Yes'], \
                    Circle: !Condition Circle}";

#[test]
fn values_that_the_template_determines() {
    for (value, expected) in [
        ("!Ref P", 40),
        ("!Select [1, !Ref L]", 42),
        ("!Select ['0', [41, !Ref N]]", 41),
        ("!Ref Name", 44),
        ("!Sub '${P}1'", 401),
        ("!Sub ['${A}${P}', {A: 5}]", 540),
        ("!Join ['', [4, !Ref P]]", 440),
        ("!Select [1, !Split ['-', 'a-45']]", 45),
        ("!FindInMap [Map, !Ref Env, Vni]", 43),
        ("!FindInMap [Map, !Ref Env, Other, {DefaultValue: 46}]", 46),
        ("!If ['Yes', 47, !Ref N]", 47),
        ("!If ['No', !Ref N, 48]", 48),
        ("!If [Either, 49, 1]", 49),
        ("!If [Both, 1, 50]", 50),
        ("0x10", 16),
        ("0100", 64),
        ("'0100'", 100),
        ("!!str 0100", 100),
    ] {
        assert_eq!(vni(value, MORE), Ok(expected), "{value}");
    }
}

/// None of them is guessed: neither a name for its value, nor one branch for the other.
#[test]
fn values_that_the_template_does_not_determine() {
    const WRITE: &str = "write the value in its place";
    let cannot =
        |what: &str| format!("here: {what} cannot be resolved from the template alone; {WRITE}");
    let region =
        "Ref AWS::Region cannot be resolved from the template alone; write the value in its place";
    for (value, expected) in [
        ("!Ref N", format!("here: Ref N is a parameter without a default; {WRITE}")),
        (
            "!Ref M",
            format!(
                "here: Ref M is what the parameter store of Systems Manager has under \"100\"; {WRITE}"
            ),
        ),
        ("!Ref D", cannot("the dynamic reference \"{{resolve:ssm:vni}}\"")),
        ("'{{resolve:ssm:vni:1}}'", cannot("the dynamic reference \"{{resolve:ssm:vni:1}}\"")),
        ("!Join ['', ['{{resolve:', 'ssm:a}}']]", cannot("the dynamic reference \"{{resolve:\"")),
        ("!Sub '1${AWS::AccountId}'", cannot("Ref AWS::AccountId")),
        ("!Sub '1${E}'", cannot("Ref E in a text")),
        ("!Sub '1${E.Id}'", cannot("Fn::GetAtt E.Id")),
        ("!Sub '${P'", cannot("Fn::Sub")),
        ("!ImportValue vni", cannot("Fn::ImportValue")),
        ("{Fn::Transform: {Name: Vni}}", cannot("Fn::Transform")),
        ("!GetAtt Nested.Outputs.Vni", cannot("Fn::GetAtt Nested.Outputs.Vni")),
        ("!Cidr [a, 1, 2]", cannot("Fn::Cidr")),
        ("!Select [0, !GetAZs '']", cannot("Fn::GetAZs")),
        ("!FindInMap [Map, !Ref 'AWS::Region', Vni]", cannot("Ref AWS::Region")),
        (
            "!FindInMap [Map, prod, Vni]",
            "here: Fn::FindInMap: the template has no Map, prod, Vni".to_owned(),
        ),
        ("!Select [2, !Ref L]", "here: Fn::Select: the list has no element 2".to_owned()),
        ("!If [Region, 1, 2]", format!("here: the condition Region is not known: {region}")),
        (
            "!If [Open, 1, 2]",
            format!(
                "here: the condition Open is not known: the condition Region is not known: {region}"
            ),
        ),
        ("!If [Nothing, 1, 2]", "here: the condition Nothing is not in the template".to_owned()),
        ("!If ['Yes', !Ref Nothing, 2]", cannot("Ref Nothing")),
    ] {
        assert_eq!(vni(value, MORE), Err(expected), "{value}");
    }
    let circle = vni("!If [Circle, 1, 2]", MORE).unwrap_err();
    assert!(circle.ends_with("its references lead to each other, or too far"), "{circle}");
}

#[test]
fn a_property_of_no_value_is_absent() {
    for value in
        ["!Ref AWS::NoValue", "!Ref 'AWS::NoValue'", "!If ['No', 128, !Ref 'AWS::NoValue']"]
    {
        let (config, left_out) = import(&template(&format!("PacketLength: {value}"), MORE));
        assert_eq!((config.sessions[0].packet_length, left_out), (None, Vec::new()), "{value}");
    }
    let services = "Resources:\n  F: {Type: AWS::EC2::TrafficMirrorFilter, Properties: {NetworkServices: [!Ref AWS::NoValue]}}\n";
    assert_eq!(import(services).0.filters[0].network_services.len(), 0);
    assert_eq!(
        vni("!Ref AWS::NoValue", "").unwrap_err(),
        "session S: its VNI is not in the input; set its virtual network ID, or import from what runs"
    );
}

#[test]
fn a_list_may_be_the_default_of_a_parameter() {
    let text = "Parameters: {L: {Type: CommaDelimitedList, Default: amazon-dns}}\nResources:\n  \
                F: {Type: AWS::EC2::TrafficMirrorFilter, Properties: {NetworkServices: !Ref L}}\n";
    let (config, left_out) = import(text);
    assert_eq!((config.filters[0].network_services.len(), left_out), (1, Vec::new()));
}

/// A parameter at its default may decide that a resource is not created; the region may too, which
/// is not known.
#[test]
fn resources_with_conditions() {
    let rule = |condition: &str, action: &str| {
        format!(
            "  R:\n    Type: AWS::EC2::TrafficMirrorFilterRule\n    Condition: '{condition}'\n    Properties: \
             {{TrafficMirrorFilterId: !Ref F, TrafficDirection: egress, RuleNumber: 1, RuleAction: {action}, \
             SourceCidrBlock: '::/0', DestinationCidrBlock: '::/0'}}\n"
        )
    };
    let of = |condition: &str, action: &str| {
        let (config, left_out) =
            import(&(template("PacketLength: 1", MORE) + &rule(condition, action)));
        (config.filters[0].rules.len(), config.sessions[0].filter.is_some(), left_out)
    };
    assert_eq!(of("Yes", "accept"), (2, true, Vec::new()));
    let not_created = "in: R: not created, as its condition does not hold; parameter Env taken at its default \"dev\"";
    assert_eq!(of("No", "accept"), (1, true, vec![not_created.to_owned()]));
    let (rules, is_filtered, left_out) = of("Region", "accept");
    assert_eq!((rules, is_filtered, left_out.len()), (1, false, 1));
    let (rules, is_filtered, left_out) = of("Region", "reject");
    assert_eq!((rules, is_filtered, left_out.len()), (1, true, 1));
    assert!(
        left_out[0].starts_with("in: R.Condition: the condition Region is not known: "),
        "{left_out:?}"
    );
}

/// An interface is known by its name, whether its addresses are known or not.
#[test]
fn an_interface_with_an_unknown_address_is_known_by_the_vni() {
    let text = template("PacketLength: 1", MORE)
        .replace("PrivateIpAddress: 10.0.1.5", "PrivateIpAddress: !Ref N");
    let (config, imported) = import_text(Source::Cloudformation, text);
    assert_eq!((config.enis.len(), config.sessions[0].source), (1, None));
    assert_eq!(imported.left_out, [""; 0]);
    let note = "in: E.PrivateIpAddress: Ref N is a parameter without a default; write the value in its place; the interface \
                is taken without it";
    assert_eq!(imported.notes[0], note);
}
