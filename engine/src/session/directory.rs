//! Numbers of the sessions, for the life of an engine.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use super::sequence::{Sequence, SequenceCounters};
use super::{SessionId, SourceVni};
use crate::config;
use crate::sys::lock;

/// Identity of a declared session. A session that keeps all three keeps its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeclaredSession {
    pub(crate) name: String,
    pub(crate) vni: u32,
    pub(crate) source: Option<IpAddr>,
}

impl DeclaredSession {
    fn of(session: &config::Session) -> Self {
        Self { name: session.name.clone(), vni: session.vni, source: session.source }
    }
}

/// Every session that was ever declared, in the order of the numbers from 1. Numbers are not
/// reused: queued frames and counters refer to sessions by number. Clones share their contents.
#[derive(Clone, Debug, Default)]
pub(crate) struct Directory {
    entries: Arc<Mutex<Vec<DeclaredSession>>>,
    /// Seed of the hash that divides flows among the members of outputs.
    seed: u64,
    /// VLAN that each session last had, by number, with 0 for none; and a count of the changes.
    vlans: Arc<(AtomicU32, Mutex<Vec<u16>>)>,
    /// Sequences of the sessions whose mirrors number their frames.
    sequences: Arc<Mutex<BTreeMap<SessionId, Arc<Mutex<Sequence>>>>>,
}

impl Directory {
    /// Returns a directory with a secret seed, so that no sender can direct all its flows to one
    /// member of an output. Without a secret seed the same frames go to the same members each time.
    pub(crate) fn with_secret_seed() -> Self {
        Self { seed: RandomState::new().hash_one(0), ..Self::default() }
    }

    /// Returns the seed of the hash that divides flows among the members of outputs.
    pub(crate) const fn seed(&self) -> u64 {
        self.seed
    }

    /// Returns the numbers of these sessions; a session that is new gets a new one.
    pub(crate) fn assign(&mut self, sessions: &[config::Session]) -> Vec<SessionId> {
        let mut entries = lock(&self.entries);
        let mut known: std::collections::HashMap<_, _> = (1..)
            .zip(entries.iter())
            .map(|(id, it)| ((it.name.clone(), it.vni, it.source), id))
            .collect();
        let mut ids = Vec::with_capacity(sessions.len());
        for session in sessions {
            let key = (session.name.clone(), session.vni, session.source);
            let id = *known.entry(key).or_insert_with(|| {
                entries.push(DeclaredSession::of(session));
                u32::try_from(entries.len()).unwrap_or(u32::MAX)
            });
            ids.push(SessionId(id));
        }
        drop(entries);
        self.note_vlans(ids.iter().zip(sessions));
        ids
    }

    fn note_vlans<'s>(&self, sessions: impl Iterator<Item = (&'s SessionId, &'s config::Session)>) {
        let (changes, vlans) = &*self.vlans;
        let mut vlans = lock(vlans);
        for (id, session) in sessions {
            if vlans.len() <= id.index() {
                vlans.resize(id.index() + 1, 0);
            }
            vlans[id.index()] = session.vlan.unwrap_or(0);
        }
        changes.fetch_add(1, Ordering::Release);
    }

    /// Returns the VLANs of the sessions, which follow reloads.
    pub(crate) fn vlans(&self) -> Vlans {
        Vlans { source: self.vlans.clone(), seen: 0, by_session: Vec::new() }
    }

    /// Returns the sequence of a session whose mirror numbers its frames with `bits` bits. Makes a
    /// new one if there is none with as many bits.
    pub(crate) fn sequence(&self, id: SessionId, bits: u32) -> Arc<Mutex<Sequence>> {
        let mut sequences = lock(&self.sequences);
        let new = || Arc::new(Mutex::new(Sequence::new(bits)));
        let sequence = sequences.entry(id).or_insert_with(new);
        if lock(sequence).bits() != bits {
            *sequence = new();
        }
        sequence.clone()
    }

    /// Returns the counters of all sequences.
    pub(crate) fn sequence_counters(&self) -> Vec<(SessionId, SequenceCounters)> {
        let sequences = lock(&self.sequences);
        let counters = |sequence: &Mutex<Sequence>| lock(sequence).counters();
        sequences.iter().map(|(id, sequence)| (*id, counters(sequence))).collect()
    }

    /// Returns the number of sessions, the default session included.
    pub(crate) fn len(&self) -> usize {
        1 + lock(&self.entries).len()
    }

    /// Returns the names by number, that of the default session first.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = lock(&self.entries);
        let declared = entries.iter().map(|entry| entry.name.clone());
        std::iter::once(config::DEFAULT_SESSION_NAME.to_owned()).chain(declared).collect()
    }

    /// Returns, by number, whether frames of one of these pairs may belong to the session: it is
    /// declared with the pair, or with the VNI alone. Undeclared pairs, and those whose session a
    /// reload removes, belong to the default session.
    pub(crate) fn may_have(&self, pairs: &[SourceVni]) -> Vec<bool> {
        let entries = lock(&self.entries);
        let is_of = |entry: &DeclaredSession, pair: &SourceVni| {
            entry.vni == pair.vni.get() && entry.source.is_none_or(|source| source == pair.source)
        };
        let declared = entries.iter().map(|entry| pairs.iter().any(|pair| is_of(entry, pair)));
        std::iter::once(!pairs.is_empty()).chain(declared).collect()
    }

    /// Returns the outer source address that a session is declared with; `None` also if there is no
    /// session.
    pub(crate) fn source_of(&self, id: SessionId) -> Option<IpAddr> {
        let entries = lock(&self.entries);
        entries.get(id.index().checked_sub(1)?)?.source
    }

    /// Returns the session with this number; `None` for the default session, and if there is none.
    pub(crate) fn declared(&self, id: SessionId) -> Option<DeclaredSession> {
        let entries = lock(&self.entries);
        entries.get(id.index().checked_sub(1)?).cloned()
    }
}

/// A reader's copy of the VLANs of the sessions.
#[derive(Debug)]
pub(crate) struct Vlans {
    source: Arc<(AtomicU32, Mutex<Vec<u16>>)>,
    seen: u32,
    by_session: Vec<u16>,
}

impl Vlans {
    /// Copies the VLANs if they have changed; called from time to time.
    pub(crate) fn refresh(&mut self) {
        let (changes, vlans) = &*self.source;
        let changes = changes.load(Ordering::Acquire);
        if changes != self.seen {
            self.seen = changes;
            self.by_session.clone_from(&lock(vlans));
        }
    }

    /// Returns the VLAN of a session.
    pub(crate) fn of(&self, session: SessionId) -> Option<u16> {
        self.by_session.get(session.index()).copied().filter(|vlan| *vlan != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(name: &str, vni: u32) -> config::Session {
        config::Session { name: name.to_owned(), vni, ..config::Session::default() }
    }

    #[test]
    fn a_session_keeps_its_number_while_others_come_and_go() {
        let mut directory = Directory::default();
        let ids = |sessions: &[config::Session], directory: &mut Directory| {
            directory.assign(sessions).into_iter().map(|id| id.0).collect::<Vec<_>>()
        };
        assert_eq!(ids(&[session("a", 1), session("b", 2)], &mut directory), [1, 2]);
        assert_eq!(ids(&[session("b", 2), session("c", 3)], &mut directory), [2, 3]);
        assert_eq!(
            ids(&[session("a", 1), session("b", 4)], &mut directory),
            [1, 4],
            "another VNI is another session"
        );
        assert_eq!(directory.names(), ["default", "a", "b", "c", "b"]);
        assert_eq!(directory.declared(SessionId(4)).map(|entry| entry.vni), Some(4));
        assert_eq!([0, 5].map(|id| directory.declared(SessionId(id))), [None, None]);
    }

    #[test]
    fn the_frames_of_a_pair_belong_to_the_sessions_with_its_vni_and_source_or_any_source() {
        let mut directory = Directory::default();
        let of = |source: &str| config::Session {
            source: Some(source.parse().unwrap()),
            ..session(source, 7)
        };
        directory.assign(&[session("any", 7), of("10.0.0.1"), of("10.0.0.2"), session("b", 8)]);
        let pair = "vni-7@10.0.0.1".parse().unwrap();
        assert_eq!(directory.may_have(&[pair]), [true, true, true, false, false]);
        assert_eq!(directory.may_have(&[]), [false; 5]);
    }
}
