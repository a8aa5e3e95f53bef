//! What became of the frames of each reader of a stream.

use std::sync::{Mutex, PoisonError};

/// Readers that are gone and still listed one by one.
const GONE_MAX: usize = 16;

/// A reader of a stream, and what became of its frames since it came:
/// `offered = sent + lost + unsent`, but for moments while it reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamReader {
    /// Who it is: address, process or path; of the oldest that are gone, that they are several.
    pub name: String,
    /// Frames that were for it.
    pub offered: u64,
    /// Written to it, whole.
    pub sent: u64,
    /// Lost, because what waited for it had no room for more.
    pub lost: u64,
    /// Wait for it, or waited when it went.
    pub unsent: u64,
    /// Whether it is there now.
    pub is_there: bool,
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

/// The account of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamCounters {
    /// Frames that were taken from the rings, each for all readers that were there.
    pub taken: u64,
    /// Came behind a later one, as it came longer after it than the frames of several queues are
    /// kept apart. Part of the others.
    pub out_of_order: u64,
    /// The readers in the order in which they came. The oldest that are gone are together the first
    /// one.
    pub readers: Vec<StreamReader>,
}

/// The account of a stream, for others to read.
#[derive(Debug, Default)]
pub(crate) struct ReaderStats(Mutex<StreamCounters>);

impl ReaderStats {
    pub(crate) fn read(&self) -> StreamCounters {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn publish(&self, counters: StreamCounters) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = counters;
    }
}

/// Readers that are gone.
#[derive(Debug, Default)]
pub(crate) struct PastReaders {
    /// The oldest together, and their number.
    before: (StreamReader, usize),
    last: std::collections::VecDeque<StreamReader>,
}

impl PastReaders {
    pub(crate) fn add(&mut self, reader: StreamReader) {
        self.last.push_back(StreamReader { is_there: false, ..reader });
        if self.last.len() > GONE_MAX {
            let oldest = self.last.pop_front().unwrap_or_default();
            let (before, count) = &mut self.before;
            *count += 1;
            before.add(&oldest);
            before.name = format!("{count} before");
        }
    }

    /// All of them, and behind them those that are there.
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
        let mut gone = PastReaders::default();
        for number in 0..20 {
            let name = number.to_string();
            gone.add(StreamReader {
                name,
                offered: 3,
                sent: 2,
                lost: 1,
                unsent: 0,
                is_there: true,
            });
        }
        let present =
            StreamReader { name: "here".to_owned(), is_there: true, ..StreamReader::default() };
        let all = gone.and(std::iter::once(present));
        assert_eq!(all.len(), 1 + GONE_MAX + 1);
        assert_eq!((&*all[0].name, all[0].offered, all[1].name.as_str()), ("4 before", 12, "4"));
        assert_eq!(all.iter().map(|reader| reader.offered).sum::<u64>(), 60);
        assert!(all.iter().all(StreamReader::adds_up));
        assert_eq!(all.iter().filter(|reader| reader.is_there).count(), 1);
    }
}
