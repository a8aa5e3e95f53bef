//! Receiver `vxtap`: the engine through its library, with outputs in memory.
//!
//! | module | task |
//! |---|---|
//! | `engine_config` | makes the engine's configuration from the options |
//! | `consumer_thread` | reads an output and counts |
//! | `long_filter` | makes a filter of any length, to measure its cost |
//! | `unlinked_capture` | writes the frames of a consumer to a file |

mod consumer_thread;
mod engine_config;
mod long_filter;
mod unlinked_capture;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow, ensure};
use clap::{Args, ValueEnum};
use vxtap::Engine;

use consumer_thread::{ConsumerThread, Sampler};
use unlinked_capture::UnlinkedCapture;

use super::latency::Recorder;
use super::shared_counts::{Counts, SharedCounts};
use crate::mark_protocol::Mark;

/// The engine, with consumers on threads of this process
#[derive(Debug, Clone, Args)]
pub struct VxtapOptions {
    /// Interface that the traffic arrives at
    #[arg(long, short, default_value = "vxrx0")]
    pub interface: String,
    /// Wait mode of the worker
    #[arg(long, value_enum, default_value_t = WorkerWait::Adaptive)]
    pub wait: WorkerWait,
    /// Number of outputs. Each gets every frame and has a thread that reads it; the first one's
    /// frames are counted
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub consumers: u16,
    /// Wait mode of the consumers' threads
    #[arg(long, value_enum, default_value_t = ConsumerWait::Nap)]
    pub consumer_wait: ConsumerWait,
    /// Each consumer also writes every frame to an unlinked pcapng file in this directory, which is
    /// removed with the process; when it can no longer be written the consumer ends, so that no
    /// further frame counts
    #[arg(long, value_name = "DIRECTORY")]
    pub pcapng: Option<PathBuf>,
    /// CPU of the worker; by default the first that this process may use
    #[arg(long)]
    pub worker_cpu: Option<usize>,
    /// Rules in each direction of a filter that the frames of the generator's first session have to
    /// pass; the last ones accept them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=4096))]
    pub rules: Option<u32>,
    /// Any key of the configuration file with its value in TOML, as `memory.fill_ring=512`; may be
    /// repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Records the time that every N-th frame took; 0: none
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub latency_every: u32,
    /// Prints the engine's report to standard error at the end
    #[arg(long)]
    pub report: bool,
}

/// Wait mode of the worker: the configuration's `workers.wait`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WorkerWait {
    /// Polls without a pause.
    Busy,
    /// Naps while traffic is dense, else sleeps.
    Adaptive,
    /// Sleeps.
    Interrupt,
}

/// Wait mode of a consumer's thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ConsumerWait {
    /// Naps as [`vxtap::ring::Consumer::next`] does, 200 µs at most.
    Nap,
    /// Polls without a pause, yielding the CPU to other runnable threads: worker and consumer may
    /// share one.
    Spin,
}

/// A running engine and its consumers.
#[derive(Debug)]
pub(super) struct VxtapReceiver {
    engine: Engine,
    consumers: Vec<(Arc<SharedCounts>, JoinHandle<Result<()>>)>,
    recorder: Recorder,
    prints_report: bool,
    has_rules: bool,
}

impl VxtapReceiver {
    /// Opens the interface and starts the engine; also returns a description of the set-up.
    pub(super) fn start(options: &VxtapOptions) -> Result<(Self, String)> {
        let config = engine_config::config(options)?;
        let about = engine_config::about(options, &config)?;
        let mut engine = Engine::open(config)?;
        let recorder = Recorder::new();
        let mut consumers = Vec::new();
        for number in 0..options.consumers {
            let consumer =
                engine.take_consumer(&name(number)).context("an output without consumer")?;
            let recorder = (number == 0 && options.latency_every > 0).then(|| recorder.clone());
            let capture = options.pcapng.as_deref().map(UnlinkedCapture::create).transpose()?;
            let sampler = recorder.map(|recorder| Sampler::new(recorder, options.latency_every));
            consumers.push(
                ConsumerThread { consumer, wait: options.consumer_wait, sampler, capture }
                    .start()?,
            );
        }
        engine.start()?;
        let mode =
            engine.interfaces().first().map_or_else(String::new, |(_, mode)| format!(", {mode}"));
        let has_rules = options.rules.is_some();
        Ok((
            Self { engine, consumers, recorder, prints_report: options.report, has_rules },
            about + &mode,
        ))
    }

    /// Returns the counts of the first consumer.
    pub(super) fn mark(&self) -> Result<Mark> {
        let counts = self.consumers[0].0.counts();
        for note in self.engine.take_diagnostics() {
            eprintln!("vxbench: {note}");
        }
        ensure!(!self.engine.has_ended(), "a worker has ended by itself");
        let kernel_lost = Some(self.engine.report().lost_in_kernel());
        let latency = Some(self.recorder.take()).filter(|latency| latency.count > 0);
        Ok(Mark { kernel_lost, latency, ..Mark::from(counts) })
    }

    /// Stops the engine and prints the counts of each consumer to standard error.
    pub(super) fn end(self) -> Result<()> {
        let Self { engine, consumers, recorder: _, prints_report, has_rules } = self;
        let report = engine.stop();
        for (number, (counts, thread)) in consumers.into_iter().enumerate() {
            let end = thread.join().map_err(|_panic| anyhow!("a consumer panicked"))?;
            let Counts { frames, bytes, foreign, damaged } = counts.counts();
            eprintln!(
                "vxbench: consumer {number}: {frames} frames, {bytes} bytes, {foreign} foreign, {damaged} damaged"
            );
            end.with_context(|| format!("consumer {number} ended before the traffic did"))?;
        }
        if prints_report {
            eprintln!("{report}");
        }
        let wrong: Vec<String> =
            report.failures.iter().cloned().chain(report.imbalances()).collect();
        ensure!(wrong.is_empty(), "the engine's account is wrong: {}", wrong.join("; "));
        let unfiltered = report.session_counters()[0].received.frames;
        ensure!(
            !has_rules || unfiltered == 0,
            "{unfiltered} frames had no rules to pass: they are of other sessions"
        );
        Ok(())
    }
}

fn name(number: u16) -> String {
    format!("consumer{number}")
}
