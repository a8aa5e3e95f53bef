//! Claim: every compared receiver gets every frame of a traffic that it can keep up with, intact,
//! and counts it right.
//!
//! The frames come from `vxgen`'s generator through a packet socket, in portions that the smallest
//! receive buffer holds; the next one is sent when the receiver has counted the last, so that no
//! frame is lost to a busy CPU. Each receiver is the process that the instrument runs, and speaks
//! the instrument's protocol.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails right there")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::num::NonZeroU64;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde::de::DeserializeOwned;
use vxtap_bench::send::{FrameSource, SendLimits};
use vxtap_bench::sink::Label;
use vxtap_bench::{MirrorSession, Pace, PacketSocket, Profile, Traffic, send};
use vxtap_harness::mark_protocol::{Mark, Ready};
use vxtap_tests::leftovers::assert_no_xdp_program;
use vxtap_tests::{NetNs, Process, Veth, capture, privileged, wait_until};

const FRAMES: u64 = 20_000;
/// Frames sent before the receiver has to have counted them: less than half of the shortest fill
/// ring.
const PORTION: u64 = 500;
const PER_SECOND: u64 = 40_000;
const TIMEOUT: Duration = Duration::from_secs(20);

/// A `vxbench receive` process.
struct ReceiverProcess {
    process: Process,
    input: ChildStdin,
    lines: mpsc::Receiver<String>,
}

impl ReceiverProcess {
    fn start(netns: &NetNs, row: &str) -> (Self, String) {
        let mut command = netns.command(env!("CARGO_BIN_EXE_vxbench"));
        command.arg("receive").args(row.split(' ')).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process::spawn(row, &mut command).unwrap();
        let output = BufReader::new(process.child().stdout.take().unwrap());
        let input = process.child().stdin.take().unwrap();
        let (line, lines) = mpsc::channel();
        thread::spawn(move || {
            output.lines().map_while(Result::ok).try_for_each(|text| line.send(text))
        });
        let receiver = Self { process, input, lines };
        let ready: Ready = receiver.answer();
        assert!(ready.ready, "{ready:?}");
        (receiver, ready.about)
    }

    fn answer<T: DeserializeOwned>(&self) -> T {
        let line = self.lines.recv_timeout(TIMEOUT).expect("an answer");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    fn mark(&mut self) -> Mark {
        writeln!(self.input, "mark").unwrap();
        self.answer()
    }

    /// Ends the process with the command of the protocol.
    fn end(mut self) {
        writeln!(self.input, "end").unwrap();
        let status = self.process.wait(TIMEOUT).unwrap();
        assert!(status.success(), "{status}");
    }
}

fn profile() -> Profile {
    Profile { count: Some(FRAMES), ..Profile::default() }
}

/// The next frames of the traffic, at most as many as are left.
struct Portion<'a> {
    traffic: &'a mut Traffic,
    left: u64,
}

impl FrameSource for Portion<'_> {
    fn next_frame(&mut self, frame: &mut Vec<u8>) -> Option<Label> {
        self.left = self.left.checked_sub(1)?;
        FrameSource::next_frame(self.traffic, frame)
    }

    fn next_at(&self) -> Duration {
        FrameSource::next_at(self.traffic)
    }
}

/// Sends all frames of the profile from the sender's namespace; calls `wait` after each portion
/// with the number of frames sent so far. Returns frames, bytes of the inner frames, and frames
/// refused.
fn send_all(veth: &Veth, profile: &Profile, mut wait: impl FnMut(u64) + Send) -> (u64, u64, u64) {
    veth.sender.netns.run(|| {
        let mut traffic = Traffic::new(profile).unwrap();
        let mut socket = PacketSocket::open(veth.sender.interface).unwrap();
        let pace = Pace::PerSecond(NonZeroU64::new(PER_SECOND).unwrap());
        let limits = SendLimits { pace, duration: None, stop: None };
        let mut total = (0, 0, 0);
        loop {
            let mut portion = Portion { traffic: &mut traffic, left: PORTION };
            let sent = send(&mut portion, &mut socket, limits, |_| {}).unwrap();
            if sent.frames + sent.refused == 0 {
                return total;
            }
            total.0 += sent.frames;
            total.1 += sent.inner_bytes;
            total.2 += sent.refused;
            wait(total.0);
        }
    })
}

/// Runs a receiver while the profile is sent, shows that it got all of it, and returns its last
/// mark.
fn receives_everything(row: &str, profile: &Profile) -> Mark {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let (mut receiver, about) = ReceiverProcess::start(&veth.receiver.netns, row);
    assert_eq!(receiver.mark().frames, 0, "{about}");
    let mut mark = Mark::default();
    let (sent, inner_bytes, refused) = send_all(&veth, profile, |sent| {
        let arrived = wait_until("the frames", TIMEOUT, || {
            let latency = mark.latency;
            mark = receiver.mark();
            mark.latency = mark.latency.or(latency);
            mark.frames >= sent
        });
        assert!(arrived.is_ok(), "{sent} frames sent; {about}: {mark:?}");
    });
    assert_eq!((sent, refused), (FRAMES, 0));
    let counts = (mark.frames, mark.bytes, mark.foreign, mark.damaged);
    assert_eq!(counts, (FRAMES, inner_bytes, 0, 0), "{about}");
    assert!(mark.kernel_lost.is_none_or(|lost| lost == 0), "{about}: {mark:?}");
    receiver.end();
    assert_no_xdp_program(&veth.receiver.netns, veth.receiver.interface);
    let devices = veth.receiver.netns.ip(&["-o", "link", "show"]).unwrap();
    assert!(!devices.contains("vxlan"), "{devices}");
    mark
}

#[test]
#[ignore = "requires CAP_NET_ADMIN and CAP_BPF; run by cargo xtask test"]
fn vxtap_receives_everything_and_knows_how_long_it_took() {
    for wait in ["busy", "adaptive", "interrupt"] {
        let mark =
            receives_everything(&format!("vxtap --wait {wait} --latency-every 1"), &profile());
        let latency = mark.latency.expect("every frame has an arrival time");
        assert!(latency.p50_ns > 0 && latency.p50_ns < 1_000_000_000, "{latency:?}");
        assert!(
            latency.p50_ns <= latency.p99_ns && latency.p99_ns <= latency.max_ns,
            "{latency:?}"
        );
    }
}

#[test]
#[ignore = "requires CAP_NET_ADMIN and CAP_BPF; run by cargo xtask test"]
fn vxtap_receives_everything_with_a_consumer_that_spins() {
    receives_everything("vxtap --wait busy --consumer-wait spin", &profile());
}

#[test]
#[ignore = "requires CAP_NET_ADMIN and CAP_BPF; run by cargo xtask test"]
fn vxtap_receives_everything_and_writes_it_until_the_disk_is_full() {
    let directory = tempfile::tempdir().unwrap();
    receives_everything(&format!("vxtap --pcapng {}", directory.path().display()), &profile());
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "the file is gone");

    let veth = Veth::pair(1).unwrap();
    let mount = ["-t", "tmpfs", "-o", "size=1m", "vxtap-test"];
    capture(Command::new("mount").args(mount).arg(directory.path())).unwrap();
    let row = format!("vxtap --pcapng {}", directory.path().display());
    let (mut receiver, _) = ReceiverProcess::start(&veth.receiver.netns, &row);
    capture(Command::new("umount").arg("--lazy").arg(directory.path())).unwrap();
    send_all(&veth, &profile(), |_| {});
    let mark = receiver.mark();
    assert!(mark.frames > 0 && mark.bytes < 1 << 20, "what does not fit does not count: {mark:?}");
    writeln!(receiver.input, "end").unwrap();
    assert!(!receiver.process.wait(TIMEOUT).unwrap().success(), "it says that it could not write");
}

#[test]
#[ignore = "requires CAP_NET_ADMIN and CAP_BPF; run by cargo xtask test"]
fn a_consumer_that_spins_never_sleeps_and_one_that_naps_does() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    for (wait, sleeps) in [("spin", false), ("nap", true)] {
        let row = format!("vxtap --wait busy --consumer-wait {wait}");
        let (receiver, about) = ReceiverProcess::start(&veth.receiver.netns, &row);
        // The lowest of three: a page fault can put any thread to sleep once.
        let slept = (0..3).map(|_| {
            let before = sleeps_of(&receiver.process, "consumer");
            thread::sleep(Duration::from_millis(300));
            sleeps_of(&receiver.process, "consumer") - before
        });
        let slept = slept.min().unwrap();
        assert_eq!(slept > 0, sleeps, "{about}: slept {slept} times");
        receiver.end();
    }
}

/// Returns the number of times that a thread has given up its CPU because it had nothing to do;
/// yielding does not count (`voluntary_ctxt_switches` of `proc_pid_status(5)`). Waits for the
/// thread: it sets its name when it first runs, which on a CPU shared with a spinning worker can be
/// after the receiver reports that it is ready.
fn sleeps_of(process: &Process, thread: &str) -> u64 {
    let name = format!("Name:\t{thread}\n");
    let mut status = None;
    let found = wait_until(&format!("a thread named {thread}"), TIMEOUT, || {
        let tasks = fs::read_dir(format!("/proc/{}/task", process.id())).unwrap();
        let mut texts =
            tasks.map(|task| fs::read_to_string(task.unwrap().path().join("status")).unwrap());
        status = texts.find(|text| text.starts_with(&name));
        status.is_some()
    });
    found.unwrap();
    let status = status.unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.unwrap().trim().parse().unwrap()
}

#[test]
#[ignore = "requires CAP_NET_ADMIN and CAP_BPF; run by cargo xtask test"]
fn vxtap_receives_everything_with_three_consumers_and_tuned_rings() {
    receives_everything(
        "vxtap --consumers 3 --set memory.fill_ring=1024 --latency-every 0",
        &profile(),
    );
}

#[test]
#[ignore = "requires CAP_NET_ADMIN and CAP_BPF; run by cargo xtask test"]
fn a_bare_socket_receives_everything() {
    for row in ["xsk-rs --wait poll", "xsk-rs --wait busy", "xsk-decap --wait poll"] {
        receives_everything(row, &profile());
    }
}

#[test]
#[ignore = "requires CAP_NET_ADMIN and CAP_BPF; run by cargo xtask test"]
fn a_packet_socket_on_the_kernels_vxlan_device_receives_everything() {
    receives_everything("tpacket", &profile());
    let source = "10.0.1.1".parse().unwrap();
    let one_vni = Profile { sessions: MirrorSession::numbered(1, source, 7), ..profile() };
    receives_everything("tpacket --vni 7 --vni-count 1", &one_vni);
}

#[test]
#[ignore = "requires CAP_NET_ADMIN and CAP_BPF; run by cargo xtask test"]
fn a_packet_socket_on_the_nic_receives_everything() {
    receives_everything("packet", &profile());
}

#[test]
#[ignore = "requires CAP_NET_ADMIN and CAP_BPF; run by cargo xtask test"]
fn a_udp_socket_receives_everything() {
    receives_everything("recvmmsg", &profile());
}

#[test]
#[ignore = "requires CAP_NET_ADMIN and CAP_BPF; run by cargo xtask test"]
fn the_dropping_program_counts_everything() {
    receives_everything("xdp-drop", &profile());
}

#[test]
fn a_receiver_that_cannot_be_opened_says_why_and_fails() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vxbench"));
    let error = capture(command.args(["receive", "packet", "--interface", "no-such-if0"]))
        .expect_err("fails");
    assert!(error.to_string().contains("vxbench: cannot turn GRO on for no-such-if0: "), "{error}");
}
