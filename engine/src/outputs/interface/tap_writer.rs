//! Frames into a network interface, where any sniffer finds them.

use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::time::Duration;

use crate::outputs::OutputStats;
use crate::outputs::ethernet::Head;
use crate::ring::{Consumer, Frame, Next};
use crate::session::{Directory, Vlans};

/// Longest wait for frames.
const WAIT: Duration = Duration::from_millis(250);

/// Writes frames to the device of a TAP interface, each with one call: the interface has no call
/// for several. What was measured against a packet socket and AF_XDP on a veth pair is in
/// docs/performance.md.
#[derive(Debug)]
pub(crate) struct TapWriter {
    device: File,
    /// VLAN IDs by session, if frames get tags.
    vlans: Option<Vlans>,
    written: OutputStats,
}

impl TapWriter {
    /// Writes to the device of an interface; with the tags of the sessions in `directory` if
    /// `has_tags`.
    pub(crate) fn new(device: File, directory: &Directory, has_tags: bool) -> Self {
        let vlans = has_tags.then(|| directory.vlans());
        Self { device, vlans, written: OutputStats::default() }
    }

    /// Moves frames from `consumer` into the interface until the engine has stopped and everything
    /// has been read. `failed` is called with each error that is another one than the last. What
    /// cannot be written is counted as lost.
    pub(crate) fn drain(
        mut self,
        mut consumer: Consumer,
        mut failed: impl FnMut(&io::Error),
    ) -> OutputStats {
        let mut last_error = None;
        loop {
            match consumer.next(WAIT) {
                Next::Batch(batch) => {
                    if let Some(vlans) = &mut self.vlans {
                        vlans.refresh();
                    }
                    for frame in &batch {
                        let vlan = self.vlans.as_ref().and_then(|vlans| vlans.of(frame.session()));
                        let head = Head::of(&frame, vlan);
                        match write(&self.device, &head, &frame) {
                            Ok(()) => self.written.frames_written += 1,
                            Err(error) => {
                                self.written.frames_lost += 1;
                                if last_error != error.raw_os_error() {
                                    last_error = error.raw_os_error();
                                    failed(&error);
                                    self.written.error = Some(error.to_string());
                                }
                            }
                        }
                    }
                }
                Next::Idle => {}
                Next::Closed => break,
            }
        }
        self.written.out_of_order = consumer.out_of_order();
        self.written
    }
}

/// Writes a frame, all of it or nothing.
fn write(mut device: &File, head: &Head, frame: &Frame<'_>) -> io::Result<()> {
    let mut pieces = head.pieces(frame);
    let (first, second) = (pieces.next().unwrap_or_default(), pieces.next());
    let Some(second) = second else { return device.write(first).map(drop) };
    let mut slices = vec![IoSlice::new(first), IoSlice::new(second)];
    slices.extend(pieces.map(IoSlice::new));
    device.write_vectored(&slices).map(drop)
}
