//! Finds the declared session of a source and VNI.

use std::collections::HashMap;
use std::net::IpAddr;

use foldhash::fast::RandomState;

use super::index::SessionIndex;
use super::key::SessionKey;
use super::{SourceVni, Vni};
use crate::config;

/// Number of a session: 0 for the default session (all undeclared sources and VNIs), then 1, 2 ...
/// in the order of the configuration. A session that a reload adds gets the next number, and the
/// number of one that it removes stays unused: a number stands for one session as long as the
/// engine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u32);

impl SessionId {
    /// The session of everything that is not declared.
    pub const DEFAULT: Self = Self(0);

    /// Returns the index in a list with an element for each session.
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The declared sessions. Immutable, and shared by all workers.
#[derive(Debug, Default)]
pub struct SessionTable {
    /// By the bits of [`SessionKey::V4`].
    by_v4: SessionIndex,
    by_v6: HashMap<SessionKey, SessionId, RandomState>,
    by_vni: SessionIndex,
    /// Sources of sessions that name one, in order, each once.
    sources: Vec<IpAddr>,
    names: Vec<String>,
}

impl SessionTable {
    /// Returns the table of validated declarations with these ids, and the names by id. A session
    /// without a source gets its VNI from every source that has no session of its own with that
    /// VNI.
    pub(crate) fn new(sessions: &[config::Session], ids: &[SessionId], names: Vec<String>) -> Self {
        let (mut by_v4, mut by_v6, mut by_vni) = (Vec::new(), HashMap::default(), Vec::new());
        for (&id, session) in ids.iter().zip(sessions) {
            match session.source {
                Some(source) => {
                    let vni = Vni::new(session.vni).expect("the configuration is validated");
                    match SessionKey::from(SourceVni { source, vni }) {
                        SessionKey::V4(bits) => by_v4.push((bits, id)),
                        key @ SessionKey::V6(..) => {
                            by_v6.insert(key, id);
                        }
                    }
                }
                None => by_vni.push((session.vni.into(), id)),
            }
        }
        let mut sources: Vec<_> = sessions.iter().filter_map(|session| session.source).collect();
        sources.sort_unstable();
        sources.dedup();
        let (by_v4, by_vni) = (SessionIndex::new(&by_v4), SessionIndex::new(&by_vni));
        Self { by_v4, by_v6, by_vni, sources, names }
    }

    /// Returns the session of a key; [`SessionId::DEFAULT`] if it is not declared.
    #[inline]
    pub(crate) fn find(&self, key: SessionKey) -> SessionId {
        let by_pair = match key {
            SessionKey::V4(bits) => self.by_v4.find(bits),
            SessionKey::V6(..) => self.by_v6.get(&key).copied(),
        };
        by_pair.or_else(|| self.by_vni.find(key.vni().into())).unwrap_or(SessionId::DEFAULT)
    }

    /// Returns whether a session names the source; `true` for every source if no session names one,
    /// since all are alike then.
    pub(crate) fn has_source(&self, source: IpAddr) -> bool {
        self.sources.is_empty() || self.sources.binary_search(&source).is_ok()
    }

    /// Prefetches the entry that [`Self::find`] will read, as far as it is known.
    #[inline]
    pub(crate) fn prefetch(&self, key: SessionKey) {
        if let SessionKey::V4(bits) = key {
            self.by_v4.prefetch(bits);
        }
    }

    /// Returns the number of sessions, including the default session and those that are no longer
    /// declared.
    #[expect(clippy::len_without_is_empty, reason = "there always is the default session")]
    pub const fn len(&self) -> usize {
        self.names.len()
    }

    /// Returns the names in the order of the ids. A name occurs twice only if a session changed its
    /// VNI or source.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use vxtap_ebpf::parse::Source;

    use super::super::Directory;
    use super::*;

    fn session(name: &str, vni: u32, source: Option<&str>) -> config::Session {
        config::Session {
            name: name.to_owned(),
            vni,
            source: source.map(|source| source.parse().unwrap()),
            ..config::Session::default()
        }
    }

    #[test]
    fn a_session_with_a_source_comes_before_one_for_the_vni_alone() {
        let sessions = [
            session("any", 100, None),
            session("one", 100, Some("10.0.0.1")),
            session("six", 200, Some("2001:db8::1")),
        ];
        let mut directory = Directory::default();
        let ids = directory.assign(&sessions);
        let table = SessionTable::new(&sessions, &ids, directory.names());
        let vni = |number| Vni::new(number).unwrap();
        let six = "2001:db8::1".parse::<std::net::Ipv6Addr>().unwrap().octets();
        let find = |source, vni| table.find(SessionKey::new(source, vni));
        assert_eq!(find(Source::V4([10, 0, 0, 1]), vni(100)), SessionId(2));
        assert_eq!(find(Source::V4([10, 0, 0, 2]), vni(100)), SessionId(1));
        assert_eq!(find(Source::V4([10, 0, 0, 1]), vni(101)), SessionId::DEFAULT);
        assert_eq!(find(Source::V6(six), vni(200)), SessionId(3));
        assert_eq!(find(Source::V6(six), vni(201)), SessionId::DEFAULT);
        assert_eq!(table.names().collect::<Vec<_>>(), ["default", "any", "one", "six"]);
        assert_eq!(table.len(), 4);
    }

    #[test]
    fn a_source_is_declared_if_a_session_names_it_and_all_are_alike_if_none_does() {
        let session = |vni, source: Option<&str>| config::Session {
            vni,
            source: source.map(|text| text.parse().unwrap()),
            ..config::Session::default()
        };
        let table = |sessions: &[config::Session]| {
            let ids: Vec<_> = (1..).take(sessions.len()).map(SessionId).collect();
            SessionTable::new(sessions, &ids, Vec::new())
        };
        let of = |text: &str| text.parse::<IpAddr>().unwrap();
        let some = table(&[session(1, Some("10.0.0.7")), session(2, None)]);
        assert!(some.has_source(of("10.0.0.7")) && !some.has_source(of("10.0.0.8")));
        assert!(table(&[session(2, None)]).has_source(of("10.0.0.8")));
    }
}
