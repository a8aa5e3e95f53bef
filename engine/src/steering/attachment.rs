//! Attaches the program through a link (`BPF_LINK_CREATE`), which ends with the process, and in no
//! other way.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use aya::programs::links::FdLink;
use aya::programs::{ProgramError, Xdp, XdpMode};
use netlink_packet_route::link::{LinkAttribute, LinkMessage, LinkXdp};
use vxtap_ebpf::maps::PROGRAM;

use super::error::SteeringError;
use super::foreign::{attached_program, process_with};
use crate::interface::{self, Interface};
use crate::sys::os_number;

/// Hook in the kernel at which the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachMode {
    /// In the driver, before the kernel has allocated anything for the frame.
    Native,
    /// In the stack, with any driver, at the price of a socket buffer for each frame.
    Generic,
}

pub(super) fn attach(
    program: &mut Xdp,
    if_index: u32,
    interface: &str,
    mode: AttachMode,
) -> Result<FdLink, SteeringError> {
    let xdp_mode = match mode {
        AttachMode::Native => XdpMode::Driver,
        AttachMode::Generic => XdpMode::Skb,
    };
    let link = program
        .attach_to_if_index(if_index, xdp_mode)
        .and_then(|id| program.take_link(id))
        .map_err(|error| refusal(error, if_index, interface, mode))?;
    // If the kernel answers EINVAL, aya silently tries again over netlink. Such a link does not
    // convert, and does not detach when it is dropped by the conversion.
    FdLink::try_from(link).map_err(|_not_a_link| SteeringError::NoLink {
        interface: interface.to_owned(),
        removed: take_off(program, if_index, mode).is_ok(),
    })
}

/// Turns the kernel's refusal into an error with advice. The numbers are those of `dev_xdp_attach`
/// in [`net/core/dev.c`](https://github.com/torvalds/linux/blob/v6.12/net/core/dev.c), and of the
/// drivers.
fn refusal(error: ProgramError, if_index: u32, interface: &str, mode: AttachMode) -> SteeringError {
    let name = interface.to_owned();
    let number = os_number(&error);
    match number {
        Some(libc::EPERM) => SteeringError::NotPermitted { what: "attach the XDP program" },
        Some(libc::EBUSY | libc::EEXIST) => occupied(error, if_index, name),
        Some(code @ libc::EOPNOTSUPP) if mode == AttachMode::Native => {
            SteeringError::NoNativeMode {
                interface: name,
                source: io::Error::from_raw_os_error(code),
            }
        }
        Some(libc::ERANGE) => match Interface::with_index(if_index) {
            Ok(Interface { mtu, .. }) => SteeringError::MtuTooLarge { interface: name, mtu },
            Err(error) => error.into(),
        },
        Some(libc::ENODEV) => interface::InterfaceError::Gone { index: if_index }.into(),
        _ => SteeringError::Attach { interface: name, source: Box::new(error) },
    }
}

/// Returns an error that names the program in the way.
fn occupied(error: ProgramError, if_index: u32, interface: String) -> SteeringError {
    match attached_program(if_index) {
        Ok(Some(program)) if program.name.as_deref() == Some(PROGRAM) => {
            let process_id = process_with(program.id);
            SteeringError::AnotherEngine { interface, id: program.id, process_id }
        }
        Ok(Some(program)) => SteeringError::ForeignProgram { interface, program },
        // It is gone meanwhile, or something other than a program keeps the interface busy.
        Ok(None) => SteeringError::Attach { interface, source: Box::new(error) },
        Err(error) => error.into(),
    }
}

/// `XDP_FLAGS_DRV_MODE`, `XDP_FLAGS_SKB_MODE` and `XDP_FLAGS_REPLACE` of the `linux/if_link.h`.
const NATIVE: u32 = 1 << 2;
const GENERIC: u32 = 1 << 1;
const REPLACE: u32 = 1 << 4;

/// Takes the program off an interface where it is attached without a link; no other program is
/// touched.
fn take_off(program: &Xdp, if_index: u32, mode: AttachMode) -> io::Result<()> {
    let expected = program.fd().map_err(io::Error::other)?.as_fd().as_raw_fd();
    let mode = match mode {
        AttachMode::Native => NATIVE,
        AttachMode::Generic => GENERIC,
    };
    let mut link = LinkMessage::default();
    link.header.index = if_index;
    link.attributes.push(LinkAttribute::Xdp(vec![
        LinkXdp::Fd(-1),
        LinkXdp::Flags(mode | REPLACE),
        LinkXdp::ExpectedFd(expected.cast_unsigned()),
    ]));
    interface::set_link(link)
}
