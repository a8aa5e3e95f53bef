//! What the tests of the engine share.

use std::fs;
use std::io::{BufRead, BufReader};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use vxtap::Engine;
use vxtap::config::{Config, Output, OutputKind, Session};
use vxtap::engine::Report;
use vxtap::ring::{Consumer, Next};
use vxtap_bench::send::FrameSource;
use vxtap_bench::{
    Pace, PacketSocket, Profile, SendLimits, Totals, Traffic, Verification, Verifier, send,
};
use vxtap_tests::{NetNs, Process, Side, Veth};

/// Name of the output that the tests read themselves.
pub(crate) const OUTPUT: &str = "test";

/// Longest wait for something that takes milliseconds.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A configuration for the receiving end of a test's veth pair, with one output.
pub(crate) fn config(receiver: &Side) -> Config {
    let mut config = Config::default();
    config.capture.interfaces = vec![receiver.interface.to_owned()];
    config.outputs.push(Output::new(OUTPUT, OutputKind::Consumer));
    config
}

/// The sessions of a traffic profile, declared as `session-0` and so on.
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
        send(source, &mut socket, limits, |_| {}).expect("the frames can be sent")
    })
}

/// Reads an output to its end, handing every frame to a verifier.
pub(crate) fn verify(mut consumer: Consumer, mut verifier: Verifier) -> JoinHandle<Verifier> {
    thread::spawn(move || {
        loop {
            match consumer.next(SOON) {
                Next::Batch(batch) => {
                    for frame in &batch {
                        assert_eq!(frame.captured_len(), frame.original_len(), "nothing is cut");
                        verifier.frame(frame.source(), frame.vni().get(), &frame.bytes());
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
        match consumer.next(SOON) {
            Next::Batch(batch) => frames += batch.iter().count() as u64,
            Next::Idle => {}
            Next::Closed => return frames,
        }
    }
}

/// What a run of the engine came to.
pub(crate) struct Outcome {
    pub(crate) totals: Totals,
    pub(crate) verdict: Verification,
    pub(crate) report: Report,
    pub(crate) notes: Vec<String>,
}

/// Runs the engine over one pair while the profile's traffic is sent.
pub(crate) fn run(
    veth: &Veth,
    config: Config,
    profile: &Profile,
    frames_per_second: u64,
) -> Outcome {
    let mut engine = open(&veth.receiver, config);
    let consumer = engine.take_consumer(OUTPUT).expect("the configuration has this output");
    let verifier = verify(consumer, Verifier::new(profile).expect("the profile is valid"));
    engine.start().expect("the engine starts");
    let totals = send_traffic(&veth.sender, profile, frames_per_second);
    let notes = engine.take_diagnostics();
    let report = engine.stop();
    let verdict = verifier.join().expect("the reader does not panic").finish(&totals);
    Outcome { totals, verdict, report, notes }
}

/// Opens the engine in the namespace of the receiving end.
pub(crate) fn open(receiver: &Side, config: Config) -> Engine {
    receiver.netns.run(|| Engine::open(config)).expect("the engine opens")
}

/// The sums of a stopped engine add up, and nothing went wrong.
#[track_caller]
pub(crate) fn assert_adds_up(report: &Report) {
    assert_eq!(report.imbalances(), Vec::<String>::new(), "\n{report}");
    assert_eq!(report.failures, Vec::<String>::new(), "\n{report}");
}

/// A configuration file that writes to `NAME.pcapng` beside it; returns both paths.
pub(crate) fn config_file(directory: &Path, name: &str) -> (String, PathBuf) {
    let path = directory.join(name).with_extension("toml");
    let output = directory.join(name).with_extension("pcapng");
    let text =
        format!("[[output]]\nname = \"file\"\ntype = \"pcapng\"\npath = '{}'\n", output.display());
    fs::write(&path, text).unwrap();
    (path.to_str().unwrap().to_owned(), output)
}

/// The `vxtap` command that belongs to this build.
pub(crate) fn vxtap() -> PathBuf {
    let test = std::env::current_exe().expect("this program has a path");
    let directory = test.parent().and_then(Path::parent).expect("tests lie in target/PROFILE/deps");
    let path = directory.join("vxtap");
    assert!(path.exists(), "{} is missing: `cargo build -p vxtap` makes it", path.display());
    path
}

/// `vxtap ARGUMENTS` in the receiver's namespace.
pub(crate) fn vxtap_on(receiver: &Side, arguments: &[&str]) -> Command {
    let mut command = receiver.netns.command(vxtap());
    command.args(arguments);
    command
}

/// Starts `vxtap run` on the receiving end, with these arguments besides, and waits for its first
/// report.
pub(crate) fn start(veth: &Veth, arguments: &[&str]) -> Process {
    start_in(Path::new("."), veth, arguments)
}

/// [`start`] in a working directory.
pub(crate) fn start_in(directory: &Path, veth: &Veth, arguments: &[&str]) -> Process {
    let receiver = &veth.receiver;
    let mut command = vxtap_on(receiver, &["run", "--progress", "json", "-i", receiver.interface]);
    command.args(arguments).current_dir(directory).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = Process::spawn("vxtap", &mut command).unwrap();
    let mut line = String::new();
    BufReader::new(process.child().stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with('{'), "{line}");
    process
}

/// Runs a command to its end: exit code, standard output, standard error.
pub(crate) fn finish(command: &mut Command) -> (Option<i32>, String, String) {
    let output = command.output().expect("the command starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the output is text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}
