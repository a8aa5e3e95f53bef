//! Capture modes: how frames get from the wire into memory, and the order in which they are tried.

use crate::config::CaptureMode;
use crate::steering::AttachMode;
use crate::xsk::BindMode;

/// The mode in which an interface is captured, after fallback from the configured one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActiveMode {
    /// Native XDP; the NIC writes into the UMEM.
    ZeroCopy,
    /// Native XDP; the kernel copies into the UMEM.
    NativeCopy,
    /// Generic XDP (`XDP_FLAGS_SKB_MODE`): runs after the kernel has made a socket buffer of the
    /// frame.
    Generic,
    /// UDP sockets of the kernel stack.
    Socket,
    /// A capture file.
    CaptureFile,
}

/// A mode that was not taken, with the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModeFallback {
    /// The mode.
    pub mode: ActiveMode,
    /// Reason why it was left out or does not work: a clause, without full stop.
    pub reason: String,
}

/// Reason to leave out zero-copy on Amazon's driver; sources are in docs/tuning.md.
const ENA_ZERO_COPY: &str = "not tried on an ENA: its zero-copy drops frames in several buffers, is slower than copying \
                             where it was measured, and takes the link down for a moment for each queue; \
                             capture.mode = \"zero-copy\" forces it";

/// Reason to leave out all modes with an XDP program.
const NO_ETHERNET: &str = "its packets have no Ethernet header";

impl ActiveMode {
    /// The modes of an interface, the best first.
    const FALLBACK_ORDER: [Self; 4] =
        [Self::ZeroCopy, Self::NativeCopy, Self::Generic, Self::Socket];

    /// Returns the modes to try, in this order, and the modes that are left out. All but UDP
    /// sockets need frames with an Ethernet header.
    pub(super) fn to_try(
        mode: CaptureMode,
        driver: Option<&str>,
        has_ethernet_header: bool,
    ) -> (Vec<Self>, Vec<ModeFallback>) {
        match mode {
            CaptureMode::Auto if !has_ethernet_header => {
                let (sockets, others) = Self::FALLBACK_ORDER.split_last().expect("not empty");
                let left_out = |&mode| ModeFallback { mode, reason: NO_ETHERNET.to_owned() };
                (vec![*sockets], others.iter().map(left_out).collect())
            }
            CaptureMode::Auto if driver == Some("ena") => {
                let left_out =
                    ModeFallback { mode: Self::ZeroCopy, reason: ENA_ZERO_COPY.to_owned() };
                (Self::FALLBACK_ORDER[1..].into(), vec![left_out])
            }
            CaptureMode::Auto => (Self::FALLBACK_ORDER.into(), Vec::new()),
            CaptureMode::ZeroCopy => (vec![Self::ZeroCopy], Vec::new()),
            CaptureMode::Native => (vec![Self::NativeCopy], Vec::new()),
            CaptureMode::Generic => (vec![Self::Generic], Vec::new()),
            CaptureMode::Socket => (vec![Self::Socket], Vec::new()),
        }
    }

    /// Returns how the XDP program is attached and the AF_XDP sockets are bound in this mode;
    /// `None` if it has neither.
    pub(super) const fn xdp(self) -> Option<(AttachMode, BindMode)> {
        match self {
            Self::ZeroCopy => Some((AttachMode::Native, BindMode::ZeroCopy)),
            Self::NativeCopy => Some((AttachMode::Native, BindMode::Copy)),
            Self::Generic => Some((AttachMode::Generic, BindMode::Copy)),
            Self::Socket | Self::CaptureFile => None,
        }
    }
}

impl std::fmt::Display for ActiveMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::ZeroCopy => "zero-copy",
            Self::NativeCopy => "native copy",
            Self::Generic => "generic copy",
            Self::Socket => "UDP socket",
            Self::CaptureFile => "capture file",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fallback_order_begins_at_the_best_mode_but_on_an_ena() {
        let (modes, left_out) = ActiveMode::to_try(CaptureMode::Auto, Some("mlx5_core"), true);
        assert_eq!((modes.len(), modes[0], left_out), (4, ActiveMode::ZeroCopy, Vec::new()));
        let (modes, left_out) = ActiveMode::to_try(CaptureMode::Auto, Some("ena"), true);
        assert_eq!((modes[0], left_out[0].mode), (ActiveMode::NativeCopy, ActiveMode::ZeroCopy));
        let forced = ActiveMode::to_try(CaptureMode::ZeroCopy, Some("ena"), true);
        assert_eq!(forced, (vec![ActiveMode::ZeroCopy], Vec::new()));
    }

    #[test]
    fn an_interface_without_ethernet_header_is_left_to_udp_sockets() {
        let (modes, left_out) = ActiveMode::to_try(CaptureMode::Auto, Some("tun"), false);
        assert_eq!((modes, left_out.len()), (vec![ActiveMode::Socket], 3));
    }
}
