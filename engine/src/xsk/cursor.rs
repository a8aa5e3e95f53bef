//! Index arithmetic of a single-producer, single-consumer ring whose two indices live in shared
//! memory.
//!
//! Indices run freely through all of `u32` and wrap; the slot is the index modulo the ring length,
//! a power of two. Each side keeps its own index in a register, caches the other's, and reads
//! shared memory only when the cached value says full or empty (the scheme of the kernel's
//! [`net/xdp/xsk_queue.h`](https://github.com/torvalds/linux/blob/v6.12/net/xdp/xsk_queue.h)). No
//! I/O, no memory but the indices.

use std::sync::atomic::{AtomicU32, Ordering};

/// The producing side's view of the indices: it knows the slots that may be written.
#[derive(Debug)]
pub(super) struct Producing {
    len: u32,
    /// Next index to write; published by `submit`.
    producer: u32,
    /// The consumer's index when last read; may be stale, which only makes the ring look fuller.
    consumer: u32,
}

impl Producing {
    /// Makes a view of a ring of `len` slots that continues at the indices found in memory.
    pub(super) fn new(len: u32, producer: &AtomicU32, consumer: &AtomicU32) -> Self {
        Self {
            len,
            producer: producer.load(Ordering::Relaxed),
            consumer: consumer.load(Ordering::Acquire),
        }
    }

    /// Returns the number of slots that may be written now, at least `want` if the ring has them.
    #[inline]
    pub(super) fn free(&mut self, want: u32, consumer: &AtomicU32) -> u32 {
        if self.cached_free() < want {
            self.consumer = consumer.load(Ordering::Acquire);
        }
        self.cached_free()
    }

    #[inline]
    const fn cached_free(&self) -> u32 {
        self.len.saturating_sub(self.producer.wrapping_sub(self.consumer))
    }

    /// Returns the index of the `nth` slot that has not been submitted.
    #[inline]
    pub(super) const fn index(&self, nth: u32) -> u32 {
        self.producer.wrapping_add(nth)
    }

    /// Hands the next `count` slots, which have been written, to the consumer.
    #[inline]
    pub(super) fn submit(&mut self, count: u32, producer: &AtomicU32) {
        debug_assert!(count <= self.cached_free(), "submitted more slots than were free");
        self.producer = self.producer.wrapping_add(count);
        producer.store(self.producer, Ordering::Release);
    }
}

/// The consuming side's view of the indices: it knows the slots that may be read.
#[derive(Debug)]
pub(super) struct Consuming {
    len: u32,
    /// The producer's index when last read; may be stale, which only makes the ring look emptier.
    producer: u32,
    /// Next index to read; published by `release`.
    consumer: u32,
}

impl Consuming {
    /// Makes a view of a ring of `len` slots that continues at the indices found in memory.
    pub(super) fn new(len: u32, producer: &AtomicU32, consumer: &AtomicU32) -> Self {
        Self {
            len,
            producer: producer.load(Ordering::Acquire),
            consumer: consumer.load(Ordering::Relaxed),
        }
    }

    /// Returns the number of slots that may be read now. A producer index that is further ahead
    /// than the ring is long (which the kernel never writes) is cut to the length, so that no slot
    /// is read twice in one turn.
    #[inline]
    pub(super) fn available(&mut self, producer: &AtomicU32) -> u32 {
        if self.producer == self.consumer {
            self.producer = producer.load(Ordering::Acquire);
        }
        self.producer.wrapping_sub(self.consumer).min(self.len)
    }

    /// Returns whether `count` slots may be read now.
    pub(super) fn has(&mut self, count: u32, producer: &AtomicU32) -> bool {
        if self.available(producer) < count {
            self.producer = producer.load(Ordering::Acquire);
        }
        self.available(producer) >= count
    }

    /// Returns the index of the `nth` slot that has not been released.
    #[inline]
    pub(super) const fn index(&self, nth: u32) -> u32 {
        self.consumer.wrapping_add(nth)
    }

    /// Gives the next `count` slots, which have been read, back to the producer.
    #[inline]
    pub(super) fn release(&mut self, count: u32, consumer: &AtomicU32) {
        debug_assert!(
            count <= self.producer.wrapping_sub(self.consumer),
            "released more slots than were available"
        );
        self.consumer = self.consumer.wrapping_add(count);
        consumer.store(self.consumer, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_ring_offers_all_slots_to_the_producer_and_none_to_the_consumer() {
        let (producer, consumer) = (AtomicU32::new(7), AtomicU32::new(7));
        assert_eq!(Producing::new(8, &producer, &consumer).free(8, &consumer), 8);
        assert_eq!(Consuming::new(8, &producer, &consumer).available(&producer), 0);
    }

    #[test]
    fn a_producer_index_beyond_the_ring_is_cut_to_its_length() {
        let (producer, consumer) = (AtomicU32::new(100), AtomicU32::new(0));
        assert_eq!(Consuming::new(8, &producer, &consumer).available(&producer), 8);
    }

    proptest! {
        /// Any sequence of submits and releases, from any starting index, agrees with a plain
        /// counter.
        #[test]
        fn both_ends_agree_with_a_counter_across_the_wrap(
            start in prop_oneof![any::<u32>(), (u32::MAX - 40)..=u32::MAX],
            len_log2 in 0_u32..6,
            steps in prop::collection::vec((any::<bool>(), 0_u32..70), 1..200),
        ) {
            let len = 1 << len_log2;
            let (producer, consumer) = (AtomicU32::new(start), AtomicU32::new(start));
            let mut producing = Producing::new(len, &producer, &consumer);
            let mut consuming = Consuming::new(len, &producer, &consumer);
            let (mut submitted, mut released) = (0_u64, 0_u64);
            for (produce, count) in steps {
                if produce {
                    let free = producing.free(count, &consumer);
                    prop_assert!(u64::from(free) <= u64::from(len) - (submitted - released));
                    if free < count {
                        prop_assert_eq!(u64::from(free), u64::from(len) - (submitted - released));
                    }
                    let count = count.min(free);
                    prop_assert_eq!(u64::from(producing.index(0)), (u64::from(start) + submitted) % (1 << 32));
                    producing.submit(count, &producer);
                    submitted += u64::from(count);
                } else {
                    let available = consuming.available(&producer);
                    prop_assert!(u64::from(available) <= submitted - released);
                    prop_assert_eq!(available == 0, submitted == released);
                    let count = count.min(available);
                    prop_assert_eq!(u64::from(consuming.index(0)), (u64::from(start) + released) % (1 << 32));
                    consuming.release(count, &consumer);
                    released += u64::from(count);
                }
            }
        }
    }
}
