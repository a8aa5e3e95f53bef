//! `vxtap explain`: explains the outcome of each frame of a capture file, or of a running engine.

mod engine_outcome;
mod flows;
mod json;
mod live;
mod presentation;
mod summary;
mod text;

use std::io::{self, BufWriter, Write};

use vxtap::capture_file::{CaptureFileError, OuterFrames};
use vxtap::explain::Explainer;

use super::args::ExplainArgs;
use super::{CommandError, cannot_print, capture, load, log};
use presentation::Presentation;

/// Reason why explaining ended before the end of the file.
enum End {
    Output(io::Error),
    Input(CaptureFileError),
}

/// Explains each frame of a capture file or of a running engine, then prints a summary.
pub(super) fn explain(args: &ExplainArgs) -> Result<(), CommandError> {
    // Without --live both have to be there.
    let (Some(input), Some(config)) = (&args.input, &args.config) else {
        return live::explain(args);
    };
    load::refuse_same_input(input, Some(config))?;
    let config = load::read(config)?;
    let explainer = Explainer::new(config).map_err(|error| CommandError::Refused(error.into()))?;
    let mut frames = capture::open(input)?;
    let presentation = Presentation::new(&explainer, args);
    let mut out = BufWriter::new(io::stdout().lock());
    let end = show(&explainer, &mut frames, presentation, &mut out);
    let end = end.and_then(|()| out.flush().map_err(End::Output));
    match end {
        Ok(()) => Ok(()),
        // A reader that has closed the pipe, as `head` does, is no error.
        Err(End::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(End::Output(error)) => Err(cannot_print(error)),
        Err(End::Input(error)) => {
            let _ = out.flush();
            Err(CommandError::Failed(error.into()))
        }
    }
}

fn show<'e>(
    explainer: &'e Explainer,
    frames: &mut OuterFrames,
    mut presentation: Presentation<'e>,
    out: &mut impl Write,
) -> Result<(), End> {
    let damage = loop {
        let frame = match frames.next() {
            Ok(Some(frame)) => frame,
            Ok(None) => break None,
            Err(error) => break Some(error),
        };
        let outcome = explainer.explain_at(frame.bytes, frame.timestamp_ns);
        presentation.frame(frame.number, &outcome, None, out).map_err(End::Output)?;
    };
    presentation.end(&frames.counts(), out).map_err(End::Output)?;
    if presentation.received() == 0 {
        let ports: Vec<_> =
            explainer.config().capture.ports.iter().map(|port| port.number).collect();
        if let Some(hint) = capture::port_hint(&ports, &explainer.other_ports()) {
            log(&hint);
        }
    }
    damage.map_or(Ok(()), |error| Err(End::Input(error)))
}
