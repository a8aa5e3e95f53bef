//! `vxtap run`: runs the engine until a signal.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::flag;
use vxtap::Engine;
use vxtap::config::Config;
use vxtap::engine::{EngineError, Report, StartNeeds, TailError, TailRequest};
use vxtap::plural::{counted, listed};

use super::args::ProgressFormat;
use super::control_socket::{Answer, ControlServer, Reply, Request};
use super::load::Loader;
use super::{CommandError, StdoutOutputs, account, cannot_print, log, print, progress};

/// Signals that stop the engine in order.
pub(super) const STOP_SIGNALS: [i32; 2] = [SIGINT, SIGTERM];
/// Time before a second signal ends the process at once.
pub(super) const SECOND_SIGNAL_DELAY: Duration = Duration::from_secs(1);

/// Exit code after a second signal, the same as shells report for SIGINT.
pub(super) const EXIT_INTERRUPTED: i32 = 130;

/// Interval of the checks for signals and ended workers.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Memory from which on a start is announced, in bytes.
const ANNOUNCED_BYTES: u64 = 512 << 20;
/// Interval of progress reports.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);
/// Maximum number of open files that the process may need.
const FILES_MAX: u64 = 1 << 16;

/// Requests made by signals.
#[derive(Debug, Default)]
struct Signals {
    stop: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
    rotate: Arc<AtomicBool>,
}

/// Runs the engine until a signal stops it, then prints the conservation table.
pub(super) fn run(loader: &Loader, format: Option<ProgressFormat>) -> Result<(), CommandError> {
    let config = loader.load()?;
    let signals = Signals::on_signals(loader.path().is_some()).map_err(CommandError::Failed)?;
    let (described, targets) = (ports(&config), outputs(&config));
    let mut stdout = super::stdout_outputs(&config);
    if stdout.is_taken && format.is_some() {
        let sentence =
            "--progress writes to standard output, and so does an output: use only one of them";
        return Err(CommandError::Refused(anyhow!(sentence)));
    }
    let interfaces = config.capture.interfaces.clone();
    raise_limit_of_files();
    announce_start(&config);
    let mut engine = Engine::open(config).map_err(|error| match error {
        EngineError::Config(_) => CommandError::Refused(error.into()),
        _ => CommandError::Failed(error.into()),
    })?;
    engine.start().map_err(|error| CommandError::Failed(error.into()))?;
    engine.take_diagnostics().iter().for_each(|note| log(note));
    let from: Vec<_> =
        engine.interfaces().iter().map(|(name, mode)| format!("{name} ({mode})")).collect();
    log(&format!("running: {described} of {} to {targets}; stop with Ctrl-C", from.join(", ")));
    let mut control = ControlServer::listen(&interfaces)
        .map_err(|error| {
            log(&format!("`vxtap reload` and `vxtap tail` are not available: {error}"));
        })
        .ok();
    let start = Instant::now();
    watch(&mut engine, &signals, control.as_mut(), loader, &mut stdout, format);
    let end = if signals.stop.load(Ordering::Relaxed) {
        End::Stopped
    } else if has_lost_its_reader(stdout) {
        log(
            "nothing reads standard output any more, and there is no other output: the engine ends",
        );
        End::ReaderGone
    } else {
        End::ByItself
    };
    exit_on_next_signal();
    let report = stop_engine(engine);
    report.diagnostics.iter().for_each(|note| log(note));
    super::print_table(&report, stdout.is_taken || format.is_some())?;
    if format == Some(ProgressFormat::Json) {
        print(&account::line(start.elapsed(), &report)).map_err(cannot_print)?;
    }
    check_report(&report, end).map_err(CommandError::Failed)
}

/// Reason why an engine ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// A signal.
    Stopped,
    /// The only output writes to standard output, which nothing reads any more.
    ReaderGone,
    /// No interface delivers frames any more.
    ByItself,
}

/// Returns whether all outputs write to standard output and nothing reads it any more.
fn has_lost_its_reader(stdout: StdoutOutputs) -> bool {
    stdout.is_all && super::is_stdout_closed()
}

/// Says what is being opened if that takes noticeably long.
fn announce_start(config: &Config) {
    // An error comes again when the engine is opened.
    let Ok(StartNeeds { queues, bytes }) = Engine::start_needs(config) else { return };
    if bytes >= ANNOUNCED_BYTES {
        let interfaces = config.capture.interfaces.len();
        log(&format!(
            "opening {} with {}, {} MiB of memory",
            counted(interfaces, "interface"),
            counted(queues, "RX queue"),
            bytes >> 20
        ));
    }
}

/// Raises the limit of open files as far as the hard limit allows: queues, files and readers need
/// some each. The default of 1024 exists for select(2), which is not used here.
fn raise_limit_of_files() {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(FILES_MAX).min(FILES_MAX);
    if limit.current.is_some_and(|now| now < most) {
        // If this fails, the previous limit stays.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(most), ..limit });
    }
}

impl Signals {
    /// Registers the handlers: SIGINT and SIGTERM stop, SIGUSR1 rotates files. SIGHUP reloads if
    /// there is a configuration file; else it stops, as the terminal was closed.
    fn on_signals(has_file: bool) -> anyhow::Result<Self> {
        let signals = Self::default();
        let on_hangup = if has_file { &signals.reload } else { &signals.stop };
        for (signal, flag) in STOP_SIGNALS
            .map(|signal| (signal, &signals.stop))
            .into_iter()
            .chain([(SIGHUP, on_hangup), (SIGUSR1, &signals.rotate)])
        {
            flag::register(signal, flag.clone())
                .map_err(|error| anyhow!("cannot handle signals: {error}"))?;
        }
        Ok(signals)
    }
}

/// Lets the next signal end the process at once, without waiting for the outputs. Takes effect
/// after a delay, as timeout(1) and terminals send the first signal twice.
fn exit_on_next_signal() {
    thread::spawn(|| {
        thread::sleep(SECOND_SIGNAL_DELAY);
        log(
            "still stopping; another Ctrl-C exits at once and loses frames that are not written yet",
        );
        for signal in STOP_SIGNALS.into_iter().chain([SIGHUP]) {
            // If this fails, the process still ends in order.
            let _ = flag::register_conditional_shutdown(
                signal,
                EXIT_INTERRUPTED,
                Arc::new(AtomicBool::new(true)),
            );
        }
    });
}

/// Waits for a signal, the end of the engine, or that of the reader of its only output; reports and
/// reloads meanwhile.
fn watch(
    engine: &mut Engine,
    signals: &Signals,
    mut control: Option<&mut ControlServer>,
    loader: &Loader,
    stdout: &mut StdoutOutputs,
    format: Option<ProgressFormat>,
) {
    let start = Instant::now();
    let mut next = start;
    while !signals.stop.load(Ordering::Relaxed)
        && !engine.has_ended()
        && !has_lost_its_reader(*stdout)
    {
        engine.poll_interfaces();
        engine.take_diagnostics().iter().for_each(|note| log(note));
        if signals.reload.swap(false, Ordering::Relaxed) {
            reload(engine, loader, stdout);
        }
        if signals.rotate.swap(false, Ordering::Relaxed) && !engine.rotate() {
            log("SIGUSR1 rotates pcapng files, but no output writes any");
        }
        if let Some(control) = &mut control {
            control.follow(engine.interfaces().into_iter().map(|(name, _)| name));
            control.serve(|request| match request {
                Request::Reload => Reply::Answer(reload(engine, loader, stdout)),
                Request::Tail(sessions) => stream(engine.tail(&sessions), String::new()),
                Request::TailOuter => stream(engine.tail_outer(), absolute(loader.path())),
            });
        }
        if format == Some(ProgressFormat::Json) && Instant::now() >= next {
            next += PROGRESS_INTERVAL;
            // A closed pipe is no reason to stop capturing.
            let _ = print(&progress::line(start.elapsed(), &engine.report()));
        }
        thread::sleep(POLL_INTERVAL);
    }
}

/// Returns the reply to a reader, with a text for it.
fn stream(tail: Result<TailRequest, TailError>, text: String) -> Reply {
    match tail {
        Ok(tail) => Reply::Stream(tail, text),
        Err(error) => Reply::Answer(Answer::Refused(error.to_string())),
    }
}

/// Returns a path for other programs, whose working directory is another one; empty without a
/// path.
fn absolute(path: Option<&Path>) -> String {
    let absolute = path.and_then(|path| std::path::absolute(path).ok());
    absolute.map_or_else(String::new, |path| path.to_string_lossy().into_owned())
}

/// Reads the configuration file again, applies it and prints the result. Outputs to standard output
/// cannot be added or removed.
fn reload(engine: &mut Engine, loader: &Loader, stdout: &mut StdoutOutputs) -> Answer {
    let Some(path) = loader.path() else {
        return Answer::Refused("the engine was started without a configuration file".to_owned());
    };
    let changes = loader.load().map_err(|error| error.to_string()).and_then(|config| {
        let new = super::stdout_outputs(&config);
        let is_kept = new.is_taken == stdout.is_taken;
        let sentence =
            "an output to standard output cannot be added or removed while the engine runs: restart it";
        is_kept.then_some((config, new)).ok_or_else(|| sentence.to_owned())
    });
    let reload = |(config, new)| {
        let changes = engine.reload(config).map_err(|error| error.to_string())?;
        *stdout = new;
        Ok(changes)
    };
    let answer = match changes.and_then(reload) {
        Ok(changes) => Answer::Done(format!("{}: {changes}", path.display())),
        Err(reason) => Answer::Refused(reason),
    };
    log(&answer.to_string());
    answer
}

/// Prints the diagnostics until now and stops the engine.
pub(super) fn stop_engine(engine: Engine) -> Report {
    engine.take_diagnostics().iter().for_each(|note| log(note));
    engine.stop()
}

/// Returns an error if something went wrong.
pub(super) fn check_report(report: &Report, end: End) -> anyhow::Result<()> {
    if let Some(error) = report.failures.first() {
        bail!("{error}");
    }
    ensure!(end != End::ByItself, "the engine ended by itself");
    let broken = report.imbalances();
    ensure!(broken.is_empty(), "the counters do not add up: {}", broken.join("; "));
    if end == End::ReaderGone {
        // The frames that it did not read are not lost.
        return Ok(());
    }
    for output in &report.outputs {
        if let Some(written) = output.written.as_ref().filter(|written| written.frames_lost > 0) {
            bail!("output `{}` lost {}", output.name, counted(written.frames_lost, "frame"));
        }
    }
    Ok(())
}

/// Describes the captured ports: `UDP ports 4789, 6081`.
fn ports(config: &Config) -> String {
    listed("UDP port", &config.capture.ports)
}

/// Describes the destinations of the frames.
fn outputs(config: &Config) -> String {
    let outputs = config.outputs.iter().map(|output| output.kind.destination(&output.name));
    outputs.collect::<Vec<_>>().join(", ")
}
