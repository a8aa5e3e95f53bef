//! Generates, plays and verifies mirrored traffic.

mod arguments;
mod report;
mod send_method;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use clap::Parser;
use signal_hook::consts::{SIGINT, SIGTERM};
#[cfg(feature = "af-xdp")]
use vxtap_bench::AfXdpSocket;
use vxtap_bench::plural::counted;
use vxtap_bench::send::FrameSource;
use vxtap_bench::{
    FrameSink, LiveError, LiveSender, Pace, PacketSocket, PcapFile, Player, Profile, ProfileError,
    SendError, SendLimits, Traffic, Verifier, capture_file, send,
};

use arguments::{Arguments, Command, PlayArguments, RunArguments, VerifyArguments};
use send_method::SendMethod;

/// Times in a file that is written at full speed: a frame each microsecond.
const FULL_SPEED_IN_FILE: &str = "1mpps";

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            // If the error cannot be written, the exit code has to do.
            let _ = writeln!(io::stderr(), "vxgen: {error}");
            ExitCode::from(if is_usage(&error) { 2 } else { 1 })
        }
    }
}

/// Returns whether the command line requests something impossible.
fn is_usage(error: &anyhow::Error) -> bool {
    error.is::<ProfileError>() || error.downcast_ref().is_some_and(LiveError::is_usage)
}

fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Run(run) => generate(&run),
        Command::Play(play) => play_file(&play),
        Command::Verify(verify) => verify_file(&verify),
    }
}

fn generate(run: &RunArguments) -> Result<ExitCode> {
    let profile = run.profile.profile(run.outer.outer(), run.limits.count);
    let pace = run.rate;
    if pace == Pace::Recorded {
        arguments::usage("generated traffic has no times of its own: give --rate full or a number");
    }
    if run.sink.via != SendMethod::Live
        && let Some(option) = run.live.given()
    {
        arguments::usage(&format!("{option} is for --via live"));
    }
    let duration = run.limits.duration;
    match (&run.sink.target.interface, &run.sink.target.write) {
        (Some(interface), _) => generate_to_interface(run, &profile, interface),
        (None, Some(path)) => {
            if pace == Pace::Full && duration.is_some() {
                arguments::usage(
                    "--write with --duration needs a --rate: it decides how many frames there are",
                );
            }
            let pace = if pace == Pace::Full { FULL_SPEED_IN_FILE.parse()? } else { pace };
            let mut traffic = Traffic::new(&profile)?;
            let mut file = PcapFile::create(path, Duration::from_secs(run.sink.epoch))?;
            transmit(&mut traffic, &mut file, pace, duration, report::Style::of(run.json, "file"))
        }
        (None, None) => unreachable!("the argument group requires one of them"),
    }
}

fn generate_to_interface(
    run: &RunArguments,
    profile: &Profile,
    interface: &str,
) -> Result<ExitCode> {
    check_mtu(profile, interface)?;
    let (pace, duration) = (run.rate, run.limits.duration);
    let style = report::Style::of(run.json, run.sink.via.name());
    match run.sink.via {
        SendMethod::Packet => {
            let mut traffic = Traffic::new(profile)?;
            transmit(&mut traffic, &mut PacketSocket::open(interface)?, pace, duration, style)
        }
        SendMethod::Live => {
            let mut live = LiveSender::open(interface, profile, run.live.options())?;
            send_live(&mut live, pace, duration, style)
        }
        #[cfg(feature = "af-xdp")]
        SendMethod::AfXdp => {
            let mut traffic = Traffic::new(profile)?;
            transmit(&mut traffic, &mut AfXdpSocket::open(interface)?, pace, duration, style)
        }
        #[cfg(not(feature = "af-xdp"))]
        SendMethod::AfXdp => anyhow::bail!(
            "this vxgen was built without AF_XDP transmit: build it with `cargo build --release -p vxtap-bench \
             --features af-xdp` (it takes clang and libelf), or use --via live"
        ),
    }
}

/// Refuses an interface whose MTU is too small before the first frame is sent. One whose MTU is not
/// known is left to the kernel.
fn check_mtu(profile: &Profile, interface: &str) -> Result<()> {
    let text = std::fs::read_to_string(format!("/sys/class/net/{interface}/mtu"));
    let Some(mtu) = text.ok().and_then(|text| text.trim().parse::<usize>().ok()) else {
        return Ok(());
    };
    let needed = profile.mtu_min();
    ensure!(
        mtu >= needed,
        "the MTU of {interface} is {mtu}, and the longest frame needs {needed}: run `ip link set dev {interface} mtu \
         {needed}` here, and the same at the other end of a veth pair"
    );
    Ok(())
}

/// Sends live frames until the end, a limit or a signal, and prints what was sent.
fn send_live(
    live: &mut LiveSender,
    pace: Pace,
    duration: Option<Duration>,
    style: report::Style,
) -> Result<ExitCode> {
    let stop = stop_on_signals()?;
    let sent = live.run(SendLimits { pace, duration, stop: Some(&stop) }, |_| {});
    let totals = match &sent {
        Ok(totals) => Some(totals),
        Err(LiveError::NotTaken { totals, .. }) => Some(totals.as_ref()),
        Err(_) => None,
    };
    if let Some(totals) = totals {
        style.print(totals)?;
    }
    // At full speed an interface may refuse some frames: the measurement includes these.
    sent?;
    Ok(ExitCode::SUCCESS)
}

fn play_file(play: &PlayArguments) -> Result<ExitCode> {
    let mut player = Player::open(&play.file, play.loops)?;
    ensure!(player.frame_count() > 0, "{} has no frames", play.file.display());
    if player.cut_count() > 0 {
        writeln!(
            io::stderr(),
            "note: cut when captured, and sent as they are: {}",
            counted(player.cut_count(), "frame")
        )?;
    }
    let style = report::Style::of(false, SendMethod::Packet.name());
    transmit(
        &mut player,
        &mut PacketSocket::open(&play.interface)?,
        play.rate,
        play.duration,
        style,
    )
}

/// Sends until the end, a limit or a signal, and prints what was sent.
fn transmit<S: FrameSource, K: FrameSink>(
    source: &mut S,
    sink: &mut K,
    pace: Pace,
    duration: Option<Duration>,
    style: report::Style,
) -> Result<ExitCode> {
    let stop = stop_on_signals()?;
    let limits = SendLimits { pace, duration, stop: Some(&stop) };
    let (totals, error) = match send(source, sink, limits, |_| {}) {
        Ok(totals) => (totals, None),
        Err(SendError::Sink { totals, source }) => (*totals, Some(source)),
    };
    style.print(&totals)?;
    match error {
        Some(error) => Err(error.into()),
        None => Ok(ExitCode::from(u8::from(totals.refused > 0))),
    }
}

/// A flag that SIGINT and SIGTERM raise.
fn stop_on_signals() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        let registered = signal_hook::flag::register(signal, Arc::clone(&stop));
        registered.map_err(|error| anyhow!("cannot take over signal {signal}: {error}"))?;
    }
    Ok(stop)
}

fn verify_file(verify: &VerifyArguments) -> Result<ExitCode> {
    let profile =
        verify.profile.profile(vxtap_bench::profile::OuterHeaders::default(), verify.count);
    let mut verifier = Verifier::new(&profile)?;
    for path in &verify.files {
        capture_file::read(path, |packet| match packet.session {
            Some(session) => verifier.frame(session.source, session.vni, packet.bytes),
            None => verifier.inner_frame(packet.bytes),
        })?;
    }
    let mut out = io::stdout().lock();
    let sent = if verify.count.is_some() {
        Traffic::totals(&profile)?
    } else {
        writeln!(out, "no --count given: frames lost at the end of a flow cannot be seen")?;
        verifier.sent_at_least()
    };
    let verdict = verifier.finish(&sent);
    writeln!(out, "{verdict}")?;
    Ok(ExitCode::from(u8::from(!verdict.is_perfect())))
}
