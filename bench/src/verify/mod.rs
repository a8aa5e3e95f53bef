//! The receiver's side: which frames arrived, and whether they are what was sent.

mod arrivals;
mod verdict;

use std::collections::HashSet;
use std::net::IpAddr;

use crate::flow::Flow;
use crate::frames::{FrameId, Frames, PROOF_STARTS};
use crate::profile::{Profile, ProfileError, Session};
use crate::proof::{Proof, is_intact};
use crate::totals::{SessionTotals, Totals};
use arrivals::{Arrival, Arrivals};

pub use verdict::{SessionVerdict, Verdict};

/// Checks inner frames against the profile that made them.
///
/// A frame is found by its proof, made again, and compared in full. A frame without a readable
/// proof that lies between two addresses of the profile's flows is one of its frames, corrupted;
/// any other is foreign.
///
/// # Examples
/// ```
/// use vxtap_bench::{Profile, Traffic, Verifier};
///
/// let profile = Profile { count: Some(100), ..Profile::default() };
/// let mut traffic = Traffic::new(&profile)?;
/// let mut verifier = Verifier::new(&profile)?;
/// let mut frame = Vec::new();
/// while let Some(sent) = traffic.next_frame(&mut frame) {
///     let session = profile.sessions[sent.session];
///     verifier.frame(session.source, session.vni, &frame[50..]);
/// }
/// let verdict = verifier.finish(&Traffic::totals(&profile)?);
/// assert!(verdict.is_perfect(), "{verdict}");
/// # Ok::<(), vxtap_bench::ProfileError>(())
/// ```
#[derive(Debug)]
pub struct Verifier {
    frames: Frames,
    /// Per flow and direction.
    arrivals: Vec<[Arrivals; 2]>,
    /// Source and destination of every frame that the profile makes.
    ends: HashSet<(IpAddr, IpAddr)>,
    again: Vec<u8>,
    verdict: Verdict,
}

/// What a received frame is.
enum Finding {
    Intact(Proof, usize),
    Corrupted,
    Foreign,
}

impl Verifier {
    /// Prepares the verification of a profile's frames; takes about 300 bytes per flow.
    ///
    /// # Errors
    /// Those of [`Profile::check`].
    pub fn new(profile: &Profile) -> Result<Self, ProfileError> {
        profile.check()?;
        let frames = Frames::new(profile);
        let both = |flow: &Flow| [(flow.local, flow.remote), (flow.remote, flow.local)];
        Ok(Self {
            arrivals: vec![<[Arrivals; 2]>::default(); frames.flows().len()],
            ends: frames.flows().iter().flat_map(both).collect(),
            again: Vec::new(),
            verdict: Verdict {
                sessions: vec![SessionVerdict::default(); profile.sessions.len()],
                ..Verdict::default()
            },
            frames,
        })
    }

    /// Takes an inner frame that was received from this outer source address under this VNI.
    pub fn frame(&mut self, source: IpAddr, vni: u32, inner: &[u8]) {
        self.take(Some(Session { source, vni }), inner);
    }

    /// Takes an inner frame of which it is not known where it came from; it cannot be found
    /// misplaced.
    pub fn inner_frame(&mut self, inner: &[u8]) {
        self.take(None, inner);
    }

    /// Returns what was sent at least, going by the highest sequence number of each flow and
    /// direction.
    ///
    /// For a receiver that does not know what was sent: losses at a flow's end stay unseen.
    pub fn sent_at_least(&self) -> Totals {
        let mut totals = Totals {
            sessions: vec![SessionTotals::default(); self.verdict.sessions.len()],
            ..Totals::default()
        };
        for (flow, arrivals) in self.frames.flows().iter().zip(&self.arrivals) {
            let seen: u64 = arrivals.iter().map(Arrivals::seen).sum();
            totals.frames += seen;
            totals.sessions[usize::from(flow.session)].frames += seen;
        }
        totals
    }

    /// Compares what arrived with what the sender says it sent.
    ///
    /// The sessions of `sent` may be left empty where they are not known.
    pub fn finish(&self, sent: &Totals) -> Verdict {
        let mut verdict = self.verdict.clone();
        verdict.sent = sent.frames;
        verdict.missing = sent.frames.saturating_sub(verdict.intact);
        verdict.unexpected = verdict.intact.saturating_sub(sent.frames);
        for (index, session) in verdict.sessions.iter_mut().enumerate() {
            let known = sent.sessions.get(index).map(|s| s.frames);
            // A session behind the last that sent anything sent nothing.
            let unknown = if sent.sessions.is_empty() { session.intact } else { 0 };
            session.sent = known.unwrap_or(unknown);
            session.missing = session.sent.saturating_sub(session.intact);
        }
        verdict
    }

    fn take(&mut self, session: Option<Session>, inner: &[u8]) {
        self.verdict.received += 1;
        self.verdict.bytes += inner.len() as u64;
        match self.examine(inner) {
            Finding::Foreign => self.verdict.foreign += 1,
            Finding::Corrupted => self.verdict.corrupted += 1,
            Finding::Intact(proof, _) if self.is_misplaced(session, &proof) => {
                self.verdict.misplaced += 1
            }
            Finding::Intact(proof, index) => self.arrived(&proof, index, inner.len()),
        }
    }

    fn is_misplaced(&self, session: Option<Session>, proof: &Proof) -> bool {
        session.is_some_and(|session| session != self.frames.sessions()[usize::from(proof.session)])
    }

    fn arrived(&mut self, proof: &Proof, index: usize, len: usize) {
        let Self { arrivals, verdict, .. } = self;
        match arrivals[index][proof.direction as usize].add(proof.sequence) {
            Arrival::InOrder => {}
            Arrival::Late => verdict.reordered += 1,
            Arrival::Again => {
                verdict.duplicated += 1;
                return;
            }
        }
        let session = &mut verdict.sessions[usize::from(proof.session)];
        verdict.intact += 1;
        session.intact += 1;
        session.bytes += len as u64;
    }

    fn examine(&mut self, inner: &[u8]) -> Finding {
        let mut is_others = false;
        for payload in PROOF_STARTS.iter().filter_map(|&start| inner.get(start..)) {
            let Some(proof) = Proof::read(payload) else { continue };
            if proof.run != self.frames.run() {
                is_others |= is_intact(payload);
                continue;
            }
            match self.frames.index(&proof) {
                Some(index) if self.is_same(&proof, index, inner) => {
                    return Finding::Intact(proof, index);
                }
                _ => return Finding::Corrupted,
            }
        }
        if !is_others && self.is_between_known_ends(inner) {
            Finding::Corrupted
        } else {
            Finding::Foreign
        }
    }

    /// Makes the frame again that the proof names and compares.
    fn is_same(&mut self, proof: &Proof, index: usize, inner: &[u8]) -> bool {
        let Self { frames, again, .. } = self;
        let id = FrameId {
            flow: &frames.flows()[index],
            direction: proof.direction,
            sequence: proof.sequence,
        };
        again.clear();
        frames.write(id, again);
        again == inner
    }

    fn is_between_known_ends(&self, inner: &[u8]) -> bool {
        let v4 =
            |at: usize| inner.get(at..)?.first_chunk::<4>().map(|octets| IpAddr::from(*octets));
        let v6 =
            |at: usize| inner.get(at..)?.first_chunk::<16>().map(|octets| IpAddr::from(*octets));
        [v4(26).zip(v4(30)), v6(22).zip(v6(38))]
            .into_iter()
            .flatten()
            .any(|ends| self.ends.contains(&ends))
    }
}
