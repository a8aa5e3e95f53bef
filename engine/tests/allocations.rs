//! Neither the worker nor a consumer allocates for a frame.

#[path = "../benches/scenario/mod.rs"]
mod scenario;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use allocation_counter::{AllocationInfo, measure};
use scenario::Scenario;
use vxtap::internals::WorkerHarness;
use vxtap::ring::{Consumer, Next};

const FRAMES: u64 = 200_000;

/// Runs turns until `frames` frames have been processed.
fn work(harness: &mut WorkerHarness, frames: u64) {
    let mut done = 0;
    while done < frames {
        match harness.turn() {
            // The consumer has all chunks, and may share the CPU with this thread.
            0 => thread::yield_now(),
            count => done += u64::from(count),
        }
    }
}

/// Reads headers and times until told to stop; returns the number of frames.
fn consume(consumers: &mut [Consumer], is_over: &AtomicBool) -> u64 {
    let (mut frames, mut sum) = (0, 0_u64);
    while !is_over.load(Ordering::Relaxed) {
        for consumer in &mut *consumers {
            if let Next::Batch(batch) = consumer.next(Duration::ZERO) {
                for frame in &batch {
                    frames += 1;
                    sum ^= frame.timestamp_ns() ^ u64::from(frame.captured_len());
                    sum ^= frame.segments().map(|segment| u64::from(segment[12])).sum::<u64>();
                }
            }
        }
    }
    std::hint::black_box(sum);
    frames
}

/// Returns the allocations of the worker's thread and of the consumers' threads for [`FRAMES`]
/// frames.
fn allocations(scenario: Scenario) -> [AllocationInfo; 2] {
    let (mut harness, mut consumers) = scenario.harness();
    let is_over = AtomicBool::new(false);
    let mut consumed = 0;
    let both = thread::scope(|scope| {
        let reading = scope.spawn(|| measure(|| consumed = consume(&mut consumers, &is_over)));
        let worker = measure(|| work(&mut harness, FRAMES));
        is_over.store(true, Ordering::Relaxed);
        [worker, reading.join().expect("the consumer does not panic")]
    });
    assert!(
        consumed > FRAMES / 2,
        "{consumed} frames consumed of {FRAMES}: the consumer has to be measured too"
    );
    both
}

#[test]
fn the_counter_sees_an_allocation() {
    let info = measure(|| drop(std::hint::black_box(Box::new(1))));
    assert_eq!(info.count_total, 1);
}

#[test]
fn neither_worker_nor_consumer_allocates_for_a_frame() {
    let plain = Scenario { chunks: 4096, sessions: 1, outputs: 1, rules: 0 };
    let busy = Scenario { chunks: 4096, sessions: 1000, outputs: 3, rules: 1000 };
    for scenario in [plain, busy] {
        let nothing = AllocationInfo::default();
        assert_eq!(allocations(scenario), [nothing, nothing], "{scenario:?}");
    }
}
