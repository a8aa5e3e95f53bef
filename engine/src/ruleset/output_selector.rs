//! Which frames does a member of an output get?

use std::sync::Arc;

use super::Route;
use crate::config::{Direction, UnknownDirection};
use crate::filter::CompiledFilter;
use crate::flow::Flow;
use crate::session::SessionId;

/// What a member of an output gets: the frames of its sessions that the output's filter accepts, of
/// these the flows that fall to it.
#[derive(Clone, Debug, Default)]
pub(crate) struct OutputSelector {
    /// Whose frames.
    pub(crate) route: Route,
    /// What else is asked of them; `None`: nothing.
    pub(crate) narrowing: Option<Narrowing>,
}

/// What is asked of each frame by itself.
#[derive(Clone, Debug)]
pub(crate) struct Narrowing {
    /// The output's filter, and what it does with frames whose direction is not known.
    pub(super) filter: Option<(Arc<CompiledFilter>, UnknownDirection)>,
    /// Place of the member among those of the output, and their number.
    pub(super) member: (u32, u32),
    /// All workers of an engine have the same one.
    pub(super) seed: u64,
}

impl OutputSelector {
    /// Of an output that is not there any more.
    pub(crate) const CLOSED: Self = Self { route: Route::Closed, narrowing: None };

    /// Whether it gets the frames of all sessions, as they are.
    pub(crate) const fn is_everything(&self) -> bool {
        matches!(self.route, Route::All) && self.narrowing.is_none()
    }
}

impl Narrowing {
    /// Whether the member gets a frame of its sessions. What is not IP goes to the first member,
    /// and passes no filter.
    #[inline]
    pub(crate) fn accepts(
        &self,
        flow: Option<&Flow>,
        session: SessionId,
        direction: Option<Direction>,
    ) -> bool {
        let Self { filter, member: (place, count), seed } = self;
        let is_accepted = filter
            .as_ref()
            .is_none_or(|(filter, unknown)| filter.judge(flow, direction, *unknown).is_ok());
        is_accepted
            && (*count == 1
                || flow.map_or(0, |flow| member_of(flow.hash(session, *seed), *count)) == *place)
    }
}

/// The member for a hash: its upper bits, as evenly as they are.
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
