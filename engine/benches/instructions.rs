//! A worker and its consumers on one thread, whose instructions callgrind counts.
//!
//! `cargo xtask bench --micro` runs it once for each scenario of `ceilings.toml`, and searches the
//! output for the names of the functions here and in the worker.

mod scenario;

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Duration;

use scenario::Scenario;
use vxtap::internals::WorkerHarness;
use vxtap::ring::{Consumer, Next};

/// Uncounted turns, until each chunk has been used once and lists and caches are in their steady
/// state.
const TURNS_BEFORE: u32 = 256;
/// Counted turns, with a batch of 64 frames each.
const TURNS: u32 = 3125;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(scenario) = scenario(&arguments) else {
        eprintln!(
            "this is counted by `cargo xtask bench --micro`; arguments: SESSIONS OUTPUTS RULES"
        );
        return ExitCode::SUCCESS;
    };
    let (mut harness, mut consumers) = scenario.harness();
    warm_up(&mut harness, &mut consumers);
    let frames = measured(&mut harness, &mut consumers);
    report(frames);
    ExitCode::SUCCESS
}

fn scenario(arguments: &[String]) -> Option<Scenario> {
    let [sessions, outputs, rules] = arguments else { return None };
    Some(Scenario {
        chunks: 4096,
        sessions: sessions.parse().ok()?,
        outputs: outputs.parse().ok()?,
        rules: rules.parse().ok()?,
    })
}

#[inline(never)]
fn warm_up(harness: &mut WorkerHarness, consumers: &mut [Consumer]) {
    for _ in 0..TURNS_BEFORE {
        harness.turn();
        drain(consumers);
    }
}

/// Runs the counted turns; callgrind collects in this function. Returns the number of frames.
#[inline(never)]
fn measured(harness: &mut WorkerHarness, consumers: &mut [Consumer]) -> u64 {
    let mut frames = 0;
    for _ in 0..TURNS {
        frames += u64::from(harness.turn());
        drain(consumers);
    }
    frames
}

/// Does the least work of a consumer: reads a byte of each frame and releases the batch.
#[inline(never)]
fn drain(consumers: &mut [Consumer]) {
    let mut sum = 0;
    for consumer in consumers {
        if let Next::Batch(batch) = consumer.next(Duration::ZERO) {
            let firsts = batch.iter().filter_map(|frame| frame.segments().next()?.first().copied());
            sum += firsts.map(u64::from).sum::<u64>();
        }
    }
    black_box(sum);
}

#[expect(clippy::print_stdout, reason = "read by the counting program")]
fn report(frames: u64) {
    println!("{frames}");
}
