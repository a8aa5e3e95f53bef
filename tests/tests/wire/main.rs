//! Mirrored traffic in every form it may have on the wire, in every capture mode.
//!
//! | module | claim |
//! |---|---|
//! | `matrix` | every tunnel over every network with every kind of inner frame comes out as it went in, in every capture mode |
//! | `fragments` | datagrams that came in IP fragments come out whole, and every fragment is counted |
//! | `jumbo` | packets of 9001 bytes come through every output as they were sent |
//! | `kernel_tunnels` | frames of the kernel's own tunnels come out as tshark sees them on the same wire |
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails right there")]

mod fragments;
mod frames;
mod jumbo;
mod kernel_tunnels;
mod matrix;
mod support;
