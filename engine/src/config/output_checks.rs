//! Checks of the outputs, among them that no two write to the same place.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::capture::Capture;
use super::error::{Problem, Violation};
use super::file_name::FileName;
use super::key::{Entry, KeyPath};
use super::name::{Declared, check_name};
use super::output::{
    MAX_CONSUMERS, MEMBER, MEMBERS, ORDER_WINDOW_US, OUTPUTS_MAX, Output, OutputKind,
};
use super::output_path::{self, PathKind};
use super::stream::{Stream, StreamTarget};
use super::unique::Seen;

/// Values that must differ between outputs.
#[derive(Default)]
struct UsedValues<'o> {
    names: Seen<&'o str>,
    paths: Seen<PathBuf>,
    interfaces: Seen<String>,
    addresses: Seen<SocketAddr>,
    stdout: Seen<()>,
}

/// `filters` are the names of the filters.
pub(super) fn check_outputs(
    outputs: &[Output],
    filters: &Declared<'_>,
    capture: &Capture,
) -> Result<(), Violation> {
    let found = Output::count_rings(outputs);
    if found > OUTPUTS_MAX as usize {
        let things = if found == outputs.len() { "outputs" } else { "consumers of outputs" };
        let problem = Problem::TooMany { found, things, max: OUTPUTS_MAX };
        return Err(problem.at(KeyPath::top("output")));
    }
    let mut used = UsedValues::default();
    for (position, output) in outputs.iter().enumerate() {
        let entry = Entry { section: "output", position };
        output.check(filters, &mut used, entry)?;
        output.check_kind(capture, &mut used, entry)?;
    }
    Ok(())
}

impl Output {
    /// Checks the settings that all kinds have.
    fn check<'o>(
        &'o self,
        filters: &Declared<'_>,
        used: &mut UsedValues<'o>,
        entry: Entry,
    ) -> Result<(), Violation> {
        let Self { name, members, filter, order_window_us, kind: _ } = self;
        check_name(name, &mut used.names, entry, "name")?;
        MEMBERS.check(*members).map_err(|problem| problem.at(entry.key("members")))?;
        ORDER_WINDOW_US
            .check(*order_window_us)
            .map_err(|problem| problem.at(entry.key("order_window_us")))?;
        let Some(filter) = filter else { return Ok(()) };
        filters.check(filter, || entry.key("filter"))
    }

    fn check_kind(
        &self,
        capture: &Capture,
        used: &mut UsedValues<'_>,
        entry: Entry,
    ) -> Result<(), Violation> {
        match &self.kind {
            OutputKind::Interface { interface, .. } => self
                .check_interfaces(interface, capture, used, entry.position)
                .map_err(|problem| problem.at(entry.key("interface"))),
            OutputKind::Pcapng { path, files } => {
                check_path(path, PathKind::Files, used, entry)?;
                let name = FileName::of(path).map_err(|problem| problem.at(entry.key("path")))?;
                files.check(path, &name, self.members, entry)
            }
            OutputKind::Shared { path, max_consumers } => {
                MAX_CONSUMERS
                    .check(*max_consumers)
                    .map_err(|problem| problem.at(entry.key("max_consumers")))?;
                check_path(path, PathKind::Socket, used, entry)
            }
            OutputKind::Stream(stream) => {
                stream.check(entry)?;
                self.check_stream(stream, used, entry)
            }
            OutputKind::Consumer => Ok(()),
        }
    }

    fn check_stream(
        &self,
        stream: &Stream,
        used: &mut UsedValues<'_>,
        entry: Entry,
    ) -> Result<(), Violation> {
        let at = |field| move |problem: Problem| problem.at(entry.key(field));
        if self.members > 1 {
            let allowed = "1, as each reader of a stream gets all frames";
            return Err(at("members")(Problem::refused(self.members, allowed)));
        }
        let key = |field| move |position| entry.sibling(position).key(field);
        match &stream.target {
            StreamTarget::Fifo(path) => check_path(path, PathKind::Fifo, used, entry),
            StreamTarget::Unix(path) => check_path(path, PathKind::Socket, used, entry),
            StreamTarget::Tcp(address) => {
                if address.port() == 0 {
                    let allowed = "an address with a port from 1 to 65535";
                    let problem = Problem::refused(format_args!("\"{address}\""), allowed);
                    return Err(at("address")(problem));
                }
                let found = format_args!("the address \"{address}\"");
                used.addresses
                    .insert(*address, entry.position, found, key("address"))
                    .map_err(at("address"))
            }
            StreamTarget::Stdout => {
                used.stdout.insert((), entry.position, "\"stdout\"", key("to")).map_err(at("to"))
            }
        }
    }

    fn check_interfaces(
        &self,
        interface: &str,
        capture: &Capture,
        used: &mut UsedValues<'_>,
        position: usize,
    ) -> Result<(), Problem> {
        if self.members > 1 && !interface.contains(MEMBER) {
            let allowed = "a name with {member} in it, for the number of each member";
            return Err(Problem::refused(format_args!("{interface:?}"), allowed));
        }
        for member in self.member_names(interface) {
            Capture::check_interface_name(&member)?;
            if member.contains('%') {
                let allowed = "a name without `%`, for which the kernel puts in a number";
                return Err(Problem::refused(format_args!("{member:?}"), allowed));
            }
            if capture.interfaces.contains(&member) {
                let allowed = "an interface that is not captured from";
                return Err(Problem::refused(format_args!("{member:?}"), allowed));
            }
            let found = format_args!("the interface {member:?}");
            let key = |position| Entry { section: "output", position }.key("interface");
            used.interfaces.insert(member.clone(), position, found, key)?;
        }
        Ok(())
    }
}

/// Checks the path of an output, and that no other output has it.
fn check_path(
    path: &Path,
    kind: PathKind,
    used: &mut UsedValues<'_>,
    entry: Entry,
) -> Result<(), Violation> {
    let at = |problem: Problem| problem.at(entry.key("path"));
    output_path::check(path, kind).map_err(at)?;
    let found = format_args!("the path {:?}", path.to_string_lossy());
    let key = |position| entry.sibling(position).key("path");
    used.paths.insert(output_path::without_dots(path), entry.position, found, key).map_err(at)
}
