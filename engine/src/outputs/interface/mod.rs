//! The output kind `interface`: writes frames to a TAP interface, for sniffers.
//!
//! | module | content |
//! |---|---|
//! | `device` | creates the TAP interface |
//! | `tap_writer` | writes frames to it |

mod device;
mod tap_writer;

use std::fs::File;
use std::io;

use super::OutputError;
use super::open_context::OpenContext;
use super::open_output::{OpenOutput, OutputThread, ThreadContext};
use crate::config::Output;
use crate::ring::Consumer;
use tap_writer::TapWriter;

/// A TAP interface that is up.
#[derive(Debug)]
struct OpenInterface {
    device: File,
    has_vlan_tags: bool,
}

/// Opens the TAP interface of a member.
pub(super) fn open(
    context: &OpenContext<'_>,
    output: &Output,
    member: u32,
    interface: &str,
    has_vlan_tags: bool,
) -> Result<Option<Box<dyn OpenOutput>>, OutputError> {
    let interface = output.member_names(interface).nth(member as usize).unwrap_or_default();
    let device = device::open(&interface, context.mtu).map_err(|source| {
        OutputError::Interface { output: output.name.clone(), interface, source }
    })?;
    Ok(Some(Box::new(OpenInterface { device, has_vlan_tags })))
}

impl OpenOutput for OpenInterface {
    fn start(
        self: Box<Self>,
        context: ThreadContext,
        consumer: Option<Consumer>,
    ) -> Result<Option<OutputThread>, OutputError> {
        let Some(consumer) = consumer else { return Ok(None) };
        let ThreadContext { name, directory, diagnostics, .. } = context;
        let writer = TapWriter::new(self.device, &directory, self.has_vlan_tags);
        let failed = move |error: &io::Error| {
            diagnostics.push(format!("output `{name}` cannot write to its interface: {error}"));
        };
        OutputThread::writer("vxtap-interface", move || writer.drain(consumer, failed)).map(Some)
    }
}
