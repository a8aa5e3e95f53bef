//! Memory of a queue: lengths of its rings, and the number of chunks that they need.

use super::error::{ConfigError, Problem, Violation};
use super::key::KeyPath;
use super::limit::Limit;
use super::output::OUTPUTS_MAX;

/// Maximum number of frames that a worker takes from the RX ring at once. Meanwhile they are in no
/// ring, so that each queue needs this many chunks on top of its rings.
pub const BATCH_MAX: u32 = 64;

const OUTPUT_RING_LEN_MIN: u32 = 64;
const OUTPUT_RING_LEN_MAX: u32 = 65_536;
/// `vxtap tail` is for short looks: it loses frames rather than take memory from the outputs.
const TAIL_RING_LEN_MAX: u64 = 2048;
/// A shorter ring overflows while its reader sleeps.
const TAIL_RING_LEN_MIN: u64 = 256;

/// The end of the range, 64 GiB, holds the largest rings of 250 outputs.
pub(super) const PER_QUEUE_MIB: Limit = Limit::Range(1, 65_536);
/// An AF_XDP chunk is a power of two from 2048 bytes to a page (`xdp_umem_reg` in
/// [`net/xdp/xdp_umem.c`](https://github.com/torvalds/linux/blob/v6.12/net/xdp/xdp_umem.c)).
pub(super) const CHUNK_SIZE: Limit = Limit::Either(2048, CHUNK_SIZE_MAX as u64);
const CHUNK_SIZE_MAX: u32 = 4096;
pub(super) const MAX_OUTPUTS: Limit = Limit::Range(1, OUTPUTS_MAX as u64);
/// The kernel accepts powers of two only (`xsk_init_queue` in
/// [`net/xdp/xsk.c`](https://github.com/torvalds/linux/blob/v6.12/net/xdp/xsk.c)). A ring has to
/// hold a batch.
pub(super) const RING_LEN: Limit =
    Limit::PowerOfTwo(OUTPUT_RING_LEN_MIN as u64, OUTPUT_RING_LEN_MAX as u64);

/// Memory of each queue. Table `[memory]` of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Maximum size of the UMEM of one queue in MiB, 1 to 65536. Default: 80. Too low for the rings
    /// is an error; low means short output rings, so that a pausing output drops sooner; high costs
    /// memory, which stays locked.
    pub per_queue_mib: u32,
    /// Size of a chunk in bytes, 2048 or 4096. Default: `None`, 2048 if the interface's MTU fits
    /// (up to 1754), else 4096; the rings are planned for 4096. The kernel and the arrival time
    /// take 272 bytes of it. Too low for the interface's MTU is an error at the start of the
    /// engine; too high spreads the frames over more memory than the caches hold.
    pub chunk_size: Option<u32>,
    /// Entries of the fill ring, a power of two from 64 to 65536. Default: 8192. The kernel has at
    /// most as many chunks as the longer one of this and `rx_ring`. Too low: frames are dropped
    /// while the worker is preempted; too high takes chunks from the outputs.
    pub fill_ring: u32,
    /// Entries of the RX ring, a power of two from 64 to 65536. Default: 8192, 4 ms at 2 million
    /// frames per second: a time slice of the scheduler. Too low: bursts that arrive while the
    /// worker is preempted are dropped; too high takes chunks from the outputs.
    pub rx_ring: u32,
    /// Entries of each output ring, a power of two from 64 to 65536. Default: `None`, the largest
    /// that the budget allows. Too low: a pausing output drops; too high for the budget is an
    /// error.
    pub output_ring: Option<u32>,
    /// Number of outputs that the memory is planned for, 1 to 255. Default: `None`, the number of
    /// configured outputs, and one that a reload adds or changes, with rings from the memory that
    /// the others leave. Too low is an error; a higher number leaves room for outputs that a reload
    /// adds, and shortens the output rings.
    pub max_outputs: Option<u32>,
    /// `true` if the UMEM is allocated in huge pages of 2 MiB. Default: false. If the system has
    /// too few, ordinary pages are used and a diagnostic says so.
    pub hugepages: bool,
}

/// Result of dividing the memory budget of one queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Chunks of the UMEM.
    pub chunk_count: u32,
    /// Entries of each output ring.
    pub output_ring_len: u32,
    /// Entries of a further output ring, for an output that a reload adds or changes, from the
    /// memory that the planned ones leave: 64 to `output_ring_len`, or 0 if they leave less or
    /// [`Memory::max_outputs`] is set.
    pub spare_ring_len: u32,
    /// Entries of the ring reserved for `vxtap tail` from the memory that all of these leave: 256
    /// to 2048, or 0 if they leave less.
    pub tail_ring_len: u32,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            per_queue_mib: 80,
            chunk_size: None,
            fill_ring: 8192,
            rx_ring: 8192,
            output_ring: None,
            max_outputs: None,
            hugepages: false,
        }
    }
}

impl Memory {
    /// Plans the UMEM of one queue for a number of outputs. Everything can be full at the same
    /// time: the longer one of fill ring and RX ring, a batch at the worker, and every output ring.
    /// A slow consumer therefore never takes chunks from the others. Memory is planned for at least
    /// one output, and for at least [`Self::max_outputs`].
    ///
    /// # Errors
    ///
    /// [`ConfigError::InProgram`] if a field is outside its range or the budget is too small for
    /// the rings.
    pub fn plan(&self, outputs: usize) -> Result<MemoryPlan, ConfigError> {
        self.check_fields()?;
        Ok(self
            .divide(outputs)
            .map_err(|problem| problem.at(KeyPath::top("memory").key("per_queue_mib")))?)
    }

    /// Returns the chunk size in bytes, or its upper bound if it depends on the interface.
    pub fn chunk_size_max(&self) -> u32 {
        self.chunk_size.unwrap_or(CHUNK_SIZE_MAX)
    }

    pub(super) fn check(&self, outputs: usize) -> Result<(), Violation> {
        self.check_fields()?;
        if let Some(planned) = self.max_outputs
            && (planned as usize) < outputs
        {
            let allowed = format!("at least {outputs}, the number of outputs that are configured");
            return Err(
                Problem::refused(planned, allowed).at(KeyPath::top("memory").key("max_outputs"))
            );
        }
        self.divide(outputs).map(drop).map_err(|problem| {
            let memory = KeyPath::top("memory");
            let mut keys: Vec<_> =
                ["per_queue_mib", "chunk_size", "fill_ring", "rx_ring", "output_ring"]
                    .map(|key| memory.key(key))
                    .into();
            keys.extend(outputs.checked_sub(1).map(|last| KeyPath::top("output").index(last)));
            problem.between(keys)
        })
    }

    fn check_fields(&self) -> Result<(), Violation> {
        let Self {
            per_queue_mib,
            chunk_size,
            fill_ring,
            rx_ring,
            output_ring,
            max_outputs,
            hugepages: _,
        } = *self;
        let fields = [
            ("per_queue_mib", PER_QUEUE_MIB, Some(per_queue_mib)),
            ("chunk_size", CHUNK_SIZE, chunk_size),
            ("fill_ring", RING_LEN, Some(fill_ring)),
            ("rx_ring", RING_LEN, Some(rx_ring)),
            ("output_ring", RING_LEN, output_ring),
            ("max_outputs", MAX_OUTPUTS, max_outputs),
        ];
        for (key, limit, number) in fields {
            let Some(number) = number else { continue };
            limit.check(number).map_err(|problem| problem.at(KeyPath::top("memory").key(key)))?;
        }
        Ok(())
    }

    /// Divides the budget. The fields have been checked.
    fn divide(&self, outputs: usize) -> Result<MemoryPlan, Problem> {
        let outputs = self.outputs_planned(outputs);
        let ring_count = u64::try_from(outputs).unwrap_or(u64::MAX);
        let chunks_max = u64::from(self.per_queue_mib) * MIB / u64::from(self.chunk_size_max());
        let for_outputs = chunks_max.saturating_sub(self.chunks_beside_outputs());
        let len_max = (for_outputs / ring_count).min(u64::from(OUTPUT_RING_LEN_MAX));
        let len = self.output_ring.map_or_else(|| power_of_two_below(len_max), u64::from);
        if len > len_max || len < u64::from(OUTPUT_RING_LEN_MIN) {
            return Err(self.too_small(outputs));
        }
        let chunk_count = self.chunks_beside_outputs() + ring_count * len;
        let left = chunks_max - chunk_count;
        let spare = if self.max_outputs.is_some() { 0 } else { spare_ring_len(left, len) };
        let tail = ring_len(left - spare, TAIL_RING_LEN_MIN, TAIL_RING_LEN_MAX);
        let numbers = [chunk_count + spare + tail, len, spare, tail].map(u32::try_from);
        let [Ok(chunk_count), Ok(output_ring_len), Ok(spare_ring_len), Ok(tail_ring_len)] = numbers
        else {
            return Err(self.too_small(outputs));
        };
        Ok(MemoryPlan { chunk_count, output_ring_len, spare_ring_len, tail_ring_len })
    }

    /// Returns the number of outputs that memory is planned for, given the number of configured
    /// ones.
    pub fn outputs_planned(&self, outputs: usize) -> usize {
        outputs.max(self.max_outputs.unwrap_or(1) as usize)
    }

    fn chunks_beside_outputs(&self) -> u64 {
        u64::from(self.fill_ring.max(self.rx_ring)) + u64::from(BATCH_MAX)
    }

    fn too_small(&self, outputs: usize) -> Problem {
        let Self { per_queue_mib, fill_ring, rx_ring, output_ring, .. } = *self;
        let chunk_size = self.chunk_size_max();
        let output_ring_len = output_ring.unwrap_or(OUTPUT_RING_LEN_MIN);
        let for_outputs =
            u64::try_from(outputs).unwrap_or(u64::MAX).saturating_mul(u64::from(output_ring_len));
        let chunks = self.chunks_beside_outputs().saturating_add(for_outputs);
        let needed_mib = chunks.saturating_mul(u64::from(chunk_size)).div_ceil(MIB);
        let batch = BATCH_MAX;
        Problem::MemoryTooSmall {
            per_queue_mib,
            fill_ring,
            rx_ring,
            batch,
            outputs,
            output_ring_len,
            chunk_size,
            needed_mib,
        }
    }
}

const MIB: u64 = 1 << 20;

/// Returns the length of the ring for one output more, given the chunks that are left. The ring of
/// `vxtap tail` takes its least before that.
fn spare_ring_len(left: u64, output_ring_len: u64) -> u64 {
    let beside_tail = left.saturating_sub(TAIL_RING_LEN_MIN);
    let min = u64::from(OUTPUT_RING_LEN_MIN);
    ring_len(if beside_tail < min { left } else { beside_tail }, min, output_ring_len)
}

/// Returns the length of the longest ring from `min` to `max` entries that chunks suffice for; 0 if
/// there is none.
fn ring_len(chunks: u64, min: u64, max: u64) -> u64 {
    let len = power_of_two_below(chunks.min(max));
    if len < min { 0 } else { len }
}

/// Returns the largest power of two that is not above the number; 0 for 0.
const fn power_of_two_below(number: u64) -> u64 {
    match number.checked_ilog2() {
        Some(exponent) => 1 << exponent,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_default_budget_gives_one_output_a_ring_of_8192() {
        let plan = Memory::default().plan(1).expect("the default is valid");
        assert_eq!(
            plan,
            MemoryPlan {
                chunk_count: 8192 + 64 + 8192 + 2048 + 1024,
                output_ring_len: 8192,
                spare_ring_len: 2048,
                tail_ring_len: 1024
            }
        );
    }

    #[test]
    fn more_outputs_share_the_same_budget() {
        let lens =
            [0, 1, 2, 3, 10].map(|n| Memory::default().plan(n).expect("fits").output_ring_len);
        assert_eq!(lens, [8192, 8192, 4096, 2048, 1024]);
    }

    #[test]
    fn outputs_that_may_come_later_are_planned_like_those_that_are_there() {
        let memory = Memory { max_outputs: Some(3), ..Memory::default() };
        let plans = [1, 3, 4].map(|outputs| memory.plan(outputs).expect("fits"));
        assert_eq!(plans.map(|plan| plan.output_ring_len), [2048, 2048, 2048]);
        assert_eq!(
            plans.map(|plan| plan.chunk_count),
            [3, 3, 4].map(|outputs| 8256 + outputs * 2048 + 2048)
        );
    }

    #[test]
    fn there_is_room_for_one_output_more_if_any_is_left_and_the_number_is_not_set() {
        let spare = |per_queue_mib, max_outputs| {
            let memory = Memory { per_queue_mib, max_outputs, ..Memory::default() };
            let plan = memory.plan(1).expect("fits");
            (plan.output_ring_len, plan.spare_ring_len, plan.tail_ring_len)
        };
        assert_eq!(spare(80, Some(1)), (8192, 0, 2048));
        assert_eq!(
            [33, 34, 36, 48].map(|per_queue_mib| spare(per_queue_mib, None)),
            [(128, 64, 0), (256, 128, 0), (512, 128, 256), (2048, 1024, 512)]
        );
    }

    #[test]
    fn a_large_budget_does_not_lengthen_output_rings_beyond_65536() {
        let memory = Memory { per_queue_mib: 65_536, ..Memory::default() };
        let plan = memory.plan(2).expect("fits");
        assert_eq!(
            plan,
            MemoryPlan {
                chunk_count: 8256 + 3 * 65_536 + 2048,
                output_ring_len: 65_536,
                spare_ring_len: 65_536,
                tail_ring_len: 2048
            }
        );
    }

    #[test]
    fn the_error_names_the_lowest_budget_that_suffices() {
        let needed = |memory: &Memory, outputs| match memory.plan(outputs) {
            Err(ConfigError::InProgram {
                problem: Problem::MemoryTooSmall { needed_mib, .. },
                ..
            }) => needed_mib,
            other => panic!("{other:?}"),
        };
        let memory = Memory { per_queue_mib: 1, ..Memory::default() };
        assert_eq!(needed(&memory, 1), 33);
        assert_eq!(needed(&Memory { output_ring: Some(65_536), ..Memory::default() }, 1), 289);
        assert!(Memory { per_queue_mib: 32, ..Memory::default() }.plan(1).is_err());
        assert!(Memory { per_queue_mib: 33, ..Memory::default() }.plan(1).is_ok());
        assert_eq!(needed(&memory, usize::MAX), u64::MAX.div_ceil(MIB));
    }

    #[test]
    fn what_the_outputs_leave_is_for_looking_in_if_it_is_enough() {
        let tail = |per_queue_mib| {
            let output_ring = Some(64);
            let memory =
                Memory { per_queue_mib, output_ring, max_outputs: Some(1), ..Memory::default() };
            memory.plan(1).expect("fits").tail_ring_len
        };
        // 8256 + 64 chunks of 4096 bytes are used; 33 MiB leave 128.
        assert_eq!([33, 34, 36, 40, 80].map(tail), [0, 256, 512, 1024, 2048]);
    }

    #[test]
    fn a_field_outside_its_range_is_an_error_also_without_a_file() {
        let error =
            Memory { chunk_size: Some(0), ..Memory::default() }.plan(1).expect_err("0 bytes");
        assert_eq!(error.to_string(), "memory.chunk_size: found 0, allowed is 2048 or 4096");
    }

    proptest! {
        #[test]
        fn a_plan_holds_every_full_ring_within_the_budget(
            per_queue_mib in 1_u32..=65_536,
            chunk_size in prop::sample::select(vec![None, Some(2048_u32), Some(4096)]),
            fill in 6_u32..=16,
            rx in 6_u32..=16,
            output in prop::option::of(6_u32..=16),
            outputs in 1_usize..200,
        ) {
            let memory = Memory {
                per_queue_mib,
                chunk_size,
                fill_ring: 1 << fill,
                rx_ring: 1 << rx,
                output_ring: output.map(|exponent| 1 << exponent),
                max_outputs: None,
                hugepages: false,
            };
            let bytes_max = u64::from(per_queue_mib) << 20;
            let chunks = |len: u32| u64::from((1 << fill.max(rx)) + BATCH_MAX) + outputs as u64 * u64::from(len);
            let chunk_size = memory.chunk_size_max();
            let fits = |len: u32| chunks(len) * u64::from(chunk_size) <= bytes_max;
            match memory.plan(outputs) {
                Ok(plan) => {
                    let MemoryPlan { chunk_count, output_ring_len: len, .. } = plan;
                    let MemoryPlan { spare_ring_len: spare, tail_ring_len: tail, .. } = plan;
                    let all = chunks(len) + u64::from(spare) + u64::from(tail);
                    prop_assert_eq!(u64::from(chunk_count), all);
                    prop_assert!(spare == 0 || (64..=len).contains(&spare) && spare.is_power_of_two());
                    prop_assert!(u64::from(chunk_count) * u64::from(chunk_size) <= bytes_max);
                    prop_assert!(tail == 0 || (256..=2048).contains(&tail) && tail.is_power_of_two());
                    prop_assert!(fits(len) && RING_LEN.accepts(u64::from(len)));
                    match memory.output_ring {
                        Some(configured) => prop_assert_eq!(len, configured),
                        None => prop_assert!(len == 65_536 || !fits(2 * len), "a longer ring fits too"),
                    }
                }
                Err(ConfigError::InProgram { problem: Problem::MemoryTooSmall { needed_mib, .. }, .. }) => {
                    let len = memory.output_ring.unwrap_or(64);
                    prop_assert!(!fits(len));
                    prop_assert_eq!(needed_mib, (chunks(len) * u64::from(chunk_size)).div_ceil(1 << 20));
                }
                Err(other) => prop_assert!(false, "{}", other),
            }
        }
    }
}
