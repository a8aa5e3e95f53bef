//! The rings of a stream, which are there while it has readers.

use std::io;
use std::time::Duration;

use crate::outputs::attach::Service;
use crate::ring::{self, Consumer, Next};

/// The rings that frames come from.
#[derive(Debug)]
pub(super) struct Rings {
    pub(super) consumer: Consumer,
    /// Number of queues with a ring.
    count: usize,
}

impl Rings {
    /// Returns a consumer without rings.
    pub(super) fn new(order_window: Duration) -> Self {
        let mut consumer = Consumer::new(Vec::new());
        consumer.order_within(order_window);
        Self { consumer, count: 0 }
    }

    /// Creates rings from the queues that have none.
    pub(super) fn attach_new_queues(&mut self, service: &Service) -> io::Result<()> {
        for handle in service.queues.from(self.count) {
            let (writer, reader) =
                ring::ring(service.ring_len as usize, handle.umem.clone(), handle.queue_id)?;
            self.consumer.new_rings().put(reader);
            handle.control.attach(service.id, writer);
            self.count += 1;
        }
        Ok(())
    }

    /// Takes what is in the rings: the ring of a worker that has ended is counted by nothing else.
    /// Returns the number of these frames, and of those that ever came out of order.
    pub(super) fn release(mut self, ring_len: u32) -> (u64, u64) {
        // Setting a window begins another count.
        let out_of_order = self.consumer.out_of_order();
        self.consumer.order_within(Duration::ZERO);
        let most = self.count as u64 * u64::from(ring_len);
        let mut taken = 0;
        while let Next::Batch(batch) = self.consumer.next(Duration::ZERO) {
            taken += batch.iter().count() as u64;
            if taken > most {
                break;
            }
        }
        (taken, out_of_order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::Descriptor;
    use crate::ring::test_ring::test_ring;

    #[test]
    fn frames_that_came_out_of_order_stay_counted_when_the_rings_go() {
        let (mut one, one_reader) = test_ring(8);
        let (mut other, other_reader) = test_ring(8);
        let mut consumer = Consumer::new(vec![one_reader, other_reader]);
        consumer.order_within(Duration::from_nanos(1));
        for (ring, timestamp_ns) in [(&mut one, 9), (&mut other, 5)] {
            ring.push(&[], &[&[1]], Descriptor { timestamp_ns, ..Descriptor::default() });
            assert!(matches!(consumer.next(Duration::ZERO), Next::Batch(_)));
        }
        one.push(&[], &[&[1]], Descriptor::default());
        assert_eq!(Rings { consumer, count: 2 }.release(8), (1, 1));
    }
}
