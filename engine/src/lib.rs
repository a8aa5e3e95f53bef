//! vxtap receives traffic that is mirrored to this host inside VXLAN or GENEVE, removes the tunnel
//! headers, and hands the original frames to traffic analysis tools.
//!
//! The modules, in the order in which a frame passes them:
//!
//! | module | task |
//! |---|---|
//! | [`config`] | configuration, validated |
//! | [`interface`] | facts about the network interface |
//! | [`steering`] | the XDP program that selects tunnel datagrams |
//! | `xsk` | AF_XDP sockets and their UMEM |
//! | `udp` | UDP sockets in their place: the last capture mode |
//! | [`capture_file`] | frames from a capture file instead of an interface |
//! | `worker` | the pinned thread of a queue, which takes each frame through the next modules |
//! | `reassembly` | reassembly of outer fragments |
//! | `decap` | removal of the outer headers |
//! | [`session`] | mirror session of a frame |
//! | `flow` | inner addresses, ports and protocol |
//! | `filter` | direction and rules |
//! | `ruleset` | snapshot of everything that decides about a frame |
//! | [`ring`] | output rings and their consumers |
//! | [`outputs`] | files, interfaces, streams and shared memory, one folder for each kind |
//! | [`counters`] | counts of frames by outcome |
//! | [`engine`] | start, reload and stop of all of it |
//! | [`explain`] | reasons for the outcome of each frame of a capture |
//! | `import` | configurations from descriptions of AWS mirrors (feature `import`) |

pub mod capture_file;
pub mod config;
pub mod counters;
mod decap;
mod diagnostics;
mod drop_reason;
pub mod engine;
pub mod explain;
mod filter;
mod flow;
mod frame_bytes;
#[cfg(feature = "import")]
pub mod import;
pub mod interface;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;
mod outer_queue;
pub mod outputs;
#[doc(hidden)]
pub mod plural;
mod reassembly;
#[expect(
    unsafe_code,
    reason = "memory shared between worker and consumer; each block carries its proof"
)]
pub mod ring;
mod ruleset;
pub mod session;
pub mod steering;
#[expect(unsafe_code, reason = "system calls that no crate wraps; each block carries its proof")]
mod sys;
mod udp;
mod vni;
mod worker;
#[expect(unsafe_code, reason = "memory shared with the kernel; each block carries its proof")]
mod xsk;

pub use config::Config;
pub use drop_reason::{DropReason, Drops};
pub use engine::Engine;
