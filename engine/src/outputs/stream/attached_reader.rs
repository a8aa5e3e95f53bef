//! One reader of a stream: the frames that it gets, and its counters.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::encoder::Encoder;
use super::listener::{Incoming, Selection};
use super::send_queue::SendQueue;
use super::stream_settings::StreamSettings;
use super::stream_writer::StreamWriter;
use crate::outputs::attach::StreamReader;
use crate::outputs::pcapng::TimeSpan;
use crate::outputs::wall_clock::utc_ns;
use crate::ring::Frame;
use crate::session::{Directory, SessionId};

/// Longest wait for a reader that takes nothing, at the end.
const STALL_TIMEOUT: Duration = Duration::from_secs(1);
/// Longest wait for any reader, at the end.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// A reader.
#[derive(Debug)]
pub(super) struct AttachedReader {
    name: String,
    encoder: Encoder,
    queue: Arc<SendQueue>,
    writer: Arc<StreamWriter>,
    wanted: Wanted,
    ends_when_half_closed: bool,
    /// Largest number of bytes in the send queue.
    capacity: usize,
    /// Bytes in the send queue when the batch began.
    queued: usize,
    offered: u64,
    lost: u64,
    /// Time at which it attached, in nanoseconds since 1970-01-01 UTC.
    since_ns: u64,
    /// By session: frames that the rings of the output had lost by then.
    full_before: Vec<u64>,
    progress: Progress,
    ending: Option<Ending>,
}

/// The last time at which a reader took something, or had nothing to take.
#[derive(Clone, Copy, Debug)]
struct Progress {
    timeout: Option<Duration>,
    /// Bytes that were written by then.
    written: u64,
    at: Instant,
}

impl Progress {
    /// Returns whether the reader has taken nothing for the whole timeout.
    fn is_stalled(&mut self, queue: &SendQueue, now: Instant) -> bool {
        let written = queue.written();
        if written != self.written || queue.queued() == 0 {
            (self.written, self.at) = (written, now);
        }
        self.timeout.is_some_and(|timeout| now.saturating_duration_since(self.at) >= timeout)
    }
}

impl Drop for AttachedReader {
    fn drop(&mut self) {
        // Otherwise its thread would wait for more records.
        self.queue.abort();
    }
}

/// A reader whose stream ends.
#[derive(Clone, Copy, Debug)]
enum Ending {
    /// It still reads; the queue has had this length since then.
    Taking { queued: usize, since: Instant, begin: Instant },
    /// Its thread has to end.
    Aborted { since: Instant },
    /// It has detached.
    PastReaders { since: Instant },
}

/// The frames that a reader gets.
#[derive(Debug)]
struct Wanted {
    /// `None`: all.
    selection: Option<Selection>,
    /// By session: the reader gets all of its frames.
    by_session: Vec<bool>,
    /// By session: frames of selected pairs may be among its frames.
    by_pair: Vec<bool>,
}

impl Wanted {
    fn has(&self, frame: &Frame<'_>) -> bool {
        let Some(Selection { pairs, .. }) = &self.selection else { return true };
        self.has_session(frame.session())
            || (!pairs.is_empty() && pairs.contains(&frame.source_vni()))
    }

    /// Returns whether it gets all frames of a session.
    fn has_session(&self, session: SessionId) -> bool {
        self.selection.is_none() || self.by_session.get(session.index()).copied().unwrap_or(false)
    }

    /// Returns whether it may get frames of a session. Losses in the rings are counted by session,
    /// for all pairs of the session together.
    fn may_have(&self, session: SessionId) -> bool {
        let has_pair = self.by_pair.get(session.index()).copied().unwrap_or(false);
        self.has_session(session) || has_pair
    }

    /// Adds the sessions that have been declared since.
    fn refresh(&mut self, directory: &Directory) {
        if let Some(Selection { names, pairs }) = &self.selection
            && self.by_session.len() != directory.len()
        {
            self.by_pair = directory.may_have(pairs);
            self.by_session = directory.names().iter().map(|name| names.contains(name)).collect();
        }
    }
}

impl AttachedReader {
    /// Begins the stream of a reader; `full` holds the frames that the rings of the output have
    /// lost, by session.
    pub(super) fn new(
        incoming: Incoming,
        settings: &StreamSettings,
        directory: &Directory,
        full: Vec<u64>,
    ) -> io::Result<Self> {
        let Incoming { name, writer, selection, tcp: _, ends_when_half_closed } = incoming;
        let mut wanted = Wanted { selection, by_session: Vec::new(), by_pair: Vec::new() };
        wanted.refresh(directory);
        let sessions = (1..directory.len()).filter_map(|id| u32::try_from(id).ok().map(SessionId));
        let described: Vec<_> = sessions.filter(|id| wanted.has_session(*id)).collect();
        let mut reader = Self {
            name,
            encoder: Encoder::new(settings.format, directory, &described),
            queue: SendQueue::open(writer.clone())?,
            writer,
            wanted,
            ends_when_half_closed,
            capacity: settings.capacity,
            queued: 0,
            offered: 0,
            lost: 0,
            since_ns: utc_ns(),
            full_before: full,
            progress: Progress { timeout: settings.send_timeout, written: 0, at: Instant::now() },
            ending: None,
        };
        reader.flush();
        Ok(reader)
    }

    /// Prepares for a batch; called before each.
    pub(super) fn begin(&mut self, directory: &Directory) {
        self.wanted.refresh(directory);
        self.queued = self.queue.queued();
    }

    /// Encodes a frame if it is selected and there is room.
    pub(super) fn offer(&mut self, frame: &Frame<'_>) {
        if self.ending.is_some() || !self.wanted.has(frame) {
            return;
        }
        self.offered += 1;
        if self.queued + self.encoder.waiting() + Encoder::len_max(frame) > self.capacity {
            self.lost += 1;
            self.encoder.count_missing(frame);
        } else {
            self.encoder.packet(frame);
        }
    }

    /// Passes the encoded records to the thread that writes them.
    pub(super) fn flush(&mut self) {
        if self.encoder.waiting() > 0 {
            self.queue.put(self.encoder.take());
        }
    }

    /// Returns whether the reader has asked for the end of its stream.
    pub(super) fn wants_to_end(&self) -> bool {
        self.ending.is_none() && self.ends_when_half_closed && self.writer.is_half_closed()
    }

    /// Ends its stream, with statistics; `full` holds the frames that the rings of the output have
    /// lost, by session.
    pub(super) fn end(&mut self, full: &[u64]) {
        if self.ending.is_some() {
            return;
        }
        for (session, full) in (0..).zip(full) {
            let before = self.full_before.get(session as usize).copied().unwrap_or(0);
            if self.wanted.may_have(SessionId(session)) {
                self.encoder.count_missing_of(SessionId(session), full.saturating_sub(before));
            }
        }
        self.encoder.finish(TimeSpan { start_ns: self.since_ns, end_ns: utc_ns() });
        self.flush();
        self.queue.finish();
        let now = Instant::now();
        self.ending = Some(Ending::Taking { queued: self.queue.queued(), since: now, begin: now });
    }

    /// Returns whether the reader still has to be served.
    pub(super) fn is_active(&mut self) -> bool {
        if self.queue.is_closed() {
            return false;
        }
        let now = Instant::now();
        if !matches!(self.ending, Some(Ending::PastReaders { .. } | Ending::Aborted { .. }))
            && self.writer.is_gone()
        {
            self.queue.abort();
            self.ending = Some(Ending::PastReaders { since: now });
        }
        match &mut self.ending {
            None if self.progress.is_stalled(&self.queue, now) => {
                self.abort(now);
                true
            }
            None => true,
            Some(Ending::Taking { queued, since, begin }) => {
                let left = self.queue.queued();
                if left != *queued {
                    (*queued, *since) = (left, now);
                }
                let waited = now.saturating_duration_since(*since) >= STALL_TIMEOUT;
                if waited || now.saturating_duration_since(*begin) >= END_TIMEOUT {
                    self.abort(now);
                }
                true
            }
            // The thread ends within one interval, unless the system makes it wait for something
            // else than a reader.
            Some(Ending::Aborted { since } | Ending::PastReaders { since }) => {
                now.saturating_duration_since(*since) < STALL_TIMEOUT
            }
        }
    }

    /// Disconnects it.
    fn abort(&mut self, now: Instant) {
        self.queue.abort();
        self.writer.cut();
        self.ending = Some(Ending::Aborted { since: now });
    }

    /// Returns whether it was disconnected because it took nothing.
    pub(super) const fn is_aborted(&self) -> bool {
        matches!(self.ending, Some(Ending::Aborted { .. }))
    }

    /// Returns the error of writing, unless the reader has just detached.
    pub(super) fn failure(&self) -> Option<String> {
        self.queue.failure()
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Returns its counters.
    pub(super) fn report(&self) -> StreamReader {
        let Self { offered, lost, .. } = *self;
        let sent = self.queue.sent();
        let unsent = self.queue.added().saturating_sub(sent);
        StreamReader { name: self.name.clone(), offered, sent, lost, unsent, is_attached: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Session;

    #[test]
    fn of_a_pair_of_a_declared_session_the_losses_of_the_session_count() {
        let session = |name: &str, vni| Session { name: name.into(), vni, ..Session::default() };
        let mut directory = Directory::default();
        directory.assign(&[session("web", 7), session("database", 8)]);
        let pairs = vec!["vni-7@10.0.0.1".parse().unwrap()];
        let selection = Some(Selection { pairs, ..Selection::default() });
        let mut wanted = Wanted { selection, by_session: Vec::new(), by_pair: Vec::new() };
        wanted.refresh(&directory);
        let may_have = |wanted: &Wanted| [0, 1, 2, 3].map(|id| wanted.may_have(SessionId(id)));
        assert_eq!(may_have(&wanted), [true, true, false, false]);
        directory.assign(&[session("added", 7)]);
        wanted.refresh(&directory);
        assert_eq!(may_have(&wanted), [true, true, false, true]);
    }
}
