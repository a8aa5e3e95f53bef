//! What callgrind counts the instructions of: a worker and its consumers on one thread.
//!
//! `cargo xtask bench --micro` runs it, once for each scenario of `ceilings.toml`, and looks for
//! the names of the functions here and in the worker.

mod scenario;

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Duration;

use scenario::Scenario;
use vxtap::internals::WorkerHarness;
use vxtap::ring::{Consumer, Next};

/// Turns that are not counted: until each chunk has gone round, lists and caches are not as they
/// will be.
const TURNS_BEFORE: u32 = 256;
/// Turns that are counted, with a batch of 64 frames each.
const TURNS: u32 = 3125;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(scenario) = scenario(&arguments) else {
        eprintln!(
            "this is counted by `cargo xtask bench --micro`; arguments: SESSIONS OUTPUTS RULES"
        );
        return ExitCode::SUCCESS;
    };
    let (mut rig, mut consumers) = scenario.rig();
    warm_up(&mut rig, &mut consumers);
    let frames = measured(&mut rig, &mut consumers);
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
fn warm_up(rig: &mut WorkerHarness, consumers: &mut [Consumer]) {
    for _ in 0..TURNS_BEFORE {
        rig.turn();
        drain(consumers);
    }
}

/// Collection is on in here. Returns the number of frames.
#[inline(never)]
fn measured(rig: &mut WorkerHarness, consumers: &mut [Consumer]) -> u64 {
    let mut frames = 0;
    for _ in 0..TURNS {
        frames += u64::from(rig.turn());
        drain(consumers);
    }
    frames
}

/// The least that a consumer does: reads a byte of each frame and gives the batch back.
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

#[expect(clippy::print_stdout, reason = "the answer to who counts")]
fn report(frames: u64) {
    println!("{frames}");
}
