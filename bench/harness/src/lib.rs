//! Measures vxtap: receivers that do the same work on the same traffic, and the rounds that compare
//! them.
//!
//! ```text
//!   compare ── plans rounds ──► vxgen (CPU 0) ~~ veth ~~► receive RECEIVER (CPU 1)
//!      │                                                    │
//!      └──── marks: counts so far ◄─────────────────────────┘  mark_protocol
//! ```

pub mod compare;
pub mod mark_protocol;
pub mod receive;
pub mod search;
