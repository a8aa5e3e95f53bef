//! The stream of `vxtap tail --outer`: the outer frames as they arrived, as pcapng. A frame that
//! was dropped has the reason in its comment.
//!
//! Each reader has a thread, which takes the copies that the workers make for it, brings those of
//! several queues into the order of their times, and encodes them.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::outer_encoder::{OuterEncoder, Waiting};
use super::send_queue::SendQueue;
use super::stream_writer::StreamWriter;
use crate::diagnostics::Diagnostics;
use crate::outer_queue::{CopiedFrames, OuterReceiver, outer_queue};
use crate::outputs::OutputThread;
use crate::outputs::wall_clock::utc_ns;
use crate::sys::lock;
use crate::worker::QueueSet;

/// Interval at which the copies are taken.
const INTERVAL: Duration = Duration::from_millis(10);
/// Longest time that a frame waits for earlier ones of other queues, in nanoseconds: more than a
/// turn of a worker takes.
const ORDER_WINDOW_NS: u64 = 20_000_000;
/// Longest wait for a reader that takes nothing, at the end.
const STALL_TIMEOUT: Duration = Duration::from_secs(1);
/// Longest wait for any reader, at the end.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest wait for the workers, which look for requests more often.
const ATTACH_TIMEOUT: Duration = Duration::from_millis(200);

/// Threads that serve readers.
#[derive(Clone, Debug, Default)]
pub(crate) struct OuterThreads(Arc<Mutex<Vec<OutputThread>>>);

impl OuterThreads {
    /// Returns the number of readers.
    pub(crate) fn count(&self) -> usize {
        let mut threads = lock(&self.0);
        threads.retain(|thread| !thread.is_finished());
        threads.len()
    }

    /// Waits for the ends of all streams. To be called when the workers have ended.
    pub(crate) fn join(&self) {
        let threads = std::mem::take(&mut *lock(&self.0));
        for thread in threads {
            if let OutputThread::Server(thread) = thread {
                // The reader of a thread that panicked sees a stream that ends early.
                let _ = thread.join();
            }
        }
    }
}

/// Everything that a reader's thread needs.
#[derive(Debug)]
pub(crate) struct OuterStream {
    pub(crate) queues: QueueSet,
    /// Names of the captured interfaces, in their order.
    pub(crate) interfaces: Vec<String>,
    pub(crate) threads: OuterThreads,
    pub(crate) diagnostics: Diagnostics,
}

impl OuterStream {
    /// Sends the frames to `socket` from now on, until the peer closes it or shuts down its writing
    /// direction, or the workers end.
    pub(crate) fn start(self, socket: UnixStream) {
        let (threads, diagnostics) = (self.threads.clone(), self.diagnostics.clone());
        let started = OutputThread::server("vxtap-outer", move || {
            if let Err(error) = self.run(socket) {
                self.diagnostics.push(format!("vxtap tail --outer has ended: {error}"));
            }
        });
        match started {
            Ok(thread) => lock(&threads.0).push(thread),
            Err(error) => diagnostics.push(format!("vxtap tail --outer: {error}")),
        }
    }

    /// Waits until the workers copy: a reader that has the header of the stream gets every frame
    /// from then on.
    fn wait_for_workers(&self) {
        let begin = Instant::now();
        let are_ready = || self.queues.from(0).iter().all(|handle| handle.control.is_settled());
        while !are_ready() && begin.elapsed() < ATTACH_TIMEOUT {
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn run(&self, socket: UnixStream) -> io::Result<()> {
        let writer = Arc::new(StreamWriter::Socket(OwnedFd::from(socket)));
        let queue = SendQueue::open(writer.clone())?;
        let mut collector = Collector::default();
        collector.collect(&self.queues);
        self.wait_for_workers();
        let mut encoder = OuterEncoder::new(&self.interfaces);
        loop {
            let is_last = collector.collect(&self.queues) || writer.is_half_closed();
            if queue.is_closed() || writer.is_gone() {
                queue.abort();
                return Ok(());
            }
            for frame in collector.due(utc_ns(), is_last) {
                encoder.frame(&frame, queue.queued());
            }
            if is_last {
                encoder.finish(&collector.lost);
            }
            encoder.flush(&queue);
            if is_last {
                break;
            }
            thread::sleep(INTERVAL);
        }
        queue.finish();
        wait_for_end(&queue, &writer);
        Ok(())
    }
}

/// Waits until everything is written, or the reader takes too long.
fn wait_for_end(queue: &SendQueue, writer: &StreamWriter) {
    let begin = Instant::now();
    let (mut left, mut since) = (queue.queued(), begin);
    while !queue.is_closed() {
        thread::sleep(INTERVAL);
        if queue.queued() != left {
            (left, since) = (queue.queued(), Instant::now());
        }
        if since.elapsed() >= STALL_TIMEOUT || begin.elapsed() >= END_TIMEOUT {
            queue.abort();
            writer.cut();
            return;
        }
    }
}

/// Takes the copies of all queues.
#[derive(Debug, Default)]
struct Collector {
    /// The queues, each with the index of its interface.
    receivers: Vec<(usize, OuterReceiver)>,
    taken: CopiedFrames,
    waiting: Vec<Waiting>,
    /// By interface: frames for which the queues had no room.
    lost: Vec<u64>,
}

impl Collector {
    /// Takes the frames that have come, from new queues too; returns whether all workers have
    /// ended.
    fn collect(&mut self, queues: &QueueSet) -> bool {
        for handle in queues.from(self.receivers.len()) {
            let (sender, receiver) = outer_queue();
            self.receivers.push((handle.queue_id.interface, receiver));
            handle.control.copy_outer(sender);
        }
        let mut have_ended = true;
        for (interface, receiver) in &self.receivers {
            // Before the frames are taken, so that none is missed.
            have_ended &= receiver.has_ended();
            receiver.take(&mut self.taken);
            self.lost.resize(self.lost.len().max(interface + 1), 0);
            self.lost[*interface] += self.taken.lost();
            self.waiting.extend(self.taken.iter().map(|(frame, bytes)| Waiting {
                timestamp_ns: frame.timestamp_ns,
                interface: *interface,
                dropped: frame.dropped,
                bytes: bytes.to_vec(),
            }));
        }
        have_ended
    }

    /// Removes the frames that need not wait any longer at `now_ns`, nanoseconds since 1970, all of
    /// them at the end; oldest first. Frames from later than now, which are older than a backward
    /// step of the clock, come before the others: the clock may take hours to reach their times.
    fn due(&mut self, now_ns: u64, is_last: bool) -> impl Iterator<Item = Waiting> {
        self.waiting.sort_by_key(|frame| frame.timestamp_ns);
        let ahead_ns = now_ns.saturating_add(ORDER_WINDOW_NS);
        let ahead = self.waiting.partition_point(|frame| frame.timestamp_ns <= ahead_ns);
        let before_step = self.waiting.split_off(ahead);
        let until_ns = now_ns.saturating_sub(ORDER_WINDOW_NS);
        let queues = self.receivers.iter().filter(|(_, receiver)| !receiver.has_ended()).count();
        let count = if is_last || queues < 2 {
            self.waiting.len()
        } else {
            self.waiting.partition_point(|frame| frame.timestamp_ns <= until_ns)
        };
        before_step.into_iter().chain(self.waiting.drain(..count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outer_queue::OuterSender;

    /// Returns a collector for two queues, and the ends of their workers.
    fn collector() -> (Collector, Vec<OuterSender>) {
        let (senders, receivers): (_, Vec<_>) = [(); 2].map(|()| outer_queue()).into_iter().unzip();
        let receivers = receivers.into_iter().enumerate().collect();
        (Collector { receivers, ..Collector::default() }, senders)
    }

    /// Adds frames that wait, each with a time and an interface.
    fn wait_for(collector: &mut Collector, frames: &[(u64, usize)]) {
        let frame = |&(timestamp_ns, interface): &(u64, usize)| {
            let bytes = vec![7; 60];
            Waiting { timestamp_ns, interface, dropped: None, bytes }
        };
        collector.waiting.extend(frames.iter().map(frame));
    }

    fn times(frames: impl Iterator<Item = Waiting>) -> Vec<u64> {
        frames.map(|frame| frame.timestamp_ns).collect()
    }

    #[test]
    fn frames_of_several_queues_come_in_the_order_of_their_times_and_none_is_left() {
        let (mut collector, _senders) = collector();
        let now_ns = utc_ns();
        wait_for(&mut collector, &[(now_ns, 0), (5, 0), (3, 1), (now_ns - 1, 1)]);
        let due = times(collector.due(now_ns, false));
        assert_eq!(due, [3, 5], "the others may have predecessors");
        assert_eq!(times(collector.due(now_ns, true)), [now_ns - 1, now_ns]);
    }

    #[test]
    fn no_frame_waits_for_a_queue_whose_worker_has_ended() {
        let (mut collector, mut senders) = collector();
        let now_ns = utc_ns();
        wait_for(&mut collector, &[(now_ns, 0)]);
        assert_eq!(times(collector.due(now_ns, false)), [0; 0]);
        senders.pop();
        assert_eq!(times(collector.due(now_ns, false)), [now_ns]);
    }

    #[test]
    fn no_frame_waits_until_a_clock_that_was_set_back_has_caught_up() {
        let (mut collector, _senders) = collector();
        let (hour_ns, now_ns) = (3_600_000_000_000, utc_ns());
        let before_step = [(now_ns + hour_ns + 1, 0), (now_ns + hour_ns, 1)];
        wait_for(&mut collector, &before_step);
        wait_for(&mut collector, &[(now_ns, 0), (now_ns - 2 * ORDER_WINDOW_NS, 1)]);
        let expected = [now_ns + hour_ns, now_ns + hour_ns + 1, now_ns - 2 * ORDER_WINDOW_NS];
        assert_eq!(times(collector.due(now_ns, false)), expected);
        assert_eq!(times(collector.due(now_ns + ORDER_WINDOW_NS, false)), [now_ns]);
    }
}
