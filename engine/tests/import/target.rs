//! Selection of the sessions that send to one target.

use serde_json::{Value, json};
use vxtap::config::Config;
use vxtap::import::{ImportError, Imported};

use crate::aws_forms::session;
use crate::malformed::with;
use crate::{Source, input};

/// A session with a VNI of its own, which sends to the target.
fn session_to(id: &str, vni: u32, target: Value) -> Value {
    let mut session = with(&session(), "TrafficMirrorTargetId", target);
    (session["TrafficMirrorSessionId"], session["VirtualNetworkId"]) = (json!(id), json!(vni));
    session["NetworkInterfaceId"] = json!(format!("eni-of-{id}"));
    session
}

fn import(mirror: &Value, target: &str) -> Result<(Vec<String>, Imported), ImportError> {
    let imported = Source::Aws.import_to(&[input("in", mirror.to_string())], Some(target))?;
    let config = Config::from_toml(std::path::Path::new("imported"), &imported.toml).unwrap();
    Ok((config.sessions.into_iter().map(|session| session.name).collect(), imported))
}

#[test]
fn a_target_that_no_session_sends_to() {
    let two =
        json!([session_to("tms-1", 1, json!("tmt-2")), session_to("tms-2", 2, json!("tmt-1"))]);
    let one = json!([session_to("tms-1", 1, json!("tmt-2")), session_to("tms-2", 2, Value::Null)]);
    let targets = json!([{"TrafficMirrorTargetId": "tmt-1", "NetworkInterfaceId": "eni-8"}]);
    let with_targets = json!({"TrafficMirrorSessions": two, "TrafficMirrorTargets": targets});
    for (mirror, target, expected) in [
        (json!({"TrafficMirrorSessions": two}), "tmt-3", "targets are tmt-1, tmt-2"),
        (json!({}), "tmt-3", "targets are none"),
        (
            json!({"TrafficMirrorSessions": two}),
            "eni-9",
            "targets are tmt-1, tmt-2; what is behind tmt-1, tmt-2 is not in the input",
        ),
        (
            with_targets,
            "eni-9",
            "targets are tmt-1, tmt-2; what is behind tmt-2 is not in the input",
        ),
        (
            json!({"TrafficMirrorSessions": one}),
            "tmt-3",
            "targets are tmt-2; the target of tms-2 is not in the input",
        ),
    ] {
        let error = import(&mirror, target).unwrap_err().to_string();
        assert_eq!(error, format!("no session sends to the target {target}; {expected}"));
    }
}

/// They may send to it, so that they are named. Those that send elsewhere are left out as
/// requested, without a word.
#[test]
fn sessions_of_an_unknown_target_are_named() {
    let mirror = json!({
        "TrafficMirrorSessions": [
            session_to("tms-1", 1, json!("tmt-1")), session_to("tms-2", 2, Value::Null),
            session_to("tms-3", 3, json!("tmt-3")), session_to("tms-4", 4, json!("tmt-4"))],
        "TrafficMirrorTargets": [
            {"TrafficMirrorTargetId": "tmt-1", "NetworkInterfaceId": "eni-9"},
            {"TrafficMirrorTargetId": "tmt-4", "NetworkInterfaceId": "eni-8"}],
    });
    let requested = |target: &str| {
        format!("is not in the input, and only sessions that send to {target} are requested")
    };
    let (sessions, imported) = import(&mirror, "eni-9").unwrap();
    assert_eq!(sessions, ["tms-1"]);
    let requested_eni = requested("eni-9");
    let expected = [
        format!("session tms-2: its target {requested_eni}"),
        format!("session tms-3: what is behind its target tmt-3 {requested_eni}"),
    ];
    assert_eq!(imported.left_out, expected);
    for sentence in expected {
        let list = imported.toml.replace("\n#   ", " ");
        assert!(list.contains(&format!("\n# - {sentence}\n")), "{list}");
    }
    // By their identifiers, all targets but a missing one are known.
    for (target, session) in [("tmt-1", "tms-1"), ("tmt-3", "tms-3")] {
        let (sessions, imported) = import(&mirror, target).unwrap();
        assert_eq!(sessions, [session]);
        let expected = format!("session tms-2: its target {}", requested(target));
        assert_eq!(imported.left_out, [expected]);
    }
}

/// Their frames may arrive, and another session from any source would get them.
#[test]
fn a_session_of_an_unknown_target_is_not_mistaken_for_another_one() {
    let two = |second: Value| {
        let sessions =
            json!([session_to("tms-1", 7, json!("tmt-1")), session_to("tms-2", 7, second)]);
        let other = session_to("tms-3", 8, json!("tmt-1"));
        json!({"TrafficMirrorSessions": [sessions[0], sessions[1], other]})
    };
    let (sessions, imported) = import(&two(Value::Null), "tmt-1").unwrap();
    assert_eq!(
        (sessions, imported.left_out.len()),
        (vec!["tms-3".to_owned()], 2),
        "{:?}",
        imported.left_out
    );
    let (sessions, imported) = import(&two(json!("tmt-2")), "tmt-1").unwrap();
    assert_eq!((sessions.len(), imported.left_out.len()), (2, 0), "{:?}", imported.left_out);
}
