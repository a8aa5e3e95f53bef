//! Generates, plays and verifies mirrored traffic.

mod arguments;

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use clap::Parser;
use signal_hook::consts::{SIGINT, SIGTERM};
use vxtap_bench::send::Source;
use vxtap_bench::{Limits, Pace, PacketSocket, PcapFile, Player, SendError, Sink, Totals, Traffic, Verifier};
use vxtap_bench::{capture, send};

use vxtap_bench::totals::SessionTotals;

use arguments::{Arguments, Command, Play, Run, Verify};

/// Times in a file that is written at full speed: a frame each microsecond.
const FULL_SPEED_IN_FILE: &str = "1mpps";

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            // Where nobody can read the error, the exit code has to do.
            let _ = writeln!(io::stderr(), "vxgen: {error}");
            ExitCode::from(if error.is::<vxtap_bench::ProfileError>() { 2 } else { 1 })
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Run(run) => generate(&run),
        Command::Play(play) => play_file(&play),
        Command::Verify(verify) => verify_file(&verify),
    }
}

fn generate(run: &Run) -> Result<ExitCode> {
    let profile = run.profile.profile(run.outer.outer(), run.limits.count);
    let mut traffic = Traffic::new(&profile)?;
    let mut pace = run.rate;
    if pace == Pace::Recorded {
        arguments::usage("generated traffic has no times of its own: give --rate full or a number");
    }
    match (&run.sink.target.interface, &run.sink.target.write) {
        (Some(interface), _) => {
            transmit(&mut traffic, &mut PacketSocket::open(interface)?, pace, run.limits.duration)
        }
        (None, Some(path)) => {
            if pace == Pace::Full {
                if run.limits.duration.is_some() {
                    arguments::usage(
                        "--write with --duration needs a --rate: it decides how many frames there are",
                    );
                }
                pace = FULL_SPEED_IN_FILE.parse()?;
            }
            let mut file = PcapFile::create(path, Duration::from_secs(run.sink.epoch))?;
            transmit(&mut traffic, &mut file, pace, run.limits.duration)
        }
        (None, None) => unreachable!("the argument group requires one of them"),
    }
}

fn play_file(play: &Play) -> Result<ExitCode> {
    let mut player = Player::open(&play.file, play.loops)?;
    ensure!(player.frame_count() > 0, "{} has no frames", play.file.display());
    if player.cut_count() > 0 {
        writeln!(
            io::stderr(),
            "note: {} frames were cut when captured and are sent as they are",
            player.cut_count()
        )?;
    }
    transmit(&mut player, &mut PacketSocket::open(&play.interface)?, play.rate, play.duration)
}

/// Sends until the end, a limit or a signal, and prints what was sent.
fn transmit<S: Source, K: Sink>(
    source: &mut S,
    sink: &mut K,
    pace: Pace,
    duration: Option<Duration>,
) -> Result<ExitCode> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        let registered = signal_hook::flag::register(signal, Arc::clone(&stop));
        registered.map_err(|error| anyhow!("cannot take over signal {signal}: {error}"))?;
    }
    let limits = Limits { pace, duration, stop: Some(&stop) };
    let (totals, error) = match send(source, sink, limits, |_| {}) {
        Ok(totals) => (totals, None),
        Err(SendError::Sink { totals, source }) => (*totals, Some(source)),
    };
    print_totals(&totals)?;
    match error {
        Some(error) => Err(error.into()),
        None => Ok(ExitCode::from(u8::from(totals.refused > 0))),
    }
}

fn print_totals(totals: &Totals) -> io::Result<()> {
    let mut text = format!("{totals}\n");
    for (index, SessionTotals { frames, inner_bytes }) in totals.sessions.iter().enumerate() {
        let _ = writeln!(text, "session {index}: {frames} frames, {inner_bytes} bytes inner");
    }
    io::stdout().write_all(text.as_bytes())
}

fn verify_file(verify: &Verify) -> Result<ExitCode> {
    let profile = verify.profile.profile(vxtap_bench::profile::Outer::default(), verify.count);
    let mut verifier = Verifier::new(&profile)?;
    for path in &verify.files {
        capture::read(path, |packet| match packet.session {
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
