//! Outputs: the destinations of the frames.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::file_name::FileName;
use super::limit::Limit;
use super::pcapng::PcapngFiles;
use super::stream::Stream;

/// Maximum number of members of all outputs together. The reference count of a frame is one byte.
pub const OUTPUTS_MAX: u32 = 255;

/// Two workers are never a whole second apart.
pub(super) const ORDER_WINDOW_US: Limit = Limit::Range(0, 1_000_000);
/// Default for files and streams. On two busy CPUs, 1 ms left 4 to 12 % of the frames of two queues
/// out of order, 10 ms 0.5 %, 50 ms none in most runs, and 100 ms none in more of them.
pub(crate) const ORDER_WINDOW_FILES_US: u32 = 100_000;
pub(super) const MAX_CONSUMERS: Limit = Limit::Range(1, OUTPUTS_MAX as u64);
pub(super) const MEMBERS: Limit = Limit::Range(1, OUTPUTS_MAX as u64);

/// Placeholder for the number of a member in names.
pub(super) const MEMBER: &str = "{member}";

/// A declared output. Table `[[output]]` of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Name, 1 to 255 bytes without control characters, different from those of the other outputs.
    pub name: String,
    /// Number of members, 1 to 255, each with rings and a consumer of its own. A frame goes to one
    /// of them: both directions of an inner flow of a session to the same one, whatever queue they
    /// come in on; the fragments of an IP packet together, though not where the flow's whole
    /// packets go; and what is not IP to the first one. Default: 1.
    pub members: u32,
    /// Name of the [`Filter`](crate::config::Filter) whose rules choose the frames that the output
    /// gets; `None`: all of its sessions.
    pub filter: Option<String>,
    /// Time in microseconds that a frame waits for earlier frames of other queues, so that the
    /// frames of all queues are delivered in timestamp order: 0 to 1000000. Default: 100000 for
    /// files and streams, else 1000. Too low: more frames are out of order, which is counted; 0:
    /// only the frames of one queue are in order. Too high: frames are delivered later and occupy
    /// up to half of each ring meanwhile.
    pub order_window_us: u32,
    /// Destination of the frames.
    pub kind: OutputKind,
}

impl Output {
    /// Returns an output with one member that gets all frames.
    pub fn new(name: impl Into<String>, kind: OutputKind) -> Self {
        let order_window_us = kind.default_order_window_us();
        Self { name: name.into(), members: 1, filter: None, order_window_us, kind }
    }

    /// Returns `name` for each member, with the member's number in place of `{member}`. Without
    /// `{member}` all of them are equal.
    pub(crate) fn member_names(&self, name: &str) -> impl Iterator<Item = String> {
        (0..self.members).map(move |member| name.replace(MEMBER, &member.to_string()))
    }

    /// Returns the maximum number of rings that each worker has for this output.
    pub(crate) const fn ring_count(&self) -> usize {
        let consumers = match self.kind.attached_consumers_max() {
            Some(consumers) => consumers,
            None => 1,
        };
        self.members as usize * consumers as usize
    }

    /// Returns the maximum number of rings that each worker has for all outputs.
    pub fn count_rings(outputs: &[Self]) -> usize {
        outputs.iter().map(Self::ring_count).sum()
    }
}

impl OutputKind {
    /// Returns a pcapng output that writes one file at `path`; `%` and `{` in its name stand for
    /// themselves.
    pub fn pcapng(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        let literal = path.file_name().map(|name| FileName::literal(name.as_bytes()));
        let path = literal
            .map_or_else(|| path.to_owned(), |name| path.with_file_name(OsStr::from_bytes(&name)));
        Self::Pcapng { path, files: PcapngFiles::default() }
    }

    /// Returns the largest number of consumers with rings of their own that attach to a member at a
    /// time; `None` if the output has one consumer from the start to its end. The readers of a
    /// stream share one.
    pub(crate) const fn attached_consumers_max(&self) -> Option<u32> {
        match self {
            Self::Shared { max_consumers, .. } => Some(*max_consumers),
            Self::Stream(_) => Some(1),
            Self::Pcapng { .. } | Self::Interface { .. } | Self::Consumer => None,
        }
    }

    /// Returns the default of [`Output::order_window_us`]. Files and streams are read later or by
    /// people: for them order counts more than delay. A worker on a busy CPU may have to wait for
    /// some time slices of the scheduler.
    const fn default_order_window_us(&self) -> u32 {
        match self {
            Self::Pcapng { .. } | Self::Stream(_) => ORDER_WINDOW_FILES_US,
            Self::Interface { .. } | Self::Shared { .. } | Self::Consumer => 1000,
        }
    }

    pub(crate) const fn is_stream(&self) -> bool {
        matches!(self, Self::Stream(_))
    }

    pub(crate) const fn writes_files(&self) -> bool {
        matches!(self, Self::Pcapng { .. })
    }

    /// Returns the file, socket, interface or program that the frames go to, as messages name it.
    pub fn destination(&self, output: &str) -> String {
        match self {
            Self::Pcapng { path, .. } => {
                self.only_file().as_ref().unwrap_or(path).display().to_string()
            }
            Self::Shared { path, .. } => path.display().to_string(),
            Self::Interface { interface, .. } => interface.clone(),
            Self::Stream(stream) => stream.target.to_string(),
            Self::Consumer => output.to_owned(),
        }
    }

    /// Returns the file that an output with one member writes, if the name has no fields.
    pub fn only_file(&self) -> Option<PathBuf> {
        let Self::Pcapng { path, .. } = self else { return None };
        let name = FileName::of(path).ok().filter(|name| !name.has_fields())?;
        Some(name.fixed_path(path, 0))
    }
}

/// Kind of an output: the destination of its frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputKind {
    /// Writes the frames to pcapng files that only their owner may read (mode 0600).
    Pcapng {
        /// Path of the file, different for each output and relative to the working directory. In
        /// the file name, not in the directory, `%Y`, `%m`, `%d`, `%H`, `%M`, `%S` and `%j` stand
        /// for the time at which the file begins, in UTC, as strftime(3) writes it; `{number}` for
        /// a six-digit number that is one higher in each file; `{member}` for the number of the
        /// member. With `{session}`, `{vni}` or `{source}` (outer source address) each of these has
        /// its own files. `%%` and `{{` are `%` and `{`.
        ///
        /// A name without fields is one file, which grows in place; an existing file is truncated.
        /// With fields a file is called `NAME.part` until it is complete, and no file is ever
        /// overwritten. Missing directories are created (mode 0700).
        path: PathBuf,
        /// Rotation, retention, compression and owner of the files.
        files: PcapngFiles,
    },
    /// Injects the frames into a TAP interface, for programs that capture from an interface.
    Interface {
        /// Name of a TAP interface in the network namespace of the engine; with several members
        /// `{member}` in it stands for the number of each. The engine creates it and removes it at
        /// its end; an existing one that the engine's user may open is used. It has no addresses,
        /// and the kernel sends nothing on it. Packets without an Ethernet header get one.
        interface: String,
        /// `true` if frames get an IEEE 802.1Q tag with the VLAN ID of their session; each session
        /// then needs one.
        vlan_tags: bool,
    },
    /// Shares the memory of the queues with other processes, without copying here:
    /// [`crate::outputs::shared::attach`], or docs/ring-abi.md for other languages. A process that
    /// may open the socket sees all memory of the queues, including the frames of other outputs.
    Shared {
        /// Path of the Unix socket that consumers connect to, accessible to the engine's user only.
        /// Relative to the working directory.
        path: PathBuf,
        /// Maximum number of simultaneous consumers of a member, 1 to 255. Each needs the memory of
        /// one output ring per queue.
        max_consumers: u32,
    },
    /// Sends the frames as a stream of capture records to readers, each at its own pace. Has one
    /// member.
    Stream(Stream),
    /// Hands the frames to the program that embeds the engine. Not available in a file.
    Consumer,
}
