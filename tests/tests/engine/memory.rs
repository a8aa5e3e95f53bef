//! The engine takes as much memory as documented, and its memory does not grow.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use vxtap_bench::Profile;
use vxtap_tests::{TIMEOUT, Veth, privileged, wait_until};

use super::support::{send_traffic, start, wait_for_received};

/// Most resident memory of two queues with the default configuration, in KiB.
const RESIDENT_MAX_KIB: u64 = 100 * 1024;

/// Most growth once traffic flows, in KiB: pages of tables that are touched for the first time.
const GROWTH_MAX_KIB: u64 = 1024;

/// Frames per second, and frames in all: six seconds of traffic.
const PACE: u64 = 40_000;
const COUNT: u64 = 240_000;

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn two_queues_with_the_defaults_stay_below_a_hundred_megabytes_and_do_not_grow() {
    privileged();
    let veth = Veth::pair(2).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("memory.toml");
    fs::write(&config, "[[output]]\nname = \"file\"\ntype = \"pcapng\"\npath = \"/dev/null\"\n")
        .unwrap();
    let mut process = start(&veth, &["-c", config.to_str().unwrap()]);
    let profile = Profile { count: Some(COUNT), ..Profile::default() };
    let id = process.id();
    let is_over = AtomicBool::new(false);
    let readings = thread::scope(|scope| {
        let reader = scope.spawn(|| readings(id, &is_over));
        send_traffic(&veth.sender, &profile, PACE);
        is_over.store(true, Ordering::Relaxed);
        reader.join().unwrap()
    });
    wait_for_received(&mut process, COUNT);
    process.signal(Signal::SIGTERM).unwrap();
    let stderr = process.child().stderr.take().unwrap();
    let table = std::io::read_to_string(stderr).unwrap();
    assert_eq!(process.wait(TIMEOUT).unwrap().code(), Some(0));
    assert!(table.contains(&format!("received {COUNT} = delivered {COUNT}\n")), "{table}");
    let (warm, later): (Readings, Readings) =
        readings.iter().partition(|(at, _)| *at < Duration::from_secs(2));
    assert!(
        later.len() > 20 && later[later.len() - 1].0 > Duration::from_secs(4),
        "the traffic lasted for seconds: {readings:?}"
    );
    let highest =
        |readings: &[(Duration, u64)]| readings.iter().map(|&(_, kib)| kib).max().unwrap_or(0);
    let (at_two_seconds, in_the_end) = (highest(&warm), highest(&later));
    assert!(in_the_end < RESIDENT_MAX_KIB, "{in_the_end} KiB resident");
    assert!(
        in_the_end <= at_two_seconds + GROWTH_MAX_KIB,
        "{at_two_seconds} KiB, then {in_the_end} KiB"
    );
}

/// Resident memory in KiB, with the time of each reading.
type Readings = Vec<(Duration, u64)>;

/// Reads the resident memory of a process again and again until `is_over`; returns the readings
/// with their times.
fn readings(id: u32, is_over: &AtomicBool) -> Readings {
    let started = Instant::now();
    let mut readings = Vec::new();
    wait_until("the end of the traffic", 2 * TIMEOUT, || {
        readings.push((started.elapsed(), resident_kib(id)));
        is_over.load(Ordering::Relaxed)
    })
    .unwrap();
    readings
}

/// Returns the resident memory of a process, shared memory included, in KiB (`VmRSS`,
/// `proc_pid_status(5)`).
fn resident_kib(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
