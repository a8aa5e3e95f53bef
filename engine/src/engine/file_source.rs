//! Frames from a capture file, received like those from a NIC: steered by the XDP program's parser,
//! copied into chunks of the fill ring, announced in the RX ring.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use vxtap_ebpf::maps::Outcome;

use crate::capture_file::{CaptureFile, CaptureFileError, LinkType};
use crate::config::Capture;
use crate::steering::{Offline, SteeringCounters};
use crate::sys::lock;
use crate::xsk::{KernelCounters, RxBackend, SoftNic, Undelivered};

/// Reason why a capture file was not read to its end. All frames before it have been delivered.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The file is damaged or cannot be read on.
    #[error(transparent)]
    File(#[from] CaptureFileError),
    /// A frame that is not Ethernet.
    #[error("frame {number} was captured from {link_type}, and only Ethernet can be steered")]
    LinkType {
        /// Number of the frame, counted from 1.
        number: u64,
        /// Link type of the frame.
        link_type: LinkType,
    },
}

/// State of a capture file that its worker shares with the engine.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Outcomes, as the XDP program counts them.
    pub(super) steering: SteeringCounters,
    /// Set when reading ended early.
    pub(super) error: Option<InputError>,
}

/// An [`RxBackend`] that reads a capture file.
#[derive(Debug)]
pub(super) struct FileSource {
    file: CaptureFile,
    nic: SoftNic,
    offline: Offline,
    steering: SteeringCounters,
    counters: KernelCounters,
    is_finished: bool,
    progress: Arc<Mutex<Progress>>,
}

impl FileSource {
    pub(super) fn new(
        file: CaptureFile,
        nic: SoftNic,
        capture: &Capture,
        progress: Arc<Mutex<Progress>>,
    ) -> Self {
        Self {
            file,
            nic,
            offline: Offline::new(capture),
            steering: SteeringCounters::default(),
            counters: KernelCounters::default(),
            is_finished: false,
            progress,
        }
    }

    /// Reads until the rings have no room or the file ends.
    fn read(&mut self) -> Result<(), InputError> {
        let Self { file, nic, offline, steering, counters, is_finished, .. } = self;
        while nic.has_room() {
            let number = file.frames() + 1;
            let Some(record) = file.next()? else {
                *is_finished = true;
                break;
            };
            if record.link_type != LinkType::ETHERNET {
                return Err(InputError::LinkType { number, link_type: record.link_type });
            }
            let outcome = offline.steer(record.captured);
            steering.count(outcome);
            if outcome != Outcome::Redirected {
                continue;
            }
            match nic.deliver(record.captured, Some(record.timestamp_ns)) {
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
        if let Err(error) = end {
            self.is_finished = true;
            progress.error = Some(error);
        }
        Ok(())
    }

    fn wake(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn check(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn is_polled(&self) -> bool {
        false
    }

    fn is_finished(&self) -> bool {
        self.is_finished
    }

    fn counters(&mut self) -> io::Result<KernelCounters> {
        Ok(self.counters)
    }

    fn arrival_minus_utc_ns(&self) -> i64 {
        0
    }
}
