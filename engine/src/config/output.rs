//! Where the frames go.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::capture::Capture;
use super::error::{Problem, Violation};
use super::file_name::FileName;
use super::filter::Filter;
use super::key::KeyPath;
use super::limit::Limit;
use super::name::{check_name, check_reference};
use super::once::Seen;
use super::pcapng::PcapngFiles;
use super::stream::{Stream, StreamTarget};

/// Most members of all outputs together: a frame's count of the members that hold it is a byte.
pub const OUTPUTS_MAX: u32 = 255;

/// A second is longer than any two workers are apart.
pub(super) const ORDER_WINDOW_US: Limit = Limit::Range(0, 1_000_000);
pub(super) const CONSUMERS: Limit = Limit::Range(1, OUTPUTS_MAX as u64);
pub(super) const MEMBERS: Limit = Limit::Range(1, OUTPUTS_MAX as u64);

/// Stands for the number of a member in names.
const MEMBER: &str = "{member}";

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
    /// Name of the [`Filter`] whose rules choose the frames that the output gets; `None`: all of
    /// its sessions.
    pub filter: Option<String>,
    /// How long, in microseconds, a frame waits for earlier ones of other queues, so that the
    /// frames of all queues come in the order of their times: 0 to 1000000. Default: 1000. Low:
    /// more frames come out of order, which is counted; 0: only the frames of one queue are in
    /// order. High: frames come later, and take up their rings, though never more than half of one.
    pub order_window_us: u32,
    /// What the output does with the frames.
    pub kind: OutputKind,
}

impl Output {
    /// An output with one member, which gets all frames.
    pub fn new(name: impl Into<String>, kind: OutputKind) -> Self {
        Self { name: name.into(), members: 1, filter: None, order_window_us: 1000, kind }
    }

    /// A name with the number of each member in the place of `{member}`; without that, all of them
    /// have the same.
    pub(crate) fn member_names(&self, name: &str) -> impl Iterator<Item = String> {
        (0..self.members).map(move |member| name.replace(MEMBER, &member.to_string()))
    }

    /// Number of rings that each worker may have for it.
    pub(crate) const fn ring_count(&self) -> usize {
        let consumers = match self.kind.attached_consumers_max() {
            Some(consumers) => consumers,
            None => 1,
        };
        self.members as usize * consumers as usize
    }

    /// Number of rings that each worker may have.
    pub(crate) fn count_rings(outputs: &[Self]) -> usize {
        outputs.iter().map(Self::ring_count).sum()
    }
}

impl OutputKind {
    /// Writes them to the pcapng file at `path`, whatever characters are in its name.
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
            Self::Shared { consumers, .. } => Some(*consumers),
            Self::Stream(_) => Some(1),
            Self::Pcapng { .. } | Self::Interface { .. } | Self::Consumer => None,
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

    /// The file that an output with one member writes, if it is always the same one.
    pub fn only_file(&self) -> Option<PathBuf> {
        let Self::Pcapng { path, .. } = self else { return None };
        let name = FileName::of(path).ok().filter(|name| !name.has_fields())?;
        Some(name.plain(path, 0))
    }
}

/// What an output does with the frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputKind {
    /// Writes them to pcapng files, which only their owner may read (mode 0600).
    Pcapng {
        /// The file; two outputs never share one. Relative paths start at the working directory. In
        /// its name, not in its directory, `%Y`, `%m`, `%d`, `%H`, `%M`, `%S` and `%j` stand for
        /// the time at which the file begins, in UTC, as strftime(3) writes it; `{number}` for a
        /// number of six digits, one higher from file to file; `{member}` for that of the member.
        /// With `{session}`, `{vni}` or `{source}` (outer source address) each of these has files
        /// of its own. `%%` and `{{` are `%` and `{`.
        ///
        /// A name without fields is that of one file, which grows where it is; one that is there is
        /// emptied. With fields a file is called `NAME.part` until it is whole, none is ever
        /// overwritten, and a directory that is not there is made (mode 0700).
        path: PathBuf,
        /// When files end, how long they are kept, and what is done with them.
        files: PcapngFiles,
    },
    /// Lets them arrive at a network interface, where any program finds them that listens there.
    Interface {
        /// Name of a TAP interface, in the network namespace of the engine; with several members
        /// `{member}` in it stands for the number of each. It is made, with frames coming in, and
        /// is gone when the engine is; one that is there and that the engine's user may have is
        /// used. It has no addresses, and the kernel sends nothing on it. Packets without an
        /// Ethernet header get one.
        interface: String,
        /// Whether frames get an IEEE 802.1Q tag with the VLAN ID of their session, which each
        /// session then has to have.
        vlan_tags: bool,
    },
    /// Lets other processes read them where they lie, without copying:
    /// [`crate::outputs::shared::attach`], or what docs/ring-abi.md describes. Whoever may open the
    /// socket sees all memory of the queues, the frames of other outputs included.
    Shared {
        /// The Unix socket that they come to, for the engine's user only. Relative paths start at
        /// the working directory.
        path: PathBuf,
        /// Most consumers of a member at a time, 1 to 255. Each may need the memory of an output
        /// ring of each queue.
        consumers: u32,
    },
    /// Sends them to programs that read a stream of capture records, each at its own pace. Has one
    /// member.
    Stream(Stream),
    /// Leaves them to the program that embeds the engine. Not available in a file.
    Consumer,
}

/// What no two outputs may have both.
#[derive(Default)]
struct Taken<'o> {
    names: Seen<&'o str>,
    paths: Seen<PathBuf>,
    interfaces: Seen<String>,
    addresses: Seen<SocketAddr>,
    stdout: Seen<()>,
}

pub(super) fn check_outputs(
    outputs: &[Output],
    filters: &[Filter],
    capture: &Capture,
) -> Result<(), Violation> {
    let found = Output::count_rings(outputs);
    if found > OUTPUTS_MAX as usize {
        let things = if found == outputs.len() { "outputs" } else { "consumers of outputs" };
        let problem = Problem::TooMany { found, things, max: OUTPUTS_MAX };
        return Err(problem.at(KeyPath::top("output")));
    }
    let mut taken = Taken::default();
    for (position, output) in outputs.iter().enumerate() {
        let key = KeyPath::top("output").index(position);
        output.check(filters, &mut taken, &key)?;
        output.check_kind(capture, &mut taken, &key)?;
    }
    Ok(())
}

impl Output {
    /// Checks what all kinds have.
    fn check<'o>(
        &'o self,
        filters: &[Filter],
        taken: &mut Taken<'o>,
        key: &KeyPath,
    ) -> Result<(), Violation> {
        let Self { name, members, filter, order_window_us, kind: _ } = self;
        check_name(name, &mut taken.names, key.key("name"))?;
        MEMBERS.check(*members).map_err(|problem| problem.at(key.key("members")))?;
        ORDER_WINDOW_US
            .check(*order_window_us)
            .map_err(|problem| problem.at(key.key("order_window_us")))?;
        let Some(filter) = filter else { return Ok(()) };
        let is_declared = filters.iter().any(|it| it.name == *filter);
        check_reference(filter, is_declared, "filter", &key.key("filter"))
    }

    fn check_kind(
        &self,
        capture: &Capture,
        taken: &mut Taken<'_>,
        key: &KeyPath,
    ) -> Result<(), Violation> {
        match &self.kind {
            OutputKind::Interface { interface, .. } => {
                let key = key.key("interface");
                self.check_interfaces(interface, capture, taken, &key)
                    .map_err(|problem| problem.at(key))
            }
            OutputKind::Pcapng { path, files } => {
                check_path(path, taken, key)?;
                let name = FileName::of(path).map_err(|problem| problem.at(key.key("path")))?;
                files.check(path, &name, self.members, key)
            }
            OutputKind::Shared { path, consumers } => {
                CONSUMERS.check(*consumers).map_err(|problem| problem.at(key.key("consumers")))?;
                check_path(path, taken, key)
            }
            OutputKind::Stream(stream) => {
                stream.check(key)?;
                self.check_stream(stream, taken, key)
            }
            OutputKind::Consumer => Ok(()),
        }
    }

    fn check_stream(
        &self,
        stream: &Stream,
        taken: &mut Taken<'_>,
        key: &KeyPath,
    ) -> Result<(), Violation> {
        if self.members > 1 {
            let allowed = "1, as each reader of a stream gets all frames";
            return Err(Problem::refused(self.members, allowed).at(key.key("members")));
        }
        match &stream.target {
            StreamTarget::Fifo(path) | StreamTarget::Unix(path) => check_path(path, taken, key),
            StreamTarget::Tcp(address) => {
                let key = key.key("address");
                if address.port() == 0 {
                    let allowed = "an address with a port from 1 to 65535";
                    return Err(Problem::refused(format_args!("\"{address}\""), allowed).at(key));
                }
                let value = format_args!("the address \"{address}\"");
                taken
                    .addresses
                    .note(*address, key.clone(), value)
                    .map_err(|problem| problem.at(key))
            }
            StreamTarget::Stdout => {
                let key = key.key("to");
                taken.stdout.note((), key.clone(), "\"stdout\"").map_err(|problem| problem.at(key))
            }
        }
    }

    fn check_interfaces(
        &self,
        interface: &str,
        capture: &Capture,
        taken: &mut Taken<'_>,
        key: &KeyPath,
    ) -> Result<(), Problem> {
        if self.members > 1 && !interface.contains(MEMBER) {
            let allowed = "a name with {member} in it, for the number of each member";
            return Err(Problem::refused(format_args!("{interface:?}"), allowed));
        }
        for member in self.member_names(interface) {
            Capture::check_interface_name(&member)?;
            if capture.interfaces.contains(&member) {
                let allowed = "an interface that is not captured from";
                return Err(Problem::refused(format_args!("{member:?}"), allowed));
            }
            let value = format_args!("the interface {member:?}");
            taken.interfaces.note(member.clone(), key.clone(), value)?;
        }
        Ok(())
    }
}

/// Checks that the path of an output can name a file, and one that no other output has.
fn check_path(path: &Path, taken: &mut Taken<'_>, key: &KeyPath) -> Result<(), Violation> {
    let key = key.key("path");
    let shown = path.to_string_lossy();
    let bytes = path.as_os_str().as_encoded_bytes();
    let is_directory =
        path.file_name().is_none() || bytes.ends_with(b"/") || bytes.ends_with(b"/.");
    if is_directory || bytes.contains(&0) {
        return Err(Problem::refused(format_args!("{shown:?}"), "the path of a file").at(key));
    }
    let noted =
        taken.paths.note(without_dots(path), key.clone(), format_args!("the path {shown:?}"));
    noted.map_err(|problem| problem.at(key))
}

/// Returns the path without `.` components, so that `./a` and `a` are the same.
fn without_dots(path: &Path) -> PathBuf {
    path.components().filter(|component| !matches!(component, Component::CurDir)).collect()
}
