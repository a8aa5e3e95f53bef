//! Counters of reassembly.

/// Counts since the start. Two laws hold:
///
/// - `packets` = `completed` + `overlapped` + `too_long` + `too_many` + `no_memory` + `timed_out` +
///   `packets_pending`,
/// - `fragments` = `fragments_completed` + `fragments_timed_out` + `fragments_pending` +
///   `fragments_given_up` + `repeated` + `late` + `malformed` + `no_room`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReassemblyCounters {
    /// Packets of which a fragment has arrived.
    pub packets: u64,
    /// Reassembled and handed on.
    pub completed: u64,
    /// Given up because two fragments overlap, or contradict each other about the end.
    pub overlapped: u64,
    /// Given up because they would be longer than 65 535 bytes.
    pub too_long: u64,
    /// Given up because they have more than 64 fragments.
    pub too_many: u64,
    /// Given up because the table's memory was full.
    pub no_memory: u64,
    /// Given up because a fragment did not arrive in time.
    pub timed_out: u64,
    /// Incomplete.
    pub packets_pending: u64,
    /// Fragments that have arrived.
    pub fragments: u64,
    /// In packets that were completed.
    pub fragments_completed: u64,
    /// In packets that timed out.
    pub fragments_timed_out: u64,
    /// In incomplete packets.
    pub fragments_pending: u64,
    /// In packets that were given up for another reason, including the fragment that was the
    /// reason; later ones are `late`.
    pub fragments_given_up: u64,
    /// Repeated byte for byte.
    pub repeated: u64,
    /// Of packets that had been given up before.
    pub late: u64,
    /// Headers that end early or contradict themselves.
    pub malformed: u64,
    /// Refused because there was no room for another packet.
    pub no_room: u64,
}

/// Reason to give up a packet before it times out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Overlap,
    TooLong,
    TooMany,
    NoMemory,
}

impl ReassemblyCounters {
    pub(super) const fn complete(&mut self, fragments: u64) {
        self.completed += 1;
        self.fragments_completed += fragments;
    }

    pub(super) const fn time_out(&mut self, fragments: u64) {
        self.timed_out += 1;
        self.fragments_timed_out += fragments;
    }

    /// Counts a packet that is given up, with its number of fragments, the last one included.
    pub(super) const fn give_up(&mut self, (reason, fragments): (Reason, u64)) {
        self.fragments_given_up += fragments;
        *match reason {
            Reason::Overlap => &mut self.overlapped,
            Reason::TooLong => &mut self.too_long,
            Reason::TooMany => &mut self.too_many,
            Reason::NoMemory => &mut self.no_memory,
        } += 1;
    }

    /// Returns whether both laws hold.
    pub const fn adds_up(&self) -> bool {
        let given_up = self.overlapped + self.too_long + self.too_many + self.no_memory;
        let packets = self.completed + given_up + self.timed_out + self.packets_pending;
        let in_packets =
            self.fragments_completed + self.fragments_timed_out + self.fragments_pending;
        let alone =
            self.fragments_given_up + self.repeated + self.late + self.malformed + self.no_room;
        self.packets == packets && self.fragments == in_packets + alone
    }
}
