//! Prefetching: hints to the CPU about memory that will be read soon.

/// Starts to load the cache line that `address` lies in into all levels of the cache. Never faults,
/// whatever the address. Does nothing on architectures other than `x86_64` and `aarch64`.
#[inline]
pub(crate) fn line(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint that neither faults nor changes memory, and SSE is part of x86_64.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a hint that neither faults nor changes memory or registers.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{}]", in(reg) address, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = address;
}
