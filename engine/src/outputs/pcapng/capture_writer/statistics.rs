//! The end of a capture, with the statistics of each interface.

use super::super::blocks::Statistics;
use super::super::file::{PcapngError, Storage};
use super::super::interface_key::{InterfaceKey, InterfaceTotals, TimeSpan};
use super::super::interface_table::InterfaceEntry;
use super::CaptureWriter;

#[expect(private_bounds, reason = "streams and tests alone have another storage than a file")]
impl<S: Storage> CaptureWriter<S> {
    /// Ends the capture: writes all waiting blocks and an interface statistics block for each
    /// interface block.
    ///
    /// `totals` is called with the meaning of each interface block and the number of its frames in
    /// the file. `span` is the time of the capture; without it the time from the earliest to the
    /// latest frame counts.
    ///
    /// # Errors
    ///
    /// As [`PcapngFile::flush`](crate::outputs::pcapng::PcapngFile::flush).
    pub fn finish(
        &mut self,
        span: Option<TimeSpan>,
        mut totals: impl FnMut(InterfaceKey, u64) -> InterfaceTotals,
    ) -> Result<(), PcapngError> {
        // The frames are in the file, even if a later write fails.
        self.write_waiting()?;
        if self.interfaces.entries().is_empty() {
            self.interfaces.describe_nothing(self.file.blocks());
        }
        let TimeSpan { start_ns, end_ns } =
            span.or(self.seen).unwrap_or(TimeSpan { start_ns: 0, end_ns: 0 });
        for (number, interface) in (0..).zip(self.interfaces.entries()) {
            let counts = totals_of(interface, &mut totals);
            let InterfaceTotals { received, accepted, dropped } = counts;
            let delivered = interface.frames;
            let statistics =
                Statistics { start_ns, end_ns, received, accepted, dropped, delivered };
            self.file.blocks().statistics(number, &statistics);
        }
        self.file.flush()
    }
}

/// Returns the statistics of an interface block. `totals` may state numbers of any size: none wraps
/// around.
fn totals_of(
    interface: &InterfaceEntry,
    totals: &mut impl FnMut(InterfaceKey, u64) -> InterfaceTotals,
) -> InterfaceTotals {
    let InterfaceEntry { key, frames, missing } = *interface;
    let InterfaceTotals { received, accepted, dropped } = totals(key, frames);
    InterfaceTotals {
        received: received.saturating_add(missing),
        accepted: accepted.saturating_add(missing),
        dropped: dropped.saturating_add(missing),
    }
}
