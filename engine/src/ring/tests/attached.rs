//! The ring of another process: what it hands out does not change, whatever the engine does.

use std::thread;

use super::*;

/// Fills a chunk and pushes one part of a frame, in front of which `outer_len` bytes lie.
fn push_part(bench: &mut Bench, byte: u8, len: u32, outer_len: u16, continues: bool) {
    let mut chunk = bench.free.take().unwrap();
    bench.writer.umem.bytes_mut(&mut chunk).fill(byte);
    let addr = bench.writer.umem.address_of(&chunk) + 256 + u64::from(outer_len);
    let chunk_ref = bench.refs.publish(chunk, 1).take();
    let flags = if continues { Descriptor::CONTINUES } else { 0 };
    let descriptor = Descriptor { addr, len, outer_len, flags, ..Descriptor::default() };
    bench.writer.push_all([(&descriptor, chunk_ref)]);
}

/// Overwrites all chunks that are free.
fn scribble(bench: &mut Bench) {
    let mut chunks = Vec::new();
    while let Some(mut chunk) = bench.free.take() {
        bench.writer.umem.bytes_mut(&mut chunk).fill(0xee);
        chunks.push(chunk);
    }
    for chunk in chunks {
        bench.free.give(chunk);
    }
}

#[test]
fn a_frame_stays_as_it_was_when_the_engine_takes_its_memory_back() {
    let (mut bench, ring_fds) = shared_bench(4);
    push_part(&mut bench, 7, 1000, 50, false);
    bench.writer.publish();
    assert_eq!(bench.reader.available(), 1);
    push_part(&mut bench, 8, 1000, 50, false);
    bench.writer.publish();
    ring_fds.peer_state.set_gone();
    bench.reclaim();
    scribble(&mut bench);
    assert_eq!(bench.reader.segment(0).1, [7; 1000]);
    assert_eq!(bench.reader.outer(0), [7; 50]);
    bench.reader.release(1);
    assert_eq!(bench.reader.available(), 0, "the other one is lost");
    assert!(bench.reader.is_finished());
}

#[test]
fn no_frame_is_handed_out_that_changed_while_it_was_copied() {
    for round in 0..300_u64 {
        let (mut bench, ring_fds) = shared_bench(64);
        let (_, placeholder) = ring(1, bench.writer.umem.clone(), QueueId::default()).unwrap();
        let mut reader = std::mem::replace(&mut bench.reader, placeholder);
        thread::scope(|scope| {
            scope.spawn(move || {
                let mut frames = 0;
                while !reader.is_finished() {
                    for nth in 0..reader.available() {
                        let bytes = reader.segment(nth).1;
                        assert!(bytes.iter().all(|byte| *byte == 1), "frame {frames} changed");
                        frames += 1;
                    }
                    reader.release(reader.peeked());
                }
            });
            for _ in 0..round % 50 {
                if bench.writer.room() > 0 && bench.free.len() > 0 {
                    push_part(&mut bench, 1, 1500, 0, false);
                    bench.writer.publish();
                }
                bench.reclaim();
            }
            ring_fds.peer_state.set_gone();
            bench.reclaim();
            scribble(&mut bench);
            bench.writer.close();
        });
    }
}

proptest! {
    /// Frames of any lengths, in one part or several, arrive whole, whenever they are released.
    #[test]
    fn frames_of_any_shape_are_copied_whole(
        frames in prop::collection::vec((1_u32..1700, 0_u16..80, 1_u8..5), 1..200),
        turns in prop::collection::vec((1_u64..12, 0_u64..12), 1..50),
    ) {
        let (mut bench, _ring_fds) = shared_bench(16);
        let (mut pushed, mut read, mut turns) = (0, 0, turns.into_iter().cycle());
        while read < frames.len() {
            let (push, release) = turns.next().unwrap_or_default();
            for _ in 0..push {
                let Some(&(len, outer_len, parts)) = frames.get(pushed) else { break };
                bench.reclaim();
                if bench.writer.room() < usize::from(parts) {
                    break;
                }
                for part in 0..parts {
                    let outer_len = if part == 0 { outer_len } else { 0 };
                    let byte = u8::try_from(pushed % 200).unwrap() + part;
                    push_part(&mut bench, byte, len, outer_len, part + 1 < parts);
                }
                pushed += 1;
            }
            bench.writer.publish();
            let available = bench.reader.available();
            let mut nth = 0;
            for _ in 0..=release {
                if nth == available {
                    break;
                }
                let (len, outer_len, parts) = frames[read];
                prop_assert_eq!(bench.reader.outer(nth).len(), usize::from(outer_len));
                for part in 0..parts {
                    let (descriptor, bytes) = bench.reader.segment(nth);
                    let byte = u8::try_from(read % 200).unwrap() + part;
                    prop_assert!(bytes.len() == len as usize && bytes.iter().all(|it| *it == byte));
                    prop_assert_eq!(descriptor.continues(), part + 1 < parts);
                    nth += 1;
                }
                read += 1;
            }
            bench.reader.release(nth);
        }
    }
}
