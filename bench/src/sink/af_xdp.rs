//! Sends frames to a network interface through an AF_XDP socket's TX ring with libxdp: an
//! implementation that shares nothing with the engine's.
#![expect(
    unsafe_code,
    reason = "xsk-rs leaves it to its user that a descriptor is in one place at a time"
)]

use std::ffi::CString;
use std::fmt;
use std::io::{self, Write as _};
use std::num::NonZeroU32;
use std::thread;
use std::time::{Duration, Instant};

use nix::net::if_::if_nametoindex;
use xsk_rs::config::{Interface, LibxdpFlags, SocketConfig, UmemConfig};
use xsk_rs::{CompQueue, FillQueue, FrameDesc, RxQueue, Socket, TxQueue, Umem};

use super::{FrameSink, OutgoingFrame, Pushed, SinkError, Timing};

/// Most frames in flight: as many as xsk-rs's default TX and completion rings hold, so that there
/// is always room for one that has a descriptor.
const FRAMES: NonZeroU32 = NonZeroU32::new(2048).expect("not zero");
/// Most descriptors taken back at once.
const COMPLETIONS: usize = 64;
/// Time in which the kernel sends the frames of the TX ring; it takes microseconds.
const FINISH_TIMEOUT: Duration = Duration::from_secs(1);

/// An AF_XDP socket on queue 0 of an interface, which sends and receives nothing: no XDP program is
/// attached.
///
/// # Kernel
/// `CAP_NET_RAW` in the network namespace.
pub struct AfXdpSocket {
    interface: String,
    umem: Umem,
    tx: TxQueue,
    completions: CompQueue,
    /// Frames without another owner: each descriptor is here, in the TX ring, or in the completion
    /// ring.
    free: Vec<FrameDesc>,
    /// Kept for the socket's other rings.
    _unused: (RxQueue, FillQueue),
}

impl fmt::Debug for AfXdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AfXdpSocket")
            .field("interface", &self.interface)
            .field("free", &self.free.len())
            .finish_non_exhaustive()
    }
}

impl AfXdpSocket {
    /// Opens a socket that sends on queue 0 of this interface.
    ///
    /// # Errors
    /// [`SinkError::NoInterface`], or [`SinkError::AfXdp`] with what was refused.
    pub fn open(interface: &str) -> Result<Self, SinkError> {
        let missing = || SinkError::NoInterface { interface: interface.to_owned() };
        if_nametoindex(interface).map_err(|_no_such_device| missing())?;
        let name = Interface::new(CString::new(interface).map_err(|_nul| missing())?);
        let refused = |what, error: &dyn std::error::Error| SinkError::AfXdp {
            interface: interface.to_owned(),
            what,
            cause: error.source().map_or_else(|| error.to_string(), ToString::to_string),
        };
        let (umem, free) =
            Umem::new(UmemConfig::default(), FRAMES, false).map_err(|e| refused("UMEM", &e))?;
        let config = SocketConfig::builder()
            .libxdp_flags(LibxdpFlags::XSK_LIBXDP_FLAGS_INHIBIT_PROG_LOAD)
            .build();
        // SAFETY: the UMEM is new, so that it is shared with no other socket.
        let socket = unsafe { Socket::new(config, &umem, &name, 0) };
        let (tx, rx, rings) = socket.map_err(|e| refused("socket", &e))?;
        let Some((fill, completions)) = rings else {
            return Err(refused("socket", &io::Error::other("no completion ring")));
        };
        Ok(Self {
            interface: interface.to_owned(),
            umem,
            tx,
            completions,
            free,
            _unused: (rx, fill),
        })
    }

    /// Takes back the frames that were sent.
    fn reclaim(&mut self) {
        let mut descriptors = [FrameDesc::default(); COMPLETIONS];
        loop {
            // SAFETY: the ring belongs to the UMEM that the descriptors are used with.
            let count = unsafe { self.completions.consume(&mut descriptors) };
            self.free.extend_from_slice(&descriptors[..count]);
            if count < COMPLETIONS {
                return;
            }
        }
    }

    /// Writes a frame into the chunk of the descriptor.
    fn write(&self, bytes: &[u8], descriptor: &mut FrameDesc) -> Result<(), SinkError> {
        // SAFETY: the descriptor is of this UMEM and came from `free`, so that no other owner has
        // its chunk.
        let mut data = unsafe { self.umem.data_mut(descriptor) };
        let mut cursor = data.cursor();
        cursor.set_pos(0);
        let chunk_len = cursor.buf_len();
        cursor.write_all(bytes).map_err(|_too_long| SinkError::Chunk {
            interface: self.interface.clone(),
            frame_len: bytes.len(),
            chunk_len,
        })
    }

    fn wake_up(&self) -> Result<(), SinkError> {
        let sent = self.tx.wakeup();
        sent.map_err(|source| SinkError::Send { interface: self.interface.clone(), source })
    }
}

impl FrameSink for AfXdpSocket {
    fn push(&mut self, frames: &[OutgoingFrame]) -> Result<Pushed, SinkError> {
        self.reclaim();
        let count = frames.len().min(self.free.len());
        if count == 0 {
            self.wake_up()?;
            return Ok(Pushed::Full);
        }
        let mut descriptors = self.free.split_off(self.free.len() - count);
        for (frame, descriptor) in frames.iter().zip(&mut descriptors) {
            self.write(&frame.bytes, descriptor)?;
        }
        // SAFETY: the descriptors are of this UMEM and were taken from `free`, so that no other
        // owner has their chunks.
        let produced = unsafe { self.tx.produce(&descriptors) };
        debug_assert_eq!(produced, count, "the ring has room for all descriptors there are");
        self.wake_up()?;
        Ok(Pushed::Taken(count))
    }

    fn timing(&self) -> Timing {
        Timing::Live
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        let deadline = Instant::now() + FINISH_TIMEOUT;
        loop {
            self.reclaim();
            if self.free.len() == FRAMES.get() as usize {
                return Ok(());
            }
            if Instant::now() > deadline {
                let source = io::Error::from(io::ErrorKind::TimedOut);
                return Err(SinkError::Send { interface: self.interface.clone(), source });
            }
            self.wake_up()?;
            thread::yield_now();
        }
    }
}
