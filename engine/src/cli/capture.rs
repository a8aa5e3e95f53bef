//! Capture files as arguments.

use std::io;
use std::path::Path;

use vxtap::capture_file::{CaptureFileError, OuterFrames};
use vxtap::plural::counted;

use super::CommandError;
use super::load::{input_name, is_standard};

/// UDP ports that a hint names at most.
const PORTS_SHOWN: usize = 3;

/// Opens a capture file; `-` is standard input.
pub(super) fn open(path: &Path) -> Result<OuterFrames, CommandError> {
    let frames = if is_standard(path) {
        OuterFrames::from_reader(input_name(path), io::stdin())
    } else {
        OuterFrames::open(path)
    };
    frames.map_err(cannot_read)
}

/// An input that cannot be opened is wrong usage, as a missing configuration is; one that is
/// damaged is a failure.
fn cannot_read(error: CaptureFileError) -> CommandError {
    match error {
        CaptureFileError::Open { .. } => CommandError::Refused(error.into()),
        _ => CommandError::Failed(error.into()),
    }
}

/// Returns a hint for a file without frames to `ports`; `None` if it has no UDP to other ports.
/// `others` has these with their numbers of frames, the most frequent first.
pub(super) fn port_hint(ports: &[u16], others: &[(u16, u64)]) -> Option<String> {
    let shown = others
        .iter()
        .take(PORTS_SHOWN)
        .map(|(port, frames)| format!("{port} ({})", counted(*frames, "frame")));
    let shown = shown.collect::<Vec<_>>().join(", ");
    let plural = if ports.len() == 1 { "" } else { "s" };
    let ports = ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    (!others.is_empty()).then(|| {
        format!(
            "no frame to the UDP port{plural} {ports}; UDP ports seen most: {shown}. \
             capture.ports sets the ports"
        )
    })
}
