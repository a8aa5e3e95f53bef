//! The scenarios that a worker is measured with.

mod filters;
mod mirrored_frames;

use vxtap::config::{Config, Output, OutputKind};
use vxtap::internals::{HarnessConfig, WorkerHarness};
use vxtap::ring::Consumer;

use mirrored_frames::mirrored;

/// The work of a worker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    /// Chunks of 4096 bytes in flight.
    pub(crate) chunks: u32,
    /// Declared sessions; all frames belong to one of them.
    pub(crate) sessions: u32,
    /// Outputs that each frame goes to.
    pub(crate) outputs: usize,
    /// Rules that each frame has to pass in its direction; 0: no filter.
    pub(crate) rules: u32,
}

impl Scenario {
    /// A worker that receives inner frames of 100 bytes, and the consumers of its outputs.
    pub(crate) fn harness(self) -> (WorkerHarness, Vec<Consumer>) {
        let Self { chunks, sessions, outputs, rules } = self;
        let (frames, sessions) = mirrored(chunks as usize, 100, sessions);
        // Room for all chunks, so that a late consumer holds the worker up and no frame is lost.
        let output_ring = (chunks.next_power_of_two() as usize).max(8192);
        let output = |number: usize| Output::new(number.to_string(), OutputKind::Consumer);
        let mut config =
            Config { sessions, outputs: (0..outputs).map(output).collect(), ..Config::default() };
        if rules > 0 {
            add_rules(&mut config, rules);
        }
        WorkerHarness::new(
            &HarnessConfig { chunks_in_flight: chunks, chunk_size: 4096, output_ring, config },
            &frames,
        )
    }
}

/// Gives each session an interface and a filter of this number of rules.
fn add_rules(config: &mut Config, rules: u32) {
    config.filters.push(filters::filter(rules));
    for (number, session) in config.sessions.iter_mut().enumerate() {
        let eni = filters::eni(number);
        session.eni = Some(eni.id.clone());
        session.filter = Some(filters::NAME.to_owned());
        config.enis.push(eni);
    }
}
