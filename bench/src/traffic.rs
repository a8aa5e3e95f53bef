//! The generator: chooses the next frame and makes it.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

use crate::direction::Direction;
use crate::frames::{FrameBuilder, FrameId};
use crate::inner_flow::{self, RandomStream};
use crate::outer_headers;
use crate::profile::{OuterHeaders, Profile, ProfileError};
use crate::send::FrameSource;
use crate::sink::Label;
use crate::totals::Totals;

/// Description of a generated frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Index in the profile's list of sessions.
    pub session: usize,
    /// Number of the flow within its session.
    pub flow: u16,
    /// Direction within the flow; the directions of a flow alternate.
    pub direction: Direction,
    /// Number of the frame within its flow and direction, from 0.
    pub sequence: u64,
    /// Length of the inner frame in bytes.
    pub inner_len: u16,
}

/// Makes the outer frames of a profile, one after the other.
///
/// # Examples
/// ```
/// use vxtap_bench::{Profile, Traffic};
///
/// let profile = Profile { count: Some(1000), ..Profile::default() };
/// let mut traffic = Traffic::new(&profile)?;
/// let mut frame = Vec::new();
/// while let Some(sent) = traffic.next_frame(&mut frame) {
///     assert_eq!(frame.len(), usize::from(sent.inner_len) + 50);
/// }
/// # Ok::<(), vxtap_bench::ProfileError>(())
/// ```
#[derive(Debug)]
pub struct Traffic {
    frames: FrameBuilder,
    outer: OuterHeaders,
    /// Per flow: outer UDP source port of each direction.
    ports: Vec<[u16; 2]>,
    /// Per flow: frames made, both directions together.
    made: Vec<u64>,
    order: ChaCha8Rng,
    left: Option<u64>,
}

impl Traffic {
    /// Prepares the traffic of a profile; the tables take about 100 bytes per flow and 72 KiB of
    /// filler.
    ///
    /// # Errors
    /// Those of [`Profile::check`].
    pub fn new(profile: &Profile) -> Result<Self, ProfileError> {
        profile.check()?;
        let frames = FrameBuilder::new(profile);
        let port = |flow: &inner_flow::InnerFlow| {
            [Direction::Egress, Direction::Ingress].map(|d| flow.outer_port(d))
        };
        Ok(Self {
            ports: frames.flows().iter().map(port).collect(),
            made: vec![0; frames.flows().len()],
            frames,
            outer: profile.outer.clone(),
            order: inner_flow::random(profile.seed, RandomStream::Order),
            left: profile.count,
        })
    }

    /// Replaces the buffer's content with the next outer frame and returns its description; `None`
    /// after the profile's count. Allocates only if the buffer has to grow.
    pub fn next_frame(&mut self, frame: &mut Vec<u8>) -> Option<Sent> {
        let (index, sent) = self.advance()?;
        let flow = &self.frames.flows()[index];
        let session = &self.frames.sessions()[sent.session];
        let port = self.ports[index][sent.direction as usize];
        frame.clear();
        outer_headers::write(&self.outer, session, port, sent.inner_len, frame);
        self.frames
            .write(FrameId { flow, direction: sent.direction, sequence: sent.sequence }, frame);
        outer_headers::finish(&self.outer, session, frame);
        Some(sent)
    }

    /// Returns what a profile with a count sends in all when nothing is refused.
    ///
    /// # Errors
    /// Those of [`Profile::check`].
    pub fn totals(profile: &Profile) -> Result<Totals, ProfileError> {
        let mut traffic = Self::new(profile)?;
        let mut totals = Totals::default();
        while let Some((_, sent)) = profile.count.and_then(|_| traffic.advance()) {
            totals.add(Some(sent.session), traffic.outer_len(&sent), sent.inner_len.into());
        }
        Ok(totals)
    }

    /// Chooses the next frame without making it; returns its flow's index too.
    fn advance(&mut self) -> Option<(usize, Sent)> {
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(1)?;
        }
        let index = ((u64::from(self.order.next_u32()) * self.made.len() as u64) >> 32) as usize;
        let made = self.made[index];
        self.made[index] += 1;
        let flow = &self.frames.flows()[index];
        let direction = if made.is_multiple_of(2) { flow.first } else { flow.first.opposite() };
        let sequence = made / 2;
        let inner_len = self.frames.frame_len(FrameId { flow, direction, sequence });
        Some((
            index,
            Sent {
                session: flow.session.into(),
                flow: flow.number,
                direction,
                sequence,
                inner_len,
            },
        ))
    }

    fn outer_len(&self, sent: &Sent) -> usize {
        outer_headers::len(self.frames.sessions()[sent.session].source)
            + usize::from(sent.inner_len)
    }
}

impl FrameSource for Traffic {
    fn next_frame(&mut self, frame: &mut Vec<u8>) -> Option<Label> {
        let sent = Self::next_frame(self, frame)?;
        Some(Label { session: Some(sent.session), inner_len: sent.inner_len.into() })
    }

    fn next_at(&self) -> Duration {
        Duration::ZERO
    }
}
