//! Mirrored traffic made from a seed, and its verification.
//!
//! A [`Profile`] defines the traffic. Everything else follows from it: the n-th frame of each flow
//! and direction is a pure function of the profile, so that the sender keeps no record of sent
//! frames, and the receiver can make every frame again and compare it byte for byte.
//!
//! ```text
//!  profile ─► traffic ─► send ─► sink (interface or capture file) ~~~► receiver ─► verify ─► verification
//!               │  frames, payload_tag │ pace                                        │
//!               └───────────────────┴──── the same inner frames, made twice ─────────┘
//! ```
//!
//! The frames have the format of AWS VPC Traffic Mirroring; the `outer_headers` module lists the
//! fields. The `vxgen` command is a thin layer over this library.

mod bit_hash;
pub mod capture_file;
mod checksum;
mod direction;
mod frames;
mod inner_flow;
pub mod live;
mod mirror_session;
mod outer_headers;
pub mod pace;
pub mod payload_tag;
pub mod player;
pub mod plural;
pub mod profile;
pub mod send;
pub mod sink;
mod sizes;
pub mod totals;
pub mod traffic;
pub mod verify;

pub use direction::Direction;
pub use live::{LiveError, LiveSender};
pub use pace::Pace;
pub use player::Player;
pub use profile::{MirrorSession, Profile, ProfileError};
pub use send::{SendError, SendLimits, send};
#[cfg(feature = "af-xdp")]
pub use sink::AfXdpSocket;
pub use sink::{FrameSink, PacketSocket, PcapFile, SinkError};
pub use totals::Totals;
pub use traffic::{Sent, Traffic};
pub use verify::{Verification, Verifier};
