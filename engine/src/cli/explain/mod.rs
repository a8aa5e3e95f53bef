//! `vxtap explain`: explains the outcome of each frame of a capture file.

mod flows;
mod json;
mod summary;
mod text;

use std::io::{self, BufWriter, Write};

use vxtap::capture_file::{CaptureFileError, OuterFrames};
use vxtap::explain::{Explainer, Summary};

use super::args::ExplainArgs;
use super::{CommandError, cannot_print, capture, load, log};
use flows::Flows;

/// Format in which frames are shown.
enum Form<'e> {
    Text,
    Json,
    Flows(Flows<'e>),
}

/// Reason why explaining ended before the end of the file.
enum End {
    Output(io::Error),
    Input(CaptureFileError),
}

/// Explains each frame of a capture file, then prints a summary.
pub(super) fn explain(args: &ExplainArgs) -> Result<(), CommandError> {
    load::refuse_same_input(&args.input, Some(&args.config))?;
    let config = load::read(&args.config)?;
    let explainer = Explainer::new(config).map_err(|error| CommandError::Refused(error.into()))?;
    let mut frames = capture::open(&args.input)?;
    let form = match (args.json, args.flow) {
        (true, _) => Form::Json,
        (_, true) => Form::Flows(Flows::default()),
        _ => Form::Text,
    };
    let mut out = BufWriter::new(io::stdout().lock());
    let end = show(&explainer, &mut frames, form, &mut out);
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
    mut form: Form<'e>,
    out: &mut impl Write,
) -> Result<(), End> {
    let mut summary = Summary::new(explainer);
    let damage = loop {
        let frame = match frames.next() {
            Ok(Some(frame)) => frame,
            Ok(None) => break None,
            Err(error) => break Some(error),
        };
        let outcome = explainer.explain_at(frame.bytes, frame.timestamp_ns);
        summary.count(&outcome);
        let shown = match &mut form {
            Form::Text => text::frame(frame.number, &outcome, out),
            Form::Json => json::frame(frame.number, &outcome, out),
            Form::Flows(flows) => {
                flows.add(&outcome);
                Ok(())
            }
        };
        shown.map_err(End::Output)?;
    };
    let counts = frames.counts();
    let shown = match form {
        Form::Text => summary::table(&summary, &counts, out),
        Form::Json => {
            summary::left_out(&summary, &counts);
            Ok(())
        }
        Form::Flows(flows) => flows.show(out).and_then(|()| summary::table(&summary, &counts, out)),
    };
    shown.map_err(End::Output)?;
    if summary.received() == 0 {
        let ports: Vec<_> =
            explainer.config().capture.ports.iter().map(|port| port.number).collect();
        if let Some(hint) = capture::port_hint(&ports, &explainer.other_ports()) {
            log(&hint);
        }
    }
    damage.map_or(Ok(()), |error| Err(End::Input(error)))
}
