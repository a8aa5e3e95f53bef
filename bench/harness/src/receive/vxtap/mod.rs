//! Row `vxtap`: the engine through its library, with outputs in memory.
//!
//! | module | what it does |
//! |---|---|
//! | `settings` | makes the engine's configuration from the options |
//! | `reader` | empties an output and counts |
//! | `rules` | makes a filter, to see what it costs |
//! | `capture` | writes what a reader takes to a file |

mod capture;
mod reader;
mod rules;
mod settings;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow, ensure};
use clap::{Args, ValueEnum};
use vxtap::Engine;

use capture::Capture;
use reader::{Reader, Sampler};

use super::app::Counts;
use super::board::Board;
use super::latency::Recorder;
use crate::protocol::Mark;

/// The engine, with consumers on threads of this process
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Interface that the traffic arrives at
    #[arg(long, short, default_value = "vxrx0")]
    pub interface: String,
    /// What the worker does while nothing arrives
    #[arg(long, value_enum, default_value_t = Wait::Adaptive)]
    pub wait: Wait,
    /// Outputs, each of which gets every frame and has a thread that reads it; the first one's
    /// frames are counted
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub consumers: u16,
    /// What the thread of a consumer does while nothing is there for it
    #[arg(long, value_enum, default_value_t = ConsumerWait::Nap)]
    pub consumer_wait: ConsumerWait,
    /// Each consumer also writes every frame to a pcapng file in this directory, which has no name
    /// there and is gone with the process; when it cannot be written any more the consumer ends,
    /// and so no further frame counts
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
    /// Prints the engine's account to standard error at the end
    #[arg(long)]
    pub report: bool,
}

/// What the worker does while nothing arrives: the configuration's `workers.wait`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Wait {
    /// Looks again at once.
    Busy,
    /// Naps while traffic is dense, else sleeps.
    Adaptive,
    /// Sleeps.
    Interrupt,
}

/// What the thread of a consumer does while nothing is there for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ConsumerWait {
    /// Naps as [`vxtap::ring::Consumer::next`] does, 200 µs at most.
    Nap,
    /// Looks again at once, lending the CPU to whoever else is ready to run on it: worker and
    /// consumer may share one.
    Spin,
}

/// A running engine and its consumers.
#[derive(Debug)]
pub(super) struct Vxtap {
    engine: Engine,
    readers: Vec<(Arc<Board>, JoinHandle<Result<()>>)>,
    recorder: Recorder,
    prints_report: bool,
    has_rules: bool,
}

impl Vxtap {
    /// Opens the interface and starts the engine; returns what was set up too.
    pub(super) fn start(options: &Options) -> Result<(Self, String)> {
        let config = settings::config(options)?;
        let about = settings::about(options, &config)?;
        let mut engine = Engine::open(config)?;
        let recorder = Recorder::new();
        let mut readers = Vec::new();
        for number in 0..options.consumers {
            let consumer =
                engine.take_consumer(&name(number)).context("an output without consumer")?;
            let recorder = (number == 0 && options.latency_every > 0).then(|| recorder.clone());
            let capture = options.pcapng.as_deref().map(Capture::create).transpose()?;
            let sampler = recorder.map(|recorder| Sampler::new(recorder, options.latency_every));
            readers
                .push(Reader { consumer, wait: options.consumer_wait, sampler, capture }.start()?);
        }
        engine.start()?;
        let mode =
            engine.interfaces().first().map_or_else(String::new, |(_, mode)| format!(", {mode}"));
        let has_rules = options.rules.is_some();
        Ok((
            Self { engine, readers, recorder, prints_report: options.report, has_rules },
            about + &mode,
        ))
    }

    /// What the first consumer has counted so far.
    pub(super) fn mark(&self) -> Result<Mark> {
        let counts = self.readers[0].0.counts();
        for note in self.engine.take_diagnostics() {
            eprintln!("vxbench: {note}");
        }
        ensure!(!self.engine.has_ended(), "a worker has ended by itself");
        let kernel_lost = Some(self.engine.report().lost_in_kernel());
        let latency = Some(self.recorder.take()).filter(|latency| latency.count > 0);
        Ok(Mark { kernel_lost, latency, ..Mark::from(counts) })
    }

    /// Stops the engine and says on standard error what became of the frames.
    pub(super) fn end(self) -> Result<()> {
        let Self { engine, readers, recorder: _, prints_report, has_rules } = self;
        let report = engine.stop();
        for (number, (board, thread)) in readers.into_iter().enumerate() {
            let end = thread.join().map_err(|_panic| anyhow!("a consumer panicked"))?;
            let Counts { frames, bytes, foreign, damaged } = board.counts();
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
