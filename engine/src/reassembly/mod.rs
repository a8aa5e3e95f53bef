//! Reassembles outer IP fragments into whole packets, in a bounded table.
//!
//! This is the slow path: the packets of a mirror that fit its network never reach it. One table
//! serves all workers, since the fragments of a packet may arrive at different queues.
//!
//! The rules are those of RFC 791 section 3.2 and RFC 8200 section 4.5, with RFC 5722 for both
//! versions: when fragments overlap, the whole packet is given up, together with its later
//! fragments. A fragment that repeats an earlier one byte for byte is ignored. When the table is
//! full, new packets are refused until older ones are complete or have timed out, so that a flood
//! does not evict packets that were begun before. A single source can use a quarter of the table,
//! and all sources that no session declares half of it together, so that forged ones leave room for
//! the others.

mod counters;
mod fragment;
mod packet;
#[cfg(test)]
mod tests;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

pub use counters::ReassemblyCounters;
use fragment::{Fragment, PacketKey};
use packet::{Outcome, Packet};
use vxtap_ebpf::wire::ethernet::ip_offset;

/// Limits of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Memory in bytes, book-keeping included; besides it there is one buffer for the packet that
    /// was completed last.
    pub(crate) bytes_max: usize,
    /// Number of incomplete packets.
    pub(crate) packets_max: usize,
    /// Divisor of both limits for a single source.
    pub(crate) source_share: usize,
    /// Divisor of both limits for all undeclared sources together.
    pub(crate) undeclared_share: usize,
    /// Longest time from the arrival of the first fragment to that of the last, in nanoseconds.
    pub(crate) timeout_ns: u64,
}

impl Default for Limits {
    /// Returns limits for some 250 packets of 64 KiB, or 1700 of jumbo mirrors; a quarter of that
    /// for one source. IPv4 identifications repeat after 65 536 packets, which takes longer than
    /// two seconds up to 32 000 packets per second.
    fn default() -> Self {
        Self {
            bytes_max: 16 << 20,
            packets_max: 4096,
            source_share: 4,
            undeclared_share: 2,
            timeout_ns: 2_000_000_000,
        }
    }
}

/// Result of adding a fragment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Added<'a> {
    /// It was the last one that was missing. Holds its link header and the IP packet as it was
    /// before fragmentation, with the checksum of an IPv4 header.
    Whole(&'a [u8]),
    /// It is kept until the others arrive.
    Kept,
    /// It cannot be used.
    Refused,
}

/// Bytes that a packet costs besides its fragments: its entries in the table and in the queue, with
/// the spare capacity of hash tables.
const PACKET_COST: usize = 2
    * (size_of::<PacketKey>()
        + size_of::<Packet>()
        + size_of::<(u64, PacketKey)>()
        + size_of::<(IpAddr, MemoryShare)>());

/// Use of the table by one source, or by several.
#[derive(Clone, Copy, Debug, Default)]
struct MemoryShare {
    packets: usize,
    bytes: usize,
}

impl MemoryShare {
    /// Returns whether there is room for another packet under limits of the table divided by
    /// `share`.
    const fn has_room(self, limits: Limits, share: usize) -> bool {
        self.packets < limits.packets_max.div_ceil(share)
            && self.bytes + PACKET_COST <= limits.bytes_max / share
    }

    /// Returns the bytes that are left of the limit divided by `share`.
    const fn bytes_left(self, limits: Limits, share: usize) -> usize {
        (limits.bytes_max / share).saturating_sub(self.bytes)
    }
}

/// Table of incomplete packets.
#[derive(Debug)]
pub(crate) struct Reassembly {
    limits: Limits,
    packets: HashMap<PacketKey, Packet>,
    /// Keys by number, which packets get in the order in which they begin.
    order: BTreeMap<u64, PacketKey>,
    next: u64,
    /// All packets.
    all: MemoryShare,
    /// Those of undeclared sources.
    undeclared: MemoryShare,
    /// All packets by source.
    shares: HashMap<IpAddr, MemoryShare>,
    whole: Vec<u8>,
    counters: ReassemblyCounters,
}

impl Default for Reassembly {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Reassembly {
    pub(crate) fn new(limits: Limits) -> Self {
        let (packets, order, whole) = (HashMap::new(), BTreeMap::new(), Vec::new());
        let shares = HashMap::new();
        Self {
            limits,
            packets,
            order,
            next: 0,
            all: MemoryShare::default(),
            undeclared: MemoryShare::default(),
            shares,
            whole,
            counters: ReassemblyCounters::default(),
        }
    }

    /// Adds the fragment in an Ethernet frame, without the bytes behind the packet's end. `now_ns`
    /// may be of any monotonic clock. The source counts as declared.
    pub(crate) fn add(&mut self, frame: &[u8], now_ns: u64) -> Added<'_> {
        self.add_from(frame, now_ns, |_| true)
    }

    /// [`Self::add`], if `is_declared` returns whether a session declares a source.
    pub(crate) fn add_from(
        &mut self,
        frame: &[u8],
        now_ns: u64,
        is_declared: impl FnOnce(IpAddr) -> bool,
    ) -> Added<'_> {
        let (link, packet) = frame.split_at(ip_offset(frame).unwrap_or(0).min(frame.len()));
        self.counters.fragments += 1;
        let Some(fragment) = Fragment::in_packet(packet).filter(|_| !link.is_empty()) else {
            self.counters.malformed += 1;
            return Added::Refused;
        };
        self.expire(now_ns);
        if !self.packets.contains_key(&fragment.key)
            && !self.begin(fragment.key, now_ns, is_declared(fragment.key.source))
        {
            self.counters.no_room += 1;
            return Added::Refused;
        }
        let Self { limits, packets, all, undeclared, shares, .. } = self;
        let share = shares.entry(fragment.key.source).or_default();
        let Some(entry) = packets.get_mut(&fragment.key) else { return Added::Refused };
        let mut room =
            all.bytes_left(*limits, 1).min(share.bytes_left(*limits, limits.source_share));
        if !entry.is_declared {
            room = room.min(undeclared.bytes_left(*limits, limits.undeclared_share));
        }
        let before = entry.cost();
        let outcome = entry.add(&fragment, room);
        let after = entry.cost();
        for share in [all, share].into_iter().chain((!entry.is_declared).then_some(undeclared)) {
            share.bytes = share.bytes + after - before;
        }
        match outcome {
            Outcome::Kept => Added::Kept,
            Outcome::Complete => {
                entry.write_whole(link, &mut self.whole);
                self.counters.complete(entry.fragments());
                self.forget(fragment.key);
                Added::Whole(&self.whole)
            }
            Outcome::Repeated => {
                self.counters.repeated += 1;
                Added::Refused
            }
            Outcome::GivenUp(reason) => {
                self.counters.give_up(reason);
                Added::Refused
            }
            Outcome::Late => {
                self.counters.late += 1;
                Added::Refused
            }
        }
    }

    /// Adds an entry for a new packet; returns `false` if there is no room.
    fn begin(&mut self, key: PacketKey, now_ns: u64, is_declared: bool) -> bool {
        let Self { limits, all, undeclared, .. } = *self;
        let share = self.shares.get(&key.source).copied().unwrap_or_default();
        let has_room = all.has_room(limits, 1)
            && share.has_room(limits, limits.source_share)
            && (is_declared || undeclared.has_room(limits, limits.undeclared_share));
        if has_room {
            let deadline_ns = now_ns.saturating_add(self.limits.timeout_ns);
            self.packets.insert(key, Packet::new(self.next, deadline_ns, is_declared));
            self.order.insert(self.next, key);
            self.next += 1;
            self.counters.packets += 1;
            let Self { all, undeclared, shares, .. } = self;
            let share = shares.entry(key.source).or_default();
            for share in [all, share].into_iter().chain((!is_declared).then_some(undeclared)) {
                (share.packets, share.bytes) = (share.packets + 1, share.bytes + PACKET_COST);
            }
        }
        has_room
    }

    fn forget(&mut self, key: PacketKey) -> Option<Packet> {
        let packet = self.packets.remove(&key)?;
        self.order.remove(&packet.number);
        let cost = PACKET_COST + packet.cost();
        let Self { all, undeclared, shares, .. } = self;
        for share in [all].into_iter().chain((!packet.is_declared).then_some(undeclared)) {
            (share.packets, share.bytes) = (share.packets - 1, share.bytes - cost);
        }
        if let Entry::Occupied(mut share) = shares.entry(key.source) {
            let MemoryShare { packets, bytes } = share.get_mut();
            (*packets, *bytes) = (*packets - 1, *bytes - cost);
            if *packets == 0 {
                share.remove();
            }
        }
        Some(packet)
    }

    /// Gives up packets that have timed out.
    pub(crate) fn expire(&mut self, now_ns: u64) {
        while let Some((_, &key)) = self.order.first_key_value()
            && self.packets.get(&key).is_none_or(|packet| packet.deadline_ns <= now_ns)
        {
            self.give_up(key);
        }
    }

    /// Gives up all packets.
    pub(crate) fn clear(&mut self) {
        self.expire(u64::MAX);
    }

    /// Ends a packet that has timed out.
    fn give_up(&mut self, key: PacketKey) {
        if let Some(packet) = self.forget(key)
            && !packet.is_given_up()
        {
            self.counters.time_out(packet.fragments());
        }
    }

    /// Returns the counters, with pending packets and fragments, which no other counter includes.
    pub(crate) fn counters(&self) -> ReassemblyCounters {
        let waiting = self.packets.values().filter(|packet| !packet.is_given_up());
        let (mut packets, mut fragments) = (0, 0);
        for packet in waiting {
            packets += 1;
            fragments += packet.fragments();
        }
        ReassemblyCounters {
            packets_pending: packets,
            fragments_pending: fragments,
            ..self.counters
        }
    }

    /// Returns the memory of incomplete packets, in bytes.
    #[cfg(test)]
    pub(crate) const fn bytes(&self) -> usize {
        self.all.bytes
    }

    /// Returns whether no packet is incomplete.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }
}
