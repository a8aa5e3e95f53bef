//! Frames at full speed: an XDP program makes them from a table, and the kernel redirects them to
//! the interface as if they had been received on another one.
//!
//! The kernel runs the program once per frame (`BPF_PROG_TEST_RUN` with
//! `BPF_F_TEST_XDP_LIVE_FRAMES`), on the CPU of the calling thread, in memory that it uses again
//! and again. A packet socket builds a socket buffer for each frame, which a veth pair copies
//! before an XDP program at the other end sees it; these frames go there as they are, like those of
//! a driver.
//!
//! The table holds the first frames of the profile and is repeated. For each frame its first 128
//! bytes are written, which hold the headers; the rest is left over from older frames. Only frames
//! with a payload tag are written whole.

mod error;
mod frame_table;
mod programs;
mod sender;

pub use error::LiveError;
pub use sender::LiveSender;

use vxtap_ebpf::generator;

/// The eBPF object: the generator, and `vxdrop`, which counts and drops mirrored traffic (names and
/// map layouts are in `vxtap_ebpf::generator`).
pub static OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("CARGO_MANIFEST_DIR"), "/../ebpf/vxgen.bpf.o"));

/// Most frames that the table can hold.
pub const TABLE_MAX: u32 = generator::TABLE_MAX;

/// Longest outer frame in bytes.
pub const FRAME_MAX: usize = generator::FRAME_MAX;

/// Options for making live frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveOptions {
    /// One frame of this number is sent whole, with its payload tag; 1: each, 0: none.
    ///
    /// The others have the headers of a frame of the profile, but no payload tag, and their inner
    /// checksums do not cover the end of the frame.
    pub tag_every: u64,
    /// Frames in the table, 1 to [`TABLE_MAX`]; `None`: all of a count that fits, else 1024.
    ///
    /// Too low, and few flows and sessions are seen; too high, and the table exceeds the CPU's
    /// caches. 1024 headers take 150 KB.
    pub table_len: Option<u32>,
    /// Frames that the kernel makes before it sends them and does other work, 1 to 256; `None`:
    /// those of 50 µs, at most 64.
    ///
    /// Too high, and the frames come in bursts that the ring of a veth pair (256 entries) does not
    /// hold.
    pub batch: Option<u32>,
}

impl Default for LiveOptions {
    fn default() -> Self {
        Self { tag_every: 1, table_len: None, batch: None }
    }
}
