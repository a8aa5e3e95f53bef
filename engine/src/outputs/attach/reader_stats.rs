//! Counters of the readers of a stream.

use std::sync::Mutex;

use crate::sys::lock;

/// Number of detached readers that are still listed one by one.
const GONE_MAX: usize = 16;

/// A reader of a stream. Since it attached, `offered = sent + lost + unsent`, except for moments
/// while it reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamReader {
    /// Peer address, process or path; the first entry aggregates the oldest detached readers.
    pub name: String,
    /// Frames selected for the reader.
    pub offered: u64,
    /// Frames written to it completely.
    pub sent: u64,
    /// Frames lost because its send queue was full.
    pub lost: u64,
    /// Frames in its send queue, now or when it detached.
    pub unsent: u64,
    /// `true` while the reader is attached.
    pub is_attached: bool,
}

impl StreamReader {
    pub(crate) const fn adds_up(&self) -> bool {
        self.offered == self.sent + self.lost + self.unsent
    }

    const fn add(&mut self, other: &Self) {
        self.offered += other.offered;
        self.sent += other.sent;
        self.lost += other.lost;
        self.unsent += other.unsent;
    }
}

/// Counters of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamCounters {
    /// Frames taken from the rings, each for all attached readers.
    pub taken: u64,
    /// Frames delivered out of timestamp order because they missed the merge window. Included in
    /// `taken`.
    pub out_of_order: u64,
    /// The readers in the order in which they attached. The first entry aggregates the oldest
    /// detached readers.
    pub readers: Vec<StreamReader>,
}

/// The counters of a stream, shared between threads.
#[derive(Debug, Default)]
pub(crate) struct ReaderStats(Mutex<StreamCounters>);

impl ReaderStats {
    pub(crate) fn read(&self) -> StreamCounters {
        lock(&self.0).clone()
    }

    pub(crate) fn store(&self, counters: StreamCounters) {
        *lock(&self.0) = counters;
    }
}

/// Readers that have detached.
#[derive(Debug, Default)]
pub(crate) struct PastReaders {
    /// The sum of the oldest, and their number.
    before: (StreamReader, usize),
    last: std::collections::VecDeque<StreamReader>,
}

impl PastReaders {
    pub(crate) fn add(&mut self, reader: StreamReader) {
        self.last.push_back(StreamReader { is_attached: false, ..reader });
        if self.last.len() > GONE_MAX {
            let oldest = self.last.pop_front().unwrap_or_default();
            let (before, count) = &mut self.before;
            *count += 1;
            before.add(&oldest);
            before.name = format!("{count} before");
        }
    }

    /// Returns all of them, followed by the attached readers.
    pub(crate) fn and(&self, present: impl Iterator<Item = StreamReader>) -> Vec<StreamReader> {
        let (before, count) = &self.before;
        let before = (*count > 0).then(|| before.clone());
        before.into_iter().chain(self.last.iter().cloned()).chain(present).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_readers_become_one_and_nothing_is_forgotten() {
        let mut past = PastReaders::default();
        for number in 0..20 {
            let name = number.to_string();
            past.add(StreamReader {
                name,
                offered: 3,
                sent: 2,
                lost: 1,
                unsent: 0,
                is_attached: true,
            });
        }
        let present =
            StreamReader { name: "here".to_owned(), is_attached: true, ..StreamReader::default() };
        let all = past.and(std::iter::once(present));
        assert_eq!(all.len(), 1 + GONE_MAX + 1);
        assert_eq!((&*all[0].name, all[0].offered, all[1].name.as_str()), ("4 before", 12, "4"));
        assert_eq!(all.iter().map(|reader| reader.offered).sum::<u64>(), 60);
        assert!(all.iter().all(StreamReader::adds_up));
        assert_eq!(all.iter().filter(|reader| reader.is_attached).count(), 1);
    }
}
