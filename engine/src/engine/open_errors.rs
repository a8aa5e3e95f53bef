//! Errors of opening an interface, and the reaction to each: another attempt, the next capture
//! mode, or the end.
//!
//! The next mode is tried only for an error that it can mend: a driver, a kernel or privileges that
//! do not suffice. A lack of descriptors or of memory would meet the next mode too, and a capture
//! that is worse than the system allows would go unnoticed.

use rustix::process::{Resource, getrlimit};

use super::EngineError;
use crate::steering::SteeringError;
use crate::sys::os_number;
use crate::xsk::{BindMode, SocketError};

/// A step of opening an interface in a mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Loading the XDP program and its maps.
    Load,
    /// Attaching it in native mode, or in generic mode for a driver without that.
    Attach,
    /// Opening an AF_XDP socket.
    Socket,
    /// Binding it for zero-copy.
    BindZeroCopy,
    /// Binding it for copies.
    BindCopy,
}

/// The reaction to an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reaction {
    /// Another attempt, for some time.
    Retry,
    /// The next capture mode, if there is one.
    NextMode,
    /// The error is the operator's.
    End,
}

use Reaction::{End, NextMode, Retry};

/// All steps.
const ANY: &[Step] = &[Step::Load, Step::Attach, Step::Socket, Step::BindZeroCopy, Step::BindCopy];

/// Error numbers that mean a lack of descriptors, of memory, or of room in a table of the system.
pub(super) const SHORTAGES: &[i32] = &[libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::ENOSPC];

/// Reactions by step and error number; the first row that fits counts, and without one
/// [`otherwise`].
const REACTIONS: &[(&[Step], &[i32], Reaction)] = &[
    // A signal came while the verifier ran; a driver that is being set up.
    (ANY, &[libc::EAGAIN, libc::EINTR], Retry),
    // A driver that lacks queues or memory of its own for XDP: the generic mode takes none.
    (&[Step::Attach, Step::BindZeroCopy], &[libc::ENOMEM, libc::ENOSPC], NextMode),
    (ANY, SHORTAGES, End),
    // No privileges; a kernel that is too old, or built without BPF.
    (
        &[Step::Load],
        &[
            libc::EPERM,
            libc::EACCES,
            libc::EINVAL,
            libc::E2BIG,
            libc::EOPNOTSUPP,
            libc::ENOSYS,
            ENOTSUPP,
        ],
        NextMode,
    ),
    // Drivers without XDP, or without it at this MTU or with these settings.
    (&[Step::Attach], &[libc::EPERM, libc::EOPNOTSUPP, libc::EINVAL, libc::ERANGE], NextMode),
    // No privileges; a kernel without AF_XDP.
    (
        &[Step::Socket],
        &[libc::EPERM, libc::EACCES, libc::EAFNOSUPPORT, libc::EPROTONOSUPPORT],
        NextMode,
    ),
    (&[Step::BindCopy], &[libc::EOPNOTSUPP], NextMode),
];

/// An error that the kernel should not show, and that drivers answer with nevertheless
/// ([`include/linux/errno.h`](https://github.com/torvalds/linux/blob/v6.12/include/linux/errno.h)).
const ENOTSUPP: i32 = 524;

/// Returns the reaction to an error number that no row has: drivers refuse a program or zero-copy
/// for reasons of their own, each with another number.
const fn otherwise(step: Step) -> Reaction {
    match step {
        Step::Attach | Step::BindZeroCopy => NextMode,
        Step::Load | Step::Socket | Step::BindCopy => End,
    }
}

/// Returns the reaction to an error of opening an interface.
pub(super) fn reaction(error: &EngineError) -> Reaction {
    match (step_of(error), number_of(error)) {
        (Some(step), Some(number)) => reaction_at(step, number),
        // The MTU is too large for the mode.
        _ if matches!(error, EngineError::Socket(SocketError::NoSegments { .. })) => NextMode,
        _ => End,
    }
}

fn reaction_at(step: Step, number: i32) -> Reaction {
    let row = REACTIONS
        .iter()
        .find(|(steps, numbers, _)| steps.contains(&step) && numbers.contains(&number));
    row.map_or_else(|| otherwise(step), |(_, _, reaction)| *reaction)
}

/// Returns the step at which an error came, if the reaction depends on its number.
fn step_of(error: &EngineError) -> Option<Step> {
    match error {
        EngineError::Steering(error) => match error {
            SteeringError::Load { .. }
            | SteeringError::Map { .. }
            | SteeringError::NotPermitted { .. } => Some(Step::Load),
            SteeringError::NoNativeMode { .. }
            | SteeringError::MtuTooLarge { .. }
            | SteeringError::Attach { .. } => Some(Step::Attach),
            _ => None,
        },
        EngineError::Socket(error) => match error {
            SocketError::NotPermitted | SocketError::Call { call: "socket", .. } => {
                Some(Step::Socket)
            }
            SocketError::Unsupported { mode: BindMode::ZeroCopy, .. } => Some(Step::BindZeroCopy),
            SocketError::Unsupported { .. } | SocketError::Call { .. } => Some(Step::BindCopy),
            _ => None,
        },
        _ => None,
    }
}

/// Returns the number (errno(3)) of an error.
fn number_of(error: &EngineError) -> Option<i32> {
    match error {
        EngineError::Steering(SteeringError::NotPermitted { .. })
        | EngineError::Socket(SocketError::NotPermitted) => Some(libc::EPERM),
        EngineError::Steering(SteeringError::MtuTooLarge { .. }) => Some(libc::ERANGE),
        other => os_number(other),
    }
}

/// Returns the reason against a mode, from the error that it caused.
pub(super) fn cause(error: &EngineError) -> String {
    match error {
        EngineError::Steering(SteeringError::NoNativeMode { source, .. }) => {
            format!("the driver has no native XDP ({source})")
        }
        EngineError::Socket(SocketError::Unsupported { mode, source, .. }) => {
            format!("the driver does not offer {mode} ({source})")
        }
        other => other.to_string(),
    }
}

impl EngineError {
    /// Turns an error that comes from a lack of descriptors or memory into one that says which
    /// limit to raise.
    pub(super) fn naming_shortage(self) -> Self {
        let Some(number) = os_number(&self) else { return self };
        let is_of_file = matches!(self, Self::Output(_) | Self::CaptureFile(_));
        let is_shortage = SHORTAGES.contains(&number) && !(is_of_file && number == libc::ENOSPC);
        if !is_shortage || matches!(self, Self::Shortage { .. }) {
            return self;
        }
        Self::Shortage { remedy: remedy(number), source: Box::new(self) }
    }
}

/// Returns a sentence that names the limit behind an error number of [`SHORTAGES`], and how to
/// raise it.
fn remedy(number: i32) -> String {
    match number {
        libc::EMFILE => {
            let limit = getrlimit(Resource::Nofile);
            let files = limit.current.map_or_else(|| "no more".to_owned(), |n| n.to_string());
            format!(
                "this process may open {files} files: raise LimitNOFILE= of its unit, or `ulimit -n`"
            )
        }
        libc::ENFILE => {
            "the system has no room for more open files: raise the limit with `sysctl -w \
                         fs.file-max=N`"
                .to_owned()
        }
        libc::ENOMEM => {
            "there is not enough memory: lower memory.per_queue_mib, capture fewer queues, \
                         or raise MemoryMax= of its unit"
                .to_owned()
        }
        _ => "a table of the kernel or of the driver is full: capture fewer queues, or stop other \
              programs that use XDP"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// Returns the error of a step as the lower layers make it of an error number.
    fn error_at(step: Step, number: i32) -> EngineError {
        let source = || io::Error::from_raw_os_error(number);
        let interface = || "eth1".to_owned();
        let queue = 0;
        match (step, number) {
            (Step::Load, _) => SteeringError::of_load(source()).into(),
            (Step::Attach, libc::EPERM) => {
                SteeringError::NotPermitted { what: "attach the XDP program" }.into()
            }
            (Step::Attach, libc::EOPNOTSUPP) => {
                SteeringError::NoNativeMode { interface: interface(), source: source() }.into()
            }
            (Step::Attach, libc::ERANGE) => {
                SteeringError::MtuTooLarge { interface: interface(), mtu: 9000 }.into()
            }
            (Step::Attach, _) => {
                let source = Box::new(source());
                SteeringError::Attach { interface: interface(), source }.into()
            }
            (Step::Socket, libc::EPERM | libc::EACCES) => SocketError::NotPermitted.into(),
            (Step::Socket, _) => {
                SocketError::Call { queue, call: "socket", source: source() }.into()
            }
            (Step::BindZeroCopy, _) => {
                let (mode, source) = (BindMode::ZeroCopy, source());
                SocketError::Unsupported { queue, mode, source }.into()
            }
            (Step::BindCopy, libc::EOPNOTSUPP) => {
                let (mode, source) = (BindMode::Copy, source());
                SocketError::Unsupported { queue, mode, source }.into()
            }
            (Step::BindCopy, _) => {
                SocketError::Call { queue, call: "bind", source: source() }.into()
            }
        }
    }

    #[test]
    fn the_next_mode_is_taken_only_for_what_it_can_mend() {
        use libc::*;
        for step in ANY {
            for number in [EMFILE, ENFILE, ENOMEM, ENOSPC] {
                let is_of_driver = matches!(step, Step::Attach | Step::BindZeroCopy)
                    && [ENOMEM, ENOSPC].contains(&number);
                let expected = if is_of_driver { NextMode } else { End };
                assert_eq!(reaction(&error_at(*step, number)), expected, "{step:?} {number}");
            }
            for number in [EAGAIN, EINTR] {
                assert_eq!(reaction(&error_at(*step, number)), Retry, "{step:?} {number}");
            }
        }
        for (step, numbers, expected) in [
            (
                Step::Load,
                &[EPERM, EACCES, EINVAL, E2BIG, EOPNOTSUPP, ENOSYS, ENOTSUPP][..],
                NextMode,
            ),
            (Step::Load, &[EFAULT, EIO, EBUSY], End),
            (Step::Attach, &[EPERM, EOPNOTSUPP, EINVAL, ERANGE, EBUSY, EIO], NextMode),
            (Step::Socket, &[EPERM, EACCES, EAFNOSUPPORT, EPROTONOSUPPORT], NextMode),
            (Step::Socket, &[EIO, EINVAL], End),
            (Step::BindZeroCopy, &[EOPNOTSUPP, EINVAL, EPERM, EBUSY, EIO], NextMode),
            (Step::BindCopy, &[EOPNOTSUPP], NextMode),
            (Step::BindCopy, &[EINVAL, ENODEV, ENXIO], End),
        ] {
            for number in numbers {
                assert_eq!(reaction(&error_at(step, *number)), expected, "{step:?} {number}");
            }
        }
        let too_long = SocketError::NoSegments {
            queue: 0,
            mode: BindMode::Copy,
            mtu_max: 3498,
            source: io::Error::from_raw_os_error(EINVAL),
        };
        assert_eq!(reaction(&too_long.into()), NextMode);
        assert_eq!(reaction(&SocketError::Busy { queue: 0 }.into()), End);
        assert_eq!(reaction(&SocketError::LockedMemory { needed_kib: 1 }.into()), End);
        let foreign =
            SteeringError::AnotherEngine { interface: "eth1".to_owned(), id: 7, process_id: None };
        assert_eq!(reaction(&foreign.into()), End);
    }

    #[test]
    fn each_shortage_has_a_sentence_that_says_what_to_raise() {
        for (number, remedy) in [
            (libc::EMFILE, "raise LimitNOFILE= of its unit, or `ulimit -n` ("),
            (libc::ENFILE, "raise the limit with `sysctl -w fs.file-max=N` ("),
            (libc::ENOMEM, "lower memory.per_queue_mib, capture fewer queues, or raise MemoryMax="),
            (libc::ENOSPC, "capture fewer queues, or stop other programs that use XDP ("),
        ] {
            let text = error_at(Step::Load, number).naming_shortage().to_string();
            assert!(text.contains(remedy), "{text}");
            assert!(text.contains("the kernel refuses the XDP program ("), "{text}");
            assert!(!text.contains("Linux 6.1"), "{text}");
        }
        let other = error_at(Step::Load, libc::EINVAL).naming_shortage();
        assert!(matches!(other, EngineError::Steering(_)), "{other}");
        let locked: EngineError = SocketError::LockedMemory { needed_kib: 1 }.into();
        assert!(
            matches!(locked.naming_shortage(), EngineError::Socket(_)),
            "it says what to raise"
        );
    }
}
