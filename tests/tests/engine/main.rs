//! Claims about the whole engine, shown on veth pairs in network namespaces and on capture files.
//!
//! | module | claim |
//! |---|---|
//! | `delivery` | every mirrored frame arrives once, whole, in order, in every mode |
//! | `bystanders` | everything else on the interface goes on as before |
//! | `account` | what is lost is counted, and the sums add up |
//! | `ladder` | it works where the best way does not, and says why |
//! | `interfaces` | several interfaces, and what becomes of them while it runs |
//! | `lifecycle` | nothing is left behind, however the engine ends |
//! | `memory` | it takes as much memory as it says, and no more with time |
//! | `refusals` | what cannot work is refused in one sentence |
//! | `files` | other programs read the files, at any moment |
//! | `reload` | a running engine takes over another configuration, and loses nothing by it |
//! | `decap` | capture files go through the same pipeline |
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails right there")]

mod account;
mod bystanders;
mod decap;
mod delivery;
mod files;
mod interfaces;
mod ladder;
mod lifecycle;
mod memory;
mod refusals;
mod reload;
mod support;
