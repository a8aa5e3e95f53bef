//! The whole worker over rings that replay traffic, with a consumer on another CPU that reads the
//! first line of each frame and releases it. The time is per frame from receive to release.
//!
//! Worker and consumer are pinned to the first two CPUs that this process may use; on a machine
//! with one CPU the figures are meaningless.

mod scenario;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use core_affinity::CoreId;
use criterion::{
    BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use scenario::Scenario;
use vxtap::internals::WorkerHarness;
use vxtap::ring::{Consumer, Next};

/// Frames before the first timed one, so that each chunk has been used several times.
const FRAMES_BEFORE: u64 = 131_072;

/// The consumer's thread, and its stop flag.
struct Reading {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Reading {
    fn start(mut consumers: Vec<Consumer>, cpu: Option<CoreId>) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let over = is_over.clone();
        let thread = thread::spawn(move || {
            cpu.map(core_affinity::set_for_current);
            let mut sum = 0;
            while !over.load(Ordering::Relaxed) {
                sum += consumers.iter_mut().map(read).sum::<u64>();
            }
            sum
        });
        Self { is_over, thread }
    }

    fn end(self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().expect("the consumer does not panic");
    }
}

/// Reads what is there.
fn read(consumer: &mut Consumer) -> u64 {
    let Next::Batch(batch) = consumer.next(Duration::ZERO) else { return 0 };
    batch.iter().filter_map(|frame| frame.segments().next()?.get(12).copied()).map(u64::from).sum()
}

/// Runs turns until `count` frames have been processed, and returns the time of `count` frames. A
/// turn that finds no frame, because the consumer has all chunks, takes time and does not count.
#[expect(clippy::cast_precision_loss, reason = "fewer frames than a float is exact for")]
fn time(harness: &mut WorkerHarness, count: u64) -> Duration {
    let (start, mut done) = (Instant::now(), 0);
    while done < count {
        done += u64::from(harness.turn());
    }
    start.elapsed().mul_f64(count as f64 / done as f64)
}

fn bench(
    criterion: &mut Criterion,
    cpu: Option<CoreId>,
    name: &str,
    parameter: u32,
    scenario: Scenario,
) {
    let (mut harness, consumers) = scenario.harness();
    let reading = Reading::start(consumers, cpu);
    time(&mut harness, FRAMES_BEFORE);
    let mut group = criterion.benchmark_group("worker");
    group.throughput(Throughput::Elements(1)).sampling_mode(SamplingMode::Flat);
    group.bench_function(BenchmarkId::new(name, parameter), |bench| {
        bench.iter_custom(|count| time(&mut harness, count));
    });
    group.finish();
    reading.end();
    let total = harness.finish().total;
    assert_eq!(total.received.frames, total.delivered.frames, "each frame went all the way");
}

/// One session, one output and no rules: the base that all others are compared with.
const PLAIN: Scenario = Scenario { chunks: 4096, sessions: 1, outputs: 1, rules: 0 };

fn worker(criterion: &mut Criterion) {
    // Asked before this thread is pinned: a pinned thread may use no other CPU.
    let cpus = core_affinity::get_core_ids().unwrap_or_default();
    cpus.first().copied().map(core_affinity::set_for_current);
    let mut bench = {
        let cpu = cpus.get(1).copied();
        move |name, parameter, scenario| bench(criterion, cpu, name, parameter, scenario)
    };
    for chunks in [512, 4096, 16_384] {
        bench("chunks", chunks, Scenario { chunks, ..PLAIN });
    }
    for sessions in [100, 10_000] {
        bench("sessions", sessions, Scenario { sessions, ..PLAIN });
    }
    bench("outputs", 3, Scenario { outputs: 3, ..PLAIN });
    for rules in [10, 1000] {
        bench("rules", rules, Scenario { rules, ..PLAIN });
    }
    let all = Scenario { sessions: 10_000, outputs: 3, rules: 10, ..PLAIN };
    bench("all", 10_000, all);
}

criterion_group!(benches, worker);
criterion_main!(benches);
