//! Mirrored traffic made from a seed, and the proof that it arrived.
//!
//! A [`Profile`] says what to make. Everything else follows from it: the n-th frame of each flow
//! and direction is a pure function of the profile, so that the sender keeps nothing about what it
//! sent and the receiver can make every frame again and compare it byte for byte.
//!
//! ```text
//!  profile ─► traffic ─► send ─► sink (interface or capture file) ~~~► receiver ─► verify ─► verdict
//!               │  frames, proof    │ pace                                           │
//!               └───────────────────┴──── the same inner frames, made twice ─────────┘
//! ```
//!
//! What the frames look like on the wire is what AWS VPC Traffic Mirroring sends; the `outer`
//! module lists the fields. The `vxgen` command is a thin layer over this library.

pub mod capture;
mod checksum;
mod direction;
mod flow;
mod frames;
pub mod live;
mod mix;
mod outer;
pub mod pace;
pub mod player;
pub mod profile;
pub mod proof;
pub mod send;
pub mod sink;
mod sizes;
pub mod totals;
pub mod traffic;
pub mod verify;

pub use direction::Direction;
pub use live::{Live, LiveError};
pub use pace::Pace;
pub use player::Player;
pub use profile::{Profile, ProfileError, Session};
pub use send::{Limits, SendError, send};
#[cfg(feature = "af-xdp")]
pub use sink::AfXdpSocket;
pub use sink::{PacketSocket, PcapFile, Sink, SinkError};
pub use totals::Totals;
pub use traffic::{Sent, Traffic};
pub use verify::{Verdict, Verifier};
