//! Harness of the integration tests: network namespaces, veth pairs and processes that end with the
//! test.
//!
//! ```text
//!   namespace vxtap-test-PID-N                        namespace vxtap-test-PID-M
//!   ┌──────────────────────────┐                      ┌──────────────────────────┐
//!   │ vxgen, tcpdump, sockets  │                      │  vxtap, AF_XDP sockets   │
//!   │        vxtx0 ════════════╪══ veth, n queues ════╪═══════ vxrx0             │
//!   │ 02:00:00:00:00:01        │                      │        02:00:00:00:00:02 │
//!   │ 192.0.2.1/24             │                      │        192.0.2.2/24      │
//!   └──────────────────────────┘                      └──────────────────────────┘
//! ```
//!
//! The pair is made inside the namespaces: no other interface is ever touched. Everything here
//! needs root, so the tests that use it are marked `#[ignore = "requires ..."]` and start with
//! [`privileged`]; `cargo xtask test` runs them.

pub mod leftovers;
mod netns;
mod privilege;
mod process;
mod repeats;
mod stopwatch;
mod veth;
mod wait;

pub use netns::{NetNs, remove_stale};
pub use privilege::{missing_privileges, privileged};
pub use process::{Process, capture};
pub use repeats::repeats;
pub use stopwatch::Stopwatch;
pub use veth::{Side, Veth, VethOptions};
pub use wait::{TIMEOUT, wait_until};
