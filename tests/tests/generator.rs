//! Claim: live frames are those of the profile, at the requested rate, and the generator counts the
//! frames that were sent.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails right there")]

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use aya::Ebpf;
use aya::maps::{MapData, PerCpuArray};
use aya::programs::{Xdp, XdpMode};
use vxtap::Engine;
use vxtap::config::{Config, Output, OutputKind};
use vxtap::ring::{Consumer, Next};
use vxtap_bench::live::{LiveOptions, OBJECT};
use vxtap_bench::profile::{OuterHeaders, Sizes};
use vxtap_bench::{
    LiveError, LiveSender, Pace, Profile, SendLimits, Totals, Verification, Verifier,
};
use vxtap_ebpf::generator::{DROP_PROGRAM, DROPPED, DROPPED_WORDS, Dropped};
use vxtap_tests::{Side, Stopwatch, TIMEOUT, Veth, capture, privileged, wait_until};

/// Frames per second that the slowest test build of the engine keeps up with.
const PACE: u64 = 50_000;

const fn per_second(rate: u64) -> Pace {
    Pace::PerSecond(NonZeroU64::new(rate).unwrap())
}

const fn limits(pace: Pace) -> SendLimits<'static> {
    SendLimits { pace, duration: None, stop: None }
}

fn send(
    sender: &Side,
    profile: &Profile,
    options: LiveOptions,
    limits: SendLimits<'_>,
) -> Result<Totals, LiveError> {
    sender.netns.run(|| LiveSender::open(sender.interface, profile, options)?.run(limits, |_| {}))
}

/// Sends the profile and reads every frame through an engine at the receiving end.
fn receive(veth: &Veth, profile: &Profile, options: LiveOptions) -> (Totals, Verification) {
    let mut config = Config::default();
    config.capture.interfaces = vec![veth.receiver.interface.to_owned()];
    config.memory.per_queue_mib = 160;
    (config.memory.fill_ring, config.memory.rx_ring) = (16_384, 16_384);
    config.outputs.push(Output::new("test", OutputKind::Consumer));
    let mut engine = veth.receiver.netns.run(|| Engine::open(config)).unwrap();
    let consumer = engine.take_consumer("test").unwrap();
    let reader = verify(consumer, Verifier::new(profile).unwrap());
    engine.start().unwrap();
    let totals = send(&veth.sender, profile, options, limits(per_second(PACE))).unwrap();
    wait_until("all frames to arrive", TIMEOUT, || {
        engine.report().steering().redirected >= totals.frames
    })
    .unwrap_or_else(|error| panic!("{error}\n{}", engine.report()));
    let report = engine.stop();
    assert_eq!(report.imbalances(), Vec::<String>::new(), "\n{report}");
    let verdict = reader.join().unwrap().finish(&totals);
    (totals, verdict)
}

fn verify(mut consumer: Consumer, mut verifier: Verifier) -> JoinHandle<Verifier> {
    thread::spawn(move || {
        loop {
            match consumer.next(TIMEOUT) {
                Next::Batch(batch) => {
                    for frame in &batch {
                        verifier.frame(frame.source(), frame.vni().get(), &frame.bytes());
                    }
                }
                Next::Idle => {}
                Next::Closed => return verifier,
            }
        }
    })
}

/// Counts and drops all frames that arrive.
struct Drops {
    _ebpf: Ebpf,
    counters: PerCpuArray<MapData, [u64; DROPPED_WORDS]>,
}

impl Drops {
    fn attach(receiver: &Side) -> Self {
        let mut ebpf = Ebpf::load(OBJECT).unwrap();
        let program: &mut Xdp = ebpf.program_mut(DROP_PROGRAM).unwrap().try_into().unwrap();
        program.load().unwrap();
        receiver.netns.run(|| program.attach(receiver.interface, XdpMode::Driver)).unwrap();
        let counters = PerCpuArray::try_from(ebpf.take_map(DROPPED).unwrap()).unwrap();
        Self { _ebpf: ebpf, counters }
    }

    fn so_far(&self) -> Dropped {
        Dropped::sum(self.counters.get(&0, 0).unwrap().iter())
    }

    /// Waits until this many frames have arrived, and returns the counters.
    fn of_frames(&self, frames: u64) -> Dropped {
        let all = |dropped: &Dropped| dropped.frames + dropped.foreign;
        wait_until("the last frame", TIMEOUT, || all(&self.so_far()) >= frames).unwrap();
        self.so_far()
    }
}

/// Returns a counter of the sending interface, as its driver counts.
fn driver_counter(sender: &Side, name: &str) -> u64 {
    let text = capture(sender.netns.command("ethtool").args(["-S", sender.interface])).unwrap();
    let line = text.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(": "));
    line.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().unwrap()
}

#[test]
#[ignore = "requires CAP_NET_ADMIN and CAP_BPF; run by cargo xtask test"]
fn every_frame_of_the_profile_arrives_once_whole_and_in_order() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let profile = Profile { count: Some(16_384), ..Profile::default() };
    let (totals, verdict) = receive(&veth, &profile, LiveOptions::default());
    assert_eq!((totals.frames, totals.refused), (16_384, 0));
    assert!(verdict.is_perfect(), "{verdict}");
}

#[test]
#[ignore = "requires CAP_NET_ADMIN and CAP_BPF; run by cargo xtask test"]
fn frames_between_the_tags_have_headers_and_lengths_of_the_profile_but_no_tag() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let profile = Profile { count: Some(10_000), ..Profile::default() };
    for (tag_every, tags) in [(0, 0), (10, 1000), (3, 3334)] {
        let options = LiveOptions { tag_every, ..LiveOptions::default() };
        let (totals, verdict) = receive(&veth, &profile, options);
        assert_eq!(totals.frames, 10_000);
        assert_eq!((verdict.received, verdict.bytes), (10_000, totals.inner_bytes), "{verdict}");
        // The verifier takes frames without a proof between two ends that it knows for damaged
        // ones.
        assert_eq!((verdict.intact, verdict.corrupted), (tags, 10_000 - tags), "{verdict}");
    }
}

#[test]
#[ignore = "requires CAP_NET_ADMIN and CAP_BPF; run by cargo xtask test"]
fn a_rate_is_kept_and_the_duration_too() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let drops = Drops::attach(&veth.receiver);
    let mut sent = 0;
    for rate in [3_000, 200_000, 700_000] {
        let duration = Duration::from_millis(700);
        let limits = SendLimits { pace: per_second(rate), duration: Some(duration), stop: None };
        let options = LiveOptions { tag_every: 0, ..LiveOptions::default() };
        let (totals, took, withheld) = veth.sender.netns.run(|| {
            let (start, watch) = (Instant::now(), Stopwatch::start());
            let mut live =
                LiveSender::open(veth.sender.interface, &Profile::default(), options).unwrap();
            let totals = live.run(limits, |_| {}).unwrap();
            let took = watch.elapsed();
            (totals, took, start.elapsed().saturating_sub(took))
        });
        sent += totals.frames;
        // A machine that stands still at the end leaves frames out, but the frames that were sent
        // were never too fast, and too slow only for want of a CPU.
        let due_in = |time: Duration| u128::from(rate) * time.as_nanos() / 1_000_000_000;
        let frames = u128::from(totals.frames);
        let most = due_in(totals.elapsed);
        let least = due_in(totals.elapsed.saturating_sub(withheld));
        assert!(frames <= most + most / 25 + 1, "{totals}: {most} were due");
        assert!(frames + least / 25 + 1 >= least, "{totals}: {least} were due, {withheld:?}");
        let possible = due_in(duration.saturating_sub(withheld));
        assert!(frames > possible / 2 && totals.elapsed <= duration, "{totals}, {withheld:?}");
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
    assert_eq!(drops.of_frames(sent).frames, sent);
}

#[test]
#[ignore = "requires CAP_NET_ADMIN and CAP_BPF; run by cargo xtask test"]
fn what_is_said_to_be_sent_is_what_driver_and_receiver_count() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let drops = Drops::attach(&veth.receiver);
    // More at once than the ring of the pair holds beside what is in it, so that some may be
    // refused.
    let options = LiveOptions { tag_every: 0, batch: Some(256), ..LiveOptions::default() };
    let profile = Profile { count: Some(300_000), sizes: Sizes::Fixed(200), ..Profile::default() };
    let totals = send(&veth.sender, &profile, options, limits(Pace::Full)).unwrap();
    assert_eq!(totals.frames + totals.refused, 300_000);
    assert_eq!(driver_counter(&veth.sender, "tx_queue_0_xdp_xmit"), totals.frames);
    assert_eq!(driver_counter(&veth.sender, "tx_queue_0_xdp_xmit_errors"), totals.refused);
    let dropped = drops.of_frames(totals.frames);
    assert_eq!(
        dropped,
        Dropped { frames: totals.frames, inner_bytes: totals.inner_bytes, foreign: 0 }
    );
}

#[test]
#[ignore = "requires CAP_NET_ADMIN and CAP_BPF; run by cargo xtask test"]
fn datagrams_to_another_port_are_foreign_to_the_dropping_program() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let drops = Drops::attach(&veth.receiver);
    let outer = OuterHeaders { port: 4790, ..OuterHeaders::default() };
    let profile = Profile { count: Some(500), outer, ..Profile::default() };
    send(&veth.sender, &profile, LiveOptions::default(), limits(per_second(PACE))).unwrap();
    assert_eq!(drops.of_frames(500), Dropped { frames: 0, inner_bytes: 0, foreign: 500 });
}

#[test]
#[ignore = "requires CAP_NET_ADMIN and CAP_BPF; run by cargo xtask test"]
fn a_run_without_end_stops_when_told() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let drops = Drops::attach(&veth.receiver);
    let stop = AtomicBool::new(false);
    let limits = SendLimits { pace: per_second(PACE), duration: None, stop: Some(&stop) };
    let totals = veth.sender.netns.run(|| {
        let mut live =
            LiveSender::open(veth.sender.interface, &Profile::default(), LiveOptions::default())
                .unwrap();
        live.run(limits, |so_far| stop.store(so_far.frames > 0, Ordering::Relaxed))
    });
    let totals = totals.unwrap();
    assert!(totals.frames > 0);
    assert_eq!(drops.of_frames(totals.frames).frames, totals.frames);
}

#[test]
#[ignore = "requires CAP_NET_ADMIN and CAP_BPF; run by cargo xtask test"]
fn an_interface_that_takes_no_frames_is_an_error_that_says_why() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let refusal = |profile: &Profile| {
        let sent = send(&veth.sender, profile, LiveOptions::default(), limits(Pace::Full));
        sent.expect_err("refused").to_string()
    };
    let profile = Profile { count: Some(100), ..Profile::default() };
    assert_eq!(
        refusal(&profile),
        "100 of 100 frames could not be passed to vxtx0: it takes no redirected frames; the other end of a veth pair \
         needs an XDP program or `ethtool -K DEV gro on`, a NIC needs a driver with ndo_xdp_xmit"
    );
    let _drops = Drops::attach(&veth.receiver);
    let long = Profile { count: Some(100), sizes: Sizes::Fixed(2000), ..Profile::default() };
    assert_eq!(
        refusal(&long),
        "100 of 100 frames could not be passed to vxtx0: they are longer than its MTU allows; raise it or give a \
         smaller size"
    );
    veth.sender.netns.ip(&["link", "set", veth.sender.interface, "down"]).unwrap();
    assert_eq!(
        refusal(&profile),
        "100 of 100 frames could not be passed to vxtx0: it is down: `ip link set vxtx0 up`"
    );
}
