//! Helpers of the engine tests: configurations, traffic, readers and `vxtap` processes.

use std::fs;
use std::io::Read;
use std::num::NonZeroU64;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use vxtap::Engine;
use vxtap::capture_file::{CaptureFile, CaptureFileError};
use vxtap::config::{Config, Output, OutputKind, Session};
use vxtap::engine::Report;
use vxtap::ring::{Consumer, Next};
use vxtap::steering::SteeringCounters;
use vxtap_bench::send::FrameSource;
use vxtap_bench::sink::Label;
use vxtap_bench::{
    Pace, PacketSocket, Profile, SendLimits, Totals, Traffic, Verification, Verifier, send,
};
use vxtap_tests::{NetNs, Process, Side, TIMEOUT, Veth, wait_until};

/// Name of the output that the test reads itself.
pub(crate) const OUTPUT: &str = "test";

/// Returns a configuration for the receiving end of a veth pair, with one output.
pub(crate) fn config(receiver: &Side) -> Config {
    let mut config = Config::default();
    config.capture.interfaces = vec![receiver.interface.to_owned()];
    config.outputs.push(Output::new(OUTPUT, OutputKind::Consumer));
    config
}

/// Declares the sessions of a traffic profile as `session-0` and so on.
pub(crate) fn declared(profile: &Profile) -> Vec<Session> {
    let session = |(number, session): (usize, &vxtap_bench::MirrorSession)| Session {
        name: format!("session-{number}"),
        vni: session.vni,
        source: Some(session.source),
        ..Session::default()
    };
    profile.sessions.iter().enumerate().map(session).collect()
}

/// Sends the frames of a profile from the sending end.
pub(crate) fn send_traffic(sender: &Side, profile: &Profile, frames_per_second: u64) -> Totals {
    let mut traffic = Traffic::new(profile).expect("the profile is valid");
    send_until(sender, &mut traffic, frames_per_second, None)
}

/// Sends frames from the sending end until there are no more or `stop` is set.
pub(crate) fn send_until(
    sender: &Side,
    source: &mut (impl FrameSource + Send),
    frames_per_second: u64,
    stop: Option<&AtomicBool>,
) -> Totals {
    send_on(&sender.netns, sender.interface, source, frames_per_second, stop)
}

/// Sends frames from an interface of a namespace until there are no more or `stop` is set.
pub(crate) fn send_on(
    netns: &NetNs,
    interface: &str,
    source: &mut (impl FrameSource + Send),
    frames_per_second: u64,
    stop: Option<&AtomicBool>,
) -> Totals {
    let pace = NonZeroU64::new(frames_per_second).map_or(Pace::Full, Pace::PerSecond);
    netns.run(|| {
        let mut socket = PacketSocket::open(interface).expect("the sending end is there");
        let limits = SendLimits { pace, duration: None, stop };
        let totals = send(source, &mut socket, limits, |_| {}).expect("the frames can be sent");
        assert_eq!(totals.refused, 0, "the sending end takes every frame");
        totals
    })
}

/// Frames sent before they have come out of the engine: fewer than any ring holds.
pub(crate) const WINDOW: u64 = 500;

/// Frames that are sent when there is room for them: none is lost because a thread of the engine
/// waits for its CPU.
pub(crate) struct Windowed<'a, S> {
    source: S,
    sent: u64,
    received: &'a AtomicU64,
    window: u64,
}

impl<'a, S> Windowed<'a, S> {
    /// `received` is the number of the source's frames that have come out.
    pub(crate) const fn new(source: S, received: &'a AtomicU64) -> Self {
        Self { source, sent: 0, received, window: WINDOW }
    }
}

impl<S: FrameSource> FrameSource for Windowed<'_, S> {
    fn next_frame(&mut self, frame: &mut Vec<u8>) -> Option<Label> {
        let has_room =
            || self.sent < self.received.load(Ordering::Relaxed).saturating_add(self.window);
        if !has_room() {
            wait_until("frames to come out", TIMEOUT, has_room).unwrap();
        }
        self.sent += 1;
        self.source.next_frame(frame)
    }

    fn next_at(&self) -> Duration {
        self.source.next_at()
    }
}

/// Reads an output to its end, handing every frame to a verifier.
pub(crate) fn verify(consumer: Consumer, verifier: Verifier) -> JoinHandle<Verifier> {
    verify_and_count(consumer, verifier, Arc::default())
}

/// As [`verify`]; keeps the number of frames so far in `received`.
pub(crate) fn verify_and_count(
    mut consumer: Consumer,
    mut verifier: Verifier,
    received: Arc<AtomicU64>,
) -> JoinHandle<Verifier> {
    thread::spawn(move || {
        loop {
            match consumer.next(TIMEOUT) {
                Next::Batch(batch) => {
                    for frame in &batch {
                        assert_eq!(frame.captured_len(), frame.original_len(), "nothing is cut");
                        verifier.frame(frame.source(), frame.vni().get(), &frame.bytes());
                        received.fetch_add(1, Ordering::Relaxed);
                    }
                }
                Next::Idle => {}
                Next::Closed => return verifier,
            }
        }
    })
}

/// Reads an output to its end and counts the frames.
pub(crate) fn count(mut consumer: Consumer) -> u64 {
    let mut frames = 0;
    loop {
        match consumer.next(TIMEOUT) {
            Next::Batch(batch) => frames += batch.iter().count() as u64,
            Next::Idle => {}
            Next::Closed => return frames,
        }
    }
}

/// Results of a run of the engine.
pub(crate) struct Outcome {
    pub(crate) totals: Totals,
    pub(crate) verdict: Verification,
    pub(crate) report: Report,
    pub(crate) notes: Vec<String>,
}

/// Runs the engine over one pair while the traffic of a profile is sent, as fast as possible if
/// `frames_per_second` is 0: then frames may be lost on the way to the engine.
pub(crate) fn run(
    veth: &Veth,
    config: Config,
    profile: &Profile,
    frames_per_second: u64,
) -> Outcome {
    run_within(veth, config, profile, frames_per_second, u64::MAX)
}

/// As [`run`], for traffic that all comes out: at most `window` frames are on their way.
pub(crate) fn run_within(
    veth: &Veth,
    config: Config,
    profile: &Profile,
    frames_per_second: u64,
    window: u64,
) -> Outcome {
    let mut engine = open(&veth.receiver, config);
    let consumer = engine.take_consumer(OUTPUT).expect("the configuration has this output");
    let received = Arc::new(AtomicU64::new(0));
    let verifier = Verifier::new(profile).expect("the profile is valid");
    let verifier = verify_and_count(consumer, verifier, received.clone());
    engine.start().expect("the engine starts");
    let traffic = Traffic::new(profile).expect("the profile is valid");
    let mut traffic = Windowed { window, ..Windowed::new(traffic, &received) };
    let totals = send_until(&veth.sender, &mut traffic, frames_per_second, None);
    let notes = engine.take_diagnostics();
    let report =
        if frames_per_second == 0 { engine.stop() } else { stop_after(engine, totals.frames) };
    let verdict = verifier.join().expect("the reader does not panic").finish(&totals);
    Outcome { totals, verdict, report, notes }
}

/// Opens the engine in the namespace of the receiving end.
pub(crate) fn open(receiver: &Side, config: Config) -> Engine {
    receiver.netns.run(|| Engine::open(config)).expect("the engine opens")
}

/// Stops the engine once so many frames have arrived at its interfaces.
///
/// On a busy machine the last frames are still on their way when the sender has sent them; when the
/// XDP program is detached, they would go to the kernel stack.
#[track_caller]
pub(crate) fn stop_after(engine: Engine, frames: u64) -> Report {
    wait_for_arrivals(&engine, frames);
    engine.stop()
}

/// Waits until so many frames have arrived at the interfaces of the engine.
#[track_caller]
pub(crate) fn wait_for_arrivals(engine: &Engine, frames: u64) {
    let arrived = wait_until("all frames to arrive", TIMEOUT, || {
        arrivals(&engine.report().steering()) >= frames
    });
    arrived.unwrap_or_else(|error| panic!("{error}\n{}", engine.report()));
}

/// Returns the number of frames that the XDP program has seen.
fn arrivals(counters: &SteeringCounters) -> u64 {
    // Parts of the redirected ones.
    let parts = ["unstamped", "redirect_err"];
    let each = counters.by_name().filter(|(name, _)| !parts.contains(name));
    each.map(|(_, frames)| frames).sum()
}

/// Returns the number of whole frames in a capture file that may still grow.
///
/// A write that is under way may end in the middle of a frame, since the system does not make a
/// write visible all at once; nothing else may be wrong.
pub(crate) fn frames_so_far(path: &Path) -> u64 {
    let mut file = CaptureFile::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    loop {
        match file.next() {
            Ok(Some(_)) => {}
            Ok(None) | Err(CaptureFileError::EndsInRecord { .. }) => return file.frames(),
            Err(error) => panic!("{}: {error}", path.display()),
        }
    }
}

/// Checks that the sums of a stopped engine add up, and that nothing went wrong.
#[track_caller]
pub(crate) fn assert_adds_up(report: &Report) {
    assert_eq!(report.imbalances(), Vec::<String>::new(), "\n{report}");
    assert_eq!(report.failures, Vec::<String>::new(), "\n{report}");
}

/// Writes a configuration file whose output is `NAME.pcapng` beside it; returns both paths.
pub(crate) fn config_file(directory: &Path, name: &str) -> (String, PathBuf) {
    let path = directory.join(name).with_extension("toml");
    let output = directory.join(name).with_extension("pcapng");
    let text =
        format!("[[output]]\nname = \"file\"\ntype = \"pcapng\"\npath = '{}'\n", output.display());
    fs::write(&path, text).unwrap();
    (path.to_str().unwrap().to_owned(), output)
}

/// Returns the path of the `vxtap` command of this build.
pub(crate) fn vxtap() -> PathBuf {
    let test = std::env::current_exe().expect("this program has a path");
    let directory = test.parent().and_then(Path::parent).expect("tests lie in target/PROFILE/deps");
    let path = directory.join("vxtap");
    assert!(path.exists(), "{} is missing: `cargo build -p vxtap` makes it", path.display());
    path
}

/// Returns the command `vxtap ARGUMENTS` in the namespace of the receiving end.
pub(crate) fn vxtap_on(receiver: &Side, arguments: &[&str]) -> Command {
    let mut command = receiver.netns.command(vxtap());
    command.args(arguments);
    command
}

/// Returns the beginning of a command that runs without any privilege, on the receiving end.
pub(crate) fn as_nobody(veth: &Veth) -> Command {
    let mut command = veth.receiver.netns.command("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all"]);
    command
}

/// Lets every user read and write a directory.
pub(crate) fn open_to_all(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
}

/// Starts `vxtap run` on the receiving end with further arguments, and waits until it runs.
pub(crate) fn start(veth: &Veth, arguments: &[&str]) -> Process {
    start_in(Path::new("."), veth, arguments)
}

/// [`start`] in a working directory.
pub(crate) fn start_in(directory: &Path, veth: &Veth, arguments: &[&str]) -> Process {
    let receiver = &veth.receiver;
    let mut command = vxtap_on(receiver, &["run", "--progress", "json", "-i", receiver.interface]);
    command.args(arguments).current_dir(directory).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = Process::spawn("vxtap", &mut command).unwrap();
    wait_for_progress(&mut process, |_| true);
    process
}

/// Waits until a `vxtap run --progress json` has received so many datagrams.
#[track_caller]
pub(crate) fn wait_for_received(process: &mut Process, frames: u64) {
    wait_for_progress(process, |progress| progress["received"].as_u64() == Some(frames));
}

/// Reads the lines that `vxtap run --progress json` prints each second, until one of them is as
/// wanted.
#[track_caller]
pub(crate) fn wait_for_progress(
    process: &mut Process,
    is_wanted: impl Fn(&serde_json::Value) -> bool,
) {
    let stdout = process.child().stdout.as_mut().expect("standard output is a pipe");
    let mut line = String::new();
    wait_until("the progress of vxtap", TIMEOUT, || {
        line = read_line(stdout);
        let progress = serde_json::from_str(&line);
        is_wanted(&progress.unwrap_or_else(|error| panic!("{error}: {line:?}")))
    })
    .unwrap_or_else(|error| panic!("{error}: {line}"));
}

/// Reads a line and nothing behind it.
fn read_line(stdout: &mut ChildStdout) -> String {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while stdout.read(&mut byte).expect("a pipe can be read") == 1 && byte != [b'\n'] {
        line.extend(byte);
    }
    String::from_utf8(line).expect("a line is text")
}

/// Runs a command to its end; returns exit code, standard output and standard error.
pub(crate) fn finish(command: &mut Command) -> (Option<i32>, String, String) {
    let output = command.output().expect("the command starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the output is text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}
