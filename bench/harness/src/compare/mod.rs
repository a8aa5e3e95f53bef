//! The instrument: `vxbench compare` gives every receiver the same traffic in turn, round after
//! round, and writes down what each delivered, lost and cost.
//!
//! ```text
//!   options ─► plan: turns of all rows ─► rounds ─► run: bed, receiver, generator, cpu
//!                                                    │
//!              report: tables, JSON, plots ◄─ summary ◄─ stats
//! ```

pub(crate) mod bed;
pub(crate) mod cpu;
mod disturbance;
mod external;
pub(crate) mod generator;
pub(crate) mod interrupt;
pub(crate) mod offered;
mod options;
mod plan;
mod proc_stat;
pub(crate) mod receiver;
mod report;
mod rounds;
pub(crate) mod rows;
mod run;
mod sanity;
mod stats;
mod summary;
pub(crate) mod talk;

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use vxtap_tests::missing_privileges;

pub use options::Options;

use bed::{Bed, Cpus};
use generator::Generator;
use interrupt::Interrupt;
use proc_stat::Ticks;
use report::{Document, Machine};
use rounds::Outcome;
use run::Setup;

/// What a run takes besides its traffic: namespaces, start and end of the receiver, the rest in its
/// buffers.
const OVERHEAD: Duration = Duration::from_millis(900);

/// How long the machine is looked at before the first run, and how busy it may be, in percent of
/// the two CPUs.
const LOOK: Duration = Duration::from_millis(500);
const BUSY_MAX: f64 = 10.0;

/// Runs the comparison that the options ask for.
///
/// # Errors
/// When an option makes no sense, privileges are missing, the results cannot be written, a run
/// failed, or, with `--quick`, a run is not sane. Results that there are have been written by then.
pub fn run(options: &Options) -> Result<()> {
    let options = &options.resolved();
    let rows = options.check()?;
    let missing = missing_privileges();
    ensure!(
        missing.is_empty(),
        "a comparison needs root: this process lacks {}",
        missing.join(", ")
    );
    let interrupt = Interrupt::catch()?;
    for name in Bed::remove_stale()? {
        say(&format!("removed {name}, left by an earlier comparison"));
    }

    let turns = options.request(&rows).turns();
    ensure!(
        !turns.is_empty(),
        "there is nothing to measure: no row of these has what the measures ask for"
    );
    let runs = plan::run_count(&turns);
    let time = (options.seconds + OVERHEAD) * u32::try_from(runs)?;
    say(&format!(
        "{runs} runs in {} turns, about {} minutes",
        turns.len(),
        time.as_secs().div_ceil(60)
    ));

    let cpus = Cpus { generator: options.generator_cpu, receiver: options.receiver_cpu };
    let setup = Setup { generator: generator(options)?, cpus, interrupt: &interrupt };
    let mut outcome = Outcome::default();
    bed::pin_this(cpus.generator)?;
    outcome.notes.extend(disturbance(cpus, &interrupt)?);
    let ended = rounds::run_all(&setup, options, &rows, &turns, &mut outcome);
    let Outcome { runs, notes, failures } = outcome;
    ensure!(!runs.is_empty() || ended.is_err(), "no run succeeded:\n{}", notes.join("\n"));

    let summary = summary::summarise(&runs, &rows, &options.reference);
    let command = env::args().collect();
    let version = env!("CARGO_PKG_VERSION");
    let document =
        Document { machine: Machine::here(cpus), command, version, rows, notes, summary, runs };
    if !document.runs.is_empty() {
        print(&report::write(&options.out, &document)?);
        say(&format!("results.json, table.md and plots are in {}", options.out.display()));
    }
    ended?;
    ensure!(failures == 0, "{failures} runs failed; the notes name them");
    if options.quick { check(&document, &options.out) } else { Ok(()) }
}

/// A sentence about what else keeps the CPUs busy, if something does.
fn disturbance(cpus: Cpus, interrupt: &Interrupt) -> Result<Option<String>> {
    let all = cpus.all();
    let start = Ticks::now(&all)?;
    interrupt.pause(LOOK)?;
    let busy = Ticks::now(&all)?.since(start).busy_percent();
    let note = (busy > BUSY_MAX).then(|| {
        format!("before the first run the two CPUs were {busy:.0} % busy with something else")
    });
    if let Some(note) = &note {
        say(note);
    }
    Ok(note)
}

fn generator(options: &Options) -> Result<Generator> {
    Ok(Generator {
        vxgen: vxgen(options.vxgen.as_deref())?,
        via: "live".to_owned(),
        proof_every: options.proof_every,
        sessions: options.sessions,
    })
}

/// The generator that was named, or the one that lies beside this program.
///
/// # Errors
/// When there is none.
pub(crate) fn vxgen(named: Option<&Path>) -> Result<PathBuf> {
    let path = match named {
        Some(path) => path.to_owned(),
        None => {
            env::current_exe().context("cannot find the path of vxbench")?.with_file_name("vxgen")
        }
    };
    ensure!(
        path.is_file(),
        "there is no generator at {}: build it with `cargo build --release -p vxtap-bench`",
        path.display()
    );
    Ok(path)
}

/// The checks of the smoke test.
fn check(document: &Document, directory: &Path) -> Result<()> {
    report::check_json(directory)?;
    let complaints = sanity::complaints(&document.runs);
    if !complaints.is_empty() {
        bail!("this cannot be:\n{}", complaints.join("\n"));
    }
    say(&format!("{} runs, and all of them are sane", document.runs.len()));
    Ok(())
}

/// Says what happens, to standard error.
pub(crate) fn say(message: &str) {
    eprintln!("vxbench: {message}");
}

/// Prints the result, to standard output.
#[expect(clippy::print_stdout, reason = "the result of the command, not a message about it")]
pub(crate) fn print(text: &str) {
    println!("{}", text.trim_end());
}
