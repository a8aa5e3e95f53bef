//! Parts that are right each for itself, and refer to what is not there.

use serde_json::json;

use super::aws::{filters, rule, session};
use super::{FILE, case, check_left_out, with};
use crate::{Source, input};

/// An identifier of this kind is none of AWS's, but must not break the line either.
#[test]
fn a_line_end_in_an_identifier_is_escaped() {
    let line_end = with(
        &with(&rule(), "TrafficMirrorFilterRuleId", json!("tmfr\n-1")),
        "RuleNumber",
        json!(0),
    );
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
    assert!(imported.notes.contains(&sentence.to_owned()), "{imported:?}");
    assert!(imported.toml.contains("name = \"tms-1\"\nvni = 7\n"), "{}", imported.toml);
    assert!(!imported.toml.contains("filter = "), "{}", imported.toml);
}
