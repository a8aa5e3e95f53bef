//! Row `vxtap`: the engine through its library, with outputs in memory.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow, ensure};
use clap::{Args, ValueEnum};
use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;
use vxtap::Engine;
use vxtap::config::{Config, Cpus, Output, OutputKind};
use vxtap::output::{Consumer, Next};

use super::app::{Application, Counts};
use super::background::WAIT_MS;
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
    /// Outputs, each of which gets every frame and has a thread that reads it; the first one's frames are counted
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub consumers: u16,
    /// CPU of the worker; by default the first that this process may use
    #[arg(long)]
    pub worker_cpu: Option<usize>,
    /// Any key of the configuration file with its value in TOML, as `memory.fill_ring=512`; may be repeated
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

/// A running engine and its consumers.
#[derive(Debug)]
pub(super) struct Vxtap {
    engine: Engine,
    readers: Vec<(Arc<Board>, JoinHandle<()>)>,
    recorder: Recorder,
    prints_report: bool,
}

impl Vxtap {
    /// Opens the interface and starts the engine; returns what was set up too.
    pub(super) fn start(options: &Options) -> Result<(Self, String)> {
        let config = config(options)?;
        let about = about(options, &config)?;
        let mut engine = Engine::open(config)?;
        let recorder = Recorder::new();
        let mut readers = Vec::new();
        for number in 0..options.consumers {
            let consumer = engine.take_consumer(&name(number)).context("an output without consumer")?;
            let recorder = (number == 0 && options.latency_every > 0).then(|| recorder.clone());
            readers.push(start_reader(consumer, recorder, options.latency_every)?);
        }
        engine.start()?;
        let rung = engine.rung().map_or_else(String::new, |rung| format!(", {rung}"));
        Ok((Self { engine, readers, recorder, prints_report: options.report }, about + &rung))
    }

    /// What the first consumer has counted so far.
    pub(super) fn mark(&self) -> Result<Mark> {
        let counts = self.readers[0].0.counts();
        for note in self.engine.take_notes() {
            eprintln!("vxbench: {note}");
        }
        ensure!(!self.engine.has_ended(), "a worker has ended by itself");
        let kernel_lost = Some(self.engine.report().lost_in_kernel());
        let latency = Some(self.recorder.take()).filter(|latency| latency.count > 0);
        Ok(Mark { kernel_lost, latency, ..Mark::from(counts) })
    }

    /// Stops the engine and says on standard error what became of the frames.
    pub(super) fn end(self) -> Result<()> {
        let Self { engine, readers, recorder: _, prints_report } = self;
        let report = engine.stop();
        for (number, (board, thread)) in readers.into_iter().enumerate() {
            thread.join().map_err(|_panic| anyhow!("a consumer panicked"))?;
            let Counts { frames, bytes, foreign, damaged } = board.counts();
            eprintln!(
                "vxbench: consumer {number}: {frames} frames, {bytes} bytes, {foreign} foreign, {damaged} damaged"
            );
        }
        if prints_report {
            eprintln!("{report}");
        }
        let wrong: Vec<String> = report.failures.iter().cloned().chain(report.imbalances()).collect();
        ensure!(wrong.is_empty(), "the engine's account is wrong: {}", wrong.join("; "));
        Ok(())
    }
}

fn name(number: u16) -> String {
    format!("consumer{number}")
}

/// The configuration file that the options stand for, and the outputs, which a file cannot declare.
fn config(options: &Options) -> Result<Config> {
    let text = settings(options)?.iter().fold(String::new(), |mut text, (key, value)| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{key} = {value}");
        text
    });
    let mut config = Config::from_toml(Path::new("--set"), &text)?;
    let output = |number| Output { name: name(number), kind: OutputKind::Consumer };
    config.outputs = (0..options.consumers).map(output).collect();
    Ok(config)
}

/// Keys and values of the configuration: the row's own, then what `--set` puts in their place or adds.
fn settings(options: &Options) -> Result<BTreeMap<String, String>> {
    let cpu = options.worker_cpu.map_or_else(first_cpu, Ok)?;
    let wait = options.wait.to_possible_value().context("a way to wait")?;
    let own = [
        ("capture.interface", format!("{:?}", options.interface)),
        ("capture.queues", "[0]".to_owned()),
        ("workers.cpus", format!("[{cpu}]")),
        ("workers.wait", format!("{:?}", wait.get_name())),
    ];
    let mut settings: BTreeMap<_, _> = own.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    for set in &options.set {
        let (key, value) = set
            .split_once('=')
            .with_context(|| format!("`--set {set}`: write KEY=VALUE, the value in TOML"))?;
        settings.insert(key.trim().to_owned(), value.trim().to_owned());
    }
    Ok(settings)
}

/// First CPU that this process may use.
fn first_cpu() -> Result<usize> {
    let allowed = sched_getaffinity(Pid::from_raw(0)).context("sched_getaffinity failed")?;
    let is_allowed = |&cpu: &usize| allowed.is_set(cpu).unwrap_or(false);
    (0..CpuSet::count()).find(is_allowed).context("no CPU is allowed")
}

fn about(options: &Options, config: &Config) -> Result<String> {
    let plan = config.memory.plan(config.outputs.len())?;
    let memory = &config.memory;
    let set: String = options.set.iter().flat_map(|set| [", ", set]).collect();
    Ok(format!(
        "vxtap, {count} chunks of {size}, fill ring {fill}, RX ring {rx}, output ring {ring}, {consumers} \
         consumer(s), {wait}, worker on CPU {cpu}{set}",
        count = plan.chunk_count,
        size = memory.chunk_size.map_or_else(
            || "2048 bytes (4096 beyond an MTU of 1754)".to_owned(),
            |size| format!("{size} bytes")
        ),
        fill = memory.fill_ring,
        rx = memory.rx_ring,
        ring = plan.output_ring_len,
        consumers = options.consumers,
        wait = config.workers.wait,
        cpu = match &config.workers.cpus {
            Cpus::List(cpus) => format!("{cpus:?}"),
            Cpus::Auto => "of its choice".to_owned(),
        },
    ))
}

fn start_reader(
    mut consumer: Consumer,
    recorder: Option<Recorder>,
    every: u32,
) -> Result<(Arc<Board>, JoinHandle<()>)> {
    let board = Arc::new(Board::default());
    let theirs = board.clone();
    let thread = thread::Builder::new().name("consumer".to_owned()).spawn(move || {
        let mut app = Application::default();
        let mut sampler = recorder.map(|recorder| Sampler { recorder, every, skip: 0 });
        while read(&mut consumer, &mut app, sampler.as_mut()) {
            app.publish(&theirs);
        }
    })?;
    Ok((board, thread))
}

/// Reads a batch; false when there will be no more.
fn read(consumer: &mut Consumer, app: &mut Application, sampler: Option<&mut Sampler>) -> bool {
    match consumer.next(Duration::from_millis(WAIT_MS.into())) {
        Next::Batch(batch) => {
            if let Some(sampler) = sampler {
                sampler.batch(batch.iter().map(|frame| frame.timestamp_ns()));
            }
            for frame in &batch {
                app.frame(&frame.bytes());
            }
            true
        }
        Next::Idle => true,
        Next::Closed => false,
    }
}

/// Records the latency of every n-th frame, whichever batches they come in.
#[derive(Debug)]
struct Sampler {
    recorder: Recorder,
    every: u32,
    /// Frames to leave out before the next sample.
    skip: u32,
}

impl Sampler {
    /// Takes the arrival times of a batch, which is read now.
    fn batch(&mut self, arrivals_ns: impl Iterator<Item = u64>) {
        let Self { recorder, every, skip } = self;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now_ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let mut samples = recorder.batch();
        for arrival_ns in arrivals_ns {
            if *skip == 0 {
                samples.add(arrival_ns, now_ns);
                *skip = *every;
            }
            *skip -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use vxtap::config::WaitMode;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn options(line: &str) -> Options {
        Line::try_parse_from(["x"].into_iter().chain(line.split_whitespace())).expect("valid").options
    }

    #[test]
    fn the_options_become_a_configuration() {
        let options = options("-i if0 --wait busy --consumers 3 --worker-cpu 5 --set memory.fill_ring=512");
        let config = config(&options).expect("valid");
        assert_eq!(config.capture.interface, "if0");
        assert_eq!((config.workers.wait, &config.workers.cpus), (WaitMode::Busy, &Cpus::List(vec![5])));
        assert_eq!((config.memory.fill_ring, config.outputs.len()), (512, 3));
        assert!(about(&options, &config).expect("fits").contains("fill ring 512"));
    }

    #[test]
    fn a_set_key_takes_the_place_of_the_rows_own() {
        let config = config(&options("--worker-cpu 0 --set workers.wait=\"interrupt\"")).expect("valid");
        assert_eq!(config.workers.wait, WaitMode::Interrupt);
    }

    #[test]
    fn a_wrong_key_or_no_value_is_refused() {
        let error = config(&options("--set memory.rings=1")).expect_err("no such key").to_string();
        assert!(error.contains("rings"), "{error}");
        let error = config(&options("--set memory")).expect_err("no value").to_string();
        assert_eq!(error, "`--set memory`: write KEY=VALUE, the value in TOML");
    }

    #[test]
    fn every_nth_frame_is_a_sample_across_batches() {
        let recorder = Recorder::new();
        let mut sampler = Sampler { recorder: recorder.clone(), every: 4, skip: 0 };
        for len in [1, 2, 5, 8] {
            sampler.batch((0..len).map(|_| 0));
        }
        assert_eq!(recorder.take().count, 4);
    }
}
