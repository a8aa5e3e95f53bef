//! Frames of one flow, in one session and direction, that meet the same fate: one line for all of
//! them.

use std::collections::HashMap;
use std::io::{self, Write};

use vxtap::explain::{Explanation, Fate};

use super::text;

/// What frames have in common: session, flow, direction, and what becomes of them.
type Key<'e> = (&'e str, String, String, String);

/// Flows in the order in which they begin.
#[derive(Default)]
pub(super) struct Flows<'e> {
    places: HashMap<Key<'e>, usize>,
    found: Vec<(Key<'e>, u64, u64)>,
    /// Frames that have no flow, because they did not reach a session.
    others: u64,
}

impl<'e> Flows<'e> {
    pub(super) fn add(&mut self, fate: &Fate<'e>) {
        let Fate::Judged(explanation) = fate else {
            self.others += 1;
            return;
        };
        let key = key(explanation);
        let place = *self.places.entry(key.clone()).or_insert_with(|| {
            self.found.push((key, 0, 0));
            self.found.len() - 1
        });
        let (_, frames, bytes) = &mut self.found[place];
        *frames += 1;
        *bytes += u64::from(explanation.original);
    }

    pub(super) fn show(&self, out: &mut impl Write) -> io::Result<()> {
        for ((session, flow, direction, fate), frames, bytes) in &self.found {
            let plural = if *frames == 1 { "" } else { "s" };
            writeln!(
                out,
                "{session}: {flow}, {direction}: {frames} frame{plural}, {bytes} bytes: {fate}"
            )?;
        }
        if self.others > 0 {
            writeln!(out, "without a session: {} frames", self.others)?;
        }
        Ok(())
    }
}

fn key<'e>(explanation: &Explanation<'e>) -> Key<'e> {
    let flow = explanation.flow.clone().unwrap_or_else(|| "not IP".to_owned());
    let direction = text::direction(explanation.direction);
    (explanation.session, flow, direction, text::fate(explanation))
}
