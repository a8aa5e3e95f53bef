//! A run: one thread makes frames in the kernel, another one monitors it and ends it in time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::pthread::{Pthread, pthread_kill, pthread_self};
use nix::sys::signal::Signal;
use signal_hook::low_level::unregister;
use vxtap_ebpf::generator::{Flushed, Progress, Settings, Step, TABLE_LEN};

use super::frame_table::FrameTable;
use super::programs::{LoadedPrograms, ProgramMaps};
use super::{LiveError, LiveOptions, TABLE_MAX};
use crate::pace::Pace;
use crate::profile::Profile;
use crate::send::SendLimits;
use crate::totals::Totals;

/// Interval at which a run is checked; a run ends at most this late.
const WATCH_EVERY: Duration = Duration::from_millis(5);
/// Time between two calls of the progress function.
const REPORT_EVERY: Duration = Duration::from_millis(100);
/// Time of the frames that the kernel makes before it sends them, at a rate below full speed.
/// Longer makes bursts, and keeps the CPU's other work waiting; shorter costs time per batch.
const BATCH_TIME: Duration = Duration::from_micros(50);
/// Frames per batch at full speed, and at most.
const BATCH_MAX: u32 = 64;
/// Interrupts the system call that makes frames. The process must have no other use for it while a
/// run lasts.
const WAKE_UP: Signal = Signal::SIGUSR1;

/// Sends the frames of a profile through one interface at full speed.
///
/// # Kernel
/// Linux 5.18; `CAP_BPF`, `CAP_NET_ADMIN` and `CAP_PERFMON` in the first user namespace.
#[derive(Debug)]
pub struct LiveSender {
    interface: String,
    table: FrameTable,
    programs: LoadedPrograms,
    count: Option<u64>,
    options: LiveOptions,
}

impl LiveSender {
    /// Prepares everything for an interface of this thread's network namespace.
    ///
    /// # Errors
    /// A profile or options that cannot be used, no such interface, missing privileges.
    pub fn open(
        interface: &str,
        profile: &Profile,
        options: LiveOptions,
    ) -> Result<Self, LiveError> {
        let table_len = options.table_len.unwrap_or_else(|| table_len(profile.count));
        if !(1..=TABLE_MAX).contains(&table_len) {
            return Err(LiveError::Table { given: table_len });
        }
        if let Some(given) = options.batch.filter(|batch| !(1..=256).contains(batch)) {
            return Err(LiveError::Batch { given });
        }
        let table = FrameTable::new(profile, table_len, options.tag_every)?;
        let programs = LoadedPrograms::load(interface, &table)?;
        Ok(Self { interface: interface.to_owned(), table, programs, count: profile.count, options })
    }

    /// Sends until the profile's count or a limit is reached, on the CPU of the calling thread, and
    /// returns the totals of the frames that the interface took.
    ///
    /// `progress` is called about every 100 ms with the totals so far. Signal `SIGUSR1` is used to
    /// end the run; it must have no other meaning to the process.
    ///
    /// # Errors
    /// The kernel makes no live frames, or the interface takes none.
    pub fn run(
        &mut self,
        limits: SendLimits<'_>,
        progress: impl FnMut(&Totals) + Send,
    ) -> Result<Totals, LiveError> {
        if self.count == Some(0) {
            return Ok(Totals::default());
        }
        let template = self.table.template();
        let settings = self.settings(&limits, template.len())?;
        let batch = self.options.batch.unwrap_or_else(|| batch_of(limits.pace));
        let before = self.programs.maps().flushed()?;
        self.programs.set(&settings)?;
        let registered = signal_hook::flag::register(WAKE_UP as i32, Arc::default());
        let registered = registered.map_err(|error| LiveError::of("take over SIGUSR1", error))?;
        let watch = RunWatcher {
            maps: self.programs.maps(),
            table: &self.table,
            stop: limits.stop,
            is_over: AtomicBool::new(false),
            before,
        };
        let ran = watch.over(|| self.programs.make_frames(&template, batch), progress);
        unregister(registered);
        ran.and_then(|()| self.outcome(before))
    }

    fn settings(
        &self,
        limits: &SendLimits<'_>,
        template_len: usize,
    ) -> Result<Settings, LiveError> {
        let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let rate = match limits.pace {
            Pace::Full => 0,
            Pace::PerSecond(rate) => rate.get(),
            Pace::Recorded => return Err(LiveError::Recorded),
        };
        Ok(Settings {
            count: self.count.unwrap_or(u64::MAX),
            duration_ns: limits.duration.map_or(u64::MAX, nanoseconds),
            table_len: self.table.len().into(),
            proof_every: self.options.tag_every,
            template_len: template_len as u64,
            step: Step::of_rate(rate),
        })
    }

    /// Returns the totals, or the reason why frames were not sent.
    fn outcome(&self, before: Flushed) -> Result<Totals, LiveError> {
        let after = self.programs.maps().flushed()?;
        let totals = totals(&self.table, &self.programs.maps().progress()?, &before, &after);
        let is_refused = totals.frames == 0 && totals.refused > 0;
        if after.failed > before.failed || is_refused {
            let errno = i32::try_from(after.errno).unwrap_or(0);
            return Err(LiveError::NotTaken {
                interface: self.interface.clone(),
                errno,
                totals: Box::new(totals),
            });
        }
        Ok(totals)
    }
}

/// Default number of frames in the table.
fn table_len(count: Option<u64>) -> u32 {
    let all = count.and_then(|count| u32::try_from(count).ok()).filter(|&count| count <= TABLE_MAX);
    all.map_or(TABLE_LEN, |count| count.max(1))
}

/// Default number of frames per batch.
fn batch_of(pace: Pace) -> u32 {
    let Pace::PerSecond(rate) = pace else { return BATCH_MAX };
    let frames = u128::from(rate.get()) * BATCH_TIME.as_nanos() / 1_000_000_000;
    u32::try_from(frames).unwrap_or(BATCH_MAX).clamp(1, BATCH_MAX)
}

fn totals(table: &FrameTable, progress: &Progress, before: &Flushed, after: &Flushed) -> Totals {
    let refused = after.refused + after.failed - before.refused - before.failed;
    Totals {
        elapsed: Duration::from_nanos(progress.last_ns - progress.first_ns),
        ..table.totals(progress.number, refused)
    }
}

/// Monitors a run.
struct RunWatcher<'a> {
    maps: &'a ProgramMaps,
    table: &'a FrameTable,
    stop: Option<&'a AtomicBool>,
    is_over: AtomicBool,
    before: Flushed,
}

impl RunWatcher<'_> {
    /// Makes frames on this thread repeatedly until there is a reason to end.
    fn over(
        &self,
        mut make_frames: impl FnMut() -> Result<(), LiveError>,
        progress: impl FnMut(&Totals) + Send,
    ) -> Result<(), LiveError> {
        let maker = pthread_self();
        thread::scope(|scope| {
            let watcher = scope.spawn(move || self.watch(maker, progress));
            let mut ran = Ok(());
            while ran.is_ok() && !self.has_ended() {
                ran = make_frames();
            }
            self.is_over.store(true, Ordering::Relaxed);
            watcher.thread().unpark();
            ran
        })
    }

    /// Reports on the run, and interrupts it as long as it goes on after its end.
    fn watch(&self, maker: Pthread, mut progress: impl FnMut(&Totals)) {
        let mut report_at = Instant::now() + REPORT_EVERY;
        while !self.is_over.load(Ordering::Relaxed) {
            thread::park_timeout(WATCH_EVERY);
            if self.has_ended() {
                // The thread exists: it waits for this one. A signal that comes between two system
                // calls is lost, so that another one has to follow.
                let _ = pthread_kill(maker, WAKE_UP);
            } else if Instant::now() >= report_at {
                report_at += REPORT_EVERY;
                if let (Ok(now), Ok(flushed)) = (self.maps.progress(), self.maps.flushed()) {
                    progress(&totals(self.table, &now, &self.before, &flushed));
                }
            }
        }
    }

    /// Returns whether the program has nothing more to send, or the run was stopped.
    fn has_ended(&self) -> bool {
        let is_stopped = self.stop.is_some_and(|stop| stop.load(Ordering::Relaxed));
        is_stopped || self.maps.progress().is_ok_and(|progress| progress.ended != 0)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;

    fn rate(frames: u64) -> Pace {
        Pace::PerSecond(NonZeroU64::new(frames).expect("not zero"))
    }

    #[test]
    fn a_batch_holds_the_frames_of_fifty_microseconds_within_limits() {
        for (pace, frames) in [
            (rate(1), 1),
            (rate(20_000), 1),
            (rate(100_000), 5),
            (rate(1_000_000), 50),
            (rate(5_000_000), 64),
            (rate(u64::MAX), 64),
            (Pace::Full, 64),
        ] {
            assert_eq!(batch_of(pace), frames, "{pace:?}");
        }
    }

    #[test]
    fn the_table_holds_all_frames_of_a_small_count() {
        for (count, len) in [
            (None, 1024),
            (Some(1), 1),
            (Some(16_384), 16_384),
            (Some(16_385), 1024),
            (Some(u64::MAX), 1024),
        ] {
            assert_eq!(table_len(count), len, "{count:?}");
        }
    }

    #[test]
    fn limits_of_table_and_batch_are_named() {
        let open = |options| {
            LiveSender::open("lo", &Profile::default(), options).expect_err("refused").to_string()
        };
        let options = LiveOptions { table_len: Some(0), ..LiveOptions::default() };
        assert_eq!(open(options), "a table of 0 frames: give 1 to 16384");
        let options = LiveOptions { batch: Some(257), ..LiveOptions::default() };
        assert_eq!(open(options), "batches of 257 frames: give 1 to 256");
    }
}
