//! What should the engine do?
//!
//! [`Config`] is a plain structure: read from a TOML file by [`Config::read`], or built by a
//! program and checked by [`Config::validate`]. Both ways obey the same limits, and each refusal
//! names the key, what was found and what is allowed; from a file also file, line and column.
//! Nothing here looks at the system: whether the interface, the CPUs and the directories exist
//! turns out when the engine starts.

mod capture;
mod eni;
mod error;
mod file_name;
mod filter;
mod fixed;
mod front;
mod key;
mod limit;
mod memory;
mod name;
mod once;
mod output;
mod pcapng;
mod profile;
mod session;
mod stream;
mod tunnel;
mod words;
mod workers;

use std::path::Path;

pub use capture::{
    BusyPoll, Capture, CaptureMode, Fragments, INTERFACE_NAME_BYTES_MAX, INTERFACES_MAX, Queues,
};
pub use eni::{Eni, InvalidMac, MacAddress};
pub use error::{ConfigError, Place, Problem};
pub(crate) use file_name::{FileName, Piece};
pub use filter::{
    Action, Direction, Filter, InvalidPortRange, NetworkService, PortRange, RULES_MAX, Rule, TCP,
    UDP, protocol_name,
};
pub use key::KeyPath;
pub use memory::{BATCH_MAX, Memory, MemoryPlan};
pub use name::NAME_BYTES_MAX;
pub use output::{OUTPUTS_MAX, Output, OutputKind};
pub use pcapng::{Compression, Fsync, PcapngFiles};
pub(crate) use profile::mask as bit_mask;
pub use profile::{DirectionBit, Profile, SequenceBits};
pub use session::{DEFAULT_SESSION_NAME, Session, UnknownDirection, UnknownSessions};
pub use stream::{PCAP_OVER_IP_PORT, Stream, StreamFormat, StreamTarget};
pub use tunnel::{GENEVE_PORT, InvalidTunnelPort, Tunnel, TunnelPort, VXLAN_GPE_PORT, VXLAN_PORT};
pub use workers::{Cpus, WaitMode, Workers};

use error::Violation;

/// The whole configuration. The default captures every session from an interface still to be named,
/// and has no output.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// What is captured.
    pub capture: Capture,
    /// Where the workers run and how they wait.
    pub workers: Workers,
    /// Memory of each queue.
    pub memory: Memory,
    /// What happens to traffic of undeclared sessions.
    pub unknown: UnknownSessions,
    /// What happens to frames whose direction a filter cannot infer.
    pub unknown_direction: UnknownDirection,
    /// The mirrored interfaces.
    pub enis: Vec<Eni>,
    /// The filters that sessions name.
    pub filters: Vec<Filter>,
    /// How mirrors mark their frames.
    pub profiles: Vec<Profile>,
    /// The declared sessions.
    pub sessions: Vec<Session>,
    /// The outputs. Each gets every frame that passes, of the sessions that do not name others.
    pub outputs: Vec<Output>,
}

impl Config {
    /// Reads and checks a configuration file.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Read`] when the file cannot be read, else as for [`Config::from_toml`].
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        front::from_bytes(path, &front::read(path)?)
    }

    /// Reads and checks a configuration; `path` only names it in errors.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Syntax`] when the text is not TOML, [`ConfigError::InFile`] for an unknown or
    /// missing key and for a value that is not allowed. Of several errors, one is reported.
    pub fn from_toml(path: &Path, text: &str) -> Result<Self, ConfigError> {
        front::from_text(path, text)
    }

    /// Checks a configuration that a program has built.
    ///
    /// # Errors
    ///
    /// [`ConfigError::InProgram`] for the first value that is not allowed.
    pub fn validate(&self) -> Result<(), ConfigError> {
        Ok(self.check()?)
    }

    fn check(&self) -> Result<(), Violation> {
        let Self {
            capture,
            workers,
            memory,
            unknown: _,
            unknown_direction: _,
            enis,
            filters,
            profiles,
            sessions: _,
            outputs,
        } = self;
        capture.check()?;
        workers.check(&capture.queues, capture.interfaces.len())?;
        memory.check(Output::count_rings(outputs))?;
        eni::check_enis(enis)?;
        filter::check_filters(filters)?;
        output::check_outputs(outputs, filters, capture)?;
        profile::check_profiles(profiles)?;
        session::check_sessions(self)
    }
}

#[cfg(test)]
mod tests;
