//! Safe wrappers of system interfaces that no crate here offers: mappings, sealed memory, ethtool,
//! TAP devices, receiving many datagrams with one call.

pub(crate) mod clock;
pub(crate) mod ethtool;
pub(crate) mod mapping;
pub(crate) mod prefetch;
pub(crate) mod sealed;
pub(crate) mod syscall;
pub(crate) mod tap_device;

pub(crate) use clock::sleep_precisely;
pub(crate) use ethtool::{driver_of, rx_queue_count, switch_offloads_off};
pub(crate) use mapping::Mapping;
pub(crate) use prefetch::line as prefetch;
pub(crate) use tap_device::open_tap;
