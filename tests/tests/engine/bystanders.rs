//! Other traffic on the interface goes on as before, and forged mirrored frames are dropped.

use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;

use vxtap::config::Destinations;
use vxtap_bench::{MirrorSession, Profile};
use vxtap_tests::{TIMEOUT, Veth, capture, privileged, wait_until};

use super::support::{assert_adds_up, config, open, run};

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn tcp_ping_and_other_udp_ports_reach_the_host_while_the_engine_runs() {
    privileged();
    let veth = Veth::pair(2).unwrap();
    let address = veth.receiver.address;
    let mut engine = open(&veth.receiver, config(&veth.receiver));
    engine.start().unwrap();

    let ping: &mut Command = &mut veth.sender.netns.command("ping");
    capture(ping.args(["-c", "3", "-i", "0.2", "-W", "60", &address.to_string()])).unwrap();

    let listener = veth.receiver.netns.run(|| TcpListener::bind((address, 22)).unwrap());
    let client = veth
        .sender
        .netns
        .run(|| TcpStream::connect_timeout(&(address, 22).into(), TIMEOUT).unwrap());
    let (_, peer) = listener.accept().unwrap();
    assert_eq!(peer, client.local_addr().unwrap());

    let other = veth.receiver.netns.run(|| UdpSocket::bind((address, 4790)).unwrap());
    let ours = veth.receiver.netns.run(|| UdpSocket::bind((address, 4789)).unwrap());
    let sender = veth.sender.netns.run(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap());
    sender.send_to(b"to the engine", (address, 4789)).unwrap();
    sender.send_to(b"to the host", (address, 4790)).unwrap();
    other.set_read_timeout(Some(TIMEOUT)).unwrap();
    let mut bytes = [0; 64];
    let (len, _) = other.recv_from(&mut bytes).unwrap();
    assert_eq!(&bytes[..len], b"to the host");
    wait_until("the first one to arrive", TIMEOUT, || engine.report().steering().redirected == 1)
        .unwrap();
    ours.set_nonblocking(true).unwrap();
    assert!(ours.recv_from(&mut bytes).is_err(), "steered datagrams do not reach the stack");

    let report = engine.stop();
    assert_adds_up(&report);
    assert_eq!(report.steering().redirected, 1);
    assert!(report.steering().not_ours >= 6, "{:?}", report.steering());
    assert_eq!(report.total().drops.total(), 1, "what is no VXLAN is refused with a reason");
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn mirrors_from_sources_that_are_not_allowed_are_dropped_and_counted() {
    privileged();
    let veth = Veth::pair(2).unwrap();
    let sessions = [
        MirrorSession::numbered(1, "10.0.1.1".parse().unwrap(), 1),
        MirrorSession::numbered(1, "10.9.1.1".parse().unwrap(), 2),
        MirrorSession::numbered(1, "fd00:1::1".parse().unwrap(), 3),
        MirrorSession::numbered(1, "fd00:9::1".parse().unwrap(), 4),
    ];
    let profile = Profile { sessions: sessions.concat(), count: Some(8000), ..Profile::default() };
    let mut config = config(&veth.receiver);
    // The namespace has no IPv6 addresses.
    config.capture.destinations = Destinations::Any;
    config.capture.allowed_sources =
        vec!["10.0.0.0/16".parse().unwrap(), "fd00:1::/32".parse().unwrap()];
    let outcome = run(&veth, config, &profile, 20_000);
    let sent: Vec<_> = outcome.totals.sessions.iter().map(|session| session.frames).collect();
    let arrived: Vec<_> = outcome.verdict.sessions.iter().map(|session| session.intact).collect();
    assert_eq!(arrived, [sent[0], 0, sent[2], 0], "{}", outcome.report);
    assert_eq!(outcome.report.steering().source_not_allowed, sent[1] + sent[3]);
    assert_adds_up(&outcome.report);
}
