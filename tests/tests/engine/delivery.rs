//! Every mirrored frame arrives once, whole and in order, in every capture mode.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use vxtap::config::{BusyPoll, CaptureMode, Destinations, Queues, WaitMode};
use vxtap::engine::ActiveMode;
use vxtap::ring::Next;
use vxtap_bench::profile::Sizes;
use vxtap_bench::{MirrorSession, Profile};
use vxtap_tests::{Veth, privileged};

use super::support::{
    OUTPUT, WINDOW, assert_adds_up, config, declared, open, run, run_within, send_traffic,
    stop_after,
};

/// Datagrams per second that the slowest test build keeps up with.
const PACE: u64 = 120_000;

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn a_million_frames_over_two_queues_arrive_whole_and_in_order() {
    privileged();
    let veth = Veth::pair(2).unwrap();
    let profile = Profile { count: Some(1_000_000), ..Profile::default() };
    let mut config = config(&veth.receiver);
    config.memory.per_queue_mib = 400;
    (config.memory.fill_ring, config.memory.rx_ring) = (16_384, 16_384);
    config.sessions = declared(&profile);
    let outcome = run_within(&veth, config, &profile, PACE, 8 * WINDOW);
    assert_eq!(outcome.totals.frames, 1_000_000);
    assert!(outcome.verdict.is_perfect(), "{}\n{}", outcome.verdict, outcome.report);
    assert_adds_up(&outcome.report);
    let report = &outcome.report;
    assert_eq!(report.total().delivered.frames, 1_000_000);
    assert_eq!(report.total().drops.total(), 0);
    assert_eq!(report.steering().redirected, 1_000_000);
    for worker in &report.workers {
        assert!(worker.counters.total.received.frames > 200_000, "both queues are used:\n{report}");
        assert_eq!(worker.counters.unstamped, 0);
    }
    let sent = outcome.totals.sessions.iter().map(|session| session.frames);
    let received = report.session_counters()[1..]
        .iter()
        .map(|counters| counters.received.frames)
        .collect::<Vec<_>>();
    assert_eq!(received, sent.collect::<Vec<_>>());
}

/// Capture modes, wait modes and busy polling, each with its own traffic.
#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn every_mode_and_every_way_of_waiting_delivers() {
    privileged();
    for (mode, wait, busy_poll, active) in [
        (CaptureMode::Native, WaitMode::Adaptive, None, ActiveMode::NativeCopy),
        (CaptureMode::Generic, WaitMode::Adaptive, None, ActiveMode::Generic),
        (CaptureMode::Auto, WaitMode::Interrupt, None, ActiveMode::NativeCopy),
        (CaptureMode::Auto, WaitMode::Busy, None, ActiveMode::NativeCopy),
        (
            CaptureMode::Auto,
            WaitMode::Adaptive,
            Some(BusyPoll { usecs: 20, budget: 64 }),
            ActiveMode::NativeCopy,
        ),
    ] {
        let veth = Veth::pair(2).unwrap();
        let profile = Profile { count: Some(20_000), ..Profile::default() };
        let mut config = config(&veth.receiver);
        config.capture.mode = mode;
        config.capture.busy_poll = busy_poll;
        config.workers.wait = wait;
        let outcome = run_within(&veth, config, &profile, 40_000, WINDOW);
        let what = format!("{mode}, {wait}\n{}\n{}", outcome.verdict, outcome.report);
        assert!(outcome.verdict.is_perfect(), "{what}");
        assert_eq!(outcome.report.interfaces[0].mode, active, "{what}");
        assert_adds_up(&outcome.report);
        let steps_down = usize::from(mode == CaptureMode::Auto);
        assert_eq!(
            outcome.notes.len(),
            steps_down,
            "a step down is said once: {:?}",
            outcome.notes
        );
    }
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn ipv6_outside_small_chunks_and_every_size_deliver() {
    privileged();
    let veth = Veth::pair(2).unwrap();
    let profile = Profile {
        count: Some(30_000),
        sessions: MirrorSession::numbered(3, "fd00::1:1".parse().unwrap(), 0xff_fff0),
        sizes: Sizes::List((60..1514).step_by(7).collect()),
        ..Profile::default()
    };
    let mut config = config(&veth.receiver);
    config.memory.chunk_size = Some(2048);
    // The namespace has no IPv6 addresses.
    config.capture.destinations = Destinations::Any;
    config.sessions = declared(&profile);
    let outcome = run_within(&veth, config, &profile, 30_000, WINDOW);
    assert!(outcome.verdict.is_perfect(), "{}\n{}", outcome.verdict, outcome.report);
    assert_adds_up(&outcome.report);
    assert_eq!(
        outcome.report.session_counters()[0].received.frames,
        0,
        "all sessions are declared"
    );
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn arrival_times_are_the_times_of_arrival_and_can_be_turned_off() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let profile = Profile { count: Some(1000), ..Profile::default() };
    for is_stamped in [true, false] {
        let mut config = config(&veth.receiver);
        config.capture.arrival_times = is_stamped;
        let mut engine = open(&veth.receiver, config);
        let mut consumer = engine.take_consumer(OUTPUT).unwrap();
        engine.start().unwrap();
        let start = utc_ns();
        send_traffic(&veth.sender, &profile, 10_000);
        let report = stop_after(engine, 1000);
        let end = utc_ns();
        let mut last = start;
        while let Next::Batch(batch) = consumer.next(Duration::ZERO) {
            for frame in &batch {
                assert!((last..=end).contains(&frame.timestamp_ns()), "times grow within the run");
                last = frame.timestamp_ns();
            }
        }
        assert!(last > start);
        assert_eq!(report.total().delivered.frames, 1000);
        let unstamped = report.workers[0].counters.unstamped;
        assert_eq!(unstamped, if is_stamped { 0 } else { 1000 });
    }
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn huge_pages_are_used_when_the_system_has_them() {
    privileged();
    let setting = "/proc/sys/vm/nr_hugepages";
    let before = std::fs::read_to_string(setting).unwrap();
    let veth = Veth::pair(1).unwrap();
    let profile = Profile { count: Some(2000), ..Profile::default() };
    for pages in ["64", before.trim()] {
        std::fs::write(setting, pages).unwrap();
        let mut config = config(&veth.receiver);
        config.memory.hugepages = true;
        let engine = open(&veth.receiver, config.clone());
        let free =
            std::fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages")
                .unwrap();
        drop(engine);
        let outcome = run_within(&veth, config, &profile, 10_000, WINDOW);
        let reserved = std::fs::read_to_string(setting).unwrap();
        std::fs::write(setting, before.trim()).unwrap();
        assert!(outcome.verdict.is_perfect(), "{}", outcome.verdict);
        let noted = outcome.notes.iter().any(|note| note.contains("huge pages"));
        // If none are reserved, the kernel may have made some, or may have had no memory in such
        // pieces.
        if reserved.trim() == "64" {
            assert!(free.trim() != "64" && !noted, "{free} of {reserved}: {:?}", outcome.notes);
        }
    }
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn a_queue_without_socket_leaves_its_frames_to_the_stack_and_counts_them() {
    privileged();
    let veth = Veth::pair(2).unwrap();
    let profile = Profile { count: Some(5000), ..Profile::default() };
    let mut config = config(&veth.receiver);
    config.capture.queues = Queues::List(vec![1]);
    let outcome = run(&veth, config, &profile, 10_000);
    let steering = outcome.report.steering();
    assert!(
        steering.no_socket > 500 && steering.redirected > 500,
        "both queues are used: {steering:?}"
    );
    assert_eq!(steering.no_socket + steering.redirected, 5000);
    assert_eq!(outcome.verdict.intact, steering.redirected);
    assert_adds_up(&outcome.report);
}

fn utc_ns() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}
