//! `vxtap decap`: removes the tunnel headers from the frames of a capture file.

use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::ensure;
use vxtap::Engine;
use vxtap::config::Config;
use vxtap::engine::Report;
use vxtap::plural::counted;

use super::{CommandError, run};

/// Interval of the checks for the end of the file.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Sends the frames of a capture file through the pipeline and prints the conservation table. If
/// the file is damaged, the output has all frames before the damage, and the error has its
/// position.
pub(super) fn decap(config: Config, input: &Path) -> Result<(), CommandError> {
    let to_stdout = super::stdout_outputs(&config).is_taken;
    let mut engine = Engine::open_capture_file(config, input).map_err(failed)?;
    engine.start().map_err(failed)?;
    while !engine.has_ended() {
        thread::sleep(POLL_INTERVAL);
    }
    let mut report = run::stop_engine(engine);
    let damage = report.input_error.take();
    super::print_table(&report, to_stdout)?;
    match damage {
        Some(damage) => Err(failed(damage)),
        None => check_decap_report(&report, input).map_err(CommandError::Failed),
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> CommandError {
    CommandError::Failed(error.into())
}

fn check_decap_report(report: &Report, input: &Path) -> anyhow::Result<()> {
    let too_long = report.lost_in_kernel();
    ensure!(
        too_long == 0,
        "{}: left out {} of more than 65264 bytes",
        input.display(),
        counted(too_long, "mirrored frame")
    );
    run::check_report(report, run::End::Stopped)
}
