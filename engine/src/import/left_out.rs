//! Record of the parts of the input that are not in the configuration.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Display;

use super::error::one_line;

/// Maximum number of kinds of objects that a message lists.
const KINDS_MAX: usize = 5;

/// Parts of the input that are not in the configuration, and what follows for the other parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LeftOut {
    sentences: BTreeSet<String>,
    /// Sentences about parts that are in the configuration, but not as the input has them.
    notes: BTreeSet<String>,
    ids: HashSet<String>,
    incomplete: HashSet<String>,
    /// A rule that is left out may be one of any filter.
    is_any_incomplete: bool,
    sessions: BTreeSet<LeftOutSession>,
}

/// Kinds of objects by what follows for others from one that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Sessions are taken without it.
    Filter,
    /// Its filter is then not complete.
    Rule,
    /// Its frames may arrive all the same.
    Session,
    /// Sessions of it are known by their VNI alone.
    Interface,
    /// Nothing.
    Other,
}

impl Class {
    /// Returns `true` for the parts that make a mirror.
    pub(super) const fn is_mirror(self) -> bool {
        matches!(self, Self::Filter | Self::Rule | Self::Session)
    }
}

/// A session that is left out: its frames may arrive all the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LeftOutSession {
    /// Name for messages, such as `session tms-1`.
    pub(super) name: String,
    /// `None`: not known.
    pub(super) vni: Option<u32>,
    /// The interface of a session that another one has replaced; the frames of both are alike.
    pub(super) replaced_on: Option<String>,
}

impl LeftOutSession {
    pub(super) fn new(id: &str, vni: Option<u32>) -> Self {
        Self { name: name_of(id), vni, replaced_on: None }
    }
}

fn name_of(session: &str) -> String {
    format!("session {session}")
}

impl LeftOut {
    /// Adds a sentence.
    pub(super) fn say(&mut self, sentence: impl Display) {
        self.sentences.insert(one_line(sentence));
    }

    /// Adds a sentence about a part that is taken.
    pub(super) fn note(&mut self, sentence: impl Display) {
        self.notes.insert(one_line(sentence));
    }

    /// Adds an object that others may refer to, with the reason.
    pub(super) fn object(&mut self, id: &str, reason: impl Display) {
        self.ids.insert(id.to_owned());
        self.say(reason);
    }

    /// Adds a rule; `None` stands for a filter that is not known, which may be any. Without a rule
    /// that may accept frames, its filter would drop frames that the mirror sends: it is then
    /// incomplete. Without one that rejects, it drops none of them, as the mirror has rejected
    /// already.
    pub(super) fn rule(&mut self, filter: Option<&str>, may_accept: bool, reason: impl Display) {
        match filter {
            _ if !may_accept => {}
            Some(filter) => {
                self.incomplete.insert(filter.to_owned());
            }
            None => self.is_any_incomplete = true,
        }
        self.say(reason);
    }

    /// Adds a session.
    pub(super) fn session(&mut self, session: LeftOutSession, reason: impl Display) {
        self.sessions.insert(session);
        self.say(reason);
    }

    pub(super) fn has_id(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    /// Returns the reason for which a filter is not complete, if it is not.
    pub(super) fn lack(&self, filter: &str) -> Option<&'static str> {
        if self.incomplete.contains(filter) {
            Some("lacks a rule that is left out")
        } else {
            self.is_any_incomplete.then_some("may lack a rule that is left out")
        }
    }

    /// Returns the names of the left-out sessions that have the VNI, or one that is not known for
    /// `None`, without the session itself and those that it has replaced.
    pub(super) fn others(&self, vni: Option<u32>, session: &str, interface: &str) -> Vec<&str> {
        let name = name_of(session);
        let is_other = |it: &&LeftOutSession| {
            it.vni == vni && it.name != name && it.replaced_on.as_deref() != Some(interface)
        };
        self.sessions.iter().filter(is_other).map(|it| it.name.as_str()).collect()
    }

    /// Returns the sentences about what is left out and those about what is taken, both sorted.
    pub(super) fn into_sentences(self) -> (Vec<String>, Vec<String>) {
        (self.sentences.into_iter().collect(), self.notes.into_iter().collect())
    }
}

/// Counts of the objects of an input by their kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    counts: BTreeMap<String, usize>,
    /// Any of them is a filter, a rule or a session.
    pub(super) has_mirror: bool,
}

impl Seen {
    pub(super) fn count(&mut self, kind: &str, objects: usize, is_mirror: bool) {
        *self.counts.entry(kind.to_owned()).or_default() += objects;
        self.has_mirror |= is_mirror;
    }

    /// Returns the most frequent kinds with their counts, such as `aws_instance (2)`.
    pub(super) fn describe(&self) -> String {
        let mut kinds: Vec<_> = self.counts.iter().collect();
        kinds.sort_by(|one, two| (two.1, one.0).cmp(&(one.1, two.0)));
        let more = kinds.len().saturating_sub(KINDS_MAX);
        let mut words: Vec<_> =
            kinds.iter().take(KINDS_MAX).map(|(kind, count)| format!("{kind} ({count})")).collect();
        match (words.is_empty(), more) {
            (true, _) => words.push("no objects at all".to_owned()),
            (_, 0) => {}
            (_, 1) => words.push("1 other kind".to_owned()),
            (_, more) => words.push(format!("{more} other kinds")),
        }
        words.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_kinds_come_first() {
        let mut seen = Seen::default();
        assert_eq!(seen.describe(), "no objects at all");
        for kind in ["b", "a", "c", "c", "d", "e"] {
            seen.count(kind, 1, false);
        }
        assert_eq!(seen.describe(), "c (2), a (1), b (1), d (1), e (1)");
        seen.count("f", 1, false);
        assert_eq!(seen.describe(), "c (2), a (1), b (1), d (1), e (1), 1 other kind");
        seen.count("g", 1, false);
        assert_eq!(seen.describe(), "c (2), a (1), b (1), d (1), e (1), 2 other kinds");
        assert!(!seen.has_mirror);
        seen.count("g", 3, true);
        assert_eq!(seen.describe(), "g (4), c (2), a (1), b (1), d (1), 2 other kinds");
        assert!(seen.has_mirror);
    }
}
