//! Shows explanations in one of the forms, then a summary.

use std::io::{self, Write};

use vxtap::capture_file::OuterFrameCounts;
use vxtap::explain::{Explainer, FrameOutcome, Summary};

use super::engine_outcome::EngineOutcome;
use super::flows::Flows;
use super::{json, summary, text};
use crate::cli::args::ExplainArgs;

/// Format in which frames are shown.
enum Form<'e> {
    Text,
    Json,
    Flows(Flows<'e>),
}

/// Shows frames, and counts them for the summary.
pub(super) struct Presentation<'e> {
    summary: Summary<'e>,
    form: Form<'e>,
}

impl<'e> Presentation<'e> {
    pub(super) fn new(explainer: &'e Explainer, args: &ExplainArgs) -> Self {
        let form = match (args.json, args.flow) {
            (true, _) => Form::Json,
            (_, true) => Form::Flows(Flows::default()),
            _ => Form::Text,
        };
        Self { summary: Summary::new(explainer), form }
    }

    /// Shows a frame; `engine` is its outcome at a running engine, which a text mentions where it
    /// is another one.
    pub(super) fn frame(
        &mut self,
        number: u64,
        outcome: &FrameOutcome<'e>,
        engine: Option<EngineOutcome<'_>>,
        out: &mut impl Write,
    ) -> io::Result<()> {
        self.summary.count(outcome);
        match &mut self.form {
            Form::Text => {
                text::frame(number, outcome, out)?;
                match engine.filter(|engine| *engine != expected(outcome)) {
                    Some(EngineOutcome::Delivered) => writeln!(out, "  the engine delivered it"),
                    Some(EngineOutcome::Dropped(reason)) => {
                        writeln!(out, "  the engine dropped it: {reason}")
                    }
                    None => Ok(()),
                }
            }
            Form::Json => json::frame(number, outcome, engine, out),
            Form::Flows(flows) => {
                flows.add(outcome);
                Ok(())
            }
        }
    }

    /// Shows what is known when all frames have been shown; `counts` is that of the reader.
    pub(super) fn end(&self, counts: &OuterFrameCounts, out: &mut impl Write) -> io::Result<()> {
        let summary = &self.summary;
        match &self.form {
            Form::Text => summary::table(summary, counts, out),
            Form::Json => {
                summary::left_out(summary, counts);
                Ok(())
            }
            Form::Flows(flows) => {
                flows.show(out).and_then(|()| summary::table(summary, counts, out))
            }
        }
    }

    /// Returns the number of frames that an engine would have handed to its workers.
    pub(super) fn received(&self) -> u64 {
        self.summary.received()
    }
}

/// Returns the outcome at an engine that has this configuration and room in its outputs.
fn expected<'o>(outcome: &FrameOutcome<'_>) -> EngineOutcome<'o> {
    let dropped = match outcome {
        FrameOutcome::NotSteered(_) => None,
        FrameOutcome::NotDecapsulated(reason) => Some(*reason),
        FrameOutcome::Evaluated(explanation) => explanation.outcome.err(),
    };
    dropped.map_or(EngineOutcome::Delivered, |reason| EngineOutcome::Dropped(reason.name()))
}
