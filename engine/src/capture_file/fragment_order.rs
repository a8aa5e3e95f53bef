//! Puts the first fragment of each outer UDP datagram in front of the others.
//!
//! Only the first fragment has the port that decides if the datagram is one of ours. On an
//! interface the XDP program has to decide at once, so that a fragment that overtakes the first one
//! goes to the kernel stack. In a file it can wait.

use std::collections::{HashMap, VecDeque};

use vxtap_ebpf::fragment::{self, FragmentKey};
use vxtap_ebpf::parse::{self, Refusal};

/// Longest time from a fragment to the first one of its datagram, in nanoseconds: that of
/// reassembly.
const WAIT_NS: u64 = 2_000_000_000;
/// Most fragments that wait, and their bytes. The oldest one goes on without its first fragment.
const WAITING_MAX: usize = 4096;
const WAITING_BYTES_MAX: usize = 16 << 20;
/// Most datagrams whose first fragment is remembered.
const BEGUN_MAX: usize = 4096;

/// A frame that waited.
#[derive(Debug)]
pub(super) struct WaitingFrame {
    key: FragmentKey,
    /// Number in the file.
    pub(super) number: u64,
    pub(super) timestamp_ns: u64,
    pub(super) bytes: Vec<u8>,
}

/// Fragments that wait for the first ones of their datagrams.
#[derive(Debug, Default)]
pub(super) struct FragmentOrder {
    waiting: VecDeque<WaitingFrame>,
    waiting_bytes: usize,
    /// Frames that have waited long enough.
    released: VecDeque<WaitingFrame>,
    /// Datagrams whose first fragment has been seen, and its time.
    begun: HashMap<FragmentKey, u64>,
    /// The first fragments in the order of the file. One of a repeated key has another time in
    /// `begun`.
    begun_order: VecDeque<(FragmentKey, u64)>,
}

impl FragmentOrder {
    /// Takes a frame, with its number in the file and its time. Returns `true` if it is to be
    /// handed on now, before the frames that are [released](Self::released).
    pub(super) fn take(&mut self, frame: &[u8], number: u64, timestamp_ns: u64) -> bool {
        self.expire(timestamp_ns);
        if !matches!(parse::udp_datagram(frame), Err(Refusal::Fragment)) {
            return true;
        }
        let Some(fragment) = fragment::fragment(frame) else { return true };
        let key = fragment.key;
        if fragment.destination_port.is_some() {
            self.begin(key, timestamp_ns);
            return true;
        }
        let begun = self.begun.get(&key);
        if begun.is_some_and(|begun_ns| timestamp_ns.saturating_sub(*begun_ns) <= WAIT_NS) {
            return true;
        }
        self.waiting_bytes += frame.len();
        self.waiting.push_back(WaitingFrame { key, number, timestamp_ns, bytes: frame.to_vec() });
        while self.waiting.len() > WAITING_MAX || self.waiting_bytes > WAITING_BYTES_MAX {
            self.release_oldest();
        }
        false
    }

    /// Takes the next frame that has waited, in the order in which they are to be handed on.
    pub(super) fn released(&mut self) -> Option<WaitingFrame> {
        self.released.pop_front()
    }

    /// Releases all frames, at the end of the file.
    pub(super) fn release_all(&mut self) {
        while !self.waiting.is_empty() {
            self.release_oldest();
        }
    }

    /// Remembers a first fragment, and releases the others of its datagram, which arrive with it.
    fn begin(&mut self, key: FragmentKey, timestamp_ns: u64) {
        if self.begun_order.len() == BEGUN_MAX
            && let Some((oldest, begun_ns)) = self.begun_order.pop_front()
            && self.begun.get(&oldest) == Some(&begun_ns)
        {
            self.begun.remove(&oldest);
        }
        self.begun.insert(key, timestamp_ns);
        self.begun_order.push_back((key, timestamp_ns));
        let Self { waiting, waiting_bytes, released, .. } = self;
        if !waiting.iter().any(|frame| frame.key == key) {
            return;
        }
        for frame in std::mem::take(waiting) {
            if frame.key == key {
                *waiting_bytes -= frame.bytes.len();
                released.push_back(WaitingFrame { timestamp_ns, ..frame });
            } else {
                waiting.push_back(frame);
            }
        }
    }

    fn expire(&mut self, now_ns: u64) {
        while let Some(oldest) = self.waiting.front()
            && now_ns.saturating_sub(oldest.timestamp_ns) > WAIT_NS
        {
            self.release_oldest();
        }
    }

    fn release_oldest(&mut self) {
        if let Some(frame) = self.waiting.pop_front() {
            self.waiting_bytes -= frame.bytes.len();
            self.released.push_back(frame);
        }
    }
}
