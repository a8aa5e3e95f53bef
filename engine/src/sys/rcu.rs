//! Waiting until the kernel has let go of an object.

use std::thread;
use std::time::Duration;

use rustix::thread::{MembarrierCommand, membarrier};

/// Time to wait if the kernel has no way of telling: interrupt handlers that run an XDP program are
/// done within a few milliseconds.
const WITHOUT_ANSWER: Duration = Duration::from_millis(20);

/// Waits until all XDP programs that run now have ended, and the frames that they have redirected
/// are in their sockets.
///
/// A driver runs the program and delivers the frames in one section in which RCU readers are (see
/// [`Documentation/networking/napi.rst`](https://github.com/torvalds/linux/blob/v6.12/Documentation/networking/napi.rst)),
/// and membarrier(2) with `MEMBARRIER_CMD_GLOBAL` waits for the end of all such sections
/// ([`kernel/sched/membarrier.c`](https://github.com/torvalds/linux/blob/v6.12/kernel/sched/membarrier.c)).
/// It takes up to some 30 ms, on a machine with one CPU none at all: there no program runs beside
/// this one. Kernels with CPUs free of ticks (`nohz_full`) refuse; then the time is fixed.
pub(crate) fn wait_for_kernel_readers() {
    if membarrier(MembarrierCommand::Global).is_err() {
        thread::sleep(WITHOUT_ANSWER);
    }
}
