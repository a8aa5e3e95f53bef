//! Frames from a capture file, received like those from a NIC: steered by the XDP program's parser,
//! copied into chunks of the fill ring, announced in the RX ring.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use vxtap_ebpf::maps::Outcome;

use crate::capture_file::{CaptureFileError, MAX_CAPTURED_BYTES, OuterFrameCounts, OuterFrames};
use crate::config::Capture;
use crate::steering::{Offline, SteeringCounters};
use crate::sys::lock;
use crate::xsk::{KernelCounters, RxBackend, SoftNic, Undelivered};

/// Longest frame, in bytes: a packet without link header gets one of 14 bytes.
const FRAME_LEN_MAX: u32 = MAX_CAPTURED_BYTES + 14;

/// Counts of a capture file besides those of steering.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaptureFileReport {
    /// Frames that were changed, or passed over because of their link types.
    pub frames: OuterFrameCounts,
    /// Frames to UDP ports that are not captured, by port, the most frequent port first.
    pub other_ports: Vec<(u16, u64)>,
}

/// State of a capture file that its worker shares with the engine.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Outcomes, as the XDP program counts them.
    pub(super) steering: SteeringCounters,
    /// Other counts.
    pub(super) file: CaptureFileReport,
    /// Set when reading ended early.
    pub(super) error: Option<CaptureFileError>,
}

/// An [`RxBackend`] that reads a capture file.
#[derive(Debug)]
pub(super) struct FileSource {
    frames: OuterFrames,
    nic: SoftNic,
    offline: Offline,
    steering: SteeringCounters,
    counters: KernelCounters,
    is_finished: bool,
    progress: Arc<Mutex<Progress>>,
}

impl FileSource {
    pub(super) fn new(
        frames: OuterFrames,
        nic: SoftNic,
        capture: &Capture,
        progress: Arc<Mutex<Progress>>,
    ) -> Self {
        Self {
            frames,
            nic,
            offline: Offline::new(capture),
            steering: SteeringCounters::default(),
            counters: KernelCounters::default(),
            is_finished: false,
            progress,
        }
    }

    /// Reads until the rings have no room or the file ends.
    fn read(&mut self) -> Result<(), CaptureFileError> {
        let Self { frames, nic, offline, steering, counters, is_finished, .. } = self;
        while nic.has_room_for_len(FRAME_LEN_MAX) {
            let Some(frame) = frames.next()? else {
                *is_finished = true;
                break;
            };
            let outcome = offline.steer(frame.bytes);
            *steering.counter_mut(outcome) += 1;
            if outcome != Outcome::Redirected {
                continue;
            }
            match nic.deliver(frame.bytes, Some(frame.timestamp_ns)) {
                Ok(()) => {}
                Err(Undelivered::TooLong { .. } | Undelivered::FillRingEmpty) => {
                    counters.rx_dropped += 1;
                }
                Err(Undelivered::RxRingFull) => counters.rx_ring_full += 1,
            }
        }
        Ok(())
    }
}

impl RxBackend for FileSource {
    fn wait(&mut self, _timeout: Duration) -> io::Result<()> {
        if self.is_finished {
            return Ok(());
        }
        let end = self.read();
        let mut progress = lock(&self.progress);
        progress.steering = self.steering;
        if self.is_finished || end.is_err() {
            progress.file = CaptureFileReport {
                frames: self.frames.counts(),
                other_ports: self.offline.other_ports(),
            };
        }
        if let Err(error) = end {
            self.is_finished = true;
            progress.error = Some(error);
        }
        Ok(())
    }

    fn is_finished(&self) -> bool {
        self.is_finished
    }

    fn counters(&mut self) -> io::Result<KernelCounters> {
        Ok(self.counters)
    }
}
