//! The parts that vxgen and its eBPF object share: names, limits and layouts of the maps, and the
//! due times of frames.
//!
//! The object has three parts. `vxgen` makes frames out of a table, once per frame in a test run
//! with live frames; `vxgen_flushed` and `vxgen_failed` count their outcomes at the kernel's
//! tracepoints; `vxdrop` counts mirrored traffic and drops it, on the receiving end of a
//! measurement.
//!
//! Values are made of 64-bit integers in host byte order, so that a loader can write and read them
//! as arrays.

/// Program that makes the frames; run by `BPF_PROG_TEST_RUN` with `BPF_F_TEST_XDP_LIVE_FRAMES`.
pub const PROGRAM: &str = "vxgen";
/// Program for the tracepoint [`FLUSH_TRACEPOINT`].
pub const FLUSH_PROGRAM: &str = "vxgen_flushed";
/// Program for the tracepoint [`FAIL_TRACEPOINT`].
pub const FAIL_PROGRAM: &str = "vxgen_failed";
/// Program that counts and drops; attached to an interface.
pub const DROP_PROGRAM: &str = "vxdrop";

/// The kernel hands a bulk of frames to a device (`include/trace/events/xdp.h`: from, to, sent,
/// drops, err).
pub const FLUSH_TRACEPOINT: &str = "xdp_devmap_xmit";
/// The kernel refuses to hand a frame to a device (same file: dev, xdp, tgt, err, map type, map id,
/// index).
pub const FAIL_TRACEPOINT: &str = "xdp_redirect_err";

/// DEVMAP with the one interface to send on.
pub const DEVICE: &str = "DEVICE";
/// One-element array holding [`Settings`].
pub const SETTINGS: &str = "SETTINGS";
/// One-element array holding [`Progress`].
pub const PROGRESS: &str = "PROGRESS";
/// Array of [`Head`], one per frame of the table.
pub const HEADS: &str = "HEADS";
/// Array of [`Whole`], one per frame of the table.
pub const WHOLES: &str = "WHOLES";
/// One-element per-CPU array holding [`Flushed`].
pub const FLUSHED: &str = "FLUSHED";
/// One-element per-CPU array holding [`Dropped`].
pub const DROPPED: &str = "DROPPED";

/// Entries of [`HEADS`] and [`WHOLES`] as the object declares them; the loader sets what it needs,
/// up to [`TABLE_MAX`].
pub const TABLE_LEN: u32 = 1024;
/// Most entries of [`HEADS`] and [`WHOLES`]: an entry takes 3.3 KB of kernel memory.
pub const TABLE_MAX: u32 = 16_384;
/// First bytes of a frame, which are written for every frame: all headers of the common protocols.
pub const HEAD_LEN: usize = 128;
/// Longest frame in bytes. A live frame shares its page with the kernel's bookkeeping, which leaves
/// 3408 bytes on `x86_64` and less where cache lines are longer
/// (`tools/testing/selftests/bpf/prog_tests/xdp_do_redirect.c`).
pub const FRAME_MAX: usize = 3200;

/// Frames to send. Written once, before the first run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Settings {
    /// Frames to hand over in all; `u64::MAX`: no end.
    pub count: u64,
    /// Nanoseconds after the first frame at which the sending ends; `u64::MAX`: no end.
    pub duration_ns: u64,
    /// Frames in the table, at least 1.
    pub table_len: u64,
    /// Every so many frames one is written whole, the first included; 0: none is.
    pub proof_every: u64,
    /// Bytes of the template that the kernel makes each page from, at least [`HEAD_LEN`].
    pub template_len: u64,
    /// Time from a frame to the next.
    pub step: Step,
}

/// Words of [`Settings`].
pub const SETTINGS_WORDS: usize = 8;

impl Settings {
    /// The value of the map.
    pub const fn words(&self) -> [u64; SETTINGS_WORDS] {
        let Self { count, duration_ns, table_len, proof_every, template_len, step } = *self;
        [
            count,
            duration_ns,
            table_len,
            proof_every,
            template_len,
            step.whole_ns,
            step.rest,
            step.rate,
        ]
    }
}

/// The time between two frames, as an exact fraction: `whole_ns + rest / rate` nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Step {
    /// Whole nanoseconds.
    pub whole_ns: u64,
    /// Remainder in units of 1/rate nanoseconds; below `rate`, or 0.
    pub rest: u64,
    /// Frames per second; 0: as fast as possible.
    pub rate: u64,
}

impl Step {
    /// The step of a rate in frames per second; 0 for as fast as possible.
    pub const fn of_rate(rate: u64) -> Self {
        const SECOND: u64 = 1_000_000_000;
        match SECOND.checked_div(rate) {
            Some(whole_ns) => Self { whole_ns, rest: SECOND % rate, rate },
            None => Self { whole_ns: 0, rest: 0, rate: 0 },
        }
    }
}

/// Progress of the sending. Written by the program alone, on one CPU at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Progress {
    /// Frames handed over.
    pub number: u64,
    /// Place in the table of the next one.
    pub index: u64,
    /// Frames until one is written whole.
    pub until_whole: u64,
    /// When the next frame is due.
    pub due: Due,
    /// `CLOCK_MONOTONIC` at the first frame, in nanoseconds; 0 before it.
    pub first_ns: u64,
    /// `CLOCK_MONOTONIC` at the last frame, in nanoseconds; at full speed up to [`CLOCK_EVERY`]
    /// frames old.
    pub last_ns: u64,
    /// 1 when the count or the duration is reached.
    pub ended: u64,
}

/// Words of [`Progress`].
pub const PROGRESS_WORDS: usize = 8;

impl Progress {
    /// Reads the value of the map.
    pub const fn from_words(words: &[u64; PROGRESS_WORDS]) -> Self {
        let [number, index, until_whole, after_ns, rest, first_ns, last_ns, ended] = *words;
        Self { number, index, until_whole, due: Due { after_ns, rest }, first_ns, last_ns, ended }
    }
}

/// At full speed the clock is read for every so many frames: a power of two.
pub const CLOCK_EVERY: u64 = 32;

/// When a frame is due, counted from the first one: `after_ns + rest / rate` nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Due {
    /// Whole nanoseconds.
    pub after_ns: u64,
    /// Remainder in units of 1/rate nanoseconds.
    pub rest: u64,
}

impl Due {
    /// When the frame after this one is due. Nothing is rounded, so that no rate drifts.
    #[inline]
    #[must_use]
    pub const fn next(self, step: &Step) -> Self {
        let after_ns = self.after_ns + step.whole_ns;
        let rest = self.rest + step.rest;
        if rest >= step.rate && step.rate != 0 {
            Self { after_ns: after_ns + 1, rest: rest - step.rate }
        } else {
            Self { after_ns, rest }
        }
    }
}

/// The start of a frame, as it is written into a page that holds an older frame's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Head {
    /// Bytes of the frame, 14 to [`FRAME_MAX`].
    pub frame_len: u64,
    /// Offset of the mark of the proof that must not stay behind in the page, if it ends after
    /// [`HEAD_LEN`] bytes; else 0. Below [`MARK_AT_MAX`].
    pub mark_at: u64,
    /// The first bytes, without the mark of the proof.
    pub bytes: [u64; HEAD_LEN / 8],
}

/// Words of [`Head`].
pub const HEAD_WORDS: usize = 2 + HEAD_LEN / 8;

impl Head {
    /// The value of the map.
    pub const fn words(&self) -> [u64; HEAD_WORDS] {
        let Self { frame_len, mark_at, bytes } = self;
        let mut words = [0; HEAD_WORDS];
        words[0] = *frame_len;
        words[1] = *mark_at;
        let mut i = 0;
        while i < bytes.len() {
            words[2 + i] = bytes[i];
            i += 1;
        }
        words
    }
}

/// Limit of [`Head::mark_at`]: a power of two.
pub const MARK_AT_MAX: u64 = 256;
/// Bytes of the mark that [`Head::mark_at`] speaks of.
pub const MARK_LEN: usize = 4;

/// A whole frame with its proof; what comes after its end is not read.
pub type Whole = [u8; FRAME_MAX];

/// Outcomes of the frames that were handed over on a CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Flushed {
    /// Frames handed over whose outcome is not known yet. The kernel decides about them before
    /// anything else can hand over frames on this CPU, so that an event on a CPU without such
    /// frames is about those of another sender.
    pub pending: u64,
    /// Frames that the device took.
    pub sent: u64,
    /// Frames that the device did not take.
    pub refused: u64,
    /// Frames that the kernel did not even offer to the device.
    pub failed: u64,
    /// Error number of the last failure or refusal; 0: none.
    pub errno: u64,
}

/// Words of [`Flushed`].
pub const FLUSHED_WORDS: usize = 5;

impl Flushed {
    /// Reads the values of the map, one per CPU, and adds them up.
    pub fn sum<'a>(cpus: impl Iterator<Item = &'a [u64; FLUSHED_WORDS]>) -> Self {
        cpus.fold(Self::default(), |sum, &[pending, sent, refused, failed, errno]| Self {
            pending: sum.pending + pending,
            sent: sum.sent + sent,
            refused: sum.refused + refused,
            failed: sum.failed + failed,
            errno: sum.errno.max(errno),
        })
    }
}

/// Traffic that `vxdrop` counted on a CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Dropped {
    /// UDP datagrams to port 4789, over IPv4 without options or IPv6 without extension headers.
    pub frames: u64,
    /// Bytes of their inner frames: what comes after the VXLAN header.
    pub inner_bytes: u64,
    /// Everything else.
    pub foreign: u64,
}

/// Words of [`Dropped`].
pub const DROPPED_WORDS: usize = 3;

impl Dropped {
    /// Reads the values of the map, one per CPU, and adds them up.
    pub fn sum<'a>(cpus: impl Iterator<Item = &'a [u64; DROPPED_WORDS]>) -> Self {
        cpus.fold(Self::default(), |sum, &[frames, inner_bytes, foreign]| Self {
            frames: sum.frames + frames,
            inner_bytes: sum.inner_bytes + inner_bytes,
            foreign: sum.foreign + foreign,
        })
    }
}

const _: () = assert!(size_of::<Settings>() == 8 * SETTINGS_WORDS);
const _: () = assert!(size_of::<Progress>() == 8 * PROGRESS_WORDS);
const _: () = assert!(size_of::<Head>() == 8 * HEAD_WORDS);
const _: () = assert!(size_of::<Flushed>() == 8 * FLUSHED_WORDS);
const _: () = assert!(size_of::<Dropped>() == 8 * DROPPED_WORDS);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Small ones too, where many frames are due at whole nanoseconds.
    fn rates() -> impl Strategy<Value = u64> {
        prop_oneof![1..1000_u64, 1..10_000_000_000_u64]
    }

    proptest! {
        #[test]
        fn frame_n_is_due_n_seconds_divided_by_the_rate_after_the_first(rate in rates(), frames in 0..3000_u64) {
            let step = Step::of_rate(rate);
            let due = (0..frames).fold(Due::default(), |due, _| due.next(&step));
            let exact = u128::from(frames) * 1_000_000_000;
            prop_assert_eq!(u128::from(due.after_ns), exact / u128::from(rate));
            prop_assert_eq!(u128::from(due.rest), exact % u128::from(rate));
        }
    }

    #[test]
    fn at_full_speed_every_frame_is_due_at_once() {
        assert_eq!(Due::default().next(&Step::of_rate(0)), Due::default());
    }

    #[test]
    fn counters_of_all_cpus_are_added_up() {
        let sum = Flushed::sum([[1, 20, 3, 4, 95], [0, 1, 2, 0, 0]].iter());
        assert_eq!(sum, Flushed { pending: 1, sent: 21, refused: 5, failed: 4, errno: 95 });
        let sum = Dropped::sum([[1, 100, 0], [2, 200, 7]].iter());
        assert_eq!(sum, Dropped { frames: 3, inner_bytes: 300, foreign: 7 });
    }
}
