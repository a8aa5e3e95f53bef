//! How many chunks the kernel has at a time: in the fill ring, or filled and waiting in the RX ring.
//!
//! The kernel takes the chunks of the fill ring in turn, so that each is written to again only when all others have been:
//! a deep ring spreads the frames over more memory than the caches hold, and copying a frame then costs up to twice as
//! much. A shallow ring runs empty, and loses frames, when the worker is away for longer than it lasts. So the depth
//! follows the load: it is twice the longest backlog that the worker has met lately, and doubles when the kernel says that
//! it had none left.

/// Chunks lent at least: at 2 million frames per second enough for half a millisecond. Fewer: losses when the worker is
/// away; more: slower copies.
const SHALLOW: u32 = 1024;

/// How many times the longest backlog is lent: it comes from the past, and the next one may be longer.
const RESERVE: u32 = 2;

/// Turns of the housekeeping, of a tenth of a second each, after which the depth may be halved.
const MEMORY_TICKS: u32 = 30;

/// The number of chunks that the kernel is to have.
#[derive(Debug)]
pub(super) struct Depth {
    now: u32,
    shallow: u32,
    full: u32,
    /// Longest backlog since the last look back.
    backlog: u32,
    ticks: u32,
    /// How often the kernel has had no chunk, when it last said so.
    shortages: u64,
}

impl Depth {
    /// `full` chunks, the length of the longer ring, always: where the NIC itself takes chunks out of it.
    pub(super) const fn fixed(full: u32) -> Self {
        Self { now: full, shallow: full, full, backlog: 0, ticks: 0, shortages: 0 }
    }

    /// As the load wants it, up to `full`, the length of the longer ring.
    pub(super) fn following(full: u32) -> Self {
        let shallow = full.min(SHALLOW);
        Self { now: shallow, shallow, full, backlog: 0, ticks: 0, shortages: 0 }
    }

    /// Chunks that the kernel is to have.
    #[inline]
    pub(super) const fn now(&self) -> u32 {
        self.now
    }

    /// So many frames were waiting for the worker.
    #[inline]
    pub(super) fn note_backlog(&mut self, frames: u32) {
        if frames > self.backlog {
            self.backlog = frames;
            self.now = self.now.max(self.wanted());
        }
    }

    /// To be called about ten times a second, with how often the kernel has had no chunk since the start.
    pub(super) fn tick(&mut self, shortages: u64) {
        if shortages > self.shortages {
            self.now = self.now.saturating_mul(2).min(self.full);
            self.backlog = self.backlog.max(self.now / RESERVE);
        }
        self.shortages = shortages;
        self.ticks += 1;
        if self.ticks >= MEMORY_TICKS {
            self.now = self.wanted().max(self.now / 2);
            (self.ticks, self.backlog) = (0, 0);
        }
    }

    /// What the longest backlog asks for.
    fn wanted(&self) -> u32 {
        self.backlog.saturating_mul(RESERVE).clamp(self.shallow, self.full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_depth_grows_with_the_backlog_at_once_and_shrinks_when_it_is_forgotten() {
        let mut depth = Depth::following(8192);
        depth.note_backlog(SHALLOW / RESERVE);
        assert_eq!(depth.now(), SHALLOW);
        depth.note_backlog(700);
        assert_eq!(depth.now(), 1400);
        depth.note_backlog(5000);
        assert_eq!(depth.now(), 8192);
        (0..MEMORY_TICKS).for_each(|_| depth.tick(0));
        assert_eq!(depth.now(), 8192, "remembered");
        depth.note_backlog(300);
        (0..MEMORY_TICKS).for_each(|_| depth.tick(0));
        assert_eq!(depth.now(), 4096);
        (0..10 * MEMORY_TICKS).for_each(|_| depth.tick(0));
        assert_eq!(depth.now(), SHALLOW);
    }

    #[test]
    fn a_kernel_that_had_no_chunk_gets_twice_as_many() {
        let mut depth = Depth::following(8192);
        depth.tick(0);
        assert_eq!(depth.now(), SHALLOW);
        depth.tick(1);
        assert_eq!(depth.now(), 2 * SHALLOW);
        depth.tick(5);
        assert_eq!(depth.now(), 4 * SHALLOW);
        (2..MEMORY_TICKS).for_each(|_| depth.tick(5));
        assert_eq!(depth.now(), 4 * SHALLOW, "remembered");
    }

    #[test]
    fn a_ring_shorter_than_the_shallow_depth_is_always_full_and_so_is_a_fixed_one() {
        for mut depth in [Depth::following(64), Depth::fixed(64)] {
            depth.note_backlog(1);
            (0..10 * MEMORY_TICKS).for_each(|_| depth.tick(0));
            assert_eq!(depth.now(), 64);
        }
    }
}
