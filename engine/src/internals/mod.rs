//! The data path in parts and as a whole, for the benches of this repository. No part of the API:
//! no promise of stability.

mod parts;
mod rig;
mod rules;

pub use parts::{FlowHash, Ring, Sessions, decap};
pub use rig::{Setup, WorkerHarness};
pub use rules::Rules;
