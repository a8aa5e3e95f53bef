//! Templates that are none, and those that say too little.

use super::assert_refused;

const TEMPLATE: &str = "Parameters:\n  Number: {Type: Number}\nResources:\n  Web:\n    Type: AWS::EC2::TrafficMirrorFilter\n    Properties: {NetworkServices: [amazon-dns]}\n  Ssh:\n    Type: AWS::EC2::TrafficMirrorFilterRule\n    Properties:\n      TrafficMirrorFilterId: !Ref Web\n      TrafficDirection: ingress\n      RuleNumber: 10\n      RuleAction: reject\n      Protocol: 6\n      SourceCidrBlock: 10.0.0.0/8\n      DestinationCidrBlock: 0.0.0.0/0\n      DestinationPortRange: {FromPort: 22, ToPort: 22}\n";

/// Whole inputs.
const WHOLE: &[(&str, &str)] = &[
    ("", "the file is empty"),
    ("# nothing\n", "the file is empty"),
    ("just text\n", r#"found "just text", expected a template with Resources"#),
    ("- a\n- b\n", "found a list, expected a template with Resources"),
    (r#"{"Resources": "#, "line 1, column 14: not JSON: EOF while parsing a value"),
    (r#"{"Resources": []}"#, "Resources: found a list, expected a map of resources"),
    ("Parameters: {}\n", "Resources: missing"),
    ("Resources:\n  Web: 7\n", "Web: found 7, expected an object"),
    ("Resources:\n  Web: {Properties: {}}\n", "Web.Type: missing"),
    ("Resources:\n  Web: {Type: AWS::EC2::TrafficMirrorFilterRule}\n", "Web.TrafficMirrorFilterId: missing"),
    (
        "Resources: {\n",
        "line 2, column 1: not YAML: while parsing a node, did not find expected node content",
    ),
    (
        "Resources:\n\tWeb: {}\n",
        "line 2, column 2: not YAML: tabs disallowed within this context (block indentation)",
    ),
    ("a: 1\n---\nb: 2\n", "line 4, column 1: a second document; a template is one"),
    ("a: &x 1\nb: *x\n", "line 2, column 4: aliases (*name) are not read, write the value"),
    ("a: 1\na: 2\n", r#"line 2, column 1: the key "a" stands twice"#),
    ("? [a, b]\n: 1\n", "line 1, column 3: found a list or map where a key is expected"),
    (
        r#"Resources: "unterminated
"#,
        "line 1, column 12: not YAML: while scanning a quoted scalar, found unexpected end of stream",
    ),
    (
        "%YAML 7.0 x\n---\na: 1\n",
        "line 1, column 1: not YAML: while scanning a directive, did not find expected comment or line break",
    ),
    (
        "Resources:\n  Web:\n   Type: x\n  - a\n",
        "line 4, column 5: not YAML: while parsing a block mapping, did not find expected key",
    ),
];

/// An input that is right, what is replaced in it, and by what.
const CHANGED: &[(&str, &str, &str, &str)] = &[
    (
        TEMPLATE,
        "!Ref Web",
        "!Ref Wev",
        "Ssh.TrafficMirrorFilterId: Ref Wev cannot be resolved from the template alone; write the value in its place",
    ),
    (
        TEMPLATE,
        "10.0.0.0/8",
        "!Ref AWS::Region",
        "Ssh.SourceCidrBlock: Ref AWS::Region cannot be resolved from the template alone; write the value in its place",
    ),
    (
        TEMPLATE,
        "RuleNumber: 10",
        "RuleNumber: !Ref Number",
        "Ssh.RuleNumber: Ref Number is a parameter without a default; write the value in its place",
    ),
    (
        TEMPLATE,
        "ingress",
        r#"!Sub "${Way}""#,
        "Ssh.TrafficDirection: Fn::Sub cannot be resolved from the template alone; write the value in its place",
    ),
    (
        TEMPLATE,
        "reject",
        "!If [A, accept, reject]",
        "Ssh.RuleAction: Fn::If cannot be resolved from the template alone; write the value in its place",
    ),
    (
        TEMPLATE,
        "10.0.0.0/8",
        "!ImportValue clients",
        "Ssh.SourceCidrBlock: Fn::ImportValue cannot be resolved from the template alone; write the value in its place",
    ),
    (
        TEMPLATE,
        "!Ref Web",
        "!GetAtt Web.Arn",
        "Ssh.TrafficMirrorFilterId: Fn::GetAtt Web.Arn cannot be resolved from the template alone; write the value in its place",
    ),
    (
        TEMPLATE,
        "!Ref Web",
        "!GetAtt [Web, Id, x]",
        "Ssh.TrafficMirrorFilterId: Fn::GetAtt is not followed by the name of a resource and of an attribute",
    ),
    (
        TEMPLATE,
        "!Ref Web",
        "!GetAtt Web",
        "Ssh.TrafficMirrorFilterId: Fn::GetAtt is not followed by the name of a resource and of an attribute",
    ),
    (
        TEMPLATE,
        "!Ref Web",
        "!Ref [Web]",
        "Ssh.TrafficMirrorFilterId: Ref is not followed by the name of a resource or parameter",
    ),
    (
        TEMPLATE,
        "10.0.0.0/8",
        "{Fn::FindInMap: [a, b, c]}",
        "Ssh.SourceCidrBlock: Fn::FindInMap cannot be resolved from the template alone; write the value in its place",
    ),
    (
        TEMPLATE,
        "reject",
        "!Condition A",
        "Ssh.RuleAction: Condition cannot be resolved from the template alone; write the value in its place",
    ),
    (
        TEMPLATE,
        "10.0.0.0/8",
        "!Select [0, !Cidr [a, 1, 8]]",
        "Ssh.SourceCidrBlock: Fn::Select cannot be resolved from the template alone; write the value in its place",
    ),
    (TEMPLATE, "reject", "drop", r#"Ssh.RuleAction: found "drop", expected "accept" or "reject""#),
    (
        TEMPLATE,
        "Protocol: 6",
        "Protocol: six",
        r#"Ssh.Protocol: found "six", expected an integer from -1 to 255"#,
    ),
    (
        TEMPLATE,
        "RuleNumber: 10",
        "RuleNumber: [10]",
        "Ssh.RuleNumber: found a list, expected an integer from 1 to 4294967295",
    ),
    (TEMPLATE, "{FromPort: 22, ToPort: 22}", "{FromPort: 22}", "Ssh.DestinationPortRange.ToPort: missing"),
    (
        TEMPLATE,
        "{FromPort: 22, ToPort: 22}",
        "{FromPort: !Ref Number, ToPort: 22}",
        "Ssh.DestinationPortRange.FromPort: Ref Number is a parameter without a default; write the value in its place",
    ),
    (
        TEMPLATE,
        "0.0.0.0/0",
        "::/0",
        r#"Ssh.DestinationCidrBlock: found "::/0", expected a prefix of the family of the source 10.0.0.0/8"#,
    ),
    (TEMPLATE, "[amazon-dns]", "[dns]", r#"Web.NetworkServices[0]: found "dns", expected "amazon-dns""#),
    (TEMPLATE, "    Type: AWS::EC2::TrafficMirrorFilterRule\n", "", "Ssh.Type: missing"),
    (TEMPLATE, "      TrafficDirection: ingress\n", "", "Ssh.TrafficDirection: missing"),
];

#[test]
fn each_has_an_error_of_one_sentence() {
    for (text, expected) in WHOLE {
        assert_refused(vxtap::import::cloudformation, text, expected);
    }
    for (base, from, to, expected) in CHANGED {
        assert_eq!(base.matches(from).count(), 1, "{from}");
        assert!(
            vxtap::import::cloudformation(
                &[super::input(base.as_bytes())],
                &vxtap::import::Options::default()
            )
            .is_ok(),
            "{base}"
        );
        assert_refused(vxtap::import::cloudformation, &base.replace(from, to), expected);
    }
}

#[test]
fn nesting_without_end_is_refused() {
    for (text, expected) in [
        ("[".repeat(100_000), "line 1, column 256: not YAML: recursion limit exceeded"),
        ("- ".repeat(100_000), "line 1, column 257: more than 128 lists and maps inside each other"),
        (
            (0..3000).flat_map(|depth| [" ".repeat(depth), "a:\n".to_owned()]).collect(),
            "line 129, column 129: more than 128 lists and maps inside each other",
        ),
        (
            format!("{{\"Resources\": {}", "[".repeat(100_000)),
            "line 1, column 141: too many lists and objects inside each other",
        ),
    ] {
        assert_refused(vxtap::import::cloudformation, &text, expected);
    }
}
