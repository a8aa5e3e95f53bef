//! Each stage of the data path alone, on one thread. Times are per frame.

#[path = "scenario/filters.rs"]
mod filters;
#[path = "scenario/mirrored_frames.rs"]
mod mirrored_frames;

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mirrored_frames::mirrored;
use vxtap::internals::{FlowHash, Ring, Rules, SessionLookup, decap};
use vxtap::outputs::pcapng::{CaptureWriter, FrameKey, PcapngFile};
use vxtap::session::Vni;

/// Frames that a bench repeats; with outer headers and neighbours they fit a second-level cache.
const FRAMES: usize = 1024;

/// Calls `work` with `items` in order, repeated `count` times in all. Returns the time of the
/// calls.
fn time<T>(count: u64, items: &[T], mut work: impl FnMut(&T)) -> Duration {
    let start = Instant::now();
    (0..count).zip(items.iter().cycle()).for_each(|(_, item)| work(item));
    start.elapsed()
}

/// Inner frames of 100 bytes.
fn inner_frames() -> Vec<Vec<u8>> {
    let (frames, _) = mirrored(FRAMES, 100, 1);
    let inner = |frame: &Vec<u8>| frame[decap(frame).expect("mirrored")].to_vec();
    frames.iter().map(inner).collect()
}

fn tunnel(criterion: &mut Criterion) {
    let (frames, _) = mirrored(FRAMES, 100, 1);
    let mut group = criterion.benchmark_group("decap");
    group.throughput(Throughput::Elements(1));
    group.bench_function("vxlan", |bench| {
        bench.iter_custom(|count| {
            time(count, &frames, |frame| {
                black_box(decap(black_box(frame)));
            })
        });
    });
}

fn session_lookup(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("session_lookup");
    group.throughput(Throughput::Elements(1));
    for count in [1, 100, 10_000] {
        let (frames, declared) = mirrored(FRAMES, 100, count);
        let sessions = SessionLookup::new(&declared);
        let pair = |frame: &Vec<u8>| {
            let source = frame[26..30].try_into().expect("an outer IPv4 header");
            let vni = u32::from_be_bytes([0, frame[46], frame[47], frame[48]]);
            (source, Vni::new(vni).expect("24 bits"))
        };
        let pairs: Vec<_> = frames.iter().map(pair).collect();
        assert!(
            pairs.iter().all(|&(source, vni)| sessions.find(source, vni) > 0),
            "all are declared"
        );
        group.bench_function(BenchmarkId::from_parameter(count), |bench| {
            bench.iter_custom(|count| {
                time(count, &pairs, |&(source, vni)| {
                    black_box(sessions.find(black_box(source), vni));
                })
            });
        });
    }
}

/// The compiled rules beside a linear search of the same rules.
fn filter(criterion: &mut Criterion) {
    let frames = inner_frames();
    let mut group = criterion.benchmark_group("filter");
    group.throughput(Throughput::Elements(1));
    for count in [10, 100, 1000] {
        let rules = Rules::new(&filters::filter(count), &filters::eni(0));
        assert!(frames.iter().all(|frame| rules.accept(frame)), "the last rule accepts all");
        group.bench_function(BenchmarkId::new("compiled", count), |bench| {
            bench.iter_custom(|count| {
                time(count, &frames, |frame| {
                    black_box(rules.accept(black_box(frame)));
                })
            });
        });
        group.bench_function(BenchmarkId::new("one_by_one", count), |bench| {
            bench.iter_custom(|count| {
                time(count, &frames, |frame| {
                    black_box(rules.accept_one_by_one(black_box(frame)));
                })
            });
        });
    }
}

fn hash(criterion: &mut Criterion) {
    let (frames, hash) = (inner_frames(), FlowHash { seed: 7 });
    let mut group = criterion.benchmark_group("hash");
    group.throughput(Throughput::Elements(1));
    group.bench_function("flow", |bench| {
        bench.iter_custom(|count| {
            time(count, &frames, |frame| {
                black_box(hash.of(1, black_box(frame)));
            })
        });
    });
}

/// One of three phases of a frame's way through an output ring; the other two are not timed.
#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Publish,
    Consume,
    Release,
}

fn ring(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ring");
    group.throughput(Throughput::Elements(1));
    let phases =
        [("publish", Phase::Publish), ("consume", Phase::Consume), ("release", Phase::Release)];
    for (name, phase) in phases {
        let mut ring = Ring::new(RING_LEN);
        group.bench_function(name, |bench| {
            bench.iter_custom(|count| time_phase(&mut ring, phase, count));
        });
    }
}

const RING_LEN: u32 = 4096;

/// Fills and empties the whole ring as often as `count` frames need, in batches of 64, and returns
/// the time of one phase, scaled to `count` frames.
fn time_phase(ring: &mut Ring, timed: Phase, count: u64) -> Duration {
    let rounds = count.div_ceil(u64::from(RING_LEN));
    let mut spent = Duration::ZERO;
    let mut add = |phase, start: Instant| {
        if phase == timed {
            spent += start.elapsed();
        }
    };
    for _ in 0..rounds {
        let start = Instant::now();
        while ring.publish(64) > 0 {}
        add(Phase::Publish, start);
        let start = Instant::now();
        while ring.consume().0 > 0 {}
        add(Phase::Consume, start);
        let start = Instant::now();
        black_box(ring.reclaim());
        add(Phase::Release, start);
    }
    per_count(spent, rounds * u64::from(RING_LEN), count)
}

/// Time of `count` frames if `done` frames took `spent`.
#[expect(clippy::cast_precision_loss, reason = "fewer frames than a float is exact for")]
fn per_count(spent: Duration, done: u64, count: u64) -> Duration {
    spent.mul_f64(count as f64 / done as f64)
}

fn pcapng_write(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pcapng_write");
    for len in [64, 1400] {
        let frames: Vec<Vec<u8>> = (0..FRAMES).map(|_| vec![7; len]).collect();
        let file = PcapngFile::create("/dev/null", Instant::now()).expect("/dev/null is writable");
        let mut writer = CaptureWriter::new(file, &[]).expect("nothing fails there");
        let key = FrameKey {
            session: 0,
            source: [10, 0, 0, 1].into(),
            vni: 100,
            direction: None,
            link: vxtap::ring::Link::Ethernet,
        };
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::from_parameter(len), |bench| {
            bench.iter_custom(|count| {
                time(count, &frames, |frame| {
                    let original_len = u32::try_from(frame.len()).unwrap_or(u32::MAX);
                    let segments = std::iter::once(&frame[..]);
                    writer
                        .packet(key, 1_700_000_000_000_000_000, original_len, segments)
                        .expect("no error");
                })
            });
        });
    }
}

criterion_group!(benches, tunnel, session_lookup, filter, hash, ring, pcapng_write);
criterion_main!(benches);
