//! Moves frames from the rings of an output to its readers.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::listener::{Incoming, StreamListener};
use super::reader::Reader;
use super::settings::StreamSettings;
use crate::diagnostics::LogOnChange;
use crate::outputs::attach::{PastReaders, Service, StreamCounters};
use crate::ring::{self, Consumer, Next};

/// How often it looks who comes and who has gone, while frames come.
const INTERVAL: Duration = Duration::from_millis(20);
/// How often it asks a door that cannot call.
const ASK: Duration = Duration::from_millis(250);
/// How often it looks whether the readers have taken the ends of their streams.
const END_TURN: Duration = Duration::from_millis(5);

/// What a hub is made of.
#[derive(Debug)]
pub(crate) struct StreamFanout {
    pub(crate) service: Service,
    pub(crate) settings: StreamSettings,
}

/// Most readers that are let in, or turned away, in one turn: whoever may connect must not keep the
/// frames from those who read.
const VISITORS_PER_TURN: usize = 16;

/// The rings that frames come from while somebody reads.
#[derive(Debug)]
struct Rings {
    consumer: Consumer,
    /// From how many queues.
    count: usize,
}

/// What a running hub has.
#[derive(Debug, Default)]
struct FanoutState {
    rings: Option<Rings>,
    readers: Vec<Reader>,
    gone: PastReaders,
    taken: u64,
    /// Of consumers that are gone.
    out_of_order: u64,
    /// Of what goes wrong with readers that come.
    of_readers: LogOnChange,
    /// Of what goes wrong with queues that come.
    of_queues: LogOnChange,
    /// Nobody is let in before, as it did not work.
    shut_until: Option<Instant>,
}

impl FanoutState {
    /// Gives the rings back. What is in them is taken first: of a worker that has ended nobody else
    /// would count it.
    fn let_go(&mut self, ring_len: u32) {
        let Some(Rings { mut consumer, count }) = self.rings.take() else { return };
        consumer.order_within(Duration::ZERO);
        let most = count as u64 * u64::from(ring_len);
        let begin = self.taken;
        while let Next::Batch(batch) = consumer.next(Duration::ZERO) {
            self.taken += batch.iter().count() as u64;
            if self.taken - begin > most {
                break;
            }
        }
        self.out_of_order += consumer.out_of_order();
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

    /// Whatever ends it, the readers get the ends of their streams.
    fn serve(&self, doors: StreamListener) -> io::Result<()> {
        let mut state = FanoutState::default();
        let served = self.serve_readers(doors, &mut state);
        self.end_all(&mut state);
        served
    }

    fn serve_readers(&self, doors: StreamListener, state: &mut FanoutState) -> io::Result<()> {
        self.service.attached.notifier.wait_until_open()?;
        let mut doors = Some(doors);
        loop {
            self.service.attached.notifier.drain();
            if !self.service.attached.notifier.is_open() {
                doors = None;
            }
            if let Some(doors) = &mut doors {
                self.let_in(doors, state);
            }
            if state.readers.is_empty() {
                if state.rings.is_some() {
                    state.let_go(self.service.ring_len);
                    self.post(state);
                }
                let Some(doors) = &doors else { return Ok(()) };
                match state.shut_until {
                    Some(_) => thread::sleep(ASK),
                    None => self.wait(doors)?,
                }
                continue;
            }
            // What fails is tried again in the next turn; what other queues bring goes on.
            let failed = self.keep_up(&mut state.rings).err();
            let sentence = failed.map(|error| format!("gets nothing from a new queue: {error}"));
            self.tell(state.of_queues.of(sentence));
            if self.turn(state) {
                self.end_all(state);
            }
            self.look(state);
            let is_left = state.readers.is_empty() && self.service.attached.notifier.is_open();
            if is_left && doors.as_ref().is_some_and(StreamListener::are_shut) {
                let sentence = "nothing is written to standard output any more";
                self.service
                    .diagnostics
                    .push(format!("output `{}`: {sentence}", self.service.name));
                return Ok(());
            }
        }
    }

    /// Waits until somebody comes, or the bell rings.
    fn wait(&self, doors: &StreamListener) -> io::Result<()> {
        let mut entries = vec![PollFd::new(&*self.service.attached.notifier, PollFlags::IN)];
        let listener = doors.listener();
        entries.extend(listener.as_ref().map(|listener| PollFd::new(listener, PollFlags::IN)));
        let ask = Timespec { tv_sec: 0, tv_nsec: ASK.subsec_nanos().into() };
        match poll(&mut entries, doors.is_to_be_asked().then_some(&ask)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn let_in(&self, doors: &mut StreamListener, state: &mut FanoutState) {
        if state.shut_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        state.shut_until = None;
        for _ in 0..VISITORS_PER_TURN {
            // It is taken while its reader is there.
            if doors.has_one_place() && !state.readers.is_empty() {
                return;
            }
            match doors.next() {
                Ok(Some(visitor)) => self.admit(visitor, state),
                Ok(None) => return,
                Err(error) => {
                    self.tell(
                        state.of_readers.of(Some(format!("cannot let a reader in: {error}"))),
                    );
                    // Whatever it is will not be over at once.
                    state.shut_until = Some(Instant::now() + ASK);
                    return;
                }
            }
        }
    }

    fn tell(&self, sentence: Option<String>) {
        if let Some(sentence) = sentence {
            self.service.diagnostics.push(format!("output `{}` {sentence}", self.service.name));
        }
    }

    fn admit(&self, visitor: Incoming, state: &mut FanoutState) {
        if state.readers.len() >= self.settings.readers_max {
            self.service.attached.stats.count(0, |it| it.refused += 1);
            return;
        }
        // First the rings: whoever has the header of a stream gets every frame from then on.
        let reader = self.keep_up(&mut state.rings).and_then(|()| {
            Reader::new(visitor, &self.settings, &self.service.directory, self.full())
        });
        match reader {
            Ok(reader) => {
                state.readers.push(reader);
                state.of_readers.of(None);
                self.service.attached.stats.count(0, |it| it.came += 1);
                self.post(state);
            }
            Err(error) => {
                self.service.attached.stats.count(0, |it| it.refused += 1);
                self.tell(state.of_readers.of(Some(format!("cannot serve a reader: {error}"))));
            }
        }
    }

    /// Moves frames for a while; returns whether none will come any more.
    fn turn(&self, state: &mut FanoutState) -> bool {
        let FanoutState { rings, readers, taken, .. } = state;
        let Some(Rings { consumer, .. }) = rings else { return false };
        if self.service.attached.notifier.is_over() {
            // Also where a worker has never run, and nobody closes its ring.
            consumer.inbox().close();
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
                    readers.iter_mut().for_each(Reader::hand_over);
                }
                Next::Idle => return false,
                Next::Closed => return true,
            }
            if left.is_zero() {
                return false;
            }
        }
    }

    /// Has rings from all queues.
    fn keep_up(&self, rings: &mut Option<Rings>) -> io::Result<()> {
        let rings = rings.get_or_insert_with(|| {
            let mut consumer = Consumer::new(Vec::new());
            consumer.order_within(self.settings.order_window);
            Rings { consumer, count: 0 }
        });
        for handle in self.service.queues.from(rings.count) {
            let (writer, reader) =
                ring::ring(self.service.ring_len as usize, handle.umem.clone(), handle.queue_id)?;
            rings.consumer.inbox().put(reader);
            handle.control.attach(self.service.id, writer);
            rings.count += 1;
        }
        Ok(())
    }

    /// Sees who has gone, and who is to go.
    fn look(&self, state: &mut FanoutState) {
        if state.readers.iter().any(Reader::wants_to_end) {
            let full = self.full();
            let ending = state.readers.iter_mut().filter(|reader| reader.wants_to_end());
            ending.for_each(|reader| reader.end(&full));
        }
        let FanoutState { readers, gone, .. } = state;
        readers.retain_mut(|reader| {
            let stays = reader.stays();
            if !stays {
                gone.add(reader.report());
                if let Some(error) = reader.failure() {
                    let reader = reader.name();
                    self.tell(Some(format!("cannot write to {reader}: {error}")));
                }
                let was_cut_off = reader.is_given_up();
                self.service.attached.stats.count(0, |it| it.cut_off += u64::from(was_cut_off));
            }
            stays
        });
        self.post(state);
    }

    /// Ends the streams of all readers.
    fn end_all(&self, state: &mut FanoutState) {
        let full = self.full();
        state.readers.iter_mut().for_each(|reader| reader.end(&full));
        while !state.readers.is_empty() {
            thread::sleep(END_TURN);
            self.look(state);
        }
        state.let_go(self.service.ring_len);
        self.post(state);
    }

    fn post(&self, state: &FanoutState) {
        let FanoutState { rings, readers, gone, taken, out_of_order, .. } = state;
        let now = rings.as_ref().map_or(0, |rings| rings.consumer.out_of_order());
        let Some(stats) = &self.service.attached.readers else { return };
        stats.publish(StreamCounters {
            taken: *taken,
            out_of_order: out_of_order + now,
            readers: gone.and(readers.iter().map(Reader::report)),
        });
        self.service.attached.stats.count(0, |it| it.attached = readers.len() as u64);
    }

    /// By session: frames that found a ring of the output full.
    fn full(&self) -> Vec<u64> {
        let mut full = Vec::new();
        for counters in self.service.queues.counters() {
            let ledgers = counters.outputs.get(self.service.id).map_or(&[][..], Vec::as_slice);
            full.resize(full.len().max(ledgers.len()), 0);
            full.iter_mut().zip(ledgers).for_each(|(sum, ledger)| *sum += ledger.full);
        }
        full
    }
}
