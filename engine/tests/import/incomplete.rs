//! Filters of which rules may be missing: they would drop what the mirror accepts, so that sessions
//! are taken without them.

use serde_json::{Value, json};
use vxtap::config::Config;
use vxtap::import::Imported;

use crate::aws_forms::{filter, rule, session};
use crate::functions::{MORE, template};
use crate::malformed::with;
use crate::resource_kinds as terraform;
use crate::{Source, import_text};

const APPLY: &str = "is not known before `terraform apply`; show the state after it";

fn aws(documents: &[Value]) -> (Config, Imported) {
    let text: Vec<_> = documents.iter().map(Value::to_string).collect();
    import_text(Source::Aws, text.join("\n"))
}

fn state(resources: &[Value]) -> (Config, Imported) {
    let text = json!({"values": {"root_module": {"resources": resources}}}).to_string();
    import_text(Source::Terraform, text)
}

/// Asserts that the only session has its filter.
fn assert_filtered((config, imported): &(Config, Imported), why: &str) {
    assert!(config.sessions[0].filter.is_some(), "{why}: {imported:?}");
    assert!(!imported.notes.iter().any(|it| it.contains("all that the mirror sends passes")));
}

/// Asserts that the only session, `name`, has no filter, and that this is said in the result and as
/// comments of the session and of the filter `filter`.
fn assert_passes((config, imported): &(Config, Imported), name: &str, filter: &str, lack: &str) {
    let Imported { toml, notes, .. } = imported;
    assert_eq!((config.sessions.len(), &config.sessions[0].filter), (1, &None), "{toml}");
    let sentence = format!("its filter {filter} {lack}: all that the mirror sends passes");
    assert!(notes.contains(&format!("session {name}: {sentence}")), "{notes:?}");
    assert!(toml.contains(&format!("\n# {sentence}\n")), "{toml}");
    let comment =
        format!("\n# It {lack}.\n# No session uses it.\n[[filter]]\nname = \"{filter}\"\n");
    assert!(toml.contains(&comment), "{toml}");
}

const MAY_LACK: &str = "may lack a rule that is left out";
const LACKS: &str = "lacks a rule that is left out";

/// A mirror of one filter with one rule, and of one session with a source.
fn mirror() -> Value {
    json!({
        "TrafficMirrorFilters": [filter("tmf-1", &json!([rule(10)]))], "TrafficMirrorSessions": [session()],
        "NetworkInterfaces": [{"NetworkInterfaceId": "eni-1", "PrivateIpAddress": "10.0.1.5"}],
    })
}

fn rule_of(filter: &str, number: u32) -> Value {
    with(&rule(number), "TrafficMirrorFilterId", json!(filter))
}

#[test]
fn a_page_of_rules_that_does_not_end_the_list() {
    let page = |number, token: Value| json!({"TrafficMirrorFilterRules": [rule_of("tmf-1", number)], "NextToken": token});
    let cut = aws(&[mirror(), page(20, json!("abc"))]);
    assert_passes(&cut, "tms-1", "tmf-1", MAY_LACK);
    let sentence = "in: TrafficMirrorFilterRules goes on (NextToken), and the rest is not in the input: without --max-items \
                    and --no-paginate the AWS CLI prints all of it";
    assert_eq!(cut.1.left_out, [sentence]);

    let whole = aws(&[mirror(), page(20, json!("abc")), page(30, Value::Null)]);
    assert_filtered(&whole, "the last page is there");
    assert_eq!(whole.0.filters[0].rules.len(), 3);
    // A filter is listed with all of its rules.
    let filters =
        json!({"TrafficMirrorFilters": [filter("tmf-2", &json!([rule(1)]))], "NextToken": "abc"});
    let with_filters = |filters| aws(&[mirror(), filters]);
    let of_filters = with_filters(filters);
    assert_filtered(&of_filters, "other filters are on the next page");
}

#[test]
fn a_rule_of_the_aws_cli_whose_filter_is_not_known() {
    let rules = |odd: Value| {
        aws(&[mirror(), json!({"TrafficMirrorFilterRules": [rule_of("tmf-1", 20), odd]})])
    };
    let reject = |rule: &Value| with(rule, "RuleAction", json!("reject"));
    let no_string = with(&rule(30), "TrafficMirrorFilterId", json!(["tmf-1"]));
    for odd in [rule(30), no_string, json!(7), Value::Null] {
        let imported = rules(odd.clone());
        assert_passes(&imported, "tms-1", "tmf-1", MAY_LACK);
        assert_eq!(imported.1.left_out.len(), 1, "{odd}: {imported:?}");
    }
    assert_filtered(&rules(reject(&rule(30))), "a rule that rejects is not missed");

    // The filter of these is known, though nothing else.
    let odd_id = |filter: &str| with(&rule_of(filter, 30), "TrafficMirrorFilterRuleId", json!(1));
    assert_passes(&rules(odd_id("tmf-1")), "tms-1", "tmf-1", LACKS);
    assert_filtered(&rules(odd_id("tmf-2")), "the rule is one of another filter");
    assert_filtered(&rules(reject(&odd_id("tmf-1"))), "a rule that rejects is not missed");
}

/// The other description of the filter may be one from before it had its rules.
#[test]
fn a_filter_of_the_aws_cli_whose_identifier_is_not_known() {
    let nameless = json!({"TrafficMirrorFilters": [{"IngressFilterRules": [rule(20)]}]});
    assert_passes(&aws(&[mirror(), nameless]), "tms-1", "tmf-1", MAY_LACK);
}

#[test]
fn a_rule_in_the_list_of_another_filter_counts_for_both() {
    let list = |odd: &Value| {
        aws(&[mirror(), json!({"TrafficMirrorFilters": [filter("tmf-2", &json!([odd]))]})])
    };
    assert_passes(&list(&rule_of("tmf-1", 20)), "tms-1", "tmf-1", LACKS);
    let odd_id = with(&rule_of("tmf-1", 20), "TrafficMirrorFilterRuleId", json!(1));
    assert_passes(&list(&odd_id), "tms-1", "tmf-1", LACKS);
}

/// `create-traffic-mirror-filter` prints a filter before it has rules, and a state or a template
/// may leave them to another one. The mirror sends nothing with such a filter.
#[test]
fn a_filter_without_rules_drops_nothing() {
    const NO_RULE: &str = "has no rule in the input";
    let created = json!({"TrafficMirrorFilter": filter("tmf-1", &json!([])), "ClientToken": "a"});
    let rest = with(&mirror(), "TrafficMirrorFilters", Value::Null);
    let (config, imported) = aws(&[created.clone(), rest.clone()]);
    assert_eq!(config.sessions[0].filter, None);
    let sentence = format!("its filter tmf-1 {NO_RULE}: all that the mirror sends passes");
    assert_eq!(imported.notes, [format!("session tms-1: {sentence}")]);
    assert!(imported.toml.contains(&format!("\n# {sentence}\n[[session]]\n")), "{}", imported.toml);

    let rules = json!({"TrafficMirrorFilterRule": rule_of("tmf-1", 10), "ClientToken": "b"});
    assert_filtered(&aws(&[created, rest.clone(), rules]), "it has a rule");
    let services = with(&filter("tmf-1", &json!([])), "NetworkServices", json!(["amazon-dns"]));
    let dns = json!({"TrafficMirrorFilters": [services]});
    assert_filtered(&aws(&[dns, rest]), "it has a network service");
}

/// An interface and a session of Terraform.
fn terraform_mirror() -> Vec<Value> {
    let interface = json!({"id": "eni-1", "private_ip": "10.0.1.5"});
    vec![
        terraform::filter("tmf-1"),
        terraform::rule(&json!({})),
        terraform::session(1, "eni-1"),
        terraform::resource("aws_network_interface", "e", interface),
    ]
}

/// Another rule with more attributes, or without some.
fn terraform_rule(more: &Value) -> Value {
    let mut values = json!({"id": "tmfr-2", "rule_number": 2});
    values.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let mut rule = terraform::rule(&values);
    rule["address"] = json!("aws_ec2_traffic_mirror_filter_rule.odd");
    rule
}

#[test]
fn a_rule_of_terraform_whose_filter_is_not_known() {
    const FILTER: &str = "traffic_mirror_filter_id";
    let with_rule = |rule: Value| state(&[terraform_mirror(), vec![rule]].concat());
    for (odd, sentence) in
        [(json!({FILTER: null}), format!("{FILTER} {APPLY}")), (json!({FILTER: 7}), String::new())]
    {
        let imported = with_rule(terraform_rule(&odd));
        assert_passes(&imported, "tms-1", "tmf-1", MAY_LACK);
        assert_eq!(imported.1.left_out.len(), 1, "{imported:?}");
        assert!(imported.1.left_out[0].ends_with(&sentence), "{imported:?}");
        let reject = with(&odd, "rule_action", json!("reject"));
        assert_filtered(&with_rule(terraform_rule(&reject)), "a rule that rejects is not missed");
    }
    for missing in ["type", "address", "values"] {
        let rule = with(&terraform_rule(&json!({})), missing, Value::Null);
        let (config, imported) = with_rule(rule);
        assert_eq!(config.sessions[0].filter, None, "{missing}: {imported:?}");
    }
    // The filter of these is known, though nothing else.
    assert_passes(&with_rule(terraform_rule(&json!({"id": 7}))), "tms-1", "tmf-1", LACKS);
    let other = json!({"id": 7, FILTER: "tmf-2"});
    assert_filtered(&with_rule(terraform_rule(&other)), "the rule is one of another filter");
}

/// It is in force until Terraform destroys it.
#[test]
fn a_deposed_rule_of_terraform_is_missed() {
    let deposed = |more: &Value| {
        let mut rule = terraform_rule(more);
        rule["deposed_key"] = json!("00000001");
        state(&[terraform_mirror(), vec![rule]].concat())
    };
    assert_passes(&deposed(&json!({})), "tms-1", "tmf-1", LACKS);
    assert_filtered(&deposed(&json!({"rule_action": "reject"})), "it rejects");
}

#[test]
fn a_rule_of_a_template_whose_filter_is_not_known() {
    let rule = "  R: {Type: AWS::EC2::TrafficMirrorFilterRule, Properties: {TrafficMirrorFilterId: !If [Region, !Ref F, x], \
                RuleAction: accept}}\n";
    let text = template("PacketLength: 1", MORE) + rule;
    let imported = import_text(Source::Cloudformation, text.clone());
    assert_passes(&imported, "S", "F", MAY_LACK);
    assert_eq!(imported.1.left_out.len(), 1, "{imported:?}");
    assert_filtered(
        &import_text(Source::Cloudformation, text.replace("accept}}", "reject}}")),
        "it rejects",
    );
}

/// Templates are imported together where one has the filter and another one its rules.
#[test]
fn a_rule_of_another_template_may_be_one_of_any_filter() {
    let rule = "Resources:\n  R: {Type: AWS::EC2::TrafficMirrorFilterRule, Properties: {TrafficMirrorFilterId: \
                !ImportValue filter, TrafficDirection: egress, RuleNumber: 1, RuleAction: accept, \
                SourceCidrBlock: '::/0', DestinationCidrBlock: '::/0'}}\n";
    let inputs =
        [template("PacketLength: 1", ""), rule.to_owned()].map(|it| crate::input("in", it));
    let imported = Source::Cloudformation.import(&inputs).unwrap();
    let config = Config::from_toml(std::path::Path::new("imported"), &imported.toml).unwrap();
    assert_passes(&(config, imported), "S", "F", MAY_LACK);
}

/// They may add a rule.
#[test]
fn transforms_that_are_not_followed_are_said() {
    let text = template("PacketLength: 1", "").replace(
        "Transform: AWS::LanguageExtensions",
        "Transform: [AWS::Serverless-2016-10-31, Mirrors, {Name: 'AWS::Include', Parameters: {Location: s3}}]",
    ) + "  Fn::Transform: {Name: More}\n";
    let said =
        |name: &str| format!("in: the transform {name} is not followed; it may change resources");
    let imported = import_text(Source::Cloudformation, text);
    assert_passes(&imported, "S", "F", MAY_LACK);
    assert_eq!(
        imported.1.left_out,
        [said("AWS::Include"), said("Fn::Transform More"), said("Mirrors")]
    );
}
