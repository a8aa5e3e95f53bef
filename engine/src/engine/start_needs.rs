//! The queues and the memory that an engine takes, known before it takes them.

use super::captured_interface::queue_list;
use super::queue_builder::QueueBuilder;
use super::{Engine, EngineError};
use crate::config::{Config, Output};
use crate::interface::Interface;

/// Queues and memory of an engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StartNeeds {
    /// RX queues of all interfaces, each with a worker.
    pub queues: usize,
    /// Memory for frames in bytes, which is locked.
    pub bytes: u64,
}

impl Engine {
    /// Returns the queues and the memory that [`Self::open`] takes with a valid configuration, as
    /// the interfaces are now.
    ///
    /// # Errors
    ///
    /// [`EngineError`] if an interface or one of its queues is not there.
    pub fn start_needs(config: &Config) -> Result<StartNeeds, EngineError> {
        let chunk_count = config.memory.plan(Output::count_rings(&config.outputs))?.chunk_count;
        let mut needs = StartNeeds::default();
        for name in &config.capture.interfaces {
            let interface = Interface::find(name)?;
            let (queues, _) = queue_list(&interface, &config.capture.queues)?;
            let chunk_size = QueueBuilder { config, interface: &interface }.chunk_size();
            needs.queues += queues.len();
            needs.bytes += queues.len() as u64 * u64::from(chunk_count) * u64::from(chunk_size);
        }
        Ok(needs)
    }
}
