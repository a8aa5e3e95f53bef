//! Forms of the AWS CLI's output besides whole lists of `describe-...`.

use serde_json::{Value, json};
use vxtap::config::{Action, Config};

use crate::{Source, import_text, input};

pub(crate) fn session() -> Value {
    json!({
        "TrafficMirrorSessionId": "tms-1", "TrafficMirrorFilterId": "tmf-1", "NetworkInterfaceId": "eni-1",
        "TrafficMirrorTargetId": "tmt-1", "SessionNumber": 1, "VirtualNetworkId": 100, "OwnerId": "1", "Tags": [],
    })
}

/// A rule without identifiers of its own.
pub(crate) fn rule(number: u32) -> Value {
    json!({
        "TrafficDirection": "ingress", "RuleNumber": number, "RuleAction": "accept",
        "SourceCidrBlock": "0.0.0.0/0", "DestinationCidrBlock": "10.0.0.0/8",
    })
}

pub(crate) fn filter(id: &str, rules: &Value) -> Value {
    json!({"TrafficMirrorFilterId": id, "IngressFilterRules": rules, "EgressFilterRules": []})
}

fn import(documents: &[Value]) -> (Config, Vec<String>) {
    let text: Vec<_> = documents.iter().map(Value::to_string).collect();
    let (config, imported) = import_text(Source::Aws, text.join("\n"));
    (config, imported.left_out)
}

#[test]
fn the_last_page_of_a_list_ends_it() {
    let page = |id, token: Value| json!({"TrafficMirrorFilters": [filter(id, &json!([]))], "NextToken": token});
    let sessions = json!({"TrafficMirrorSessions": [session()], "NextToken": null});
    let (first, last) = (page("tmf-1", json!("abc")), page("tmf-2", Value::Null));
    let (config, left_out) = import(&[first.clone(), last, sessions.clone()]);
    assert_eq!((config.filters.len(), left_out), (2, Vec::new()));

    // The end of another list is no end of this one.
    let (_, left_out) = import(&[first, sessions]);
    let sentence = "in: TrafficMirrorFilters goes on (NextToken), and the rest is not in the input: without --max-items and \
                    --no-paginate the AWS CLI prints all of it";
    assert_eq!(left_out, [sentence]);
}

/// `create-...` and `modify-...` print one object, beside a token of the call.
#[test]
fn objects_as_they_are_created_are_read() {
    let with_filter = |mut rule: Value| {
        rule["TrafficMirrorFilterId"] = json!("tmf-1");
        rule
    };
    let (config, left_out) = import(&[
        json!({"TrafficMirrorFilter": filter("tmf-1", &json!([])), "ClientToken": "a"}),
        json!({"TrafficMirrorFilterRule": with_filter(rule(7)), "ClientToken": "b"}),
        json!({"TrafficMirrorSession": session(), "ClientToken": "c"}),
        json!({"TrafficMirrorTarget": {"TrafficMirrorTargetId": "tmt-1", "NetworkInterfaceId": "eni-9"}}),
        json!({"NetworkInterface": {"NetworkInterfaceId": "eni-1", "PrivateIpAddress": "10.0.1.5"}}),
    ]);
    assert_eq!(left_out, [""; 0]);
    assert_eq!(config.sessions[0].source, Some("10.0.1.5".parse().unwrap()));
    assert_eq!(config.filters[0].rules[0].number, 7);
}

#[test]
fn lists_of_something_else_are_named() {
    let filters = json!({"TrafficMirrorFilters": [filter("tmf-1", &json!([]))], "Groups": [], "OwnerId": "1"});
    let groups =
        json!({"SecurityGroups": [{"GroupId": "sg-1"}], "ResponseMetadata": {"RetryAttempts": 0}});
    let (_, left_out) = import(&[filters, groups]);
    assert_eq!(left_out, ["in: SecurityGroups: not read, no part of a mirror"]);
}

#[test]
fn a_rule_without_an_identifier_gets_one() {
    let filters = json!({"TrafficMirrorFilters": [filter("tmf-1", &json!([rule(10), rule(20)]))]});
    let (config, imported) = import_text(Source::Aws, format!("{filters}\n{filters}"));
    assert_eq!((config.filters[0].rules.len(), imported.left_out), (2, Vec::new()));
    assert!(imported.toml.contains("# tmf-1 ingress 10\n"), "{}", imported.toml);
}

#[test]
fn a_prefix_of_ipv4_in_ipv6_form_is_taken_in_its_own() {
    let mut mapped = rule(1);
    mapped["SourceCidrBlock"] = json!("::ffff:10.1.0.0/112");
    mapped["DestinationCidrBlock"] = json!("::ffff:0:0/96");
    let filters = json!({"TrafficMirrorFilters": [filter("tmf-1", &json!([mapped]))]});
    let (config, imported) = import_text(Source::Aws, filters.to_string());
    let rule = &config.filters[0].rules[0];
    assert_eq!(
        (rule.source.to_string(), rule.destination.to_string()),
        ("10.1.0.0/16".to_owned(), "0.0.0.0/0".to_owned())
    );
    let comment = "# ::ffff:10.1.0.0/112 is IPv4 in IPv6 form: taken as 10.1.0.0/16\n";
    assert!(imported.toml.contains(comment) && imported.left_out.is_empty(), "{imported:?}");
}

/// A session without the rule would drop what the rule accepts, so it passes all; a rule that
/// rejects is not missed, as the mirror has rejected already.
#[test]
fn one_rule_that_cannot_be_read_leaves_the_others() {
    let of = |action: &str| {
        let mut odd = rule(20);
        odd["RuleAction"] = json!(action);
        odd["SourceCidrBlock"] = json!("everyone");
        let filters =
            json!({"TrafficMirrorFilters": [filter("tmf-1", &json!([rule(10), odd, rule(30)]))]});
        let sessions = json!({"TrafficMirrorSessions": [session()]});
        import_text(Source::Aws, format!("{filters}\n{sessions}"))
    };
    let sentence = "in: TrafficMirrorFilters[0] (tmf-1).IngressFilterRules[1] (tmf-1 ingress 20).SourceCidrBlock: found \
                    \"everyone\", expected an address prefix such as \"10.0.0.0/8\"";
    let (config, imported) = of("accept");
    let numbers: Vec<_> = config.filters[0].rules.iter().map(|rule| rule.number).collect();
    assert_eq!((numbers, config.sessions[0].filter.clone()), (vec![10, 30], None));
    let passes = "session tms-1: its filter tmf-1 lacks a rule that is left out: all that the mirror sends passes";
    assert_eq!(imported.left_out, [sentence]);
    assert!(imported.notes.contains(&passes.to_owned()), "{imported:?}");

    let (config, imported) = of("reject");
    assert_eq!(config.sessions[0].filter.as_deref(), Some("tmf-1"));
    assert_eq!(imported.left_out, [sentence]);
}

/// AWS applies ports to TCP and UDP alone.
#[test]
fn ports_of_another_protocol_are_left_out_where_that_loses_no_frame() {
    let of = |action: &str, protocol: Value| {
        let mut odd = rule(20);
        (odd["RuleAction"], odd["Protocol"]) = (json!(action), protocol);
        odd["DestinationPortRange"] = json!({"FromPort": 443, "ToPort": 443});
        let filters = json!({"TrafficMirrorFilters": [filter("tmf-1", &json!([rule(10), odd]))]});
        import_text(Source::Aws, filters.to_string())
    };
    let place = "in: TrafficMirrorFilters[0] (tmf-1).IngressFilterRules[1] (tmf-1 ingress 20).DestinationPortRange: ports \
                 need protocol 6 (TCP) or 17 (UDP)";
    for protocol in [json!(-1), json!(0), json!(1), Value::Null] {
        let (config, imported) = of("accept", protocol.clone());
        let rule = &config.filters[0].rules[1];
        assert_eq!((rule.action, rule.destination_ports), (Action::Accept, None));
        let taken = [format!("{place}; the rule is taken without them")];
        assert_eq!((imported.left_out, &imported.notes[..1]), (Vec::new(), &taken[..]));

        let (config, imported) = of("reject", protocol);
        assert_eq!((config.filters[0].rules.len(), imported.left_out), (1, vec![place.to_owned()]));
    }
    assert_eq!(of("reject", json!(6)).1.left_out, [""; 0]);
}

/// `describe-instances` has the interfaces of its instances; their own description is fuller.
#[test]
fn interfaces_of_instances_are_joined_to_the_sessions() {
    let listed = json!({"NetworkInterfaceId": "eni-1", "MacAddress": "02:00:00:00:00:01", "PrivateIpAddress": "10.0.1.5",
        "PrivateIpAddresses": [{"Primary": true, "PrivateIpAddress": "10.0.1.5"}], "VpcId": "vpc-1", "SubnetId": "subnet-1"});
    let instance = json!({"InstanceId": "i-1", "NetworkInterfaces": [listed], "Tags": [{"Key": "Name", "Value": "web"}]});
    let reservations = json!({"Reservations": [{"ReservationId": "r-1", "Instances": [instance]}]});
    let rest = json!({"TrafficMirrorFilters": [filter("tmf-1", &json!([]))], "TrafficMirrorSessions": [session()]});
    let (config, imported) =
        import_text(Source::Aws, format!("{rest}{reservations}{reservations}"));
    assert_eq!(config.sessions[0].source, Some("10.0.1.5".parse().unwrap()));
    assert_eq!(config.enis[0].mac.map(|mac| mac.to_string()).as_deref(), Some("02:00:00:00:00:01"));
    assert!(imported.toml.contains("# web\n[[eni]]\n"), "{}", imported.toml);

    let own = json!({"NetworkInterfaces": [{"NetworkInterfaceId": "eni-1", "PrivateIpAddress": "10.0.1.5",
        "MacAddress": "02:00:00:00:00:01", "Ipv6Addresses": [{"Ipv6Address": "2001:db8::7"}]}]});
    let (config, left_out) = import(&[rest, reservations, own]);
    assert_eq!((config.enis[0].addresses.len(), left_out), (2, Vec::new()));
}

/// The configuration has limits of its own: each object that it refuses is left out with its place
/// in the input, up to a number at which something else is wrong.
#[test]
fn objects_that_the_configuration_refuses_are_left_out() {
    let mirror = |refused: u32| {
        let sessions: Vec<_> = (0..=refused)
            .map(|at| {
                let mut session = session();
                session["TrafficMirrorSessionId"] = json!(format!("tms-{at}"));
                session["NetworkInterfaceId"] = json!(format!("eni-{at}"));
                session
            })
            .collect();
        // A group address sends nothing; the last one is an address.
        let address =
            |at| if at == refused { "10.0.1.5".to_owned() } else { format!("224.0.0.{at}") };
        let interfaces: Vec<_> = (0..=refused)
            .map(|at| json!({"NetworkInterfaceId": format!("eni-{at}"), "PrivateIpAddress": address(at)}))
            .collect();
        json!({"TrafficMirrorFilters": [filter("tmf-1", &json!([]))], "TrafficMirrorSessions": sessions,
            "NetworkInterfaces": interfaces})
    };
    let (config, left_out) = import(&[mirror(3)]);
    assert_eq!((config.sessions.len(), left_out.len()), (1, 3), "{left_out:?}");
    let first = "in: TrafficMirrorSessions[0] (tms-0): source: found 224.0.0.0, allowed is the address of one host; leave \
                 `source` out for any source";
    assert_eq!(left_out[0], first);

    let error =
        Source::Aws.import(&[input("in", mirror(101).to_string())]).unwrap_err().to_string();
    assert!(error.starts_with("in: TrafficMirrorSessions["), "{error}");
    assert!(error.ends_with("; 100 objects before it cannot be used either"), "{error}");
}
