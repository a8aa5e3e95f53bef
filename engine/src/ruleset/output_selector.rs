//! Selects the frames that a member of an output gets.

use std::sync::Arc;

use super::Route;
use crate::config::{Direction, UnknownDirection};
use crate::filter::CompiledFilter;
use crate::filter::direction::by_outer_source;
use crate::flow::Flow;
use crate::session::{SessionId, SessionKey};

/// Frames that a member of an output gets: those of its sessions that the output's filter accepts,
/// and of these its part of the flows.
#[derive(Clone, Debug, Default)]
pub(crate) struct OutputSelector {
    /// Sessions of the frames.
    pub(crate) route: Route,
    /// Further conditions; `None` if there are none.
    pub(crate) per_frame: Option<FrameSelection>,
}

/// Conditions that each frame has to meet.
#[derive(Clone, Debug)]
pub(crate) struct FrameSelection {
    /// The output's filter, and its treatment of frames whose direction is not known.
    pub(super) filter: Option<(Arc<CompiledFilter>, UnknownDirection)>,
    /// Index of the member in its output, and the number of members.
    pub(super) member: (u32, u32),
    /// Seed of the flow hash, the same for all workers of an engine.
    pub(super) seed: u64,
}

impl OutputSelector {
    /// Selects no frames, for an output that was removed.
    pub(crate) const CLOSED: Self = Self { route: Route::Closed, per_frame: None };

    /// Returns whether it selects the frames of all sessions without a condition.
    pub(crate) const fn is_everything(&self) -> bool {
        matches!(self.route, Route::All) && self.per_frame.is_none()
    }
}

impl OutputSelector {
    /// Returns whether the member gets a frame of this session.
    pub(crate) fn takes(
        &self,
        flow: Option<&Flow>,
        session: SessionId,
        source: SessionKey,
        direction: Option<Direction>,
    ) -> bool {
        let accepts =
            |per_frame: &FrameSelection| per_frame.accepts(flow, session, source, direction);
        self.route.has(session.index()) && self.per_frame.as_ref().is_none_or(accepts)
    }
}

impl FrameSelection {
    /// Returns whether the member gets a frame of its sessions. A frame without IP goes to the
    /// first member, and passes no filter. A direction that no policy has determined is inferred
    /// from `source`, the address that the mirror sends from.
    #[inline]
    pub(crate) fn accepts(
        &self,
        flow: Option<&Flow>,
        session: SessionId,
        source: SessionKey,
        direction: Option<Direction>,
    ) -> bool {
        let Self { filter, member: (index, count), seed } = self;
        let is_accepted = filter.as_ref().is_none_or(|(filter, unknown)| {
            let direction = direction.or_else(|| by_outer_source(source, &flow?.addresses));
            filter.evaluate(flow, direction, *unknown).is_ok()
        });
        is_accepted
            && (*count == 1
                || flow.map_or(0, |flow| member_of(flow.hash(session, *seed), *count)) == *index)
    }
}

/// Returns the member for a hash, by its upper bits.
#[inline]
const fn member_of(hash: u64, count: u32) -> u32 {
    (((hash >> 32) * count as u64) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_members_divide_all_hashes_among_them() {
        for count in [2, 3, 255] {
            assert_eq!((member_of(0, count), member_of(u64::MAX, count)), (0, count - 1));
            let edge = (1_u64 << 32).div_ceil(u64::from(count)) << 32;
            assert_eq!((member_of(edge - 1, count), member_of(edge, count)), (0, 1));
        }
    }
}
