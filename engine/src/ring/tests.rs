//! The ring against a queue, and by two threads.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use proptest::prelude::*;

use super::*;

mod attached;

use crate::xsk::{Chunk, FreeList, Geometry, Pages, RefCounts, Umem};

struct Bench {
    writer: Writer,
    reader: Reader,
    free: FreeList,
    refs: RefCounts,
}

fn bench(len: usize) -> Bench {
    let chunk_count = 2 * u32::try_from(len).unwrap();
    let (umem, free) = Umem::create(Geometry::new(2048, chunk_count), Pages::Ordinary).unwrap();
    let (writer, reader) =
        ring(len, Arc::new(umem), QueueId { queue: 3, ..QueueId::default() }).unwrap();
    Bench { writer, reader, free, refs: RefCounts::none(chunk_count) }
}

impl Bench {
    fn push(&mut self, number: u64) {
        let chunk = self.free.take().unwrap();
        let addr = self.writer.umem.address_of(&chunk) + 256;
        let chunk_ref = self.refs.publish(chunk, 1).take();
        self.writer.push_all([(
            &Descriptor { timestamp_ns: number, addr, ..Descriptor::default() },
            chunk_ref,
        )]);
    }

    fn reclaim(&mut self) {
        let Self { writer, refs, free, .. } = self;
        writer.reclaim(|chunk_ref| {
            refs.give_back(chunk_ref).into_iter().for_each(|chunk: Chunk| free.give(chunk));
        });
    }
}

#[test]
fn nothing_is_seen_before_it_is_published() {
    let mut bench = bench(4);
    bench.push(1);
    assert_eq!(bench.reader.available(), 0);
    bench.writer.publish();
    assert_eq!(bench.reader.available(), 1);
    assert_eq!(bench.reader.descriptor(0).timestamp_ns, 1);
    assert_eq!(bench.reader.queue_id().queue, 3);
}

#[test]
fn room_comes_back_only_with_the_chunks() {
    let mut bench = bench(2);
    bench.push(1);
    bench.push(2);
    bench.writer.publish();
    assert_eq!(bench.writer.room(), 0);
    assert_eq!(bench.reader.available(), 2);
    bench.reader.release(1);
    assert_eq!(bench.writer.room(), 0);
    bench.reclaim();
    assert!(bench.writer.room() > 0);
    assert_eq!((bench.free.len(), bench.refs.published()), (3, 1));
}

#[test]
#[should_panic(expected = "names bytes of its own chunk")]
fn a_descriptor_of_bytes_outside_its_chunk_is_refused() {
    let mut bench = bench(2);
    let chunk = bench.free.take().unwrap();
    let addr = bench.reader.umem.address_of(&chunk) + 2000;
    let chunk_ref = bench.refs.publish(chunk, 1).take();
    bench.writer.push_all([(&Descriptor { addr, len: 49, ..Descriptor::default() }, chunk_ref)]);
}

#[test]
fn a_tail_that_makes_no_sense_is_the_consumers_last_word() {
    for lie in [0, 3, u64::MAX] {
        let mut bench = bench(4);
        bench.push(1);
        bench.push(2);
        bench.writer.publish();
        bench.reader.available();
        bench.reader.release(1);
        bench.reclaim();
        let chunks = bench.free.len();
        bench.writer.memory.tail().store(lie, Ordering::Release);
        bench.reclaim();
        assert_eq!(bench.free.len(), chunks, "tail {lie} releases nothing");
        let peer_state = &bench.writer.peer_state;
        assert!(peer_state.has_invalid_tail() && peer_state.is_gone(), "tail {lie} is a lie");
        bench.reclaim();
        assert_eq!((bench.writer.outstanding(), bench.writer.unread()), (0, 1), "tail {lie}");
    }
}

#[test]
fn everything_comes_back_when_the_consumer_is_gone() {
    let mut bench = bench(4);
    bench.push(1);
    bench.push(2);
    bench.writer.publish();
    let Bench { mut writer, reader, mut free, mut refs } = bench;
    assert!(!writer.is_reader_gone());
    drop(reader);
    assert!(writer.is_reader_gone());
    writer.reclaim(|chunk_ref| {
        refs.give_back(chunk_ref).into_iter().for_each(|chunk| free.give(chunk));
    });
    assert_eq!((free.len(), refs.published(), writer.unread()), (8, 0, 2));
}

#[test]
fn a_reader_is_finished_when_the_writer_is_gone_and_all_is_read() {
    let mut bench = bench(4);
    bench.push(1);
    bench.writer.publish();
    let Bench { writer, mut reader, .. } = bench;
    drop(writer);
    assert!(!reader.is_finished());
    reader.release(1);
    assert!(reader.is_finished());
}

/// The other process's end of a shared ring, by the files that it is given.
fn shared_bench(len: u32) -> (Bench, RingFds) {
    let (umem, free) = Umem::create(Geometry::new(2048, 2 * len), Pages::Ordinary).unwrap();
    let queue_id = QueueId { interface: 1, queue: 3 };
    let (writer, ring_fds) = shared_ring(len, Arc::new(umem), queue_id).unwrap();
    let reader = open(&ring_fds.umem, &ring_fds.files).unwrap();
    (Bench { writer, reader, free, refs: RefCounts::none(2 * len) }, ring_fds)
}

#[test]
fn a_ring_that_is_handed_over_works_like_one_of_this_process() {
    let (mut bench, ring_fds) = shared_bench(4);
    let mut chunk = bench.free.take().unwrap();
    let addr = bench.writer.umem.address_of(&chunk) + 256;
    bench.writer.umem.bytes_mut(&mut chunk)[256..262].copy_from_slice(b"shared");
    let chunk_ref = bench.refs.publish(chunk, 1).take();
    bench.writer.push_all([(&Descriptor { addr, len: 6, ..Descriptor::default() }, chunk_ref)]);
    bench.writer.publish();
    assert_eq!(
        (bench.reader.available(), bench.reader.queue_id()),
        (1, QueueId { interface: 1, queue: 3 })
    );
    assert_eq!(bench.reader.segment(0).1, b"shared");
    bench.reader.release(1);
    bench.reclaim();
    assert_eq!(bench.writer.outstanding(), 0);
    bench.push(2);
    bench.writer.publish();
    assert!(!bench.writer.is_reader_gone(), "the other process cannot say so itself");
    ring_fds.peer_state.set_gone();
    bench.reclaim();
    assert_eq!((bench.free.len(), bench.writer.unread()), (8, 1));
    assert_eq!(bench.reader.available(), 0, "the engine has taken its memory back");
    assert!(bench.reader.is_finished());
}

#[test]
fn of_a_ring_that_is_closed_everything_published_can_be_read() {
    let (mut bench, _ring_fds) = shared_bench(4);
    bench.push(1);
    bench.push(2);
    bench.writer.publish();
    bench.writer.close();
    assert!(!bench.reader.is_finished());
    assert_eq!(bench.reader.available(), 2);
    bench.reader.release(2);
    assert!(bench.reader.is_finished());
}

#[test]
fn files_that_are_not_those_of_a_ring_are_refused() {
    let (_bench, RingFds { umem, files, peer_state: _ }) = shared_bench(4);
    let swapped =
        Files { ring: files.tail.try_clone().unwrap(), tail: files.tail.try_clone().unwrap() };
    let error = open(&umem, &swapped).unwrap_err();
    assert_eq!(error.to_string(), "the file is not a ring of vxtap's");
    let (_bench, long) = shared_bench(64);
    assert!(
        open(&umem, &long.files).unwrap_err().to_string().contains("too short"),
        "the UMEM is another ring's"
    );
}

#[test]
fn two_threads_pass_every_descriptor_once_in_order() {
    let total: u64 = 100_000;
    let mut bench = bench(64);
    let (_, placeholder) = ring(1, bench.reader.umem.clone(), QueueId::default()).unwrap();
    let mut reader = std::mem::replace(&mut bench.reader, placeholder);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut expected = 0;
            while expected < total {
                let count = reader.available();
                for nth in 0..count {
                    assert_eq!(reader.descriptor(nth).timestamp_ns, expected);
                    expected += 1;
                }
                reader.release(count);
                std::thread::yield_now();
            }
        });
        for number in 0..total {
            while bench.writer.room() == 0 {
                bench.writer.publish();
                bench.reclaim();
                std::hint::spin_loop();
            }
            bench.push(number);
        }
        bench.writer.publish();
    });
}

proptest! {
    /// Random turns of both sides agree with a queue, and no chunk is lost.
    #[test]
    fn any_sequence_of_turns_agrees_with_a_queue(
        len_log2 in 0_u32..5, turns in prop::collection::vec(0_u8..4, 1..300),
    ) {
        let mut bench = bench(1 << len_log2);
        let chunks = bench.free.len();
        let (mut model, mut pushed, mut visible, mut next) = (VecDeque::new(), 0_u64, 0_u64, 0_u64);
        for turn in turns {
            match turn {
                0 if bench.writer.room() > 0 => {
                    bench.push(pushed);
                    model.push_back(pushed);
                    pushed += 1;
                }
                1 => {
                    bench.writer.publish();
                    visible = pushed;
                }
                2 => {
                    let available = bench.reader.available();
                    prop_assert!(available <= visible - next);
                    prop_assert_eq!(available == 0, visible == next);
                    if available > 0 {
                        prop_assert_eq!(Some(bench.reader.descriptor(0).timestamp_ns), model.pop_front());
                        bench.reader.release(1);
                        next += 1;
                    }
                }
                _ => bench.reclaim(),
            }
            prop_assert_eq!(bench.free.len() + bench.refs.published() as usize, chunks);
            prop_assert!(bench.writer.outstanding() as u64 >= pushed - next);
        }
    }
}
