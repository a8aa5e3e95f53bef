//! Outputs: one folder for each kind. The registry alone knows all of them.

pub(crate) mod attach;
mod builder;
mod error;
mod ethernet;
mod instance;
mod interface;
mod open_context;
mod open_output;
mod output_control;
mod parent_directory;
pub mod pcap;
pub mod pcapng;
mod registry;
pub mod shared;
mod stats;
pub(crate) mod stream;
pub(crate) mod wall_clock;

pub(crate) use builder::OutputBuilder;
pub use error::OutputError;
pub(crate) use instance::OutputInstance;
pub(crate) use open_output::{OutputThread, ThreadContext};
pub use stats::OutputStats;
