//! The two ends of a ring that is shared with the kernel, or with code that plays its part.
//!
//! All four rings of an AF_XDP socket have this form (`struct xdp_ring` in
//! [`net/xdp/xsk_queue.h`](https://github.com/torvalds/linux/blob/v6.12/net/xdp/xsk_queue.h)): a
//! producer index, a consumer index, flags, and a power-of-two array of slots.

use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::cursor::{Consuming, Producing};
use crate::sys::mapping::Mapping;

/// Byte offsets of the parts of a ring inside its mapping.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) producer: usize,
    pub(crate) consumer: usize,
    pub(crate) flags: usize,
    pub(crate) slots: usize,
}

impl Layout {
    /// A layout of our own for rings in plain memory: each index on a cache line of its own.
    pub(crate) const PLAIN: Self = Self { producer: 0, consumer: 128, flags: 256, slots: 384 };

    /// Returns the bytes that a ring of `len` slots of type `T` takes.
    pub(crate) const fn bytes<T>(self, len: u32) -> usize {
        self.slots + size_of::<T>() * len as usize
    }
}

/// Type of value that a ring may carry.
///
/// # Safety
///
/// Every bit pattern must be a valid value: the other side writes them.
pub(crate) unsafe trait Slot: Copy {}
// SAFETY: an integer.
unsafe impl Slot for u64 {}
// SAFETY: a struct of integers.
unsafe impl Slot for libc::xdp_desc {}

/// A ring in memory, as both ends see it (`struct xdp_ring` and the slots behind it).
#[derive(Debug)]
struct XdpRing<T> {
    producer: NonNull<AtomicU32>,
    consumer: NonNull<AtomicU32>,
    flags: NonNull<AtomicU32>,
    slots: NonNull<T>,
    len: u32,
    _mapping: Arc<Mapping>,
    _slots: PhantomData<T>,
}

// SAFETY: the pointers lead into the mapping that the value itself keeps alive; the indices are
// atomics, and slots are touched only by the end whose turn the indices say it is.
unsafe impl<T: Slot + Send> Send for XdpRing<T> {}

impl<T: Slot> XdpRing<T> {
    fn new(mapping: Arc<Mapping>, layout: Layout, len: u32) -> Self {
        assert!(len.is_power_of_two(), "ring lengths are powers of two");
        Self {
            producer: mapping.at(layout.producer, 1),
            consumer: mapping.at(layout.consumer, 1),
            flags: mapping.at(layout.flags, 1),
            slots: mapping.at(layout.slots, len as usize),
            len,
            _mapping: mapping,
            _slots: PhantomData,
        }
    }

    #[inline]
    const fn producer(&self) -> &AtomicU32 {
        // SAFETY: `new` got the pointer from `Mapping::at`, so it is in bounds and aligned, and the
        // mapping lives as long as `self`; an AtomicU32 may be shared with the kernel.
        unsafe { self.producer.as_ref() }
    }

    #[inline]
    const fn consumer(&self) -> &AtomicU32 {
        // SAFETY: as for `producer`.
        unsafe { self.consumer.as_ref() }
    }

    #[inline]
    const fn flags(&self) -> &AtomicU32 {
        // SAFETY: as for `producer`.
        unsafe { self.flags.as_ref() }
    }

    #[inline]
    const fn slot(&self, index: u32) -> NonNull<T> {
        // SAFETY: the masked index is below `len`, for which `new` has had the bounds checked.
        unsafe { self.slots.add((index & (self.len - 1)) as usize) }
    }
}

/// The producing end: the worker's of a fill ring, the kernel's of an RX ring.
#[derive(Debug)]
pub(crate) struct ProducerRing<T> {
    memory: XdpRing<T>,
    cursor: Producing,
}

impl<T: Slot> ProducerRing<T> {
    /// Makes the end of a ring of `len` slots (a power of two) at `layout` in `mapping`. There must
    /// be only one.
    pub(crate) fn new(mapping: Arc<Mapping>, layout: Layout, len: u32) -> Self {
        let memory = XdpRing::new(mapping, layout, len);
        let cursor = Producing::new(len, memory.producer(), memory.consumer());
        Self { memory, cursor }
    }

    /// Returns the number of slots.
    pub(crate) const fn len(&self) -> u32 {
        self.memory.len
    }

    /// Returns the number of slots that can be written, at least `want` if the ring has them.
    #[inline]
    pub(crate) fn free(&mut self, want: u32) -> u32 {
        self.cursor.free(want, self.memory.consumer())
    }

    /// Asks `next` for values until it has none or the ring is full, and submits them with one
    /// store. Returns their number. `want` is how many the caller would like to submit.
    #[inline]
    pub(crate) fn submit(&mut self, want: u32, mut next: impl FnMut() -> Option<T>) -> u32 {
        let free = self.free(want);
        let mut count = 0;
        while count < free.min(want) {
            let Some(value) = next() else { break };
            let slot = self.memory.slot(self.cursor.index(count));
            // SAFETY: `slot` is in bounds; its index is one of the `free` that follow the submitted
            // ones, which the consumer has released and does not touch until `submit` below.
            unsafe { slot.write(value) };
            count += 1;
        }
        if count > 0 {
            self.cursor.submit(count, self.memory.producer());
        }
        count
    }

    /// Returns whether the kernel has asked to be woken up when there is something in the ring
    /// (`XDP_RING_NEED_WAKEUP`).
    #[inline]
    pub(crate) fn needs_wakeup(&self) -> bool {
        self.memory.flags().load(Ordering::Relaxed) & libc::XDP_RING_NEED_WAKEUP != 0
    }
}

/// The consuming end: the worker's of an RX ring, the kernel's of a fill ring.
#[derive(Debug)]
pub(crate) struct ConsumerRing<T> {
    memory: XdpRing<T>,
    cursor: Consuming,
}

impl<T: Slot> ConsumerRing<T> {
    /// Makes the end of a ring of `len` slots (a power of two) at `layout` in `mapping`. There must
    /// be only one.
    pub(crate) fn new(mapping: Arc<Mapping>, layout: Layout, len: u32) -> Self {
        let memory = XdpRing::new(mapping, layout, len);
        let cursor = Consuming::new(len, memory.producer(), memory.consumer());
        Self { memory, cursor }
    }

    /// Returns the number of slots.
    pub(crate) const fn len(&self) -> u32 {
        self.memory.len
    }

    /// Returns the number of slots that can be read.
    #[inline]
    pub(crate) fn available(&mut self) -> u32 {
        self.cursor.available(self.memory.producer())
    }

    /// Returns whether `count` slots can be read.
    pub(crate) fn has(&mut self, count: u32) -> bool {
        self.cursor.has(count, self.memory.producer())
    }

    /// Hands up to `max` values to `take`, in order, and releases them with one store. Returns
    /// their number.
    #[inline]
    pub(crate) fn consume(&mut self, max: u32, mut take: impl FnMut(T)) -> u32 {
        let count = self.available().min(max);
        for nth in 0..count {
            let slot = self.memory.slot(self.cursor.index(nth));
            // SAFETY: `slot` is in bounds; its index is one of those that the producer has
            // submitted and does not touch until `release` below; `T` is valid for every bit
            // pattern.
            take(unsafe { slot.read() });
        }
        if count > 0 {
            self.cursor.release(count, self.memory.consumer());
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(len: u32, start: u32) -> (ProducerRing<u64>, ConsumerRing<u64>) {
        let mapping = Arc::new(Mapping::anonymous(Layout::PLAIN.bytes::<u64>(len)).unwrap());
        for offset in [Layout::PLAIN.producer, Layout::PLAIN.consumer] {
            let index = mapping.at::<AtomicU32>(offset, 1);
            // SAFETY: in bounds, aligned, and alive until `mapping` is dropped at the end of the
            // test.
            unsafe { index.as_ref() }.store(start, Ordering::Relaxed);
        }
        (
            ProducerRing::new(mapping.clone(), Layout::PLAIN, len),
            ConsumerRing::new(mapping, Layout::PLAIN, len),
        )
    }

    #[test]
    fn values_come_out_in_order_across_the_wrap_of_the_index() {
        let (mut producer, mut consumer) = pair(8, u32::MAX - 3);
        let mut next = 0..;
        let mut seen = Vec::new();
        for _ in 0..5 {
            assert_eq!(producer.submit(5, || next.next()), 5);
            assert_eq!(consumer.consume(u32::MAX, |value| seen.push(value)), 5);
        }
        assert_eq!(seen, (0..25).collect::<Vec<u64>>());
    }

    #[test]
    fn a_full_ring_takes_no_more_and_asks_for_no_more() {
        let (mut producer, mut consumer) = pair(4, 0);
        let mut asked = 0;
        let count = producer.submit(10, || {
            asked += 1;
            Some(7)
        });
        assert_eq!((count, asked), (4, 4));
        assert_eq!(producer.free(1), 0);
        assert_eq!(consumer.consume(1, drop), 1);
        assert_eq!(producer.free(1), 1);
    }

    #[test]
    fn two_threads_see_every_value_once_and_whole() {
        let (mut producer, mut consumer) = pair(64, u32::MAX - 100);
        let total: u64 = if cfg!(miri) { 500 } else { 200_000 };
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let mut next = 0..total;
                let mut sent = 0;
                while sent < total {
                    sent += u64::from(producer.submit(17, || next.next()));
                    std::hint::spin_loop();
                }
            });
            let mut expected = 0;
            while expected < total {
                consumer.consume(23, |value| {
                    assert_eq!(value, expected);
                    expected += 1;
                });
                std::thread::yield_now();
            }
        });
    }
}
