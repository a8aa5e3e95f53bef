//! Several interfaces, and changes of them while the engine runs.

use std::thread;

use vxtap::Engine;
use vxtap::config::CaptureMode;
use vxtap::ring::Next;
use vxtap_bench::profile::Sizes;
use vxtap_bench::{Profile, Traffic, Verifier};
use vxtap_tests::{
    NetNs, Side, TIMEOUT, Veth, VethOptions, capture, privileged, repeats, wait_until,
};

use super::load::Load;
use super::support::{
    OUTPUT, assert_adds_up, config, count, open, send_on, send_traffic, stop_after, verify,
    wait_for_arrivals,
};

/// Lets the engine poll its interfaces until `is_noticed` returns true; returns the notes that it
/// has made.
#[track_caller]
fn poll_until(
    engine: &mut Engine,
    receiver: &Side,
    mut is_noticed: impl FnMut(&Engine, &[String]) -> bool + Send,
) -> Vec<String> {
    let mut notes = Vec::new();
    wait_until("the engine to notice", TIMEOUT, || {
        let is_over = is_noticed(engine, &notes);
        if !is_over {
            receiver.netns.run(|| engine.poll_interfaces());
            notes.extend(engine.take_diagnostics());
        }
        is_over
    })
    .unwrap_or_else(|error| panic!("{error}: {notes:?}\n{}", engine.report()));
    notes
}

fn ethtool(side: &Side, arguments: &[&str]) -> anyhow::Result<String> {
    capture(side.netns.command("ethtool").args(arguments))
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn link_flaps_again_and_again_under_load_are_noticed_and_the_account_stays_exact() {
    privileged();
    let veth = Veth::pair(2).unwrap();
    let (receiver, device) = (&veth.receiver, veth.receiver.interface);
    let mut engine = open(receiver, config(receiver));
    let consumer = engine.take_consumer(OUTPUT).unwrap();
    let reader = thread::spawn(|| count(consumer));
    engine.start().unwrap();
    let load = Load::start(&veth.sender, 20_000);
    // The engine looks twice a second at most.
    for _ in 0..repeats(4, 20) {
        for (state, expected) in
            [("down", "vxrx0 is down, nothing arrives"), ("up", "vxrx0 is up again")]
        {
            receiver.netns.ip(&["link", "set", device, state]).unwrap();
            poll_until(&mut engine, receiver, |_, said| said.iter().any(|note| note == expected));
        }
    }
    let before = engine.report().total().delivered.frames;
    poll_until(&mut engine, receiver, |engine, _| {
        engine.report().total().delivered.frames > before
    });
    let totals = load.stop();
    let report = engine.stop();
    assert_adds_up(&report);
    let delivered = report.total().delivered.frames;
    assert!(delivered > 0 && delivered <= totals.frames, "{delivered} of {}", totals.frames);
    assert_eq!(reader.join().unwrap(), delivered);
}

/// The kernel takes no queue away while a socket is bound to it: there can only be more queues.
#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn another_queue_again_and_again_under_load_is_served() {
    privileged();
    let most = 1 + repeats(7, 20);
    let options = VethOptions { queues: most, ..VethOptions::default() };
    let veth = Veth::join(NetNs::new().unwrap(), NetNs::new().unwrap(), options).unwrap();
    let receiver = &veth.receiver;
    ethtool(&veth.sender, &["-L", "vxtx0", "tx", "1"]).unwrap();
    ethtool(receiver, &["-L", "vxrx0", "rx", "1", "tx", "1"]).unwrap();
    let mut config = config(receiver);
    config.memory.per_queue_mib = 8;
    config.memory.fill_ring = 512;
    config.memory.rx_ring = 512;
    let mut engine = open(receiver, config);
    let consumer = engine.take_consumer(OUTPUT).unwrap();
    let reader = thread::spawn(|| count(consumer));
    engine.start().unwrap();
    let load = Load::start(&veth.sender, 20_000);
    for queues in 2..=most as usize {
        let count = queues.to_string();
        ethtool(receiver, &["-L", "vxrx0", "rx", &count, "tx", &count]).unwrap();
        ethtool(&veth.sender, &["-L", "vxtx0", "tx", &count]).unwrap();
        // Real drivers set all queues up anew; veth gives a new one no XDP program before the next
        // time that it is brought up.
        receiver.netns.ip(&["link", "set", "vxrx0", "down"]).unwrap();
        receiver.netns.ip(&["link", "set", "vxrx0", "up"]).unwrap();
        let served = |engine: &Engine, _: &[String]| engine.report().workers.len() == queues;
        let said = poll_until(&mut engine, receiver, served);
        let expected = format!("vxrx0 has {queues} RX queues (before: {})", queues - 1);
        assert!(said.contains(&expected), "{said:?}");
    }
    let refusal =
        ethtool(receiver, &["-L", "vxrx0", "rx", "1", "tx", "1"]).unwrap_err().to_string();
    assert!(refusal.contains("AF_XDP"), "{refusal}");
    let all_have_frames = |engine: &Engine, _: &[String]| {
        engine.report().workers.iter().all(|worker| worker.counters.total.delivered.frames > 0)
    };
    poll_until(&mut engine, receiver, all_have_frames);
    load.stop();
    let report = engine.stop();
    assert_adds_up(&report);
    assert_eq!(reader.join().unwrap(), report.total().delivered.frames);
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn two_interfaces_are_one_engine_and_one_of_them_may_go() {
    privileged();
    let veth = Veth::pair(2).unwrap();
    let receiver = &veth.receiver;
    let peer = ["peer", "name", "vxtx1", "netns", veth.sender.netns.name()];
    receiver.netns.ip(&[&["link", "add", "vxrx1", "type", "veth"][..], &peer].concat()).unwrap();
    receiver.netns.ip(&["link", "set", "vxrx1", "mtu", "1600", "up"]).unwrap();
    veth.sender.netns.ip(&["link", "set", "vxtx1", "mtu", "1600", "up"]).unwrap();
    let mut config = config(receiver);
    config.capture.interfaces.push("vxrx1".to_owned());
    let mut engine = open(receiver, config);
    let mut consumer = engine.take_consumer(OUTPUT).unwrap();
    engine.start().unwrap();
    let profile = Profile { count: Some(500), ..Profile::default() };
    let mut traffic = Traffic::new(&profile).unwrap();
    send_on(&veth.sender.netns, "vxtx1", &mut traffic, 20_000, None);
    let Next::Batch(batch) = consumer.next(TIMEOUT) else { panic!("frames have come") };
    let kept: Vec<_> =
        batch.iter().map(|frame| (frame.interface(), frame.bytes().into_owned())).collect();
    assert!(kept.iter().all(|(interface, _)| *interface == 1));
    wait_for_arrivals(&engine, 500);
    receiver.netns.ip(&["link", "delete", "vxrx1"]).unwrap();
    let gone = "vxrx1 was deleted: it delivers no more frames";
    poll_until(&mut engine, receiver, |_, said| said.iter().any(|note| note == gone));
    let same = batch.iter().map(|frame| (frame.interface(), frame.bytes().into_owned()));
    assert!(same.eq(kept), "frames stay valid");
    drop(batch);
    let verifier = verify(consumer, Verifier::new(&profile).unwrap());
    assert!(!engine.has_ended());
    send_traffic(&veth.sender, &profile, 20_000);
    let report = stop_after(engine, 1000);
    assert_eq!(report.imbalances(), Vec::<String>::new(), "{report}");
    assert_eq!(report.failures[0], gone);
    let redirected: Vec<_> = report.interfaces.iter().map(|it| it.steering.redirected).collect();
    assert_eq!(redirected, [500, 500]);
    drop(verifier.join().unwrap());
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn another_mtu_is_said_and_longer_frames_come_through() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let receiver = &veth.receiver;
    let mut engine = open(receiver, config(receiver));
    let verifier = verify(engine.take_consumer(OUTPUT).unwrap(), Verifier::new(&long()).unwrap());
    engine.start().unwrap();
    for side in [receiver, &veth.sender] {
        side.netns.ip(&["link", "set", side.interface, "mtu", "9001"]).unwrap();
    }
    let expected = "the MTU of vxrx0 is 9001 (before: 1600)";
    poll_until(&mut engine, receiver, |_, said| said.iter().any(|note| note.starts_with(expected)));
    let totals = send_traffic(&veth.sender, &long(), 2_000);
    let report = stop_after(engine, totals.frames);
    assert_adds_up(&report);
    let verdict = verifier.join().unwrap().finish(&totals);
    // Before Linux 6.6 no frame lies in several chunks.
    let is_left = report.steering().several_buffers == totals.frames;
    assert!(
        verdict.is_perfect() || is_left && report.total().received.frames == 0,
        "{verdict}\n{report}"
    );
}

/// Frames that are longer than the chunks of an engine that was started with an MTU of 1600.
fn long() -> Profile {
    Profile { count: Some(200), sizes: Sizes::Fixed(8000), ..Profile::default() }
}

/// A UDP socket is not told that its interface is gone.
#[test]
#[ignore = "requires CAP_NET_ADMIN and network namespaces"]
fn an_engine_on_udp_sockets_ends_when_its_interface_is_deleted() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let receiver = &veth.receiver;
    let mut config = config(receiver);
    config.capture.mode = CaptureMode::Socket;
    let mut engine = open(receiver, config);
    engine.start().unwrap();
    receiver.netns.ip(&["link", "delete", receiver.interface]).unwrap();
    poll_until(&mut engine, receiver, |engine, _| engine.has_ended());
    let report = engine.stop();
    assert_eq!(report.failures, ["vxrx0 was deleted: it delivers no more frames"]);
    assert_eq!(report.imbalances(), Vec::<String>::new());
}
