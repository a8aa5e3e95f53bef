//! `vxtap decap`.

use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::ensure;
use vxtap::Engine;
use vxtap::config::Config;
use vxtap::engine::Report;

use super::{Failure, run};

/// How soon the end of the file is noticed.
const TURN: Duration = Duration::from_millis(5);

/// Sends the frames of a capture file through the pipeline and prints the conservation table.
/// Everything up to a damage of the file is in the output when this returns the error that says
/// where it is.
pub(super) fn decap(config: Config, input: &Path) -> Result<(), Failure> {
    let to_stdout = super::writes_to_stdout(&config);
    let mut engine = Engine::open_capture_file(config, input).map_err(failed)?;
    engine.start().map_err(failed)?;
    while !engine.has_ended() {
        thread::sleep(TURN);
    }
    let mut report = run::stop_engine(engine);
    let damage = report.input_error.take();
    super::print_table(&report, to_stdout)?;
    match damage {
        Some(damage) => Err(failed(damage)),
        None => judge(&report, input).map_err(Failure::Failed),
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::Failed(error.into())
}

fn judge(report: &Report, input: &Path) -> anyhow::Result<()> {
    let too_long = report.lost_in_kernel();
    ensure!(
        too_long == 0,
        "{}: {too_long} of the mirrored frames are longer than 65264 bytes and were left out",
        input.display()
    );
    run::judge(report, true)
}
