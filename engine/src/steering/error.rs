//! Errors of loading and attaching, each one sentence with what to do.

use std::error::Error;
use std::fs;
use std::io;

use super::foreign::AttachedProgram;
use crate::interface::InterfaceError;
use crate::sys::{os_error, os_number};

/// Reason why frames cannot be steered.
#[derive(Debug, thiserror::Error)]
pub enum SteeringError {
    /// EPERM, or the verifier's EACCES for want of `CAP_PERFMON`.
    #[error(
        "not permitted to {what}; run as root, or with the capabilities CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON (and \
         CAP_NET_RAW for the sockets)"
    )]
    NotPermitted {
        /// The step that was refused, as an infinitive.
        what: &'static str,
    },
    /// The kernel refuses the program.
    #[error("the kernel refuses the XDP program ({}){}", reason(source.as_ref()), hint(source.as_ref()))]
    Load {
        /// The full error, with the verifier's log.
        source: Box<dyn Error + Send + Sync>,
    },
    /// More entries than a map holds.
    #[error("{given} {what} are too many, {max} is the limit; name fewer")]
    TooMany {
        /// Kind of entries.
        what: &'static str,
        /// Number of entries.
        given: usize,
        /// Most entries.
        max: u32,
    },
    /// Reading or changing a map failed.
    #[error("the kernel refuses access to the BPF map {map} ({})", reason(source.as_ref()))]
    Map {
        /// The map.
        map: &'static str,
        /// The full error.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The queue index is beyond the map of sockets.
    #[error("there is no place for RX queue {queue}, {max} is the highest; capture fewer queues")]
    NoSuchQueue {
        /// The queue.
        queue: u32,
        /// Highest queue index in the map.
        max: u32,
    },
    /// The embedded object is not the one that this code was written for.
    #[error("the embedded XDP object has no {part}; rebuild it with `cargo xtask build-ebpf`")]
    Object {
        /// Program or map.
        part: &'static str,
    },
    /// A program with vxtap's own name is attached to the interface.
    #[error(
        "another vxtap engine already runs on {interface} ({}XDP program {id}); stop that one, or capture from another \
         interface",
        process_id.map_or_else(String::new, |id| format!("process {id}, "))
    )]
    AnotherEngine {
        /// Name of the interface.
        interface: String,
        /// Identifier of the program.
        id: u32,
        /// Identifier of the process that has it, if `/proc` shows that to this one.
        process_id: Option<u32>,
    },
    /// Another program is attached to the interface.
    #[error(
        "{interface} already has {program}, which vxtap does not replace; see `bpftool prog show id {}` and `ip link \
         show dev {interface}`, and remove it if it is not needed",
        program.id
    )]
    ForeignProgram {
        /// Name of the interface.
        interface: String,
        /// The program that is attached.
        program: AttachedProgram,
    },
    /// The driver cannot run this program, at least not as the interface is set up. Generic mode
    /// may do.
    #[error(
        "the driver of {interface} does not run this XDP program in native mode ({source}); capture in generic mode"
    )]
    NoNativeMode {
        /// Name of the interface.
        interface: String,
        /// The kernel's error.
        source: io::Error,
    },
    /// ERANGE.
    #[error(
        "the MTU of {interface} ({mtu}), or of its peer if it is one end of a veth pair, is too large for its driver to \
         run an XDP program; lower it with `ip link set dev {interface} mtu N`"
    )]
    MtuTooLarge {
        /// Name of the interface.
        interface: String,
        /// Its MTU in bytes.
        mtu: u32,
    },
    /// The kernel accepted the program but no link, without which the program would outlive the
    /// process.
    #[error(
        "the kernel attaches to {interface} only in the way that outlives the process, which vxtap does not use; the \
         program {}",
        if *removed {
            "was taken off again".to_owned()
        } else {
            format!("could not be taken off again: run `ip link set dev {interface} xdp off`")
        }
    )]
    NoLink {
        /// Name of the interface.
        interface: String,
        /// `true` if the program could be taken off again.
        removed: bool,
    },
    /// Any other refusal.
    #[error(
        "cannot attach the XDP program to {interface} ({}); `dmesg` may say more, and the driver may want a lower MTU or \
         fewer queues",
        reason(source.as_ref())
    )]
    Attach {
        /// Name of the interface.
        interface: String,
        /// The full error.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The interface went away, or the kernel cannot be asked about it.
    #[error(transparent)]
    Interface(#[from] InterfaceError),
}

impl SteeringError {
    pub(crate) fn of_load(error: impl Error + Send + Sync + 'static) -> Self {
        match os_number(&error) {
            // Without CAP_PERFMON the verifier takes part of the pointer arithmetic for a way to
            // spy on the kernel.
            Some(libc::EACCES) if !has_perfmon() => {
                Self::NotPermitted { what: "load the XDP program" }
            }
            Some(libc::EPERM) => Self::NotPermitted { what: "load the XDP program" },
            _ => Self::Load { source: Box::new(error) },
        }
    }
}

/// Returns whether the calling thread has `CAP_PERFMON`, or `CAP_SYS_ADMIN` which includes it;
/// `true` if that cannot be read.
fn has_perfmon() -> bool {
    const SYS_ADMIN: u64 = 1 << 21;
    const PERFMON: u64 = 1 << 38;
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    bits.is_none_or(|bits| bits & (SYS_ADMIN | PERFMON) != 0)
}

/// Returns the advice behind a refusal of the program: on the kernel where that is to blame.
fn hint(error: &(dyn Error + 'static)) -> &'static str {
    match os_number(error) {
        Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOSPC) => "",
        Some(libc::EAGAIN | libc::EINTR) => "; start again",
        _ => "; vxtap is made for Linux 6.1 and later",
    }
}

/// Returns the kernel's error in a few words: the errors of aya end in pages of the verifier's log.
pub(super) fn reason(error: &(dyn Error + 'static)) -> String {
    os_error(error).map_or_else(|| error.to_string(), io::Error::to_string)
}

#[cfg(test)]
mod tests {
    use aya::programs::ProgramError;
    use aya::sys::SyscallError;

    use super::*;

    fn load_error(code: i32) -> ProgramError {
        SyscallError { call: "bpf_prog_load", io_error: io::Error::from_raw_os_error(code) }.into()
    }

    #[test]
    fn each_error_is_one_sentence_that_says_what_to_do() {
        let interface = || "eth1".to_owned();
        let source = || Box::new(load_error(libc::EINVAL));
        let program = AttachedProgram { id: 7, name: Some("xdp_fw".into()) };
        let errors = [
            (
                SteeringError::of_load(load_error(libc::EPERM)),
                "not permitted to load the XDP program; run as root, or with the capabilities CAP_BPF, CAP_NET_ADMIN and \
                 CAP_PERFMON (and CAP_NET_RAW for the sockets)",
            ),
            (
                SteeringError::of_load(load_error(libc::EINVAL)),
                "the kernel refuses the XDP program (Invalid argument (os error 22)); vxtap is made for Linux 6.1 and later",
            ),
            (
                SteeringError::Map { map: "PORTS", source: source() },
                "the kernel refuses access to the BPF map PORTS (Invalid argument (os error 22))",
            ),
            (
                SteeringError::NoSuchQueue { queue: 1024, max: 1023 },
                "there is no place for RX queue 1024, 1023 is the highest; capture fewer queues",
            ),
            (
                SteeringError::Object { part: "PORTS" },
                "the embedded XDP object has no PORTS; rebuild it with `cargo xtask build-ebpf`",
            ),
            (
                SteeringError::AnotherEngine {
                    interface: interface(),
                    id: 7,
                    process_id: Some(4711),
                },
                "another vxtap engine already runs on eth1 (process 4711, XDP program 7); stop that one, or capture \
                 from another interface",
            ),
            (
                SteeringError::AnotherEngine { interface: interface(), id: 7, process_id: None },
                "another vxtap engine already runs on eth1 (XDP program 7); stop that one, or capture from another \
                 interface",
            ),
            (
                SteeringError::of_load(load_error(libc::EAGAIN)),
                "the kernel refuses the XDP program (Resource temporarily unavailable (os error 11)); start again",
            ),
            (
                SteeringError::ForeignProgram { interface: interface(), program },
                "eth1 already has the XDP program \"xdp_fw\" (id 7), which vxtap does not replace; see `bpftool prog show \
                 id 7` and `ip link show dev eth1`, and remove it if it is not needed",
            ),
            (
                SteeringError::NoNativeMode {
                    interface: interface(),
                    source: io::Error::from_raw_os_error(libc::EOPNOTSUPP),
                },
                "the driver of eth1 does not run this XDP program in native mode (Operation not supported (os error 95)); \
                 capture in generic mode",
            ),
            (
                SteeringError::MtuTooLarge { interface: interface(), mtu: 9001 },
                "the MTU of eth1 (9001), or of its peer if it is one end of a veth pair, is too large for its driver to run \
                 an XDP program; lower it with `ip link set dev eth1 mtu N`",
            ),
            (
                SteeringError::NoLink { interface: interface(), removed: true },
                "the kernel attaches to eth1 only in the way that outlives the process, which vxtap does not use; the \
                 program was taken off again",
            ),
            (
                SteeringError::NoLink { interface: interface(), removed: false },
                "the kernel attaches to eth1 only in the way that outlives the process, which vxtap does not use; the \
                 program could not be taken off again: run `ip link set dev eth1 xdp off`",
            ),
            (
                SteeringError::Attach { interface: interface(), source: source() },
                "cannot attach the XDP program to eth1 (Invalid argument (os error 22)); `dmesg` may say more, and the \
                 driver may want a lower MTU or fewer queues",
            ),
        ];
        for (error, text) in errors {
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn a_program_whose_name_is_unknown_is_still_told_by_its_id() {
        let program = AttachedProgram { id: 7, name: None };
        assert_eq!(program.to_string(), "an XDP program (id 7)");
    }
}
