//! A packet of which some fragments have arrived.

use super::counters::Reason;
use super::fragment::{Fragment, Headers};

/// Longest IP packet, in bytes, without its own header for IPv6 and with it for IPv4; one limit
/// serves both.
const PACKET_LEN_MAX: usize = 65_535;
/// Most fragments of a packet: 65 535 bytes over links of 1280 bytes, the least that IPv6 allows,
/// make 54.
const FRAGMENTS_MAX: usize = 64;
/// Number of fragments by which the capacity grows.
const PIECES_MORE: usize = 8;

/// A packet of which some fragments have arrived.
#[derive(Debug)]
pub(super) struct Packet {
    /// Position in the order in which packets began.
    pub(super) number: u64,
    pub(super) deadline_ns: u64,
    /// Headers of the first fragment, once it has arrived.
    headers: Vec<u8>,
    /// The fragments that have arrived, in order of offset. Each uses memory for its own data only:
    /// a short one at the end of a long packet does not allocate the whole packet.
    pieces: Vec<Piece>,
    /// Length of the data, known from the fragment that has no others behind it.
    len: Option<usize>,
    /// Bytes of data that have arrived.
    filled: usize,
    is_given_up: bool,
    /// `true` if a session declares its source.
    pub(super) is_declared: bool,
}

/// The data of a fragment.
#[derive(Debug)]
struct Piece {
    start: usize,
    data: Box<[u8]>,
}

impl Piece {
    const fn end(&self) -> usize {
        self.start + self.data.len()
    }
}

/// Result of adding a fragment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Kept,
    Complete,
    /// It had arrived before.
    Repeated,
    /// The packet is given up, with its number of fragments.
    GivenUp((Reason, u64)),
    /// The packet was given up before.
    Late,
}

impl Packet {
    pub(super) fn new(number: u64, deadline_ns: u64, is_declared: bool) -> Self {
        let (headers, pieces) = (Vec::new(), Vec::new());
        let (len, filled, is_given_up) = (None, 0, false);
        Self { number, deadline_ns, headers, pieces, len, filled, is_given_up, is_declared }
    }

    /// Adds a fragment; the memory of the packet may grow by `room` bytes.
    pub(super) fn add(&mut self, fragment: &Fragment<'_>, room: usize) -> Outcome {
        if self.is_given_up {
            return Outcome::Late;
        }
        let end = fragment.offset + fragment.data.len();
        if end > PACKET_LEN_MAX {
            return self.give_up(Reason::TooLong);
        }
        let place = self.pieces.partition_point(|piece| piece.start < fragment.offset);
        if self.has_already(place, fragment, end) {
            return Outcome::Repeated;
        }
        if self.overlaps(place, fragment, end) {
            return self.give_up(Reason::Overlap);
        }
        if self.pieces.len() == FRAGMENTS_MAX {
            return self.give_up(Reason::TooMany);
        }
        if self.growth(fragment) > room {
            return self.give_up(Reason::NoMemory);
        }
        if self.pieces.capacity() == self.pieces.len() {
            self.pieces.reserve_exact(PIECES_MORE);
        }
        self.pieces.insert(place, Piece { start: fragment.offset, data: fragment.data.into() });
        self.filled += fragment.data.len();
        if !fragment.has_more {
            self.len = Some(end);
        }
        if fragment.offset == 0 {
            self.take_headers(&fragment.headers);
        }
        match self.len {
            Some(len) if len == self.filled && self.headers.len() + len > PACKET_LEN_MAX => {
                self.give_up_with(Reason::TooLong, 0)
            }
            Some(len) if len == self.filled => Outcome::Complete,
            _ => Outcome::Kept,
        }
    }

    /// Returns whether the fragment repeats the one at `place`, byte for byte.
    fn has_already(&self, place: usize, fragment: &Fragment<'_>, end: usize) -> bool {
        let same = |piece: &Piece| piece.start == fragment.offset && *piece.data == *fragment.data;
        self.pieces.get(place).is_some_and(same) && fragment.has_more == (self.len != Some(end))
    }

    /// Returns whether the fragment shares bytes with its neighbours, lies behind the end, or sets
    /// an end before data that have arrived.
    fn overlaps(&self, place: usize, fragment: &Fragment<'_>, end: usize) -> bool {
        let is_after_start = place > 0 && self.pieces[place - 1].end() > fragment.offset;
        let is_before_end = self.pieces.get(place).is_some_and(|piece| piece.start < end);
        let is_behind = self.len.is_some_and(|len| end > len || !fragment.has_more);
        let cuts_off =
            !fragment.has_more && self.pieces.last().is_some_and(|last| last.end() > end);
        is_after_start || is_before_end || is_behind || cuts_off
    }

    /// Returns the bytes of memory that a fragment needs.
    const fn growth(&self, fragment: &Fragment<'_>) -> usize {
        let headers = if fragment.offset == 0 { fragment.headers.len() } else { 0 };
        let is_full = self.pieces.capacity() == self.pieces.len();
        let places = if is_full { PIECES_MORE * size_of::<Piece>() } else { 0 };
        fragment.data.len() + headers + places
    }

    fn take_headers(&mut self, headers: &Headers<'_>) {
        match *headers {
            Headers::V4(bytes) => {
                self.headers.reserve_exact(bytes.len());
                self.headers.extend_from_slice(bytes);
            }
            Headers::V6 { bytes, next_header_at, next_header } => {
                self.headers.reserve_exact(bytes.len());
                self.headers.extend_from_slice(bytes);
                self.headers[next_header_at] = next_header;
            }
        }
    }

    /// Gives up because of a fragment that is not stored.
    fn give_up(&mut self, reason: Reason) -> Outcome {
        self.give_up_with(reason, 1)
    }

    fn give_up_with(&mut self, reason: Reason, more: u64) -> Outcome {
        let fragments = self.fragments() + more;
        let empty = Self::new(self.number, self.deadline_ns, self.is_declared);
        *self = Self { is_given_up: true, ..empty };
        Outcome::GivenUp((reason, fragments))
    }

    /// Writes the complete packet behind a link header, with headers that describe no fragment.
    pub(super) fn write_whole(&self, link: &[u8], frame: &mut Vec<u8>) {
        frame.clear();
        frame.extend_from_slice(link);
        frame.extend_from_slice(&self.headers);
        for piece in &self.pieces {
            frame.extend_from_slice(&piece.data);
        }
        let whole = &mut frame[link.len()..];
        let len = whole.len();
        if whole[0] >> 4 == 4 {
            whole[2..4].copy_from_slice(&be16_of(len));
            // DF stays, MF is cleared; the first fragment has no offset.
            whole[6] &= 0x40;
            let header_len = self.headers.len();
            whole[10..12].fill(0);
            let checksum = checksum(&whole[..header_len]);
            whole[10..12].copy_from_slice(&checksum.to_be_bytes());
        } else {
            whole[4..6].copy_from_slice(&be16_of(len - 40));
        }
    }

    /// Returns the number of fragments that have arrived.
    pub(super) const fn fragments(&self) -> u64 {
        self.pieces.len() as u64
    }

    pub(super) const fn is_given_up(&self) -> bool {
        self.is_given_up
    }

    /// Returns the memory of the fragments that have arrived, in bytes.
    pub(super) const fn cost(&self) -> usize {
        self.headers.capacity() + self.filled + self.pieces.capacity() * size_of::<Piece>()
    }
}

impl Headers<'_> {
    const fn len(&self) -> usize {
        match self {
            Self::V4(bytes) | Self::V6 { bytes, .. } => bytes.len(),
        }
    }
}

/// RFC 1071, over an even number of bytes.
fn checksum(header: &[u8]) -> u16 {
    let sum: u32 =
        header.as_chunks::<2>().0.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

fn be16_of(len: usize) -> [u8; 2] {
    u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes()
}
