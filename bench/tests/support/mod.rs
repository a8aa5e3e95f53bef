//! Traffic and its limits, for several tests.

use std::num::NonZeroU64;

use vxtap_bench::{Pace, Profile, SendLimits, Traffic};

/// Returns a profile of `count` frames.
pub(crate) fn profile(count: u64) -> Profile {
    Profile { count: Some(count), ..Profile::default() }
}

pub(crate) const fn per_second(rate: u64) -> Pace {
    Pace::PerSecond(NonZeroU64::new(rate).expect("not zero"))
}

/// Returns limits with this pace and no end.
pub(crate) const fn limits(pace: Pace) -> SendLimits<'static> {
    SendLimits { pace, duration: None, stop: None }
}

/// Returns the frames of a profile.
pub(crate) fn made(profile: &Profile) -> Vec<Vec<u8>> {
    let mut traffic = Traffic::new(profile).expect("valid profile");
    let mut frame = Vec::new();
    std::iter::from_fn(|| traffic.next_frame(&mut frame).map(|_| frame.clone())).collect()
}
