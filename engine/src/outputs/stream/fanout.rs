//! Moves frames from the rings of an output to its readers.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::access;
use super::attached_reader::AttachedReader;
use super::listener::{Incoming, StreamListener};
use super::reader_log::ReaderLog;
use super::rings::Rings;
use super::stream_settings::StreamSettings;
use crate::outputs::attach::{PastReaders, Service, StreamCounters};
use crate::ring::Next;

/// Interval at which it accepts and removes readers while frames arrive.
const INTERVAL: Duration = Duration::from_millis(20);
/// Interval at which it polls a target that cannot wake it.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// Interval at which it checks whether the readers have read the ends of their streams.
const END_INTERVAL: Duration = Duration::from_millis(5);

/// The thread that serves all readers of a stream.
#[derive(Debug)]
pub(crate) struct StreamFanout {
    pub(crate) service: Service,
    pub(crate) settings: StreamSettings,
}

/// Largest number of readers that are accepted or refused in one turn, so that connections without
/// end do not keep frames from the readers.
const ACCEPTS_PER_TURN: usize = 16;

/// State of the running thread.
#[derive(Debug)]
struct FanoutState {
    rings: Option<Rings>,
    readers: Vec<AttachedReader>,
    past_readers: PastReaders,
    taken: u64,
    /// Count of consumers that no longer exist.
    out_of_order: u64,
    log: ReaderLog,
    /// No reader is accepted before this time, after a failure.
    paused_until: Option<Instant>,
}

impl FanoutState {
    fn new(log: ReaderLog) -> Self {
        Self {
            rings: None,
            readers: Vec::new(),
            past_readers: PastReaders::default(),
            taken: 0,
            out_of_order: 0,
            log,
            paused_until: None,
        }
    }

    /// Returns the number of frames that came out of order.
    fn out_of_order(&self) -> u64 {
        let now = self.rings.as_ref().map_or(0, |rings| rings.consumer.out_of_order());
        self.out_of_order + now
    }
}

impl StreamFanout {
    /// Serves readers until the [`Notifier`](crate::outputs::attach::Notifier) says that it ends.
    pub(super) fn run(&self, listener: StreamListener) {
        if let Err(error) = self.serve(listener) {
            let name = &self.service.name;
            self.service.diagnostics.push(format!("output `{name}` has ended: {error}"));
        }
        self.service.attached.notifier.set_ended();
    }

    /// Serves readers until the end; the readers get the ends of their streams in any case.
    fn serve(&self, listener: StreamListener) -> io::Result<()> {
        let log = ReaderLog::new(&self.service.name, self.service.diagnostics.clone());
        let mut state = FanoutState::new(log);
        let served = self.serve_readers(listener, &mut state);
        self.end_all(&mut state);
        served
    }

    fn serve_readers(&self, listener: StreamListener, state: &mut FanoutState) -> io::Result<()> {
        self.service.attached.notifier.wait_until_open()?;
        let mut listener = Some(listener);
        loop {
            self.service.attached.notifier.drain();
            if !self.service.attached.notifier.is_open() {
                listener = None;
            }
            if let Some(listener) = &mut listener {
                self.accept_readers(listener, state);
            }
            state.log.tick();
            if state.readers.is_empty() {
                if state.rings.is_some() {
                    self.release_rings(state);
                    self.publish_stats(state);
                }
                let Some(listener) = &listener else { return Ok(()) };
                match state.paused_until {
                    Some(_) => thread::sleep(POLL_INTERVAL),
                    None => self.wait(listener)?,
                }
                continue;
            }
            // A failure is tried again in the next turn; the other queues go on.
            let attached = self.attach_new_queues(&mut state.rings);
            state.log.attached(attached);
            if self.turn(state) {
                self.end_all(state);
            }
            self.remove_readers(state);
            let is_left = state.readers.is_empty() && self.service.attached.notifier.is_open();
            if is_left && listener.as_ref().is_some_and(StreamListener::is_exhausted) {
                let sentence = "nothing is written to standard output any more";
                self.service
                    .diagnostics
                    .push(format!("output `{}`: {sentence}", self.service.name));
                return Ok(());
            }
        }
    }

    /// Waits until a reader connects or the notifier is notified.
    fn wait(&self, listener: &StreamListener) -> io::Result<()> {
        let mut entries = vec![PollFd::new(&*self.service.attached.notifier, PollFlags::IN)];
        let wakeup = listener.wakeup();
        entries.extend(wakeup.as_ref().map(|wakeup| PollFd::new(wakeup, PollFlags::IN)));
        let ask = Timespec { tv_sec: 0, tv_nsec: POLL_INTERVAL.subsec_nanos().into() };
        match poll(&mut entries, listener.needs_polling().then_some(&ask)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn accept_readers(&self, listener: &mut StreamListener, state: &mut FanoutState) {
        if state.paused_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        state.paused_until = None;
        for _ in 0..ACCEPTS_PER_TURN {
            // The one place is taken while its reader is attached.
            if listener.is_exclusive() && !state.readers.is_empty() {
                return;
            }
            match listener.next() {
                Ok(Some(incoming)) => self.admit(incoming, state),
                Ok(None) => return,
                Err(error) => {
                    state.log.accepted(Err(format!("cannot let a reader in: {error}")));
                    // A failure will not be over at once.
                    state.paused_until = Some(Instant::now() + POLL_INTERVAL);
                    return;
                }
            }
        }
    }

    fn admit(&self, incoming: Incoming, state: &mut FanoutState) {
        let StreamSettings { access, readers_max, .. } = &self.settings;
        let reason = access::refusal(&incoming, access, *readers_max, state.readers.len());
        if let Some(reason) = reason {
            self.turn_away(&incoming, &reason, state);
            return;
        }
        // The rings come first: a reader that has the header of a stream gets every frame from then
        // on.
        let reader = self.attach_new_queues(&mut state.rings).and_then(|()| {
            AttachedReader::new(incoming, &self.settings, &self.service.directory, self.full())
        });
        match reader {
            Ok(reader) => {
                state.readers.push(reader);
                state.log.accepted(Ok(()));
                self.service.attached.stats.count(0, |it| it.attached_total += 1);
                self.publish_stats(state);
            }
            Err(error) => {
                self.service.attached.stats.count(0, |it| it.refused += 1);
                state.log.accepted(Err(format!("cannot serve a reader: {error}")));
            }
        }
    }

    /// Tells a reader, and the operator, why it is turned away.
    fn turn_away(&self, incoming: &Incoming, reason: &str, state: &mut FanoutState) {
        self.service.attached.stats.count(0, |it| it.refused += 1);
        let said = format!("output `{}`: {reason}", self.service.name);
        access::turn_away(incoming, self.settings.format, &said);
        state.log.turned_away(&incoming.name, reason);
    }

    /// Moves frames for one interval; returns whether the rings are closed.
    fn turn(&self, state: &mut FanoutState) -> bool {
        let FanoutState { rings, readers, taken, .. } = state;
        let Some(Rings { consumer, .. }) = rings else { return false };
        if self.service.attached.notifier.must_end() {
            // Also if a worker never ran, so that its ring is never closed.
            consumer.new_rings().close();
        }
        let begin = Instant::now();
        loop {
            let left = INTERVAL.saturating_sub(begin.elapsed());
            match consumer.next(left) {
                Next::Batch(batch) => {
                    for reader in readers.iter_mut() {
                        reader.begin(&self.service.directory);
                    }
                    for frame in &batch {
                        *taken += 1;
                        for reader in readers.iter_mut() {
                            reader.offer(&frame);
                        }
                    }
                    readers.iter_mut().for_each(AttachedReader::flush);
                }
                Next::Idle => return false,
                Next::Closed => return true,
            }
            if left.is_zero() {
                return false;
            }
        }
    }

    /// Removes readers that have detached or have to.
    fn remove_readers(&self, state: &mut FanoutState) {
        if state.readers.iter().any(AttachedReader::wants_to_end) {
            let full = self.full();
            let ending = state.readers.iter_mut().filter(|reader| reader.wants_to_end());
            ending.for_each(|reader| reader.end(&full));
        }
        let FanoutState { readers, past_readers, log, .. } = state;
        readers.retain_mut(|reader| {
            let is_active = reader.is_active();
            if !is_active {
                past_readers.add(reader.report());
                if let Some(error) = reader.failure() {
                    log.failed(reader.name(), &error);
                }
                if reader.is_aborted() {
                    self.service.attached.stats.count(0, |it| it.disconnected += 1);
                    log.given_up(reader.name());
                }
            }
            is_active
        });
        if state.readers.is_empty() {
            // First: once the counters show no reader, no frame waits for one.
            self.release_rings(state);
        }
        state.log.out_of_order(state.out_of_order());
        self.publish_stats(state);
    }

    /// Ends the streams of all readers.
    fn end_all(&self, state: &mut FanoutState) {
        let full = self.full();
        state.readers.iter_mut().for_each(|reader| reader.end(&full));
        while !state.readers.is_empty() {
            thread::sleep(END_INTERVAL);
            self.remove_readers(state);
        }
        self.release_rings(state);
        self.publish_stats(state);
        state.log.finish();
    }

    /// Returns the rings to the workers.
    fn release_rings(&self, state: &mut FanoutState) {
        let Some(rings) = state.rings.take() else { return };
        let (taken, out_of_order) = rings.release(self.service.ring_len);
        state.taken += taken;
        state.out_of_order += out_of_order;
    }

    /// Makes sure that there are rings from all queues.
    fn attach_new_queues(&self, rings: &mut Option<Rings>) -> io::Result<()> {
        let rings = rings.get_or_insert_with(|| Rings::new(self.settings.order_window));
        rings.attach_new_queues(&self.service)
    }

    fn publish_stats(&self, state: &FanoutState) {
        let FanoutState { readers, past_readers, taken, .. } = state;
        let Some(shared) = &self.service.attached.readers else { return };
        shared.store(StreamCounters {
            taken: *taken,
            out_of_order: state.out_of_order(),
            readers: past_readers.and(readers.iter().map(AttachedReader::report)),
        });
        self.service.attached.stats.count(0, |it| it.attached = readers.len() as u64);
    }

    /// Returns the number of frames by session that found a ring of the output full.
    fn full(&self) -> Vec<u64> {
        let mut full = Vec::new();
        for counters in self.service.queues.counters() {
            let by_session = counters.outputs.get(self.service.id).map_or(&[][..], Vec::as_slice);
            full.resize(full.len().max(by_session.len()), 0);
            full.iter_mut().zip(by_session).for_each(|(sum, session)| *sum += session.dropped);
        }
        full
    }
}
