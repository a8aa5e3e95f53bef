//! `vxtap explain --live`: the frames of a running engine.

use std::io::{self, Write};
use std::path::Path;

use anyhow::anyhow;
use vxtap::capture_file::OuterFrameCounts;
use vxtap::config::Config;
use vxtap::explain::Explainer;

use super::engine_outcome::EngineOutcome;
use super::presentation::Presentation;
use crate::cli::args::ExplainArgs;
use crate::cli::control_socket::{Answer, Request, request};
use crate::cli::tail::{BlockSink, TailBlock, copy, stop_on_signals, summary};
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
        left: args.count.unwrap_or(u64::MAX),
        frames: 0,
        lost: None,
        bytes: Vec::new(),
    };
    let mut out = io::stdout().lock();
    let copied = copy(&stream, &mut frames, &mut out, &stop_requested);
    let counts = OuterFrameCounts::default();
    let ended = frames.presentation.end(&counts, &mut frames.bytes);
    let ended = ended.and_then(|()| frames.flush(&mut out));
    log(&summary(frames.frames, frames.lost));
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
    /// Remaining number of frames.
    left: u64,
    frames: u64,
    /// Frames that were lost on the way here, once the engine has reported them.
    lost: Option<u64>,
    /// Bytes to be written.
    bytes: Vec<u8>,
}

impl BlockSink for LiveFrames<'_> {
    fn block(&mut self, _: &[u8], content: TailBlock<'_>) {
        match content {
            TailBlock::Frame(frame) if self.left > 0 => {
                (self.left, self.frames) = (self.left - 1, self.frames + 1);
                let outcome = self.explainer.explain_at(frame.bytes, frame.time_ns);
                let reason =
                    frame.comment.as_deref().and_then(|comment| comment.strip_prefix("dropped: "));
                let engine = reason.map_or(EngineOutcome::Delivered, EngineOutcome::Dropped);
                // Writing to memory cannot fail.
                let _ =
                    self.presentation.frame(self.frames, &outcome, Some(engine), &mut self.bytes);
            }
            TailBlock::Lost(lost) => *self.lost.get_or_insert(0) += lost,
            TailBlock::Frame(_) | TailBlock::Interface(_) | TailBlock::Other => {}
        }
    }

    fn is_over(&self) -> bool {
        self.left == 0
    }

    fn flush(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let written = out.write_all(&self.bytes).and_then(|()| out.flush());
        self.bytes.clear();
        written
    }
}
