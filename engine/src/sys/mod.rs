//! System interfaces behind safe functions: memory mappings, sealed memory, `recvmmsg(2)`, ethtool,
//! TAP devices, socket options, clocks, prefetching.
//!
//! Safe functions of rustix are called directly; the `unsafe` code here is for calls that it does
//! not have.

pub(crate) mod clock;
mod ethtool;
mod ioctl;
pub(crate) mod mapping;
mod mutex;
mod poll;
pub(crate) mod prefetch;
pub(crate) mod recvmmsg;
pub(crate) mod sealed;
pub(crate) mod sockopt;
mod tap_device;

pub(crate) use clock::sleep_precisely;
pub(crate) use ethtool::{driver_of, rx_queue_count, switch_offloads_off};
pub(crate) use mapping::Mapping;
pub(crate) use mutex::lock;
pub(crate) use poll::wait_for;
pub(crate) use prefetch::line as prefetch;
pub(crate) use tap_device::open_tap;
