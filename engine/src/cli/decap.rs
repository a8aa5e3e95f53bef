//! `vxtap decap`.

use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::ensure;
use vxtap::Engine;
use vxtap::config::Config;

use super::{print, run};

/// How soon the end of the file is noticed.
const TURN: Duration = Duration::from_millis(5);

/// Sends the frames of a capture file through the pipeline and prints the conservation table. Everything up to a damage
/// of the file is in the output when this returns the error that says where it is.
pub(super) fn decap(config: Config, input: &Path) -> anyhow::Result<()> {
    let mut engine = Engine::open_capture_file(config, input)?;
    engine.start()?;
    while !engine.has_ended() {
        thread::sleep(TURN);
    }
    let mut report = run::stop_engine(engine);
    let damage = report.input_error.take();
    print(&report.to_string())?;
    if let Some(damage) = damage {
        return Err(damage.into());
    }
    let too_long = report.lost_in_kernel();
    ensure!(too_long == 0, "{too_long} frames were left out, because they are longer than a frame can be");
    run::judge(&report, true)
}
