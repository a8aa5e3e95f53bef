//! Sessions whose source is not known: their frames are recognised by the VNI alone.

use serde_json::{Value, json};
use vxtap::config::Config;
use vxtap::import::Imported;

use crate::aws_forms::session;
use crate::functions::{MORE, template};
use crate::malformed::with;
use crate::resource_kinds as terraform;
use crate::{Source, import_text};

/// A session of the interface `eni-ID`.
fn session_of(id: &str, vni: Value) -> Value {
    let mut session = with(&session(), "VirtualNetworkId", vni);
    session["TrafficMirrorSessionId"] = json!(format!("tms-{id}"));
    session["NetworkInterfaceId"] = json!(format!("eni-{id}"));
    session
}

fn interface(id: &str, address: &str) -> Value {
    json!({"NetworkInterfaceId": format!("eni-{id}"), "PrivateIpAddress": address})
}

fn aws(sessions: &[Value], interfaces: &[Value]) -> (Config, Imported) {
    // With a filter there is a configuration, whatever the sessions are.
    let filters = json!([{"TrafficMirrorFilterId": "tmf-1"}]);
    let mirror = json!({"TrafficMirrorFilters": filters, "TrafficMirrorSessions": sessions, "NetworkInterfaces": interfaces});
    import_text(Source::Aws, mirror.to_string())
}

fn names(config: &Config) -> Vec<&str> {
    config.sessions.iter().map(|session| session.name.as_str()).collect()
}

/// The sentence that says of a session that its source is not known.
fn any_source(session: &str, interface: &str, what: &str, vni: u32) -> String {
    format!(
        "session {session}: {interface} {what}: known by VNI {vni} alone, from any source; set its source, or add a \
         description of the interface with its private address"
    )
}

/// The sentence that says that a session cannot be told apart from those that are left out.
fn like(session: &str, vni: u32, others: &str, interface: &str) -> String {
    format!(
        "session {session}: it has VNI {vni} from an unknown source, so that its frames cannot be told apart from \
         those of {others}, left out as well; add a description of the interface {interface}, or give the sessions \
         different VNIs"
    )
}

#[test]
fn it_is_said_that_a_session_takes_frames_from_any_source() {
    let sessions =
        [session_of("1", json!(1)), session_of("2", json!(2)), session_of("3", json!(3))];
    let nameless = json!({"NetworkInterfaceId": "eni-2"});
    let odd = json!({"NetworkInterfaceId": "eni-3", "PrivateIpAddress": "none"});
    let (config, imported) = aws(&sessions, &[nameless, odd]);
    assert_eq!(names(&config), ["tms-1", "tms-2", "tms-3"]);
    for (session, interface, what, vni) in [
        ("tms-1", "eni-1", "is not in the input", 1),
        ("tms-2", "eni-2", "has no primary address in the input", 2),
        ("tms-3", "eni-3", "is left out", 3),
    ] {
        let sentence = any_source(session, interface, what, vni);
        assert!(imported.notes.contains(&sentence), "{sentence}\nin {:?}", imported.notes);
        let comment = format!(
            "\n# {interface} {what}: known by the VNI alone, from any source\n[[session]]\n"
        );
        assert!(imported.toml.contains(&comment), "{}", imported.toml);
    }
    let known: Vec<_> =
        (1..=3).map(|id: u8| interface(&id.to_string(), &format!("10.0.0.{id}"))).collect();
    let (_, imported) = aws(&sessions, &known);
    assert!(!imported.notes.iter().any(|it| it.contains("any source")), "{imported:?}");
}

/// Two sessions cannot be told apart, and a third one from any source would get the frames of both.
#[test]
fn frames_of_sessions_that_are_left_out_are_not_those_of_another_session() {
    let sessions = [
        session_of("1", json!(7)),
        session_of("2", json!(7)),
        session_of("3", json!(7)),
        session_of("4", json!(8)),
    ];
    let same = [interface("1", "10.0.0.1"), interface("2", "10.0.0.1")];
    let (config, imported) = aws(&sessions, &same);
    assert_eq!(names(&config), ["tms-4"]);
    let sentence = like("tms-3", 7, "session tms-1, session tms-2", "eni-3");
    assert!(imported.left_out.contains(&sentence), "{:?}", imported.left_out);
    // One with a source gets none of them.
    let known = [&same[..], &[interface("3", "10.0.0.3")]].concat();
    assert_eq!(names(&aws(&sessions, &known).0), ["tms-3", "tms-4"]);
}

/// The same for a session that cannot be read, for one that the configuration refuses, and for one
/// that is described in two ways.
#[test]
fn frames_of_what_is_no_session_are_not_those_of_another_session() {
    let any = session_of("3", json!(7));
    let expected = like("tms-3", 7, "session tms-1", "eni-3");
    let of = session_of("1", json!(7));
    let group = interface("1", "224.0.0.1");
    for (sessions, interfaces) in [
        (vec![with(&of, "SessionNumber", json!(0)), any.clone()], vec![]),
        (vec![with(&of, "NetworkInterfaceId", Value::Null), any.clone()], vec![]),
        (vec![of.clone(), any.clone()], vec![group]),
        (
            vec![with(&of, "SessionNumber", json!(9)), of, any.clone()],
            vec![interface("1", "10.0.0.1")],
        ),
    ] {
        let (config, imported) = aws(&sessions, &interfaces);
        assert!(config.sessions.is_empty(), "{sessions:?}: {imported:?}");
        assert!(imported.left_out.contains(&expected), "{:?}", imported.left_out);
    }
    // Another description of the same session is no other session.
    let twice = [with(&any, "SessionNumber", json!(0)), any];
    assert_eq!(names(&aws(&twice, &[]).0), ["tms-3"]);
}

#[test]
fn a_session_whose_vni_is_not_known_may_have_that_of_another_session() {
    let warning = |others: &str| {
        format!(
            "session tms-3: takes VNI 7 from any source, so that frames of {others}, whose VNI is not known, count as \
             its own if they have it"
        )
    };
    let any = session_of("3", json!(7));
    let nameless = with(&session_of("1", json!("x")), "TrafficMirrorSessionId", Value::Null);
    for (session, others) in [
        (session_of("1", Value::Null), "session tms-1"),
        (session_of("1", json!("x")), "session tms-1"),
        (nameless, "the session at in: TrafficMirrorSessions[0]"),
        (json!(7), "the session at in: TrafficMirrorSessions[0]"),
    ] {
        let (config, imported) = aws(&[session.clone(), any.clone()], &[]);
        assert_eq!(names(&config), ["tms-3"]);
        assert!(imported.notes.contains(&warning(others)), "{session}: {:?}", imported.notes);
        let (_, imported) = aws(&[session, any.clone()], &[interface("3", "10.0.0.3")]);
        assert!(!imported.notes.contains(&warning(others)), "{:?}", imported.notes);
    }
    let many: Vec<_> = (10..15)
        .map(|id: u8| session_of(&id.to_string(), Value::Null))
        .chain([any.clone()])
        .collect();
    let (_, imported) = aws(&many, &[]);
    let others = "session tms-10, session tms-11, session tms-12 and 2 more";
    assert!(imported.notes.contains(&warning(others)), "{:?}", imported.notes);

    let page = json!({"TrafficMirrorSessions": [any], "NextToken": "abc"});
    let (_, imported) = import_text(Source::Aws, page.to_string());
    let others = "a session that is not in the input";
    assert!(imported.notes.contains(&warning(others)), "{:?}", imported.notes);
}

/// A configuration of filters alone takes everything as undeclared.
#[test]
fn it_is_said_that_no_session_is_left() {
    let sentence = "no session is left: everything that arrives is undeclared traffic".to_owned();
    let (_, imported) = aws(&[session_of("1", Value::Null)], &[]);
    assert!(imported.notes.contains(&sentence), "{:?}", imported.notes);
    let (_, imported) = aws(&[session_of("1", json!(7))], &[]);
    assert!(!imported.notes.contains(&sentence), "{:?}", imported.notes);
}

/// `create_before_destroy`: the replaced session sends until it is destroyed. If it is of the same
/// interface, its frames are those of the one that has replaced it.
#[test]
fn frames_of_a_replaced_session_are_those_of_its_successor_on_the_same_interface() {
    let state = |interface: &str| {
        let mut old = terraform::session(1, interface);
        old["values"]["id"] = json!("tms-0");
        old["deposed_key"] = json!("00000001");
        let resources = [terraform::filter("tmf-1"), terraform::session(1, "eni-1"), old];
        let text = json!({"values": {"root_module": {"resources": resources}}}).to_string();
        import_text(Source::Terraform, text)
    };
    assert_eq!(names(&state("eni-1").0), ["tms-1"]);
    let (config, imported) = state("eni-0");
    assert!(config.sessions.is_empty());
    let expected = like("tms-1", 100, "session tms-0", "eni-1");
    assert!(imported.left_out.contains(&expected), "{:?}", imported.left_out);
}

#[test]
fn sessions_that_a_template_does_not_determine() {
    let any = "  O: {Type: AWS::EC2::TrafficMirrorSession, Properties: {NetworkInterfaceId: eni-9, TrafficMirrorFilterId: !Ref F, \
               SessionNumber: 1, VirtualNetworkId: 7}}\n";
    let (config, imported) =
        import_text(Source::Cloudformation, template("PacketLength: !Ref N", MORE) + any);
    assert!(config.sessions.is_empty());
    let expected = like("O", 7, "session S", "eni-9");
    assert!(imported.left_out.contains(&expected), "{:?}", imported.left_out);

    let replaced = template("VirtualNetworkId: !Ref N", MORE) + any;
    let looped = template("VirtualNetworkId: 8", MORE)
        + any
        + "  Fn::ForEach::More: [X, !Ref N, {'S${X}': {Type: AWS::EC2::TrafficMirrorSession}}]\n";
    for (text, others) in [(replaced, "session S"), (looped, "a session of Fn::ForEach::More")] {
        let (config, imported) = import_text(Source::Cloudformation, text);
        assert!(names(&config).contains(&"O"), "{imported:?}");
        let warning = format!("frames of {others}, whose VNI is not known, count as its own");
        assert!(imported.notes.iter().any(|it| it.contains(&warning)), "{:?}", imported.notes);
    }
}
