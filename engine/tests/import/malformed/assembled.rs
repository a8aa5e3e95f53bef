//! Parts that are right each for itself, and make no configuration.

use serde_json::json;

use super::aws::{filters, rule, session};
use super::{FILE, case, check, check_left_out, with};
use crate::{Source, input};

#[test]
fn parts_that_contradict_each_other() {
    let other = with(
        &with(&rule(), "TrafficMirrorFilterRuleId", json!("tmfr-2")),
        "RuleAction",
        json!("reject"),
    );
    let two_interfaces = json!({"NetworkInterfaces": [
        {"NetworkInterfaceId": "eni-1", "VpcId": "vpc-1"}, {"NetworkInterfaceId": "eni-1", "VpcId": "vpc-2"}]});
    let second = with(
        &with(&session(), "TrafficMirrorSessionId", json!("tms-2")),
        "VirtualNetworkId",
        json!(8),
    );
    let two_sessions = json!({
        "NetworkInterfaces": [{"NetworkInterfaceId": "eni-1"}],
        "TrafficMirrorFilters": [{"TrafficMirrorFilterId": "tmf-1"}], "TrafficMirrorSessions": [session(), second]});
    let line_end = with(
        &with(&rule(), "TrafficMirrorFilterRuleId", json!("tmfr\n-1")),
        "RuleNumber",
        json!(0),
    );
    let cases = [
        case(
            filters(&json!([rule(), other])).to_string(),
            "filter tmf-1: the rules tmfr-1 and tmfr-2 are both ingress rule 10",
        ),
        case(
            filters(&json!([rule(), with(&rule(), "RuleNumber", json!(11))])).to_string(),
            "the rule tmfr-1 is described twice, and not the same way",
        ),
        case(
            two_interfaces.to_string(),
            "the interface eni-1 is described twice, and not the same way",
        ),
        case(
            two_sessions.to_string(),
            "interface eni-1: the sessions tms-1 and tms-2 have the same number",
        ),
    ];
    check(Source::Aws, &cases);
    // An identifier of this kind is none of AWS's, but must not break the line either.
    let line_end = case(
        filters(&json!([line_end])).to_string(),
        "in.json: TrafficMirrorFilters[0] (tmf-1).IngressFilterRules[0] (tmfr\\n-1).RuleNumber: found 0, expected an \
         integer from 1 to 4294967295",
    );
    check_left_out(Source::Aws, &[line_end]);
}

/// Not an error of the description: what the command was given does not reach that far. The mirror
/// has filtered already, so that the session loses no frame.
#[test]
fn a_session_whose_filter_is_not_there_is_taken_without_it() {
    let text = json!({"TrafficMirrorSessions": [session()]}).to_string();
    let imported = Source::Aws.import(&[input(FILE, text)]).unwrap();
    let sentence =
        "session tms-1: its filter tmf-1 is not in the input: all that the mirror sends passes";
    assert_eq!(imported.left_out, [sentence]);
    assert!(imported.toml.contains("name = \"tms-1\"\nvni = 7\n"), "{}", imported.toml);
    assert!(!imported.toml.contains("filter = "), "{}", imported.toml);
}

#[test]
fn a_target_that_no_session_sends_to() {
    let to = |target: &str, id: &str| {
        with(
            &with(&session(), "TrafficMirrorTargetId", json!(target)),
            "TrafficMirrorSessionId",
            json!(id),
        )
    };
    let sessions =
        json!({"TrafficMirrorSessions": [to("tmt-2", "tms-1"), to("tmt-1", "tms-2")]}).to_string();
    for (text, expected) in [
        (sessions, "no session sends to the target tmt-3; targets are tmt-1, tmt-2"),
        ("{}".to_owned(), "no session sends to the target tmt-3; targets are none"),
    ] {
        let error = Source::Aws.import_to(&[input(FILE, text)], Some("tmt-3")).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}
