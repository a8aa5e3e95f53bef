//! What a worker is measured with.

mod traffic;

use vxtap::internals::{Rig, Setup};
use vxtap::output::Consumer;

use traffic::mirrored;

/// The work of a worker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    /// Chunks of 4096 bytes in flight.
    pub(crate) chunks: u32,
    /// Declared sessions; all frames belong to one of them.
    pub(crate) sessions: u32,
    /// Outputs that each frame goes to.
    pub(crate) outputs: usize,
    /// Whether each frame has to pass ten rules.
    pub(crate) has_rules: bool,
}

impl Scenario {
    /// A worker that receives inner frames of 100 bytes, and the consumers of its outputs.
    pub(crate) fn rig(self) -> (Rig, Vec<Consumer>) {
        let Self { chunks, sessions, outputs, has_rules } = self;
        let (frames, sessions) = mirrored(chunks as usize, 100, sessions);
        // Room for all chunks, so that a consumer that is late holds the worker up and no frame is lost.
        let output_ring = (chunks.next_power_of_two() as usize).max(8192);
        let setup = Setup { chunks_in_flight: chunks, chunk_size: 4096, outputs, output_ring, sessions };
        if has_rules { Rig::with_ten_rules(&setup, &frames) } else { Rig::new(&setup, &frames) }
    }
}
