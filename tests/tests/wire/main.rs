//! What a mirror may look like on the wire, on every mode of the ladder.
//!
//! | module | claim |
//! |---|---|
//! | `matrix` | every tunnel over every network with everything inside comes out as it went in, on every mode |
//! | `fragments` | what came in IP fragments comes out whole, and every fragment is counted |
//! | `jumbo` | packets of 9001 bytes come through every output as they were sent |
//! | `kernel_tunnels` | what the kernel's own tunnels send comes out as tshark sees it on the same wire |
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails right there")]

mod fragments;
mod frames;
mod jumbo;
mod kernel_tunnels;
mod matrix;
mod support;
