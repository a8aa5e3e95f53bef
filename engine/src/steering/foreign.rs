//! Finds the XDP program that is attached to an interface.

use std::fmt;
use std::fs;

use aya::programs::loaded_programs;

use crate::interface::{Interface, InterfaceError};

/// An XDP program that is attached to an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachedProgram {
    /// The kernel's identifier of the program.
    pub id: u32,
    /// Its name, as far as the kernel keeps it (15 bytes). `None` if it has none, or without
    /// `CAP_SYS_ADMIN`, which the kernel requires to list programs.
    pub name: Option<String>,
}

impl fmt::Display for AttachedProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, name } = self;
        match name {
            Some(name) => write!(f, "the XDP program {name:?} (id {id})"),
            None => write!(f, "an XDP program (id {id})"),
        }
    }
}

/// Returns the XDP program on an interface of the calling thread's network namespace, if there is
/// one.
///
/// # Errors
///
/// The interface is not there, or the kernel cannot be asked.
pub fn attached_program(if_index: u32) -> Result<Option<AttachedProgram>, InterfaceError> {
    let id = Interface::with_index(if_index)?.xdp_program;
    Ok(id.map(|id| AttachedProgram { id, name: name_of(id) }))
}

/// Returns the identifier of a process that has a descriptor of an XDP program or of its link
/// (`proc_pid_fdinfo(5)`); `None` without `/proc`, or without the privilege to look at that
/// process.
pub(super) fn process_with(program_id: u32) -> Option<u32> {
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.find(|id| has_program(*id, program_id))
}

fn has_program(process_id: u32, program_id: u32) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{process_id}/fdinfo")) else { return false };
    let is_it = |text: String| {
        let mut ids = text.lines().filter_map(|line| line.strip_prefix("prog_id:"));
        ids.any(|id| id.trim().parse() == Ok(program_id))
    };
    descriptors.flatten().any(|entry| fs::read_to_string(entry.path()).is_ok_and(is_it))
}

fn name_of(id: u32) -> Option<String> {
    // A program may go while they are listed: that one is an error, the others are not.
    let info = loaded_programs().filter_map(Result::ok).find(|program| program.id() == id)?;
    info.name_as_str().filter(|name| !name.is_empty()).map(str::to_owned)
}
