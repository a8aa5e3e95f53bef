//! Whose frame is it? A mirror session is the pair of outer source address and VNI.
//!
//! Looks at nothing inside the tunnel.

mod directory;
mod index;
mod pair;
mod reserved_bits;
mod sequence;
mod table;
mod unknown;

pub use crate::vni::{InvalidVni, Vni};
pub(crate) use directory::{Directory, Entry, Vlans};
pub(crate) use pair::Key;
pub use pair::Pair;
pub(crate) use reserved_bits::VxlanReservedBits;
pub(crate) use sequence::Sequence;
pub use sequence::SequenceCounters;
pub use table::{SessionId, SessionTable};
pub(crate) use unknown::{PAIRS_MAX as UNKNOWN_PAIRS_MAX, UnknownPairs};
