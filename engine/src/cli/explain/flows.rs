//! Explanations by flow: one line for all frames of a flow with the same session, direction and
//! outcome.

use std::collections::HashMap;
use std::io::{self, Write};

use vxtap::explain::{Explanation, FrameOutcome};
use vxtap::plural::counted;

use super::text;

/// Session, flow, direction and outcome that the frames of a line share.
type FlowGroup<'e> = (&'e str, String, String, String);

/// Flows in the order of their first frames.
#[derive(Default)]
pub(super) struct Flows<'e> {
    indexes: HashMap<FlowGroup<'e>, usize>,
    found: Vec<(FlowGroup<'e>, u64, u64)>,
    /// Frames without a flow, because they do not belong to a session.
    others: u64,
}

impl<'e> Flows<'e> {
    pub(super) fn add(&mut self, outcome: &FrameOutcome<'e>) {
        let FrameOutcome::Evaluated(explanation) = outcome else {
            self.others += 1;
            return;
        };
        let key = group(explanation);
        let index = *self.indexes.entry(key.clone()).or_insert_with(|| {
            self.found.push((key, 0, 0));
            self.found.len() - 1
        });
        let (_, frames, bytes) = &mut self.found[index];
        *frames += 1;
        *bytes += u64::from(explanation.original);
    }

    pub(super) fn show(&self, out: &mut impl Write) -> io::Result<()> {
        for ((session, flow, direction, outcome), frames, bytes) in &self.found {
            let frames = counted(*frames, "frame");
            writeln!(out, "{session}: {flow}, {direction}: {frames}, {bytes} bytes: {outcome}")?;
        }
        if self.others > 0 {
            writeln!(out, "without a session: {}", counted(self.others, "frame"))?;
        }
        Ok(())
    }
}

fn group<'e>(explanation: &Explanation<'e>) -> FlowGroup<'e> {
    let flow = explanation.flow.clone().unwrap_or_else(|| "not IP".to_owned());
    let direction = text::direction(explanation.direction);
    (explanation.session, flow, direction, text::outcome(explanation))
}
