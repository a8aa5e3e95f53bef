//! Objects that contradict each other: only they are left out, with what depends on them.

use serde_json::{Value, json};
use vxtap::config::Config;
use vxtap::import::Imported;

use crate::aws_forms::{filter, rule, session};
use crate::malformed::with;
use crate::{Source, import_text};

/// A mirror with a filter of a rule, a session of `eni-1`, one of `eni-2`, and their interfaces.
struct Mirror {
    filters: Value,
    sessions: Value,
    interfaces: Value,
}

fn mirror() -> Mirror {
    let mut other = with(&session(), "TrafficMirrorSessionId", json!("tms-2"));
    other["NetworkInterfaceId"] = json!("eni-2");
    other["TrafficMirrorFilterId"] = json!("tmf-2");
    let interface =
        |id: &str, address: &str| json!({"NetworkInterfaceId": id, "PrivateIpAddress": address});
    Mirror {
        filters: json!([filter("tmf-1", &json!([rule(10)])), filter("tmf-2", &json!([rule(10)]))]),
        sessions: json!([session(), other]),
        interfaces: json!([interface("eni-1", "10.0.0.1"), interface("eni-2", "10.0.0.2")]),
    }
}

/// Imports the mirror with other documents.
fn import(mirror: &Mirror, more: &Value) -> (Config, Imported) {
    let Mirror { filters, sessions, interfaces } = mirror;
    let mirror = json!({"TrafficMirrorFilters": filters, "TrafficMirrorSessions": sessions, "NetworkInterfaces": interfaces});
    import_text(Source::Aws, format!("{mirror}\n{more}"))
}

/// Name, source and filter of each session.
fn sessions(config: &Config) -> Vec<(&str, Option<String>, Option<&str>)> {
    let of = |it: &vxtap::config::Session| it.source.map(|source| source.to_string());
    config.sessions.iter().map(|it| (it.name.as_str(), of(it), it.filter.as_deref())).collect()
}

fn twice(what: &str) -> String {
    format!("the {what} is described twice, and not the same way")
}

const ONE: &str = "10.0.0.1";
const TWO: &str = "10.0.0.2";

#[test]
fn nothing_is_wrong_with_the_mirror_itself() {
    let (config, imported) = import(&mirror(), &json!({}));
    let expected = [
        ("tms-1", Some(ONE.to_owned()), Some("tmf-1")),
        ("tms-2", Some(TWO.to_owned()), Some("tmf-2")),
    ];
    assert_eq!(sessions(&config), expected);
    assert_eq!((imported.left_out.len(), imported.notes.len()), (0, 0), "{imported:?}");
}

/// Their order is not known. A rule that accepts is missed, one that rejects is not.
#[test]
fn rules_of_one_number() {
    let of = |actions: [&str; 2]| {
        let rules: Vec<_> =
            actions.iter().map(|action| with(&rule(20), "RuleAction", json!(action))).collect();
        let mut mirror = mirror();
        let ids = ["tmfr-1", "tmfr-2"];
        let named =
            rules.iter().zip(ids).map(|(it, id)| with(it, "TrafficMirrorFilterRuleId", json!(id)));
        mirror.filters[0]["IngressFilterRules"] = json!([rule(10), rule(30)]);
        let named: Vec<_> =
            named.map(|it| with(&it, "TrafficMirrorFilterId", json!("tmf-1"))).collect();
        import(&mirror, &json!({"TrafficMirrorFilterRules": named}))
    };
    let sentence = "rules tmfr-1, tmfr-2 of filter tmf-1: each is ingress rule 20, so that their order is not known";
    for (actions, filter) in [
        (["accept", "reject"], None),
        (["accept", "accept"], None),
        (["reject", "reject"], Some("tmf-1")),
    ] {
        let (config, imported) = of(actions);
        let numbers: Vec<_> = config.filters[0].rules.iter().map(|rule| rule.number).collect();
        assert_eq!(numbers, [10, 30]);
        assert_eq!(imported.left_out, [sentence], "{actions:?}");
        assert_eq!(config.sessions[0].filter.as_deref(), filter, "{actions:?}");
        assert_eq!(config.sessions[1].filter.as_deref(), Some("tmf-2"));
    }
}

#[test]
fn a_rule_that_is_described_in_two_ways() {
    let of = |action: &str, filter: &str| {
        let rule = with(&rule(20), "TrafficMirrorFilterRuleId", json!("tmfr-1"));
        let rule = with(
            &with(&rule, "RuleAction", json!(action)),
            "TrafficMirrorFilterId",
            json!("tmf-1"),
        );
        let other =
            with(&with(&rule, "RuleNumber", json!(21)), "TrafficMirrorFilterId", json!(filter));
        import(&mirror(), &json!({"TrafficMirrorFilterRules": [rule, other, rule]}))
    };
    for (action, filter, filters) in [
        ("accept", "tmf-1", [None, Some("tmf-2")]),
        ("accept", "tmf-2", [None, None]),
        ("reject", "tmf-2", [Some("tmf-1"), Some("tmf-2")]),
    ] {
        let (config, imported) = of(action, filter);
        assert_eq!(imported.left_out, [twice("rule tmfr-1")]);
        let found: Vec<_> = config.sessions.iter().map(|it| it.filter.as_deref()).collect();
        assert_eq!(
            (found, config.filters[0].rules.len()),
            (filters.to_vec(), 1),
            "{action} {filter}"
        );
    }
}

#[test]
fn a_filter_that_is_described_in_two_ways() {
    let dns = with(&filter("tmf-1", &json!([rule(10)])), "NetworkServices", json!(["amazon-dns"]));
    let (config, imported) = import(&mirror(), &json!({"TrafficMirrorFilters": [dns]}));
    assert_eq!(imported.left_out, [twice("filter tmf-1")]);
    let passes = "session tms-1: its filter tmf-1 is left out: all that the mirror sends passes";
    assert_eq!(imported.notes, [passes]);
    let expected =
        [("tms-1", Some(ONE.to_owned()), None), ("tms-2", Some(TWO.to_owned()), Some("tmf-2"))];
    assert_eq!((sessions(&config), config.filters.len()), (expected.to_vec(), 1));
}

#[test]
fn a_session_that_is_described_in_two_ways() {
    let other = with(&session(), "PacketLength", json!(128));
    let (config, imported) = import(&mirror(), &json!({"TrafficMirrorSessions": [other]}));
    assert_eq!(imported.left_out, [twice("session tms-1")]);
    assert_eq!(sessions(&config), [("tms-2", Some(TWO.to_owned()), Some("tmf-2"))]);
    let names: Vec<_> = config.enis.iter().map(|eni| eni.id.as_str()).collect();
    assert_eq!(names, ["eni-2"]);
}

#[test]
fn an_interface_that_is_described_in_two_ways() {
    let other = json!({"NetworkInterfaceId": "eni-1", "PrivateIpAddress": "10.0.0.9"});
    let of_instance = json!({"Instances": [{"InstanceId": "i-1", "NetworkInterfaces": [other]}]});
    for more in [
        json!({"NetworkInterfaces": [other]}),
        json!({"NetworkInterfaces": [other], "Instances": of_instance["Instances"]}),
    ] {
        let (config, imported) = import(&mirror(), &more);
        assert_eq!(imported.left_out, [twice("interface eni-1")]);
        let known = "session tms-1: eni-1 is left out: known by VNI 100 alone, from any source; ";
        assert!(imported.notes[0].starts_with(known), "{:?}", imported.notes);
        let expected =
            [("tms-1", None, Some("tmf-1")), ("tms-2", Some(TWO.to_owned()), Some("tmf-2"))];
        assert_eq!(sessions(&config), expected);
    }
    // The instance's description does not count where the interface has a description of its own.
    let (config, imported) = import(&mirror(), &of_instance);
    assert_eq!((config.sessions[0].source.is_some(), imported.left_out), (true, Vec::new()));
    let third = json!({"NetworkInterfaceId": "eni-1", "PrivateIpAddress": "10.0.0.8"});
    let instances =
        json!({"Instances": [{"InstanceId": "i-1", "NetworkInterfaces": [other, third]}]});
    let (config, imported) = import(&mirror(), &instances);
    assert_eq!((config.sessions[0].source.is_some(), imported.left_out), (true, Vec::new()));
    let alone = Mirror { interfaces: json!([]), ..mirror() };
    let (_, imported) = import(&alone, &instances);
    assert!(imported.left_out.contains(&twice("interface eni-1")), "{imported:?}");
}

#[test]
fn a_target_that_is_described_in_two_ways() {
    let targets = ["eni-8", "eni-9"]
        .map(|it| json!({"TrafficMirrorTargetId": "tmt-1", "NetworkInterfaceId": it}));
    let (config, imported) = import(&mirror(), &json!({"TrafficMirrorTargets": targets}));
    assert_eq!((config.sessions.len(), imported.left_out), (2, vec![twice("target tmt-1")]));
}

/// The number is the order of the sessions of an interface, and decides about no frame.
#[test]
fn sessions_of_one_number_are_taken_without_it() {
    let mut mirror = mirror();
    mirror.sessions[1]["NetworkInterfaceId"] = json!("eni-1");
    mirror.sessions[1]["VirtualNetworkId"] = json!(101);
    let (config, imported) = import(&mirror, &json!({}));
    let numbers: Vec<_> = config.sessions.iter().map(|it| (it.vni, it.number)).collect();
    assert_eq!((numbers, imported.left_out), (vec![(100, None), (101, None)], Vec::new()));
    let note = "sessions tms-1, tms-2 of eni-1: each has number 1, so that their order is not known: taken without it";
    assert_eq!(imported.notes, [note]);
    let comment = "\n# number 1 is that of another session of the interface too: taken without it\n[[session]]\n";
    assert_eq!(imported.toml.matches(comment).count(), 2, "{}", imported.toml);

    mirror.sessions[1]["SessionNumber"] = json!(2);
    let (config, imported) = import(&mirror, &json!({}));
    let numbers: Vec<_> = config.sessions.iter().map(|it| it.number).collect();
    assert_eq!((numbers, imported.notes), (vec![Some(1), Some(2)], Vec::new()));
}
