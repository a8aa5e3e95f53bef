//! Where the frames go.

use std::path::{Component, Path, PathBuf};

use super::capture::Capture;
use super::error::{Problem, Violation};
use super::filter::Filter;
use super::key::KeyPath;
use super::limit::Limit;
use super::name::{check_name, check_reference};
use super::once::Seen;

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
    /// Number of members, 1 to 255, each with rings and a consumer of its own. A frame goes to one of them: both directions of an
    /// inner flow of a session to the same one, whatever queue they come in on; the fragments of an IP packet together, though not
    /// where the flow's whole packets go; and what is not IP to the first one. Default: 1.
    pub members: u32,
    /// Name of the [`Filter`] whose rules choose the frames that the output gets; `None`: all of its sessions.
    pub filter: Option<String>,
    /// How long, in microseconds, a frame waits for earlier ones of other queues, so that the frames of all queues come in the order
    /// of their times: 0 to 1000000. Default: 1000. Low: more frames come out of order, which is counted; 0: only the frames of one
    /// queue are in order. High: frames come later, and take up their rings, though never more than half of one.
    pub order_window_us: u32,
    /// What the output does with the frames.
    pub kind: OutputKind,
}

impl Output {
    /// An output with one member, which gets all frames.
    pub fn new(name: impl Into<String>, kind: OutputKind) -> Self {
        Self { name: name.into(), members: 1, filter: None, order_window_us: 1000, kind }
    }

    /// A name with the number of each member in the place of `{member}`; without that, all of them have the same.
    pub(crate) fn member_names(&self, name: &str) -> impl Iterator<Item = String> {
        (0..self.members).map(move |member| name.replace(MEMBER, &member.to_string()))
    }

    /// Number of rings that each worker may have for it.
    pub(crate) const fn ring_count(&self) -> usize {
        let consumers = match self.kind {
            OutputKind::Shared { consumers, .. } => consumers,
            OutputKind::Pcapng { .. } | OutputKind::Interface { .. } | OutputKind::Consumer => 1,
        };
        self.members as usize * consumers as usize
    }

    /// Number of rings that each worker may have.
    pub(crate) fn count_rings(outputs: &[Self]) -> usize {
        outputs.iter().map(Self::ring_count).sum()
    }
}

/// What an output does with the frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputKind {
    /// Writes them to a pcapng file.
    Pcapng {
        /// The file; two outputs never share one. Relative paths start at the working directory.
        path: PathBuf,
    },
    /// Lets them arrive at a network interface, where any program finds them that listens there.
    Interface {
        /// Name of a TAP interface, in the network namespace of the engine; with several members `{member}` in it stands for the number of
        /// each. It is made, with frames coming in, and is gone when the engine is; one that is there and that the engine's user may have
        /// is used. It has no addresses, and the kernel sends nothing on it. Packets without an Ethernet header get one.
        interface: String,
        /// Whether frames get an IEEE 802.1Q tag with the VLAN ID of their session, which each session then has to have.
        vlan_tags: bool,
    },
    /// Lets other processes read them where they lie, without copying: [`crate::output::shared::attach`], or what docs/ring-abi.md
    /// describes. Whoever may open the socket sees all memory of the queues, the frames of other outputs included.
    Shared {
        /// The Unix socket that they come to, for the engine's user only. Relative paths start at the working directory.
        path: PathBuf,
        /// Most consumers of a member at a time, 1 to 255. Each may need the memory of an output ring of each queue.
        consumers: u32,
    },
    /// Leaves them to the program that embeds the engine. Not available in a file.
    Consumer,
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
    let mut names = Seen::default();
    let (mut paths, mut interfaces) = (Seen::default(), Seen::default());
    for (position, output) in outputs.iter().enumerate() {
        let Output { name, members, filter, order_window_us, kind } = output;
        let key = KeyPath::top("output").index(position);
        check_name(name, &mut names, key.key("name"))?;
        MEMBERS.check(*members).map_err(|problem| problem.at(key.key("members")))?;
        ORDER_WINDOW_US.check(*order_window_us).map_err(|problem| problem.at(key.key("order_window_us")))?;
        if *members > 1 && matches!(kind, OutputKind::Pcapng { .. }) {
            let allowed = "one member: a file is written by one";
            return Err(Problem::refused(members, allowed).at(key.key("members")));
        }
        if let Some(filter) = filter {
            let is_declared = filters.iter().any(|it| it.name == *filter);
            check_reference(filter, is_declared, "filter", &key.key("filter"))?;
        }
        if let OutputKind::Interface { interface, .. } = kind {
            let interface_key = key.key("interface");
            check_member(interface, *members).map_err(|problem| problem.at(interface_key.clone()))?;
            for member in output.member_names(interface) {
                Capture::check_interface_name(&member)
                    .map_err(|problem| problem.at(interface_key.clone()))?;
                if capture.interfaces.contains(&member) {
                    let allowed = "an interface that is not captured from";
                    return Err(Problem::refused(format_args!("{member:?}"), allowed).at(interface_key));
                }
                let value = format_args!("the interface {member:?}");
                interfaces
                    .note(member.clone(), interface_key.clone(), value)
                    .map_err(|problem| problem.at(interface_key.clone()))?;
            }
        }
        if let OutputKind::Shared { consumers, .. } = kind {
            CONSUMERS.check(*consumers).map_err(|problem| problem.at(key.key("consumers")))?;
        }
        if let OutputKind::Pcapng { path } | OutputKind::Shared { path, .. } = kind {
            check_path(path, &mut paths, &key.key("path")).map_err(|problem| problem.at(key.key("path")))?;
        }
    }
    Ok(())
}

/// Checks that a name says which member, if there are several.
fn check_member(name: &str, members: u32) -> Result<(), Problem> {
    if members == 1 || name.contains(MEMBER) {
        return Ok(());
    }
    Err(Problem::refused(
        format_args!("{name:?}"),
        "a name with {member} in it, for the number of each member",
    ))
}

/// Checks that the path can name a file, and one that no other output writes.
fn check_path(path: &Path, paths: &mut Seen<PathBuf>, key: &KeyPath) -> Result<(), Problem> {
    let shown = path.to_string_lossy();
    let bytes = path.as_os_str().as_encoded_bytes();
    let is_directory = path.file_name().is_none() || bytes.ends_with(b"/") || bytes.ends_with(b"/.");
    if is_directory || bytes.contains(&0) {
        return Err(Problem::refused(format_args!("{shown:?}"), "the path of a file"));
    }
    paths.note(without_dots(path), key.clone(), format_args!("the path {shown:?}"))
}

/// Returns the path without `.` components, so that `./a` and `a` are the same.
fn without_dots(path: &Path) -> PathBuf {
    path.components().filter(|component| !matches!(component, Component::CurDir)).collect()
}
