//! `vxtap explain --live`: the frames of a running engine.

use std::io;
use std::path::Path;

use anyhow::anyhow;
use vxtap::capture_file::OuterFrameCounts;
use vxtap::config::Config;
use vxtap::explain::Explainer;

use super::engine_outcome::EngineOutcome;
use super::presentation::Presentation;
use crate::cli::args::ExplainArgs;
use crate::cli::control_socket::{Answer, Request, request};
use crate::cli::tail::{BlockSink, TailBlock, TailFrame, TailOutput, copy, stop_on_signals};
use crate::cli::{CommandError, cannot_print, load, log};

/// Explains the frames that arrive at a running engine until a signal, the end of the reader, or
/// the requested number of frames.
pub(super) fn explain(args: &ExplainArgs) -> Result<(), CommandError> {
    let stop_requested = stop_on_signals().map_err(CommandError::Failed)?;
    let (answer, stream) = request(args.interface.as_deref(), &Request::TailOuter)?;
    let path = match answer {
        Answer::Done(path) => path,
        Answer::Refused(text) | Answer::Denied(text) => {
            return Err(CommandError::Refused(anyhow!("{text}")));
        }
    };
    // The file of the engine, or none if it was started without one.
    let config = match (&args.config, path.as_str()) {
        (Some(path), _) => load::read(path)?,
        (None, "") => Config::default(),
        (None, path) => load::read(Path::new(path))?,
    };
    let explainer = Explainer::new(config).map_err(|error| CommandError::Refused(error.into()))?;
    let mut frames = LiveFrames {
        explainer: &explainer,
        presentation: Presentation::new(&explainer, args),
        output: TailOutput::new(args.count),
    };
    let mut out = io::stdout().lock();
    let copied = copy(&stream, &mut frames, &mut out, &stop_requested);
    let counts = OuterFrameCounts::default();
    let ended = frames.presentation.end(&counts, &mut frames.output.bytes);
    let ended = ended.and_then(|()| frames.output.flush(&mut out));
    log(&frames.output.summary());
    copied.map_err(|error| CommandError::Failed(anyhow!("{error}")))?;
    match ended {
        // A reader that has closed the pipe, as `head` does, is no error.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(cannot_print(error)),
        _ => Ok(()),
    }
}

/// Explains the frames of a stream.
struct LiveFrames<'e> {
    explainer: &'e Explainer,
    presentation: Presentation<'e>,
    output: TailOutput,
}

impl LiveFrames<'_> {
    /// Explains the frame with this number.
    fn frame(&mut self, number: u64, frame: &TailFrame<'_>) {
        let outcome = self.explainer.explain_at(frame.bytes, frame.time_ns);
        let reason = frame.comment.as_deref().and_then(|comment| comment.strip_prefix("dropped: "));
        let engine = reason.map_or(EngineOutcome::Delivered, EngineOutcome::Dropped);
        // Writing to memory cannot fail.
        let _ = self.presentation.frame(number, &outcome, Some(engine), &mut self.output.bytes);
    }
}

impl BlockSink for LiveFrames<'_> {
    fn block(&mut self, _: &[u8], content: TailBlock<'_>) {
        match content {
            TailBlock::Frame(frame) => {
                if let Some(number) = self.output.next_frame() {
                    self.frame(number, &frame);
                }
            }
            TailBlock::Lost(lost) => self.output.add_lost(lost),
            TailBlock::Interface(_) | TailBlock::Other => {}
        }
    }

    fn output(&mut self) -> &mut TailOutput {
        &mut self.output
    }
}
