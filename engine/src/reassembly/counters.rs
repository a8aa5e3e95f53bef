//! What became of outer fragments.

/// Counts since the start. Two laws hold:
///
/// - `packets` = `completed` + `overlapped` + `too_long` + `too_many` + `no_memory` + `timed_out` +
///   `packets_pending`,
/// - `fragments` = `fragments_completed` + `fragments_timed_out` + `fragments_pending` +
///   `fragments_given_up` + `repeated` + `late` + `malformed` + `no_room`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReassemblyCounters {
    /// Packets of which a fragment has come.
    pub packets: u64,
    /// Put together and handed on.
    pub completed: u64,
    /// Given up because two fragments overlap, or contradict each other about the end.
    pub overlapped: u64,
    /// Given up because they would be longer than 65535 bytes.
    pub too_long: u64,
    /// Given up because they have more fragments than any network makes.
    pub too_many: u64,
    /// Given up because the table's memory was full.
    pub no_memory: u64,
    /// Given up because a fragment did not come in time.
    pub timed_out: u64,
    /// Not complete.
    pub packets_pending: u64,
    /// Fragments that have come.
    pub fragments: u64,
    /// In packets that were completed.
    pub fragments_completed: u64,
    /// In packets that were out of time.
    pub fragments_timed_out: u64,
    /// In packets that are not complete.
    pub fragments_pending: u64,
    /// In packets that were given up for another reason, at the time when they were; the one that
    /// was the reason included.
    pub fragments_given_up: u64,
    /// The same once more.
    pub repeated: u64,
    /// Of packets that had been given up before.
    pub late: u64,
    /// Headers that end early or contradict themselves.
    pub malformed: u64,
    /// There was no room for another packet.
    pub no_room: u64,
}

/// Why a packet is given up while there is time.
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

    /// A packet of so many fragments, the last one included, is given up.
    pub(super) const fn give_up(&mut self, (reason, fragments): (Reason, u64)) {
        self.fragments_given_up += fragments;
        *match reason {
            Reason::Overlap => &mut self.overlapped,
            Reason::TooLong => &mut self.too_long,
            Reason::TooMany => &mut self.too_many,
            Reason::NoMemory => &mut self.no_memory,
        } += 1;
    }

    /// Whether both laws hold.
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
