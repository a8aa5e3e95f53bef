//! The data path in parts and as a whole, for the benches of this repository. No part of the API:
//! no promise of stability.

mod filter_forms;
mod single_stages;
mod worker_harness;

pub use filter_forms::Rules;
pub use single_stages::{FlowHash, Ring, SessionLookup, decap};
pub use worker_harness::{HarnessConfig, WorkerHarness};
