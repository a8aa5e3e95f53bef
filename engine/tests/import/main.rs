//! `vxtap import`: what it makes of descriptions of mirrors, and what it says of those that are none.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails right there")]

mod command;
mod golden;
mod malformed;
mod properties;
