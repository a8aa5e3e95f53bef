//! vxtap receives traffic that somebody else mirrors to this host inside VXLAN or GENEVE, takes the
//! tunnel off, and hands the original frames to the tools that look at traffic.
//!
//! The modules, in the order in which a frame meets them:
//!
//! | module | station |
//! |---|---|
//! | [`config`] | what to do, validated |
//! | [`interface`] | the NIC |
//! | [`steering`] | the XDP program that picks out the tunnel's datagrams |
//! | `xsk` | the AF_XDP sockets that receive them, and the memory they lie in |
//! | `capture_file` | frames from a file, instead |
//! | `worker` | the pinned thread of a queue, which takes each frame through the next stations |
//! | `reassembly` | outer fragments become whole |
//! | `decap` | outer headers off |
//! | [`session`] | whose frame it is |
//! | `flow` | between whom, inside the tunnel |
//! | `filter` | whether it is wanted |
//! | `ruleset` | by what it is judged, as one snapshot |
//! | [`ring`] | rings towards the consumers, and the consumers |
//! | [`outputs`] | what the engine does with the frames itself, one folder for each kind |
//! | [`counters`] | what became of each frame |
//! | [`engine`] | puts all of it together |
//! | [`explain`] | says why, for the frames of a capture |
//! | [`import`] | configurations from what AWS's tools say about a mirror |

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
pub mod import;
pub mod interface;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;
pub mod outputs;
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
#[expect(
    unsafe_code,
    reason = "receives into memory shared with consumers; each block carries its proof"
)]
mod udp;
mod vni;
mod worker;
#[expect(unsafe_code, reason = "memory shared with the kernel; each block carries its proof")]
mod xsk;

pub use config::Config;
pub use drop_reason::{DropReason, Drops};
pub use engine::Engine;
