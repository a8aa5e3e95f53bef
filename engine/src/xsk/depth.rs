//! How many chunks the kernel has at a time: in the fill ring, or filled and waiting in the RX ring.
//!
//! The kernel takes the chunks of the fill ring in turn, so that each is written to again only when all others have been:
//! a deep ring spreads the frames over more memory than the caches hold, and copying a frame then costs up to twice as
//! much. A shallow ring runs empty, and loses frames, when the worker is away for longer than it lasts. So the depth
//! follows the load: shallow while the worker keeps up, the whole ring at once when it has fallen behind, and shallow
//! again some time later.

/// Chunks lent while the worker keeps up: at 2 million frames per second enough for half a millisecond. Fewer: losses
/// when the worker is away; more: slower copies.
const SHALLOW: u32 = 1024;

/// Turns of the housekeeping, some tenths of a second each, without trouble before the depth is halved.
const CALM_TICKS: u32 = 50;

/// The number of chunks that the kernel is to have.
#[derive(Debug)]
pub(super) struct Depth {
    now: u32,
    shallow: u32,
    full: u32,
    calm: u32,
}

impl Depth {
    /// `full` chunks, the length of the longer ring, always: where the NIC itself takes chunks out of it.
    pub(super) const fn fixed(full: u32) -> Self {
        Self { now: full, shallow: full, full, calm: 0 }
    }

    /// As the load wants it, up to `full`, the length of the longer ring.
    pub(super) fn following(full: u32) -> Self {
        let shallow = full.min(SHALLOW);
        Self { now: shallow, shallow, full, calm: 0 }
    }

    /// Chunks that the kernel is to have.
    #[inline]
    pub(super) const fn now(&self) -> u32 {
        self.now
    }

    /// So many frames were waiting for the worker: trouble if they have taken more than half of what it had.
    #[inline]
    pub(super) const fn note_backlog(&mut self, frames: u32) {
        if frames > self.now / 2 {
            self.now = self.full;
            self.calm = 0;
        }
    }

    /// To be called about ten times a second.
    pub(super) fn tick(&mut self) {
        self.calm += 1;
        if self.calm >= CALM_TICKS {
            self.calm = 0;
            self.now = (self.now / 2).max(self.shallow);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_falls_behind_gets_the_whole_ring_and_a_calm_one_the_shallow_part() {
        let mut depth = Depth::following(4096);
        depth.note_backlog(SHALLOW / 2);
        assert_eq!(depth.now(), SHALLOW);
        depth.note_backlog(SHALLOW / 2 + 1);
        assert_eq!(depth.now(), 4096);
        (1..CALM_TICKS).for_each(|_| depth.tick());
        assert_eq!(depth.now(), 4096);
        depth.tick();
        assert_eq!(depth.now(), 2048);
        (0..10 * CALM_TICKS).for_each(|_| depth.tick());
        assert_eq!(depth.now(), SHALLOW);
    }

    #[test]
    fn a_ring_shorter_than_the_shallow_depth_is_always_full_and_so_is_a_fixed_one() {
        for mut depth in [Depth::following(64), Depth::fixed(64)] {
            (0..10 * CALM_TICKS).for_each(|_| depth.tick());
            assert_eq!(depth.now(), 64);
        }
    }
}
