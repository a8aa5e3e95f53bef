//! A filter by itself, compiled and as a list.

use crate::config::{Action, Config, Direction, Eni, Filter, Rule, Session};
use crate::decap::Link;
use crate::filter::Policies;
use crate::filter::rules::{first_match, in_order};
use crate::flow::Flow;
use crate::session::{Directory, SessionId, SessionKey};

/// A filter.
#[derive(Debug)]
pub struct Rules {
    policies: Policies,
    ingress: Vec<Rule>,
    egress: Vec<Rule>,
    mac: Option<[u8; 6]>,
}

const SESSION: SessionId = SessionId(1);

impl Rules {
    /// A valid filter of an interface.
    pub fn new(filter: &Filter, eni: &Eni) -> Self {
        let session = Session {
            eni: Some(eni.id.clone()),
            filter: Some(filter.name.clone()),
            ..Session::default()
        };
        let config = Config {
            enis: vec![eni.clone()],
            filters: vec![filter.clone()],
            sessions: vec![session],
            ..Config::default()
        };
        Self {
            policies: Policies::new(&config, &[SESSION], &Directory::default()),
            ingress: in_order(&filter.rules, Direction::Ingress),
            egress: in_order(&filter.rules, Direction::Egress),
            mac: eni.mac.map(|mac| mac.0),
        }
    }

    /// Returns whether the inner frame passes the compiled filter, as in the data path.
    #[inline]
    pub fn accept(&self, inner: &[u8]) -> bool {
        self.policies.get(SESSION).is_some_and(|policy| {
            policy.evaluate(inner, Link::Ethernet, SessionKey::V4(0), None).outcome.is_ok()
        })
    }

    /// Returns whether the first rule that matches the inner frame accepts it, by linear search.
    /// Recognizes no services, and takes the direction from the MAC address alone, which makes it a
    /// little faster than a complete search.
    #[inline]
    pub fn accept_one_by_one(&self, inner: &[u8]) -> bool {
        let rules = if inner.get(6..12) == self.mac.as_ref().map(<[u8; 6]>::as_slice) {
            &self.egress
        } else {
            &self.ingress
        };
        let place = Flow::of(inner).and_then(|flow| first_match(rules, &flow));
        place.is_some_and(|place| rules[place].action == Action::Accept)
    }
}
