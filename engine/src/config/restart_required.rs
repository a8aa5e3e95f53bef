//! Keys that cannot change while an engine runs.

use super::{Capture, Config, Memory, Workers};

impl Config {
    /// Returns the keys of `capture`, `workers` and `memory` whose values differ from `new`. They
    /// take effect at the start of an engine; a reload may change all others.
    pub fn keys_requiring_restart(&self, new: &Self) -> Vec<&'static str> {
        let Capture {
            interfaces,
            mode,
            ports,
            allowed_sources,
            queues,
            fragments,
            destinations,
            promiscuous,
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
            max_outputs,
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
            ("capture.destinations", *destinations != capture.destinations),
            ("capture.promiscuous", *promiscuous != capture.promiscuous),
            ("capture.arrival_times", *arrival_times != capture.arrival_times),
            ("capture.busy_poll", *busy_poll != capture.busy_poll),
            ("workers.cpus", *cpus != workers.cpus),
            ("workers.wait", *wait != workers.wait),
            ("memory.per_queue_mib", *per_queue_mib != memory.per_queue_mib),
            ("memory.chunk_size", *chunk_size != memory.chunk_size),
            ("memory.fill_ring", *fill_ring != memory.fill_ring),
            ("memory.rx_ring", *rx_ring != memory.rx_ring),
            ("memory.output_ring", *output_ring != memory.output_ring),
            ("memory.max_outputs", *max_outputs != memory.max_outputs),
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
        assert_eq!(old.keys_requiring_restart(&new), [""; 0]);
        new.capture.interfaces = vec!["eth2".to_owned()];
        new.memory.max_outputs = Some(2);
        assert_eq!(old.keys_requiring_restart(&new), ["capture.interface", "memory.max_outputs"]);
    }
}
