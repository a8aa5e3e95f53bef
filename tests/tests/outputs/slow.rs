//! An output that stands still loses only its own frames, and each of them is counted.

use std::fs;

use nix::sys::signal::Signal;
use vxtap::Engine;
use vxtap::config::{Output, OutputKind};
use vxtap_bench::{Profile, Verifier};
use vxtap_tests::{TIMEOUT, Veth, privileged, wait_until};

use super::captures::frames_in;
use super::interface::{sniff, stop};
use super::shared::{example, output_of};
use super::support::{
    OUTPUT, assert_adds_up, config, declared, frames_so_far, open, send_traffic, verify,
};

/// Seconds of traffic while the consumer stands still.
const PAUSE: u64 = 2;
/// Frames that a ring of the outputs holds.
const RING: u32 = 2048;
const FRAMES_PER_SECOND: u64 = 4000;

/// Waits until the engine has received so many frames and the consumers have read all of them.
fn wait_until_read(engine: &Engine, frames: u64) {
    wait_until("all frames to be read", TIMEOUT, || {
        let report = engine.report();
        report.total().received.frames == frames
            && report.workers.iter().all(|worker| worker.counters.chunks.published == 0)
    })
    .unwrap_or_else(|error| panic!("{error}\n{}", engine.report()));
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn of_three_outputs_the_one_that_is_stopped_loses_what_its_rings_do_not_hold_and_then_goes_on() {
    privileged();
    let veth = Veth::pair(2).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let [file, socket, seen] =
        ["file.pcapng", "shared.sock", "seen.pcap"].map(|name| directory.path().join(name));
    let mut config = config(&veth.receiver);
    config.memory.output_ring = Some(RING);
    config.outputs.push(Output::new("file", OutputKind::pcapng(&file)));
    config
        .outputs
        .push(Output::new("shared", OutputKind::Shared { path: socket.clone(), max_consumers: 1 }));
    let interface = OutputKind::Interface { interface: "mirror0".to_owned(), vlan_tags: false };
    config.outputs.push(Output::new("interface", interface));
    let profile =
        |seconds: u64| Profile { count: Some(seconds * FRAMES_PER_SECOND), ..Profile::default() };
    config.sessions = declared(&profile(1));
    let mut engine = open(&veth.receiver, config);
    let verifier =
        verify(engine.take_consumer(OUTPUT).unwrap(), Verifier::new(&profile(1)).unwrap());
    engine.start().unwrap();
    let mut sniffer = sniff(&veth.receiver.netns, "tcpdump", "mirror0", &seen);
    let mut flows = example(directory.path(), "C", &socket);

    let before = send_traffic(&veth.sender, &profile(1), FRAMES_PER_SECOND);
    // Unread frames would take room in its rings.
    wait_until_read(&engine, before.frames);
    flows.0.signal(Signal::SIGSTOP).unwrap();
    let stat = format!("/proc/{}/stat", flows.0.id());
    wait_until("the consumer to stand still", TIMEOUT, || {
        fs::read_to_string(&stat).unwrap().contains(") T ")
    })
    .unwrap();
    let meanwhile = send_traffic(&veth.sender, &profile(PAUSE), FRAMES_PER_SECOND);
    wait_until("all frames to be received", TIMEOUT, || {
        engine.report().total().received.frames == before.frames + meanwhile.frames
    })
    .unwrap();
    flows.0.signal(Signal::SIGCONT).unwrap();
    wait_until_read(&engine, before.frames + meanwhile.frames);
    let afterwards = send_traffic(&veth.sender, &profile(1), FRAMES_PER_SECOND);

    let sent = before.frames + meanwhile.frames + afterwards.frames;
    wait_until("the sniffer to see all frames", TIMEOUT, || frames_so_far(&seen) >= sent).unwrap();
    let report = engine.stop();
    assert_adds_up(&report);
    drop(verifier.join().unwrap());
    if sniffer.ended().unwrap().is_none() {
        stop(&mut sniffer);
    }
    assert_eq!((frames_in(&file), frames_in(&seen)), (sent, sent), "\n{report}");
    let [_, file, shared, interface] = &report.outputs[..] else { panic!("{report}") };
    for output in [file, interface] {
        assert_eq!(
            (output.total().delivered.frames, output.total().dropped),
            (sent, 0),
            "\n{report}"
        );
        let written = output.written.as_ref().unwrap();
        assert_eq!((written.frames_written, written.frames_lost), (sent, 0), "\n{report}");
    }
    // No frame was read meanwhile: each of two rings was filled once.
    let (delivered, full) = (shared.total().delivered.frames, shared.total().dropped);
    assert_eq!(full, meanwhile.frames - u64::from(2 * RING), "\n{report}");
    assert_eq!(delivered, sent - full, "\n{report}");
    let text = output_of(&mut flows);
    assert!(text.contains(&format!("{delivered} frames")), "{text}\n{report}");
}
