//! The instrument: `vxbench compare` gives every receiver the same traffic, round after round, and
//! records the frames that each delivered and lost, and the CPU time that each took.
//!
//! ```text
//!   options ─► run_plan: iterations ─► rounds ─► single_run: testbed, receiver, generator, cpu
//!                                                  │
//!              report: tables, JSON, plots ◄─ receiver_summary ◄─ stats
//! ```

pub(crate) mod child_process;
pub(crate) mod cpu;
mod external;
pub(crate) mod interrupt;
mod noise;
pub(crate) mod offered;
mod options;
mod proc_stat;
pub(crate) mod receiver;
pub(crate) mod receiver_spec;
mod receiver_summary;
mod report;
mod rounds;
mod run_plan;
mod sanity;
mod single_run;
mod stats;
pub(crate) mod testbed;
pub(crate) mod vxgen_process;

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use vxtap_tests::missing_privileges;

pub use options::CompareOptions;

use interrupt::Interrupt;
use proc_stat::Ticks;
use report::{Document, Machine};
use rounds::Measurements;
use single_run::RunSetup;
use testbed::{CpuPair, Testbed};
use vxgen_process::Generator;

/// Time of a run besides its traffic: namespaces, start and end of the receiver, the rest in its
/// buffers.
const OVERHEAD: Duration = Duration::from_millis(900);

/// Time for which the load of the machine is measured before the first run, and the highest load
/// without a note, in percent of the two CPUs.
const LOOK: Duration = Duration::from_millis(500);
const BUSY_MAX: f64 = 10.0;

/// Runs the comparison of the options.
///
/// # Errors
/// When an option is not valid, privileges are missing, the results cannot be written, a run
/// failed, or, with `--quick`, a run is not plausible. The results so far have been written by
/// then.
pub fn run(options: &CompareOptions) -> Result<()> {
    let options = &options.resolved();
    let rows = options.check()?;
    let missing = missing_privileges();
    ensure!(
        missing.is_empty(),
        "a comparison needs root: this process lacks {}",
        missing.join(", ")
    );
    let interrupt = Interrupt::catch()?;
    for name in Testbed::remove_stale()? {
        log(&format!("removed {name}, left by an earlier comparison"));
    }

    let iterations = options.request(&rows).iterations();
    ensure!(
        !iterations.is_empty(),
        "there is nothing to measure: no chosen row supports the requested measures"
    );
    let runs = run_plan::run_count(&iterations);
    let time = (options.seconds + OVERHEAD) * u32::try_from(runs)?;
    log(&format!(
        "{runs} runs in {} iterations, about {} minutes",
        iterations.len(),
        time.as_secs().div_ceil(60)
    ));

    let cpus = CpuPair { generator: options.generator_cpu, receiver: options.receiver_cpu };
    let setup = RunSetup { generator: generator(options)?, cpus, interrupt: &interrupt };
    let mut measured = Measurements::default();
    testbed::pin_this(cpus.generator)?;
    measured.notes.extend(background_load(cpus, &interrupt)?);
    let ended = rounds::run_all(&setup, options, &rows, &iterations, &mut measured);
    let Measurements { runs, notes, failures } = measured;
    ensure!(!runs.is_empty() || ended.is_err(), "no run succeeded:\n{}", notes.join("\n"));

    let summary = receiver_summary::summarise(&runs, &rows, &options.reference);
    let command = env::args().collect();
    let version = env!("CARGO_PKG_VERSION");
    let document =
        Document { machine: Machine::here(cpus), command, version, rows, notes, summary, runs };
    if !document.runs.is_empty() {
        print(&report::write(&options.out, &document)?);
        log(&format!("results.json, table.md and plots are in {}", options.out.display()));
    }
    ended?;
    ensure!(failures == 0, "{failures} runs failed; the notes name them");
    if options.quick { check(&document, &options.out) } else { Ok(()) }
}

/// Returns a note if other work keeps the CPUs busy.
fn background_load(cpus: CpuPair, interrupt: &Interrupt) -> Result<Option<String>> {
    let all = cpus.all();
    let start = Ticks::now(&all)?;
    interrupt.pause(LOOK)?;
    let busy = Ticks::now(&all)?.since(start).busy_percent();
    let note = (busy > BUSY_MAX).then(|| {
        format!("before the first run the two CPUs were {busy:.0} % busy with something else")
    });
    if let Some(note) = &note {
        log(note);
    }
    Ok(note)
}

fn generator(options: &CompareOptions) -> Result<Generator> {
    Ok(Generator {
        vxgen: vxgen_path(options.vxgen.as_deref())?,
        via: "live".to_owned(),
        tag_every: options.tag_every,
        sessions: options.sessions,
    })
}

/// Returns the given path of the generator, or that of `vxgen` beside this program.
///
/// # Errors
/// When there is none.
pub(crate) fn vxgen_path(named: Option<&Path>) -> Result<PathBuf> {
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

/// Checks the results of the smoke test.
fn check(document: &Document, directory: &Path) -> Result<()> {
    report::check_json(directory)?;
    let violations = sanity::violations(&document.runs);
    if !violations.is_empty() {
        bail!("impossible results:\n{}", violations.join("\n"));
    }
    log(&format!("{} runs, and the results of all are plausible", document.runs.len()));
    Ok(())
}

/// Writes a message to standard error.
pub(crate) fn log(message: &str) {
    eprintln!("vxbench: {message}");
}

/// Prints the result to standard output.
#[expect(clippy::print_stdout, reason = "the result of the command, not a message about it")]
pub(crate) fn print(text: &str) {
    println!("{}", text.trim_end());
}
