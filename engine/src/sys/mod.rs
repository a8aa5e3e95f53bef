//! System interfaces behind safe functions: memory mappings, sealed memory, `recvmmsg(2)`, ethtool,
//! TAP devices, socket options, clocks, prefetching.
//!
//! Safe functions of rustix are called directly; the `unsafe` code here is for calls that it does
//! not have.

pub(crate) mod clock;
mod errno;
mod ethtool;
mod ioctl;
mod lock_holder;
pub(crate) mod mapping;
mod mutex;
mod poll;
pub(crate) mod prefetch;
mod promiscuous;
mod rcu;
pub(crate) mod recvmmsg;
pub(crate) mod sealed;
mod signals;
pub(crate) mod sockopt;
mod tap_device;

pub(crate) use clock::sleep_precisely;
pub(crate) use errno::{os_error, os_number};
pub(crate) use ethtool::{driver_of, merges_received, rx_queue_count, switch_offloads_off};
pub(crate) use lock_holder::lock_holder;
pub(crate) use mapping::Mapping;
pub(crate) use mutex::lock;
pub(crate) use poll::wait_for;
pub(crate) use prefetch::line as prefetch;
pub(crate) use promiscuous::hold_promiscuous;
pub(crate) use rcu::wait_for_kernel_readers;
pub(crate) use signals::without_signals;
pub(crate) use tap_device::open_tap;
