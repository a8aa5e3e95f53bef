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
    ids: HashSet<String>,
    incomplete: HashSet<String>,
}

impl LeftOut {
    /// Adds a sentence.
    pub(super) fn say(&mut self, sentence: impl Display) {
        self.sentences.insert(one_line(sentence));
    }

    /// Adds an object, with the reason.
    pub(super) fn object(&mut self, id: &str, reason: impl Display) {
        self.mark(id);
        self.say(reason);
    }

    /// Adds the identifier of an object that other objects may refer to.
    pub(super) fn mark(&mut self, id: &str) {
        self.ids.insert(id.to_owned());
    }

    /// Adds a rule. Without a rule that may accept frames, its filter would drop frames that the
    /// mirror sends: it is then incomplete. Without one that rejects, it drops none of them, as the
    /// mirror has rejected already.
    pub(super) fn rule(&mut self, filter: &str, may_accept: bool, reason: impl Display) {
        if may_accept {
            self.incomplete.insert(filter.to_owned());
        }
        self.say(reason);
    }

    pub(super) fn has_id(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    pub(super) fn is_incomplete(&self, filter: &str) -> bool {
        self.incomplete.contains(filter)
    }

    /// Returns the sentences, sorted.
    pub(super) fn into_sentences(self) -> Vec<String> {
        self.sentences.into_iter().collect()
    }
}

/// Counts of the objects of an input by their kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen(BTreeMap<String, usize>);

impl Seen {
    pub(super) fn count(&mut self, kind: &str) {
        *self.0.entry(kind.to_owned()).or_default() += 1;
    }

    /// Returns the most frequent kinds with their counts, such as `aws_instance (2)`.
    pub(super) fn describe(&self) -> String {
        let mut kinds: Vec<_> = self.0.iter().collect();
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
            seen.count(kind);
        }
        assert_eq!(seen.describe(), "c (2), a (1), b (1), d (1), e (1)");
        seen.count("f");
        assert_eq!(seen.describe(), "c (2), a (1), b (1), d (1), e (1), 1 other kind");
        seen.count("g");
        assert_eq!(seen.describe(), "c (2), a (1), b (1), d (1), e (1), 2 other kinds");
    }
}
