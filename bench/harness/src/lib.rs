//! What vxtap is measured with: receivers that do the same work on the same traffic, and the rounds
//! that compare them.
//!
//! ```text
//!   compare ── plans rounds ──► vxgen (CPU 0) ~~ veth ~~► receive ROW (CPU 1)
//!      │                                                    │
//!      └──── marks: "what have you counted so far?" ◄───────┘  protocol
//! ```

pub mod compare;
pub mod protocol;
pub mod receive;
pub mod search;
