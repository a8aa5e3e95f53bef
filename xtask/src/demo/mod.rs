//! `cargo xtask demo`: mirrored traffic from a generator through vxtap into a pcapng file, and the
//! proof that every frame arrived.
//!
//! ```text
//!   namespace vxtap-demo-tx-PID              namespace vxtap-demo-rx-PID
//!   vxgen run ──► vxtx0 ══ veth, 2 queues ══ vxrx0 ──► XDP ──► vxtap run ──► demo.pcapng ──► vxgen verify
//! ```

mod display;
mod engine;
mod files;
mod plan;
mod progress;

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{env, mem, process};

use anyhow::{Context, Result, bail, ensure};
use clap::value_parser;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use vxtap_tests::{NetNs, Process, Veth, VethOptions, missing_privileges, remove_stale};

use crate::setup;
use crate::shell::{self, say};
use display::Display;
use engine::Engine;
use files::Files;
use plan::Plan;

/// Prefixes of the two namespaces; the id of this process follows.
const RECEIVER: &str = "vxtap-demo-rx-";
const SENDER: &str = "vxtap-demo-tx-";

/// Longest time without a new frame: reports come once a second, and the slowest rate is one frame
/// a second.
const QUIET: Duration = Duration::from_secs(5);

/// Message after Ctrl-C; the guards clean up as it says.
const INTERRUPTED: &str = "interrupted; the namespaces and processes are removed";

/// Sends mirrored traffic through vxtap into a pcapng file and verifies every frame.
///
/// Two network namespaces are joined by a 2-queue veth pair; no other interface is touched, and
/// nothing is left but the files. Live rates per session are shown meanwhile (without a terminal
/// one line per second); vxtap's conservation table and the verification come at the end. Needs
/// root, asked for through sudo. The exit code is 0 only when every frame arrived as it was sent.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Frames to send
    #[arg(long, default_value_t = 500_000, value_parser = value_parser!(u64).range(1..))]
    frames: u64,
    /// Frames per second, as vxgen takes it (2500, 100kpps, 1mpps), or full: more than the machine
    /// may keep up with
    #[arg(long, default_value = "100kpps")]
    rate: String,
    /// Mirror sessions, 1 to 64
    #[arg(long, default_value_t = 8, value_parser = value_parser!(u32).range(1..=64))]
    sessions: u32,
    /// Directory for the capture file, the configuration and the logs; by default `demo` in the
    /// target directory
    #[arg(long, value_name = "DIRECTORY")]
    output: Option<PathBuf>,
    /// Build as for production use: takes minutes more, for rates beyond the default
    #[arg(long)]
    release: bool,
    /// Leave the namespaces in place to look around; the next demo removes them
    #[arg(long)]
    keep: bool,
    /// The programs are built; set when the demo starts itself again as root
    #[arg(long, hide = true)]
    built: bool,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    if !options.built {
        prepare(options)?;
    }
    if !shell::is_root() {
        return again_as_root();
    }
    let missing = missing_privileges();
    ensure!(
        missing.is_empty(),
        "the demo needs root with {}; this process lacks them",
        missing.join(", ")
    );
    let interrupted = catch_signals()?;
    for name in [remove_stale(RECEIVER)?, remove_stale(SENDER)?].concat() {
        say(format!("demo: removed {name}, left by an earlier demo"));
    }
    let files = Files::create(options.output.clone())?;
    let profile = if options.release { "release" } else { "debug" };
    let plan = Plan {
        frames: options.frames,
        rate: options.rate.clone(),
        sessions: options.sessions,
        programs: shell::target_dir()?.join(profile),
    };
    let result = show(&plan, &files, options.keep, &interrupted);
    files.hand_over()?;
    result
}

/// Installs missing packages, downloads crates and builds the programs; says how long each took.
///
/// The programs are those of the tests unless `--release` asks for others: an optimised build takes
/// several times as long and is not needed for the default rate.
fn prepare(options: &Options) -> Result<()> {
    let packages = timed(setup::demo)?;
    // Has cargo download the crates of these packages, and no others.
    let downloads = timed(|| {
        let mut tree = shell::cargo();
        tree.args(["tree", "--locked", "--quiet", "--edges", "normal,build"]).args(PROGRAMS);
        let listed = shell::output(&mut tree).map(drop);
        listed.context("cargo cannot download the crates; `cargo fetch` shows the reason")
    })?;
    let building = timed(|| {
        let mut build = shell::cargo();
        // Bookkeeping for later changes makes a first build slower.
        build.args(["build", "--locked"]).args(PROGRAMS).env("CARGO_INCREMENTAL", "0");
        shell::run(build.args(options.release.then_some("--release")))
    })?;
    say(format!("demo: packages {packages} s, downloads {downloads} s, building {building} s"));
    Ok(())
}

/// The packages with the programs of the demo.
const PROGRAMS: [&str; 4] = ["-p", "vxtap", "-p", "vxtap-bench"];

/// Runs a step and returns the seconds that it took.
fn timed(step: impl FnOnce() -> Result<()>) -> Result<u64> {
    let start = Instant::now();
    step()?;
    Ok(start.elapsed().as_secs())
}

/// Replaces this process by the same demo as root; returns only when that fails.
fn again_as_root() -> Result<()> {
    let program = env::current_exe().context("cannot find the path of xtask")?;
    let program = program.to_str().context("the path of xtask is not UTF-8")?;
    say("demo: network namespaces need root; asking sudo");
    let mut command = shell::as_root(program)?;
    command.args(env::args_os().skip(1)).arg("--built");
    Err(command.exec()).context("cannot start sudo")
}

/// Makes signals set a flag instead of ending this process, so that the guards clean up.
fn catch_signals() -> Result<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted))
            .context("cannot take over a signal")?;
    }
    Ok(interrupted)
}

/// Runs the demo. Locals are dropped in reverse order: generator, engine, then the namespaces.
fn show(plan: &Plan, files: &Files, keep: bool, interrupted: &AtomicBool) -> Result<()> {
    let id = process::id();
    let (sender, receiver) =
        (NetNs::named(&format!("{SENDER}{id}"))?, NetNs::named(&format!("{RECEIVER}{id}"))?);
    let veth = Veth::join(sender, receiver, VethOptions::default())?;
    say(format!(
        "demo: {} ══ veth, 2 queues ══ {}",
        veth.sender.netns.name(),
        veth.receiver.netns.name()
    ));

    files.write_config(&plan.config(&files.capture()))?;
    let mut engine = Engine::start(&plan.programs, &veth.receiver, files, interrupted)?;
    let sent = send(plan, files, &veth, &mut engine, interrupted);
    let stopped = engine.stop();
    if let Ok(table) = &stopped {
        shell::print(table);
    }
    // The first error explains the later ones.
    sent.and(stopped)?;
    let verified = verify(plan, files);
    if keep {
        say(format!(
            "demo: left in place: ip netns exec {} ip address",
            veth.receiver.netns.name()
        ));
        mem::forget(veth);
    }
    verified
}

/// Runs the generator with the rates on display, until the engine knows of every frame or nothing
/// more comes.
fn send(
    plan: &Plan,
    files: &Files,
    veth: &Veth,
    engine: &mut Engine,
    interrupted: &AtomicBool,
) -> Result<()> {
    let mut generator = Process::spawn("vxgen", &mut generator_command(plan, files, veth)?)?;
    let mut display = Display::new(plan);
    let mut ended: Option<ExitStatus> = None;
    let mut last_change = Instant::now();
    while display.accounted() < plan.frames || ended.is_none() {
        ensure!(!interrupted.load(Ordering::Relaxed), INTERRUPTED);
        if let Some(progress) = engine.next_progress()?
            && display.show(progress)
        {
            last_change = Instant::now();
        }
        if ended.is_none() {
            ended = generator.ended()?;
        }
        if last_change.elapsed() > QUIET {
            break;
        }
    }
    display.finish();
    match ended {
        Some(status) if !status.success() => {
            bail!("vxgen failed ({status}):\n{}", files.generator_log_text())
        }
        Some(_) => Ok(()),
        None => bail!("vxgen sends and nothing arrives:\n{}", files.engine_log_text()),
    }
}

fn generator_command(plan: &Plan, files: &Files, veth: &Veth) -> Result<Command> {
    let vxgen = plan.programs.join("vxgen");
    let mut command = veth.sender.netns.command(vxgen);
    command.args(["run", "--interface", veth.sender.interface, "--rate", &plan.rate]);
    command.args(["--dst-mac", &veth.receiver.mac_text(), "--src-mac", &veth.sender.mac_text()]);
    command.args(plan.traffic_arguments());
    let log = files.generator_log()?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    // Ctrl-C reaches this process alone, which then ends the others in order.
    command.process_group(0);
    Ok(command)
}

/// Compares the capture file with what was sent, frame by frame.
fn verify(plan: &Plan, files: &Files) -> Result<()> {
    say(format!("demo: verifying every frame of {}", files.capture().display()));
    let mut command = Command::new(plan.programs.join("vxgen"));
    command.arg("verify").args(plan.traffic_arguments()).arg(files.capture()).stdin(Stdio::null());
    shell::run(&mut command).context("the capture file is not what was sent")?;
    say(format!("demo: done; to look at the frames: tcpdump -r {}", files.capture().display()));
    Ok(())
}
