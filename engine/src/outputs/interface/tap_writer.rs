//! Writes frames to a TAP interface.

use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::time::Duration;

use crate::outputs::OutputStats;
use crate::outputs::ethernet::EthernetPrefix;
use crate::ring::{Consumer, Frame, Next};
use crate::session::{Directory, Vlans};

/// Longest wait for frames.
const WAIT: Duration = Duration::from_millis(250);

/// Writes frames to the device of a TAP interface, one system call each, since there is none for
/// several. A comparison with a packet socket and AF_XDP on a veth pair is in docs/performance.md.
#[derive(Debug)]
pub(crate) struct TapWriter {
    device: File,
    /// VLAN IDs by session; `None` if frames get no tags.
    vlans: Option<Vlans>,
    stats: OutputStats,
}

impl TapWriter {
    /// Returns a writer to the device of an interface. With `has_tags`, frames get the VLAN tags of
    /// the sessions in `directory`.
    pub(crate) fn new(device: File, directory: &Directory, has_tags: bool) -> Self {
        let vlans = has_tags.then(|| directory.vlans());
        Self { device, vlans, stats: OutputStats::default() }
    }

    /// Moves frames from `consumer` into the interface until the engine has stopped and everything
    /// has been read. `failed` is called with each error that differs from the one before. Frames
    /// that cannot be written are counted as lost.
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
                        let prefix = EthernetPrefix::of(&frame, vlan);
                        match write(&self.device, &prefix, &frame) {
                            Ok(()) => self.stats.frames_written += 1,
                            Err(error) => {
                                self.stats.frames_lost += 1;
                                if last_error != error.raw_os_error() {
                                    last_error = error.raw_os_error();
                                    failed(&error);
                                    self.stats.error = Some(error.to_string());
                                }
                            }
                        }
                    }
                }
                Next::Idle => {}
                Next::Closed => break,
            }
        }
        self.stats.out_of_order = consumer.out_of_order();
        self.stats
    }
}

/// Writes a frame completely or not at all.
fn write(mut device: &File, prefix: &EthernetPrefix, frame: &Frame<'_>) -> io::Result<()> {
    let mut segments = prefix.segments(frame);
    let (first, second) = (segments.next().unwrap_or_default(), segments.next());
    let Some(second) = second else { return device.write(first).map(drop) };
    let mut slices = vec![IoSlice::new(first), IoSlice::new(second)];
    slices.extend(segments.map(IoSlice::new));
    device.write_vectored(&slices).map(drop)
}
