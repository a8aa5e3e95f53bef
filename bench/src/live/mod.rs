//! Frames at full speed: an XDP program makes them out of a table, and the kernel hands them to the
//! interface as if they had come in on another one.
//!
//! The kernel runs the program once per frame (`BPF_PROG_TEST_RUN` with
//! `BPF_F_TEST_XDP_LIVE_FRAMES`), on the CPU of the calling thread, in memory that it uses again
//! and again. A packet socket builds a socket buffer for each frame, which a veth pair copies
//! before an XDP program at the other end sees it; these frames go there as they are, like those of
//! a driver.
//!
//! The table holds the first frames of the profile, and is gone through again and again. What is
//! written for each frame is its first 128 bytes, which hold the headers; what follows is left over
//! from older frames. Only frames with a proof are written whole.

mod error;
mod kernel;
mod run;
mod table;

pub use error::LiveError;
pub use run::Live;

use vxtap_ebpf::generator;

/// The eBPF object: the generator, and `vxdrop`, which counts and drops mirrored traffic (names and
/// map layouts are in `vxtap_ebpf::generator`).
pub static OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("CARGO_MANIFEST_DIR"), "/../ebpf/vxgen.bpf.o"));

/// Most frames that the table can hold.
pub const TABLE_MAX: u32 = generator::TABLE_MAX;

/// Longest outer frame in bytes.
pub const FRAME_MAX: usize = generator::FRAME_MAX;

/// How frames are made and handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Every so many frames one is sent whole, with its proof; 1: each, 0: none.
    ///
    /// The others have the headers of a frame of the profile, but no proof, and an end that its
    /// inner checksums do not cover.
    pub proof_every: u64,
    /// Frames in the table, 1 to [`TABLE_MAX`]; `None`: all of a count that fits, else 1024.
    ///
    /// Too low, and few flows and sessions are seen; too high, and the table falls out of the CPU's
    /// caches. 1024 headers take 150 KB.
    pub table_len: Option<u32>,
    /// Frames that the kernel makes before it sends them and looks after other work, 1 to 256;
    /// `None`: those of 50 µs, at most 64.
    ///
    /// Too high, and the frames come in bursts that the ring of a veth pair (256 entries) does not
    /// hold.
    pub batch: Option<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Self { proof_every: 1, table_len: None, batch: None }
    }
}
