//! The receiver's side: finds the frames that arrived, and compares them with those that were sent.

mod sequence_set;
mod verification;

use std::collections::HashSet;
use std::net::IpAddr;

use crate::frames::{FrameBuilder, FrameId, TAG_STARTS};
use crate::inner_flow::InnerFlow;
use crate::payload_tag::{PayloadTag, is_intact};
use crate::profile::{MirrorSession, Profile, ProfileError};
use crate::totals::{SessionTotals, Totals};
use sequence_set::{SequenceSet, SequenceStatus};

pub use verification::{SessionVerification, Verification};

/// Checks inner frames against the profile that made them.
///
/// A frame is identified by its payload tag, made again, and compared in full. A frame without a
/// readable payload tag that lies between two addresses of the profile's flows is one of its
/// frames, corrupted; any other is foreign.
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
    frames: FrameBuilder,
    /// Per flow and direction.
    arrivals: Vec<[SequenceSet; 2]>,
    /// Source and destination of every frame that the profile makes.
    ends: HashSet<(IpAddr, IpAddr)>,
    again: Vec<u8>,
    verdict: Verification,
}

/// Classification of a received frame.
enum Finding {
    Intact(PayloadTag, usize),
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
        let frames = FrameBuilder::new(profile);
        let both = |flow: &InnerFlow| [(flow.local, flow.remote), (flow.remote, flow.local)];
        Ok(Self {
            arrivals: vec![<[SequenceSet; 2]>::default(); frames.flows().len()],
            ends: frames.flows().iter().flat_map(both).collect(),
            again: Vec::new(),
            verdict: Verification {
                sessions: vec![SessionVerification::default(); profile.sessions.len()],
                ..Verification::default()
            },
            frames,
        })
    }

    /// Takes an inner frame that was received from this outer source address under this VNI.
    pub fn frame(&mut self, source: IpAddr, vni: u32, inner: &[u8]) {
        self.take(Some(MirrorSession { source, vni }), inner);
    }

    /// Takes an inner frame whose origin is not known; it cannot be found misplaced.
    pub fn inner_frame(&mut self, inner: &[u8]) {
        self.take(None, inner);
    }

    /// Returns the least number of sent frames, by the highest sequence number of each flow and
    /// direction.
    ///
    /// For a receiver without the sender's totals: losses at a flow's end stay unseen.
    pub fn sent_at_least(&self) -> Totals {
        let mut totals = Totals {
            sessions: vec![SessionTotals::default(); self.verdict.sessions.len()],
            ..Totals::default()
        };
        for (flow, arrivals) in self.frames.flows().iter().zip(&self.arrivals) {
            let seen: u64 = arrivals.iter().map(SequenceSet::seen).sum();
            totals.frames += seen;
            totals.sessions[usize::from(flow.session)].frames += seen;
        }
        totals
    }

    /// Compares the frames that arrived with the sender's totals.
    ///
    /// The sessions of `sent` may be left empty if they are not known.
    pub fn finish(&self, sent: &Totals) -> Verification {
        let mut verdict = self.verdict.clone();
        verdict.sent = sent.frames;
        verdict.missing = sent.frames.saturating_sub(verdict.intact);
        verdict.unexpected = verdict.intact.saturating_sub(sent.frames);
        for (index, session) in verdict.sessions.iter_mut().enumerate() {
            let known = sent.sessions.get(index).map(|s| s.frames);
            // Sessions after the last one in `sent` sent nothing.
            let unknown = if sent.sessions.is_empty() { session.intact } else { 0 };
            session.sent = known.unwrap_or(unknown);
            session.missing = session.sent.saturating_sub(session.intact);
        }
        verdict
    }

    fn take(&mut self, session: Option<MirrorSession>, inner: &[u8]) {
        self.verdict.received += 1;
        self.verdict.bytes += inner.len() as u64;
        match self.examine(inner) {
            Finding::Foreign => self.verdict.foreign += 1,
            Finding::Corrupted => self.verdict.corrupted += 1,
            Finding::Intact(tag, _) if self.is_misplaced(session, &tag) => {
                self.verdict.misplaced += 1;
            }
            Finding::Intact(tag, index) => self.arrived(&tag, index, inner.len()),
        }
    }

    fn is_misplaced(&self, session: Option<MirrorSession>, tag: &PayloadTag) -> bool {
        session.is_some_and(|session| session != self.frames.sessions()[usize::from(tag.session)])
    }

    fn arrived(&mut self, tag: &PayloadTag, index: usize, len: usize) {
        let Self { arrivals, verdict, .. } = self;
        match arrivals[index][tag.direction as usize].add(tag.sequence) {
            SequenceStatus::InOrder => {}
            SequenceStatus::Late => verdict.reordered += 1,
            SequenceStatus::Again => {
                verdict.duplicated += 1;
                return;
            }
        }
        let session = &mut verdict.sessions[usize::from(tag.session)];
        verdict.intact += 1;
        session.intact += 1;
        session.bytes += len as u64;
    }

    fn examine(&mut self, inner: &[u8]) -> Finding {
        let mut is_others = false;
        for payload in TAG_STARTS.iter().filter_map(|&start| inner.get(start..)) {
            let Some(tag) = PayloadTag::read(payload) else { continue };
            if tag.run != self.frames.run() {
                is_others |= is_intact(payload);
                continue;
            }
            match self.frames.index(&tag) {
                Some(index) if self.is_same(&tag, index, inner) => {
                    return Finding::Intact(tag, index);
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

    /// Makes the frame of the payload tag again and compares.
    fn is_same(&mut self, tag: &PayloadTag, index: usize, inner: &[u8]) -> bool {
        let Self { frames, again, .. } = self;
        let id = FrameId {
            flow: &frames.flows()[index],
            direction: tag.direction,
            sequence: tag.sequence,
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
