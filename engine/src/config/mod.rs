//! Configuration of the engine: one structure per table of the TOML file, checked as a whole.
//!
//! [`Config`] is a plain structure: read from a TOML file by [`Config::read`], or built by a
//! program and checked by [`Config::validate`]. Both ways obey the same limits, and each refusal
//! names the key, the value found and the values allowed; from a file also file, line and column.
//! Nothing here looks at the system: the start of the engine shows whether the interface, the CPUs
//! and the directories exist.

mod capture;
mod capture_checks;
mod encoding;
mod eni;
mod error;
mod file_name;
mod filter;
mod key;
mod keyword;
mod limit;
mod memory;
mod name;
mod output;
mod output_checks;
mod output_description;
mod output_path;
mod pcapng;
mod restart_required;
mod session;
mod stream;
mod suggest;
mod toml;
mod tunnel;
mod unique;
mod vxlan_profile;
mod workers;

use std::io::Read;
use std::path::Path;

pub use capture::{
    BusyPoll, Capture, CaptureMode, Destinations, FragmentMode, INTERFACE_NAME_BYTES_MAX,
    INTERFACES_MAX, Queues,
};
#[cfg(feature = "import")]
pub(crate) use encoding::{NotText, decode};
pub use eni::{Eni, InvalidMac, MacAddress};
pub use error::{ConfigError, Location, Problem};
pub(crate) use file_name::{FileName, NamePart};
pub use filter::{
    Action, Direction, Filter, InvalidPortRange, NetworkService, PortRange, RULES_MAX, Rule, TCP,
    UDP, protocol_name,
};
pub use key::KeyPath;
pub use memory::{BATCH_MAX, Memory, MemoryPlan};
pub use name::NAME_BYTES_MAX;
pub(crate) use output::ORDER_WINDOW_FILES_US;
pub use output::{OUTPUTS_MAX, Output, OutputKind};
pub use pcapng::{Compression, Fsync, PcapngFiles};
pub use session::{DEFAULT_SESSION_NAME, Session, UnknownDirection, UnknownSessions};
pub use stream::{AllowedUsers, PCAP_OVER_IP_PORT, Stream, StreamFormat, StreamTarget};
pub use tunnel::{GENEVE_PORT, InvalidTunnelPort, Tunnel, TunnelPort, VXLAN_GPE_PORT, VXLAN_PORT};
pub(crate) use vxlan_profile::mask as bit_mask;
pub use vxlan_profile::{DirectionBit, SequenceBits, VxlanProfile};
pub use workers::{Cpus, WaitMode, Workers};

use error::Violation;

/// Configuration of an engine. The default captures every session, names no interface and has no
/// output.
///
/// # Examples
///
/// A configuration built by a program, with one pcapng file:
///
/// ```
/// use vxtap::config::{Config, Output, OutputKind};
///
/// let mut config = Config::default();
/// config.capture.interfaces.push("eth1".to_owned());
/// config.outputs.push(Output::new("disk", OutputKind::pcapng("capture.pcapng")));
/// config.validate()?;
/// # Ok::<(), vxtap::config::ConfigError>(())
/// ```
///
/// An error names the position in the file, the key, the value found and the values allowed:
///
/// ```
/// use std::path::Path;
///
/// use vxtap::Config;
///
/// let text = "[[session]]\nname = \"web\"\nvni = 16777216\n";
/// let error = Config::from_toml(Path::new("vxtap.toml"), text).expect_err("24 bits at most");
/// assert_eq!(
///     error.to_string(),
///     "vxtap.toml:3:7: session[0].vni: found 16777216, allowed is an integer from 0 to 16777215"
/// );
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// Interfaces, ports, sources and queues to capture from.
    pub capture: Capture,
    /// CPUs of the workers, and how they wait.
    pub workers: Workers,
    /// Memory of each queue.
    pub memory: Memory,
    /// Treatment of traffic that no session declares.
    pub unknown: UnknownSessions,
    /// Treatment of frames whose direction cannot be inferred.
    pub unknown_direction: UnknownDirection,
    /// The mirrored interfaces.
    pub enis: Vec<Eni>,
    /// The filters that sessions and outputs name.
    pub filters: Vec<Filter>,
    /// Meaning of the reserved bits of VXLAN headers, by mirror.
    pub vxlan_profiles: Vec<VxlanProfile>,
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
        Self::from_reader(path, toml::open(path)?)
    }

    /// Reads and checks a configuration; `path` only names it in errors.
    ///
    /// # Errors
    ///
    /// As for [`Config::read`].
    pub fn from_reader(path: &Path, source: impl Read) -> Result<Self, ConfigError> {
        toml::from_bytes(path, &toml::read(path, source)?)
    }

    /// Reads and checks a configuration; `path` only names it in errors.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Syntax`] when the text is not TOML, [`ConfigError::InFile`] for an unknown or
    /// missing key and for a value that is not allowed. Of several errors, one is reported.
    pub fn from_toml(path: &Path, text: &str) -> Result<Self, ConfigError> {
        toml::from_text(path, text)
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
            vxlan_profiles,
            sessions: _,
            outputs,
        } = self;
        capture.check()?;
        workers.check(&capture.queues, capture.interfaces.len())?;
        memory.check(Output::count_rings(outputs))?;
        eni::check_enis(enis)?;
        filter::check_filters(filters)?;
        let declared = filter::declared(filters);
        output_checks::check_outputs(outputs, &declared, capture)?;
        vxlan_profile::check_vxlan_profiles(vxlan_profiles)?;
        session::check_sessions(self, &declared)
    }
}

#[cfg(test)]
mod tests;
