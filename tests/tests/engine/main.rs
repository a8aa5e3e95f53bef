//! Claims about the whole engine, shown on veth pairs in network namespaces and on capture files.
//!
//! | module | claim |
//! |---|---|
//! | `delivery` | every mirrored frame arrives once, whole and in order, in every capture mode |
//! | `bystanders` | other traffic on the interface goes on as before |
//! | `account` | every lost frame is counted, and the sums add up |
//! | `fallback` | the engine falls back to a capture mode that works, and gives the reasons |
//! | `interfaces` | several interfaces, and changes of them while the engine runs |
//! | `lifecycle` | the engine leaves nothing behind, however it ends |
//! | `memory` | the engine takes as much memory as documented, and its memory does not grow |
//! | `refusals` | a configuration that cannot work is refused in one sentence |
//! | `files` | other programs can read the files at any moment |
//! | `reload` | a running engine takes over another configuration and loses no frame by it |
//! | `open_errors` | a worse capture mode is taken only for what it can mend; a shortage is named |
//! | `start` | the start says what it takes, and says once what applies to several interfaces |
//! | `stops` | the account is exact when an engine stops under load |
//! | `destinations` | datagrams to others are left to the kernel stack |
//! | `udp_sockets` | in capture mode `socket` a datagram comes whole or is counted as lost |
//! | `decap` | capture files go through the same pipeline |
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails right there")]

mod account;
mod bystanders;
mod decap;
mod delivery;
mod destinations;
mod fallback;
mod files;
mod interfaces;
mod lifecycle;
mod load;
mod memory;
mod open_errors;
mod refusals;
mod reload;
mod start;
mod stops;
mod support;
mod udp_sockets;
