//! `vxtap run`.

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
use vxtap::engine::{EngineError, Report};

use super::args::ProgressFormat;
use super::control::{Answer, Control, Reply, Request};
use super::load::Loader;
use super::{Failure, print, progress, say};

/// What stops the engine in order.
pub(super) const SIGNALS: [i32; 2] = [SIGINT, SIGTERM];
/// Time for stopping in order before another signal ends the process.
pub(super) const GRACE: Duration = Duration::from_secs(1);

/// Exit code of a process that a second signal ends at once, as shells give it for SIGINT.
pub(super) const INTERRUPTED: i32 = 130;

/// How soon a signal or the end of a worker is noticed.
const TURN: Duration = Duration::from_millis(50);
/// How often progress is reported.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);
/// Most files that a process of ours may need.
const FILES_MAX: u64 = 1 << 16;

/// What signals have asked for.
#[derive(Debug, Default)]
struct Asked {
    stop: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
    rotate: Arc<AtomicBool>,
}

/// Runs the engine until it is told to stop, then prints the conservation table.
pub(super) fn run(loader: &Loader, format: Option<ProgressFormat>) -> Result<(), Failure> {
    let config = loader.load()?;
    let asked = Asked::on_signals(loader.path().is_some()).map_err(Failure::Failed)?;
    let (described, targets) = (ports(&config), outputs(&config));
    let to_stdout = super::writes_to_stdout(&config);
    if to_stdout && format.is_some() {
        let sentence =
            "--progress writes to standard output, and so does an output: leave one of them out";
        return Err(Failure::Refused(anyhow!(sentence)));
    }
    let interfaces = config.capture.interfaces.clone();
    raise_limit_of_files();
    let mut engine = Engine::open(config).map_err(|error| match error {
        EngineError::Config(_) => Failure::Refused(error.into()),
        _ => Failure::Failed(error.into()),
    })?;
    engine.start().map_err(|error| Failure::Failed(error.into()))?;
    engine.take_diagnostics().iter().for_each(|note| say(note));
    let from: Vec<_> =
        engine.interfaces().iter().map(|(name, rung)| format!("{name} ({rung})")).collect();
    say(&format!("running: {described} of {} to {targets}; stop with Ctrl-C", from.join(", ")));
    let control = Control::listen(&interfaces)
        .map_err(|error| say(&format!("no `vxtap reload` and no `vxtap tail`: {error}")))
        .ok();
    watch(&mut engine, &asked, control.as_ref(), loader, to_stdout, format);
    let was_told = asked.stop.load(Ordering::Relaxed);
    give_up_on_another_signal();
    let report = stop_engine(engine);
    super::print_table(&report, to_stdout)?;
    judge(&report, was_told).map_err(Failure::Failed)
}

/// Allows this process as many open files as it may allow itself: queues, files and readers have
/// some each, and the 1024 that a process gets are meant for select(2), which nothing here uses.
fn raise_limit_of_files() {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(FILES_MAX).min(FILES_MAX);
    if limit.current.is_some_and(|now| now < most) {
        // If it is refused, there are as many as there were.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(most), ..limit });
    }
}

impl Asked {
    /// SIGINT and SIGTERM stop; SIGUSR1 begins other files. SIGHUP reloads if there is a file to
    /// read again; else it stops too, as the terminal was closed.
    fn on_signals(has_file: bool) -> anyhow::Result<Self> {
        let asked = Self::default();
        let on_hangup = if has_file { &asked.reload } else { &asked.stop };
        for (signal, flag) in SIGNALS
            .map(|signal| (signal, &asked.stop))
            .into_iter()
            .chain([(SIGHUP, on_hangup), (SIGUSR1, &asked.rotate)])
        {
            flag::register(signal, flag.clone())
                .map_err(|error| anyhow!("cannot handle signals: {error}"))?;
        }
        Ok(asked)
    }
}

/// Lets a further signal end the process at once, for somebody who does not want to wait for the
/// outputs. Not right away: timeout(1) and terminals send the first one twice.
fn give_up_on_another_signal() {
    thread::spawn(|| {
        thread::sleep(GRACE);
        say("still stopping; another Ctrl-C gives up and loses what is not written yet");
        for signal in SIGNALS.into_iter().chain([SIGHUP]) {
            // If it cannot be had, the process still ends by itself.
            let _ = flag::register_conditional_shutdown(
                signal,
                INTERRUPTED,
                Arc::new(AtomicBool::new(true)),
            );
        }
    });
}

/// Waits until a signal comes or the engine ends, reporting and reloading meanwhile.
fn watch(
    engine: &mut Engine,
    asked: &Asked,
    control: Option<&Control>,
    loader: &Loader,
    to_stdout: bool,
    format: Option<ProgressFormat>,
) {
    let start = Instant::now();
    let mut next = start;
    while !asked.stop.load(Ordering::Relaxed) && !engine.has_ended() {
        engine.poll_interfaces();
        engine.take_diagnostics().iter().for_each(|note| say(note));
        if asked.reload.swap(false, Ordering::Relaxed) {
            reload(engine, loader, to_stdout);
        }
        if asked.rotate.swap(false, Ordering::Relaxed) && !engine.rotate() {
            say("SIGUSR1 begins other files, and no output writes files");
        }
        if let Some(control) = control {
            control.serve(|request| match request {
                Request::Reload => Reply::Said(reload(engine, loader, to_stdout)),
                Request::Tail(sessions) => match engine.tail(&sessions) {
                    Ok(tail) => Reply::Stream(tail),
                    Err(error) => Reply::Said(Answer::Refused(error.to_string())),
                },
            });
        }
        if format == Some(ProgressFormat::Json) && Instant::now() >= next {
            next += PROGRESS_INTERVAL;
            // A reader that has gone away is no reason to stop capturing.
            let _ = print(&progress::line(start.elapsed(), &engine.report()));
        }
        thread::sleep(TURN);
    }
}

/// Reads the configuration file again and takes it over, and says what came of it. Frames go to
/// standard output, or do not, as when the engine was started.
fn reload(engine: &mut Engine, loader: &Loader, to_stdout: bool) -> Answer {
    let Some(path) = loader.path() else {
        return Answer::Refused("the engine was started without a configuration file".to_owned());
    };
    let changes = loader.load().map_err(|failure| failure.to_string()).and_then(|config| {
        let is_kept = super::writes_to_stdout(&config) == to_stdout;
        let sentence =
            "an output to standard output cannot come or go while the engine runs: restart it for that";
        is_kept.then_some(config).ok_or_else(|| sentence.to_owned())
    });
    let answer =
        match changes.and_then(|config| engine.reload(config).map_err(|error| error.to_string())) {
            Ok(changes) => Answer::Done(format!("{}: {changes}", path.display())),
            Err(reason) => Answer::Refused(reason),
        };
    say(&answer.to_string());
    answer
}

/// Stops the engine and says what it had still to say.
pub(super) fn stop_engine(engine: Engine) -> Report {
    engine.take_diagnostics().iter().for_each(|note| say(note));
    engine.stop()
}

/// Whether everything went well.
pub(super) fn judge(report: &Report, was_told: bool) -> anyhow::Result<()> {
    if let Some(failure) = report.failures.first() {
        bail!("{failure}");
    }
    ensure!(was_told, "the engine ended by itself");
    let broken = report.imbalances();
    ensure!(broken.is_empty(), "the account does not add up: {}", broken.join("; "));
    for output in &report.outputs {
        if let Some(written) = output.written.as_ref().filter(|written| written.frames_lost > 0) {
            bail!("output `{}` lost {} frames", output.name, written.frames_lost);
        }
    }
    Ok(())
}

/// The ports that are taken: `UDP ports 4789, 6081`.
fn ports(config: &Config) -> String {
    let ports: Vec<_> = config.capture.ports.iter().map(ToString::to_string).collect();
    let plural = if ports.len() == 1 { "" } else { "s" };
    format!("UDP port{plural} {}", ports.join(", "))
}

/// Where the frames go to.
fn outputs(config: &Config) -> String {
    let outputs = config.outputs.iter().map(|output| output.kind.destination(&output.name));
    outputs.collect::<Vec<_>>().join(", ")
}
