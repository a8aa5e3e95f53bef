//! The consumer and its rings: turns, order in time, the end.

use super::*;
use crate::ring::{Descriptor, QueueId, Writer, ring};
use crate::xsk::{FreeList, Geometry, Pages, RefCounts, Umem};

fn push(writer: &mut Writer, umem: &Umem, free: &mut FreeList, refs: &mut RefCounts) {
    push_at(writer, umem, free, refs, 0);
}

fn queue(next: &Next<'_>) -> Option<u32> {
    match next {
        Next::Batch(batch) => batch.iter().next().map(|frame| frame.queue()),
        Next::Idle | Next::Closed => None,
    }
}

#[test]
fn the_rings_take_turns_and_the_end_comes_when_all_writers_are_gone() {
    let (umem, mut free) = Umem::create(Geometry::new(2048, 1024), Pages::Ordinary).unwrap();
    let (umem, mut refs) = (Arc::new(umem), RefCounts::none(1024));
    let (mut zero, zero_reader) = ring(512, umem.clone(), QueueId::default()).unwrap();
    let (mut one, one_reader) =
        ring(512, umem.clone(), QueueId { queue: 1, ..QueueId::default() }).unwrap();
    let mut consumer = Consumer::new(vec![zero_reader, one_reader]);
    assert!(matches!(consumer.next(Duration::ZERO), Next::Idle));
    push(&mut zero, &umem, &mut free, &mut refs);
    for _ in 0..300 {
        push(&mut one, &umem, &mut free, &mut refs);
    }
    // The second ring, which is looked at first, has more than one batch takes.
    let turns = [(); 3].map(|()| queue(&consumer.next(Duration::ZERO)));
    assert_eq!(turns, [Some(1), Some(0), Some(1)]);
    drop(zero);
    assert!(matches!(consumer.next(Duration::ZERO), Next::Idle), "one writer is left");
    push(&mut one, &umem, &mut free, &mut refs);
    drop(one);
    assert_eq!(queue(&consumer.next(Duration::ZERO)), Some(1));
    assert!(matches!(consumer.next(Duration::ZERO), Next::Closed));
}

/// Pushes a frame that arrived at `time_ns`.
fn push_at(
    writer: &mut Writer,
    umem: &Umem,
    free: &mut FreeList,
    refs: &mut RefCounts,
    time_ns: u64,
) {
    let chunk = free.take().unwrap();
    let addr = umem.address_of(&chunk) + 256;
    let chunk_ref = refs.publish(chunk, 1).take();
    writer.push_all([(
        &Descriptor { addr, len: 1, timestamp_ns: time_ns, ..Descriptor::default() },
        chunk_ref,
    )]);
    writer.publish();
}

/// Times of what comes next; nothing if there is nothing.
fn times(next: &Next<'_>) -> Vec<u64> {
    match next {
        Next::Batch(batch) => batch.iter().map(|frame| frame.timestamp_ns()).collect(),
        Next::Idle | Next::Closed => Vec::new(),
    }
}

#[test]
fn within_the_window_frames_of_several_rings_come_in_the_order_of_their_times() {
    let (umem, mut free) = Umem::create(Geometry::new(2048, 1024), Pages::Ordinary).unwrap();
    let (umem, mut refs) = (Arc::new(umem), RefCounts::none(1024));
    let (mut zero, zero_reader) = ring(64, umem.clone(), QueueId::default()).unwrap();
    let (mut one, one_reader) =
        ring(64, umem.clone(), QueueId { queue: 1, ..QueueId::default() }).unwrap();
    let mut consumer = Consumer::new(vec![zero_reader, one_reader]);
    consumer.order_within(Duration::from_secs(3600));
    let now = utc_ns() + 1_800_000_000_000;
    for time in [1, 4, 6] {
        push_at(&mut zero, &umem, &mut free, &mut refs, now + time);
    }
    assert_eq!(
        times(&consumer.next(Duration::ZERO)),
        [0; 0],
        "the other ring may have earlier ones"
    );
    for time in [2, 3, 5] {
        push_at(&mut one, &umem, &mut free, &mut refs, now + time);
    }
    // It is not known yet if something comes behind 5.
    assert_eq!(times(&consumer.next(Duration::ZERO)), [1, 2, 3, 4, 5].map(|time| now + time));
    assert_eq!(times(&consumer.next(Duration::ZERO)), [0; 0]);
    // A ring that is half full is not kept waiting, and what comes too late is counted.
    for time in 7..38 {
        push_at(&mut zero, &umem, &mut free, &mut refs, now + time);
    }
    assert_eq!(times(&consumer.next(Duration::ZERO)).len(), 32);
    push_at(&mut one, &umem, &mut free, &mut refs, now + 8);
    drop(zero);
    assert_eq!(times(&consumer.next(Duration::ZERO)), [now + 8]);
    assert_eq!(consumer.out_of_order(), 1);
    push_at(&mut one, &umem, &mut free, &mut refs, now + 40);
    drop(one);
    assert_eq!(times(&consumer.next(Duration::ZERO)), [now + 40]);
    assert!(matches!(consumer.next(Duration::ZERO), Next::Closed));
}

#[test]
fn a_frame_waits_for_no_queue_that_has_shown_a_later_one() {
    let (umem, mut free) = Umem::create(Geometry::new(2048, 64), Pages::Ordinary).unwrap();
    let (umem, mut refs) = (Arc::new(umem), RefCounts::none(64));
    let (mut zero, zero_reader) = ring(32, umem.clone(), QueueId::default()).unwrap();
    let (mut one, one_reader) = ring(32, umem.clone(), QueueId::default()).unwrap();
    let mut consumer = Consumer::new(vec![zero_reader, one_reader]);
    consumer.order_within(Duration::from_secs(3600));
    let now = utc_ns() + 1_800_000_000_000;
    push_at(&mut zero, &umem, &mut free, &mut refs, now + 1);
    push_at(&mut one, &umem, &mut free, &mut refs, now + 9);
    assert_eq!(times(&consumer.next(Duration::ZERO)), [now + 1]);
    for time in [5, 9, 10] {
        push_at(&mut zero, &umem, &mut free, &mut refs, now + time);
    }
    assert_eq!(times(&consumer.next(Duration::ZERO)), [5, 9, 9].map(|time| now + time));
    push_at(&mut zero, &umem, &mut free, &mut refs, now + 11);
    assert_eq!(times(&consumer.next(Duration::ZERO)), [0; 0], "9 is the last of the other");
    assert_eq!(consumer.out_of_order(), 0);
}

#[test]
fn a_frame_waits_no_longer_than_the_window() {
    const WINDOW: Duration = Duration::from_millis(20);
    let (umem, mut free) = Umem::create(Geometry::new(2048, 64), Pages::Ordinary).unwrap();
    let (umem, mut refs) = (Arc::new(umem), RefCounts::none(64));
    let (mut zero, zero_reader) = ring(32, umem.clone(), QueueId::default()).unwrap();
    let (_one, one_reader) = ring(32, umem.clone(), QueueId::default()).unwrap();
    let mut consumer = Consumer::new(vec![zero_reader, one_reader]);
    consumer.order_within(WINDOW);
    let begin = Instant::now();
    push_at(&mut zero, &umem, &mut free, &mut refs, utc_ns());
    assert_eq!(times(&consumer.next(Duration::from_secs(5))).len(), 1);
    assert!(begin.elapsed() >= WINDOW && begin.elapsed() < Duration::from_secs(4));
}

#[test]
fn a_ring_that_comes_later_is_read_like_the_others() {
    let (umem, mut free) = Umem::create(Geometry::new(2048, 8), Pages::Ordinary).unwrap();
    let (umem, mut refs) = (Arc::new(umem), RefCounts::none(8));
    let (_zero, zero_reader) = ring(4, umem.clone(), QueueId::default()).unwrap();
    let (mut one, one_reader) =
        ring(4, umem.clone(), QueueId { queue: 1, ..QueueId::default() }).unwrap();
    let mut consumer = Consumer::new(vec![zero_reader]);
    push(&mut one, &umem, &mut free, &mut refs);
    assert!(matches!(consumer.next(Duration::ZERO), Next::Idle));
    let new_rings = Arc::downgrade(consumer.new_rings());
    new_rings.upgrade().unwrap().put(one_reader);
    assert_eq!(queue(&consumer.next(Duration::ZERO)), Some(1));
    drop(consumer);
    assert!(new_rings.upgrade().is_none());
    assert!(one.is_reader_gone());
}
