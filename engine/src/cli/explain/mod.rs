//! `vxtap explain`: explains the outcome of each frame of a capture file.

mod flows;
mod json;
mod summary;
mod text;

use std::io::{self, BufWriter, Write};

use anyhow::anyhow;
use vxtap::capture_file::{CaptureFile, CaptureFileError, LinkType};
use vxtap::explain::{Explainer, FrameOutcome, Summary};

use super::args::ExplainArgs;
use super::{CommandError, cannot_print, load};
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
    Input(anyhow::Error),
}

/// Explains each frame of a capture file, then prints a summary.
pub(super) fn explain(args: &ExplainArgs) -> Result<(), CommandError> {
    let config = load::read(&args.config)?;
    let explainer = Explainer::new(config).map_err(|error| CommandError::Refused(error.into()))?;
    let mut file =
        CaptureFile::open(&args.input).map_err(|error| CommandError::Failed(error.into()))?;
    let form = match (args.json, args.flow) {
        (true, _) => Form::Json,
        (_, true) => Form::Flows(Flows::default()),
        _ => Form::Text,
    };
    let mut out = BufWriter::new(io::stdout().lock());
    let end = show(&explainer, &mut file, form, &mut out);
    let end = end.and_then(|()| out.flush().map_err(End::Output));
    match end {
        Ok(()) => Ok(()),
        // A reader that has closed the pipe, as `head` does, is no error.
        Err(End::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(End::Output(error)) => Err(cannot_print(error)),
        Err(End::Input(error)) => {
            let _ = out.flush();
            Err(CommandError::Failed(error))
        }
    }
}

fn show<'e>(
    explainer: &'e Explainer,
    file: &mut CaptureFile,
    mut form: Form<'e>,
    out: &mut impl Write,
) -> Result<(), End> {
    let mut summary = Summary::new(explainer);
    let damage = loop {
        let number = file.frames() + 1;
        let outcome = match next(explainer, file, number) {
            Ok(Some(outcome)) => outcome,
            Ok(None) => break None,
            Err(error) => break Some(error),
        };
        summary.count(&outcome);
        let shown = match &mut form {
            Form::Text => text::frame(number, &outcome, out),
            Form::Json => json::frame(number, &outcome, out),
            Form::Flows(flows) => {
                flows.add(&outcome);
                Ok(())
            }
        };
        shown.map_err(End::Output)?;
    };
    let shown = match form {
        Form::Text => summary::table(&summary, out),
        Form::Json => {
            summary::left_out(&summary);
            Ok(())
        }
        Form::Flows(flows) => flows.show(out).and_then(|()| summary::table(&summary, out)),
    };
    shown.map_err(End::Output)?;
    damage.map_or(Ok(()), |error| Err(End::Input(error)))
}

fn next<'e>(
    explainer: &'e Explainer,
    file: &mut CaptureFile,
    number: u64,
) -> anyhow::Result<Option<FrameOutcome<'e>>> {
    let Some(record) = file.next().map_err(|error: CaptureFileError| anyhow!(error))? else {
        return Ok(None);
    };
    if record.link_type != LinkType::ETHERNET {
        let link_type = record.link_type;
        return Err(anyhow!(
            "frame {number} was captured from {link_type}, and only Ethernet can be explained"
        ));
    }
    Ok(Some(explainer.explain_at(record.captured, record.timestamp_ns)))
}
