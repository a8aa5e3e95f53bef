//! One reader of a stream: which frames it gets, and what became of them.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::encoder::Encoder;
use super::listener::Incoming;
use super::send_queue::SendQueue;
use super::settings::StreamSettings;
use super::writer::StreamWriter;
use crate::outputs::attach::StreamReader;
use crate::outputs::clock::utc_ns;
use crate::outputs::pcapng::Period;
use crate::ring::Frame;
use crate::session::{Directory, SessionId};

/// How long somebody who takes nothing is waited for at the end.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long anybody is waited for at the end.
const PATIENCE_MAX: Duration = Duration::from_secs(10);

/// A reader.
#[derive(Debug)]
pub(super) struct Reader {
    name: String,
    encoder: Encoder,
    pipe: Arc<SendQueue>,
    sink: Arc<StreamWriter>,
    wanted: Wanted,
    ends_when_half_closed: bool,
    /// Most bytes that may wait.
    capacity: usize,
    /// Bytes that waited when the batch began.
    queued: usize,
    offered: u64,
    lost: u64,
    /// When it came, in nanoseconds since 1970-01-01 UTC.
    since_ns: u64,
    /// By session: what the rings of the output had lost by then.
    full_before: Vec<u64>,
    ending: Option<Ending>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        // Its thread would wait for more.
        self.pipe.give_up();
    }
}

/// A reader that gets nothing new.
#[derive(Clone, Copy, Debug)]
enum Ending {
    /// It takes what waits; since when so much has been left.
    Taking { queued: usize, since: Instant, begin: Instant },
    /// Its thread is to end.
    GivenUp { since: Instant },
    /// It is gone itself.
    PastReaders { since: Instant },
}

/// The sessions whose frames a reader gets.
#[derive(Debug)]
struct Wanted {
    /// Their names; `None`: all.
    names: Option<Vec<String>>,
    by_session: Vec<bool>,
}

impl Wanted {
    fn has(&self, session: SessionId) -> bool {
        self.names.is_none() || self.by_session.get(session.index()).copied().unwrap_or(false)
    }

    /// Takes over the sessions that have come since.
    fn refresh(&mut self, directory: &Directory) {
        if let Some(names) = &self.names
            && self.by_session.len() != directory.len()
        {
            self.by_session = directory.names().iter().map(|name| names.contains(name)).collect();
        }
    }
}

impl Reader {
    /// Begins the stream of somebody who came; `full` is what the rings of the output have lost by
    /// session.
    pub(super) fn new(
        visitor: Incoming,
        settings: &StreamSettings,
        directory: &Directory,
        full: Vec<u64>,
    ) -> io::Result<Self> {
        let Incoming { name, sink, sessions, ends_when_half_closed } = visitor;
        let mut wanted = Wanted { names: sessions, by_session: Vec::new() };
        wanted.refresh(directory);
        let sessions = (1..directory.len()).filter_map(|id| u32::try_from(id).ok().map(SessionId));
        let described: Vec<_> = sessions.filter(|id| wanted.has(*id)).collect();
        let mut reader = Self {
            name,
            encoder: Encoder::new(settings.format, directory, &described),
            pipe: SendQueue::open(sink.clone())?,
            sink,
            wanted,
            ends_when_half_closed,
            capacity: settings.capacity,
            queued: 0,
            offered: 0,
            lost: 0,
            since_ns: utc_ns(),
            full_before: full,
            ending: None,
        };
        reader.hand_over();
        Ok(reader)
    }

    /// To be called before each batch.
    pub(super) fn begin(&mut self, directory: &Directory) {
        self.wanted.refresh(directory);
        self.queued = self.pipe.queued();
    }

    /// Encodes a frame if it is for this reader and there is room.
    pub(super) fn offer(&mut self, frame: &Frame<'_>) {
        if self.ending.is_some() || !self.wanted.has(frame.session()) {
            return;
        }
        self.offered += 1;
        if self.queued + self.encoder.waiting() + Encoder::len_max(frame) > self.capacity {
            self.lost += 1;
            self.encoder.lose(frame);
        } else {
            self.encoder.packet(frame);
        }
    }

    /// Gives what was encoded to the thread that writes it.
    pub(super) fn hand_over(&mut self) {
        if self.encoder.waiting() > 0 {
            self.pipe.put(self.encoder.take());
        }
    }

    /// Whether it has said that it wants the end of its stream.
    pub(super) fn wants_to_end(&self) -> bool {
        self.ending.is_none() && self.ends_when_half_closed && self.sink.is_half_closed()
    }

    /// Ends its stream, with statistics; `full` is what the rings of the output have lost by
    /// session.
    pub(super) fn end(&mut self, full: &[u64]) {
        if self.ending.is_some() {
            return;
        }
        for (session, full) in (0..).zip(full) {
            let before = self.full_before.get(session as usize).copied().unwrap_or(0);
            if self.wanted.has(SessionId(session)) {
                self.encoder.lose_of(SessionId(session), full.saturating_sub(before));
            }
        }
        self.encoder.finish(Period { start_ns: self.since_ns, end_ns: utc_ns() });
        self.hand_over();
        self.pipe.finish();
        let now = Instant::now();
        self.ending = Some(Ending::Taking { queued: self.pipe.queued(), since: now, begin: now });
    }

    /// Whether there is still something to be done for it.
    pub(super) fn stays(&mut self) -> bool {
        if self.pipe.is_over() {
            return false;
        }
        let now = Instant::now();
        if !matches!(self.ending, Some(Ending::PastReaders { .. } | Ending::GivenUp { .. }))
            && self.sink.is_gone()
        {
            self.pipe.give_up();
            self.ending = Some(Ending::PastReaders { since: now });
        }
        match &mut self.ending {
            None => true,
            Some(Ending::Taking { queued, since, begin }) => {
                let left = self.pipe.queued();
                if left != *queued {
                    (*queued, *since) = (left, now);
                }
                let waited = now.saturating_duration_since(*since) >= PATIENCE;
                if waited || now.saturating_duration_since(*begin) >= PATIENCE_MAX {
                    self.pipe.give_up();
                    self.sink.cut();
                    self.ending = Some(Ending::GivenUp { since: now });
                }
                true
            }
            // The thread ends within a turn of its own, but where the system lets it wait for
            // something else than a reader.
            Some(Ending::GivenUp { since } | Ending::PastReaders { since }) => {
                now.saturating_duration_since(*since) < PATIENCE
            }
        }
    }

    /// Whether it was cut off, because it took nothing at the end.
    pub(super) const fn is_given_up(&self) -> bool {
        matches!(self.ending, Some(Ending::GivenUp { .. }))
    }

    /// Why nothing could be written to it, if it is not that it has gone.
    pub(super) fn failure(&self) -> Option<String> {
        self.pipe.failure()
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Its account.
    pub(super) fn report(&self) -> StreamReader {
        let Self { offered, lost, .. } = *self;
        let sent = self.pipe.sent();
        let unsent = self.pipe.put_in().saturating_sub(sent);
        StreamReader { name: self.name.clone(), offered, sent, lost, unsent, is_there: true }
    }
}
