//! Counts the frames that the kernel refuses after the XDP program has redirected them.
//!
//! A socket counts the frames that it loses, and the kernel tells of all other refusals at a
//! tracepoint alone: the queue of an interface that is being set up anew, or a socket that is being
//! closed.

use aya::Ebpf;
use aya::programs::{ProgramError, RawTracePoint};
use vxtap_ebpf::maps;

use super::error::{SteeringError, reason};
use super::object::map_error;
use crate::sys::os_number;

/// Returns the kernel's identifier of a map.
pub(super) fn id_of(ebpf: &Ebpf, name: &'static str) -> Result<u32, SteeringError> {
    let map = ebpf.map(name).ok_or(SteeringError::Object { part: name })?;
    let aya::maps::Map::XskMap(map) = map else { return Err(SteeringError::Object { part: name }) };
    Ok(map.info().map_err(map_error(name))?.id())
}

/// Attaches the program that counts. Returns the reason if this kernel does not let it, without
/// which frames are captured as well.
///
/// # Errors
///
/// [`SteeringError::Load`] if the system lacks descriptors or memory, or should be asked again.
pub(super) fn count(ebpf: &mut Ebpf) -> Result<Option<String>, SteeringError> {
    let part = maps::REDIRECT_ERRORS;
    let program = ebpf.program_mut(part).ok_or(SteeringError::Object { part })?;
    let attached = attach(program);
    match attached {
        Ok(()) => Ok(None),
        Err(error) => match os_number(&error) {
            Some(
                libc::EMFILE
                | libc::ENFILE
                | libc::ENOMEM
                | libc::ENOSPC
                | libc::EAGAIN
                | libc::EINTR,
            ) => Err(SteeringError::of_load(error)),
            _ => Ok(Some(reason(&error))),
        },
    }
}

fn attach(program: &mut aya::programs::Program) -> Result<(), ProgramError> {
    let program: &mut RawTracePoint = program.try_into()?;
    program.load()?;
    program.attach(maps::REDIRECT_ERRORS_AT).map(drop)
}
