//! Outputs that other processes read: `type = "shared"`.
//!
//! A thread for each output listens at a Unix socket, gives consumers that come rings of their own,
//! which go to the workers while these run, and tells the workers when a consumer is gone. The
//! other end, and the words, are in `output::shared`.

mod client;
mod entrance;
mod server;

pub(super) use server::{Server, start};
