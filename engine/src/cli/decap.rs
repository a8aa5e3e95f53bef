//! `vxtap decap`: removes the tunnel headers from the frames of a capture file.

use std::path::Path;
use std::thread;
use std::time::Duration;

use vxtap::Engine;
use vxtap::config::Config;
use vxtap::engine::Report;

use super::{CommandError, capture, is_stdout_closed, run};

/// Interval of the checks for the end of the file.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Sends the frames of a capture file through the pipeline and prints the conservation table. If
/// the file is damaged, the output has all frames before the damage, and the error has its
/// position. A reader of standard output that has closed the pipe, as `head` does, is no error.
pub(super) fn decap(config: Config, input: &Path) -> Result<(), CommandError> {
    let to_stdout = super::stdout_outputs(&config).is_taken;
    let outcome = decap_until_end(config, input, to_stdout);
    if to_stdout && is_stdout_closed() { Ok(()) } else { outcome }
}

fn decap_until_end(config: Config, input: &Path, to_stdout: bool) -> Result<(), CommandError> {
    let ports: Vec<_> = config.capture.ports.iter().map(|port| port.number).collect();
    let frames = capture::open(input)?;
    let mut engine = Engine::open_capture(config, frames).map_err(failed)?;
    engine.start().map_err(failed)?;
    while !(engine.has_ended() || to_stdout && is_stdout_closed()) {
        thread::sleep(POLL_INTERVAL);
    }
    if to_stdout && is_stdout_closed() {
        drop(engine.take_diagnostics());
    }
    let mut report = run::stop_engine(engine);
    if !(to_stdout && is_stdout_closed()) {
        report.diagnostics.iter().for_each(|note| super::log(note));
    }
    let damage = report.input_error.take();
    super::print_table(&report, to_stdout)?;
    if let Some(hint) = port_hint(&report, &ports) {
        super::log(&hint);
    }
    match damage {
        Some(damage) => Err(failed(damage)),
        None => run::check_report(&report, run::End::Stopped).map_err(CommandError::Failed),
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> CommandError {
    CommandError::Failed(error.into())
}

/// Returns a hint if no frame went to one of the ports.
fn port_hint(report: &Report, ports: &[u16]) -> Option<String> {
    let file = report.capture_file.as_ref().filter(|_| report.steering().redirected == 0)?;
    capture::port_hint(ports, &file.other_ports)
}
