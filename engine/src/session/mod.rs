//! Finds the mirror session of a frame by its outer source address and VNI.
//!
//! Looks at nothing inside the tunnel.

mod directory;
mod index;
mod key;
mod reserved_bits;
mod sequence;
mod table;
mod undeclared;

pub use crate::vni::{InvalidVni, Vni};
pub(crate) use directory::{DeclaredSession, Directory, Vlans};
pub(crate) use key::SessionKey;
pub use key::{InvalidSourceVni, SourceVni};
pub(crate) use reserved_bits::VxlanReservedBits;
pub(crate) use sequence::Sequence;
pub use sequence::SequenceCounters;
pub use table::{SessionId, SessionTable};
pub(crate) use undeclared::{UNDECLARED_MAX, UndeclaredTraffic};
