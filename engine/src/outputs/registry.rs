//! The registry of output kinds. A new kind is a folder in `outputs/`, a variant of [`OutputKind`]
//! with its configuration, and a line here.

use super::open_context::OpenContext;
use super::open_output::OpenOutput;
use super::{OutputError, interface, pcapng, shared, stream};
use crate::config::{Output, OutputKind};

/// Opens one member of an output: its file, socket or interface. `None` if the member has nothing
/// to open.
///
/// # Errors
///
/// [`OutputError`] of the kind.
pub(super) fn open(
    context: &OpenContext<'_>,
    output: &Output,
    member: u32,
) -> Result<Option<Box<dyn OpenOutput>>, OutputError> {
    match &output.kind {
        OutputKind::Pcapng { path, files } => {
            pcapng::open(context, &output.name, member, path, files)
        }
        OutputKind::Interface { interface, vlan_tags } => {
            interface::open(context, output, member, interface, *vlan_tags)
        }
        OutputKind::Shared { path, .. } => shared::open(output, member, path),
        OutputKind::Stream(stream) => stream::open(context, output, stream),
        OutputKind::Consumer => Ok(None),
    }
}
