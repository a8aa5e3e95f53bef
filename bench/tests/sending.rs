//! Claim: frames reach the sink on schedule and in order, and those that it did not take are
//! counted.

mod support;

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use vxtap_bench::sink::OutgoingFrame;
use vxtap_bench::sink::{Pushed, Timing};
use vxtap_bench::{
    FrameSink, Pace, Profile, SendError, SendLimits, SinkError, Totals, Traffic, send,
};

use support::{limits, made, per_second, profile};

/// Follows a script: the number of frames to take of each push, 0 for "full".
#[derive(Default)]
struct Scripted {
    script: Vec<usize>,
    always_full: bool,
    is_live: bool,
    taken: Vec<(Duration, Vec<u8>)>,
    pushes: usize,
    finished: bool,
}

impl FrameSink for Scripted {
    fn push(&mut self, frames: &[OutgoingFrame]) -> Result<Pushed, SinkError> {
        self.pushes += 1;
        let count = self.script.pop().unwrap_or(usize::MAX).min(frames.len());
        if self.always_full || count == 0 {
            return Ok(Pushed::Full);
        }
        self.taken.extend(frames[..count].iter().map(|slot| (slot.due, slot.bytes.clone())));
        Ok(Pushed::Taken(count))
    }

    fn timing(&self) -> Timing {
        if self.is_live { Timing::Live } else { Timing::Written }
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        self.finished = true;
        Ok(())
    }
}

fn run(profile: &Profile, sink: &mut Scripted, limits: SendLimits<'_>) -> Totals {
    let mut traffic = Traffic::new(profile).expect("valid profile");
    send(&mut traffic, sink, limits, |_| {}).expect("sent")
}

#[test]
fn a_sink_that_takes_a_part_gets_the_rest_in_order() {
    let profile = profile(500);
    let mut sink = Scripted { script: vec![0, 1, 31, 0, 0, 5, 7], ..Scripted::default() };
    let totals = run(&profile, &mut sink, limits(Pace::Full));
    let taken: Vec<_> = sink.taken.into_iter().map(|(_, bytes)| bytes).collect();
    assert_eq!(taken, made(&profile));
    assert!(sink.finished);
    assert_eq!((totals.retries, totals.refused), (3, 0));
    assert_eq!(
        Totals { retries: 0, elapsed: Duration::ZERO, ..totals },
        Traffic::totals(&profile).expect("valid")
    );
}

#[test]
fn a_sink_that_stays_full_refuses_a_bounded_time_and_is_counted() {
    let mut sink = Scripted { always_full: true, ..Scripted::default() };
    let totals = run(&profile(3), &mut sink, limits(Pace::Full));
    assert_eq!((totals.frames, totals.refused), (0, 3));
    assert_eq!(totals.retries, 3 * 164);
    assert!(totals.to_string().ends_with("full 492 times, 3 frames refused"), "{totals}");
}

#[test]
fn every_frame_is_due_at_its_place_in_an_absolute_schedule() {
    let mut sink = Scripted::default();
    run(&profile(3000), &mut sink, limits(per_second(3000)));
    for (n, (due, _)) in sink.taken.iter().enumerate() {
        assert_eq!(*due, Duration::from_nanos(n as u64 * 1_000_000_000 / 3000));
    }
}

#[test]
fn frames_due_together_are_pushed_together() {
    let pushes = |rate| {
        let mut sink = Scripted::default();
        run(&profile(320), &mut sink, limits(per_second(rate)));
        sink.pushes
    };
    assert_eq!(pushes(1_000_000), 10);
    assert_eq!(pushes(100_000), 16);
    assert_eq!(pushes(1000), 320);
}

#[test]
fn a_duration_at_a_rate_gives_an_exact_count() {
    let unlimited = Profile { count: None, ..Profile::default() };
    for (rate, milliseconds, frames) in [(1000, 2500, 2500), (300_000, 1, 300)] {
        let duration = Some(Duration::from_millis(milliseconds));
        let limits = SendLimits { duration, ..limits(per_second(rate)) };
        assert_eq!(run(&unlimited, &mut Scripted::default(), limits).frames, frames);
    }
}

#[test]
fn a_live_sink_gets_frames_no_earlier_than_200_microseconds_before_they_are_due() {
    let mut sink = Scripted { is_live: true, ..Scripted::default() };
    let totals = run(&profile(50), &mut sink, limits(per_second(1000)));
    assert!(totals.elapsed >= Duration::from_micros(48_800), "{:?}", totals.elapsed);
}

#[test]
fn full_speed_ends_after_the_duration_and_reports_on_the_way() {
    let endless = profile(100_000_000);
    let duration = Some(Duration::from_millis(350));
    let mut sink = Counting::default();
    let mut reports = 0;
    let mut traffic = Traffic::new(&endless).expect("valid profile");
    let totals =
        send(&mut traffic, &mut sink, SendLimits { duration, ..limits(Pace::Full) }, |totals| {
            assert!(totals.elapsed >= Duration::from_millis(100));
            reports += 1;
        });
    let totals = totals.expect("sent");
    assert!(totals.elapsed >= Duration::from_millis(350));
    assert_eq!(totals.frames, sink.0);
    assert!((1..=3).contains(&reports), "{reports}");
}

/// Takes everything, live.
#[derive(Default)]
struct Counting(u64);

impl FrameSink for Counting {
    fn push(&mut self, frames: &[OutgoingFrame]) -> Result<Pushed, SinkError> {
        self.0 += frames.len() as u64;
        Ok(Pushed::Taken(frames.len()))
    }

    fn timing(&self) -> Timing {
        Timing::Live
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

#[test]
fn a_stop_flag_ends_the_sending_even_between_distant_frames() {
    let stop = AtomicBool::new(false);
    let slow = SendLimits { stop: Some(&stop), ..limits(per_second(1)) };
    let mut traffic = Traffic::new(&profile(4)).expect("valid profile");
    let totals = send(&mut traffic, &mut Counting::default(), slow, |_| {
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let totals = totals.expect("sent");
    assert_eq!(totals.frames, 1);
    assert!(totals.elapsed < Duration::from_millis(900), "{:?}", totals.elapsed);
}

#[test]
fn an_error_of_the_sink_ends_the_sending_and_keeps_the_totals() {
    struct Broken;
    impl FrameSink for Broken {
        fn push(&mut self, frames: &[OutgoingFrame]) -> Result<Pushed, SinkError> {
            let frame_len = frames[0].bytes.len();
            Err(SinkError::TooLong { interface: "veth0".into(), frame_len, mtu: frame_len - 14 })
        }
        fn timing(&self) -> Timing {
            Timing::Written
        }
        fn finish(&mut self) -> Result<(), SinkError> {
            Ok(())
        }
    }
    let profile = Profile { sizes: "1000".parse().expect("a size"), ..profile(10) };
    let mut traffic = Traffic::new(&profile).expect("valid profile");
    let error = send(&mut traffic, &mut Broken, limits(Pace::Full), |_| {}).expect_err("refused");
    assert_eq!(
        error.to_string(),
        "sending stopped after 0 frames: a frame of 1050 bytes does not fit veth0: \
         its MTU must be 1036 or more"
    );
    let SendError::Sink { totals, .. } = error;
    assert_eq!(totals.frames, 0);
}
