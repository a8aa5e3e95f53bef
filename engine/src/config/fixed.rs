//! What of a configuration cannot change while an engine runs.

use super::{Capture, Config, Memory, Workers};

impl Config {
    /// The keys of `capture`, `workers` and `memory` whose values differ: an engine is bound to
    /// them when it starts. All others may change.
    pub fn fixed_differences(&self, new: &Self) -> Vec<&'static str> {
        let Capture {
            interfaces,
            mode,
            ports,
            allowed_sources,
            queues,
            fragments,
            arrival_times,
            busy_poll,
        } = &self.capture;
        let Workers { cpus, wait } = &self.workers;
        let Memory {
            per_queue_mib,
            chunk_size,
            fill_ring,
            rx_ring,
            output_ring,
            outputs,
            hugepages,
        } = &self.memory;
        let (capture, workers, memory) = (&new.capture, &new.workers, &new.memory);
        let keys = [
            ("capture.interface", *interfaces != capture.interfaces),
            ("capture.mode", *mode != capture.mode),
            ("capture.ports", *ports != capture.ports),
            ("capture.allowed_sources", *allowed_sources != capture.allowed_sources),
            ("capture.queues", *queues != capture.queues),
            ("capture.fragments", *fragments != capture.fragments),
            ("capture.arrival_times", *arrival_times != capture.arrival_times),
            ("capture.busy_poll", *busy_poll != capture.busy_poll),
            ("workers.cpus", *cpus != workers.cpus),
            ("workers.wait", *wait != workers.wait),
            ("memory.per_queue_mib", *per_queue_mib != memory.per_queue_mib),
            ("memory.chunk_size", *chunk_size != memory.chunk_size),
            ("memory.fill_ring", *fill_ring != memory.fill_ring),
            ("memory.rx_ring", *rx_ring != memory.rx_ring),
            ("memory.output_ring", *output_ring != memory.output_ring),
            ("memory.outputs", *outputs != memory.outputs),
            ("memory.hugepages", *hugepages != memory.hugepages),
        ];
        keys.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_differs_is_named_and_what_may_change_is_not() {
        let old = Config::default();
        let mut new = Config { unknown: crate::config::UnknownSessions::Drop, ..Config::default() };
        assert_eq!(old.fixed_differences(&new), [""; 0]);
        new.capture.interfaces = vec!["eth2".to_owned()];
        new.memory.outputs = Some(2);
        assert_eq!(old.fixed_differences(&new), ["capture.interface", "memory.outputs"]);
    }
}
