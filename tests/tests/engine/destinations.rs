//! Datagrams to others are left to the kernel stack, unless any destination is wanted.

use std::net::Ipv4Addr;

use vxtap::config::Destinations;
use vxtap_bench::Profile;
use vxtap_bench::profile::OuterHeaders;
use vxtap_tests::{TIMEOUT, Veth, privileged, wait_until};

use super::support::{
    assert_adds_up, config, finish, open, send_traffic, vxtap_on, wait_for_arrivals,
};

/// Frames that are sent at a time.
const COUNT: u64 = 200;

fn profile(to: Ipv4Addr) -> Profile {
    let outer = OuterHeaders { ipv4_destination: to, ..OuterHeaders::default() };
    Profile { count: Some(COUNT), outer, ..Profile::default() }
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn transit_traffic_is_left_alone_and_said_and_new_addresses_are_taken_over() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let (netns, device) = (&veth.receiver.netns, veth.receiver.interface);
    let (own, other) = (Ipv4Addr::new(192, 0, 2, 2), Ipv4Addr::new(198, 51, 100, 7));
    let mut engine = open(&veth.receiver, config(&veth.receiver));
    engine.start().unwrap();
    engine.take_diagnostics();
    send_traffic(&veth.sender, &profile(other), 20_000);
    wait_for_arrivals(&engine, COUNT);
    assert_eq!(engine.report().steering().other_destination, COUNT, "{}", engine.report());
    let mut said = Vec::new();
    wait_until("the note", TIMEOUT, || {
        netns.run(|| engine.poll_interfaces());
        said.extend(engine.take_diagnostics());
        !said.is_empty()
    })
    .unwrap();
    assert_eq!(
        said,
        [
            "all that arrives at vxrx0 for the ports is addressed to others, such as 198.51.100.7, and left to the kernel \
             stack: vxrx0 has 10.0.0.2, 192.0.2.2; capture.destinations = \"any\" takes it"
        ]
    );
    for to in [own, Ipv4Addr::new(192, 0, 2, 255), Ipv4Addr::new(239, 1, 1, 1)] {
        send_traffic(&veth.sender, &profile(to), 20_000);
    }
    wait_for_arrivals(&engine, 4 * COUNT);
    assert_eq!(engine.report().steering().redirected, 3 * COUNT, "{}", engine.report());
    // An address of the bridge that it belongs to is one of it.
    netns.ip(&["link", "add", "vxbr0", "type", "bridge"]).unwrap();
    netns.ip(&["link", "set", device, "master", "vxbr0"]).unwrap();
    netns.ip(&["address", "add", "198.51.100.7/24", "dev", "vxbr0"]).unwrap();
    netns.ip(&["address", "delete", "192.0.2.2/24", "dev", device]).unwrap();
    let mut said = Vec::new();
    wait_until("the other addresses", TIMEOUT, || {
        netns.run(|| engine.poll_interfaces());
        said.extend(engine.take_diagnostics());
        said.iter().any(|note| {
            note == "vxrx0 has other addresses: datagrams to 10.0.0.2, 198.51.100.7 are taken"
        })
    })
    .unwrap_or_else(|error| panic!("{error}: {said:?}"));
    for to in [own, other] {
        send_traffic(&veth.sender, &profile(to), 20_000);
    }
    wait_for_arrivals(&engine, 6 * COUNT);
    let report = engine.stop();
    assert_adds_up(&report);
    let steering = report.steering();
    assert_eq!((steering.redirected, steering.other_destination), (4 * COUNT, 2 * COUNT));
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn any_destination_is_taken_if_wanted_or_if_the_interface_has_no_address() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let other = Ipv4Addr::new(198, 51, 100, 7);
    for destinations in [Destinations::Any, Destinations::Own] {
        let mut config = config(&veth.receiver);
        config.capture.destinations = destinations;
        let mut engine = open(&veth.receiver, config);
        engine.start().unwrap();
        let said = engine.take_diagnostics();
        let note = "vxrx0 has no address: datagrams to any destination are taken, as with capture.destinations = \"any\"";
        let is_own = destinations == Destinations::Own;
        assert_eq!(said.iter().any(|line| line == note), is_own, "{said:?}");
        send_traffic(&veth.sender, &profile(other), 20_000);
        wait_for_arrivals(&engine, COUNT);
        let report = engine.stop();
        assert_adds_up(&report);
        assert_eq!(report.steering().redirected, COUNT, "{report}");
        veth.receiver.netns.ip(&["address", "flush", "dev", "vxrx0"]).unwrap();
    }
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn check_shows_the_addresses_in_force() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("c.toml");
    let path = path.to_str().unwrap();
    let check = |text: &str| {
        std::fs::write(path, text).unwrap();
        finish(&mut vxtap_on(&veth.receiver, &["check", "-c", path])).1
    };
    let shown = check("[capture]\ninterface = \"vxrx0\"\n");
    let expected = "Takes what is addressed to vxrx0: 10.0.0.2, 192.0.2.2, 192.0.2.255.";
    assert!(shown.contains(expected), "{shown}");
    let shown = check("[capture]\ninterface = \"vxrx0\"\ndestinations = \"any\"\n");
    assert!(shown.contains("Takes datagrams to any destination"), "{shown}");
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn the_interface_is_promiscuous_while_the_engine_runs_and_however_it_ends() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let netns = &veth.receiver.netns;
    let promiscuity = || {
        let shown = netns.ip(&["-d", "link", "show", "dev", "vxrx0"]).unwrap();
        let (_, rest) = shown.split_once("promiscuity ").unwrap();
        rest.split_whitespace().next().unwrap().to_owned()
    };
    let mut config = config(&veth.receiver);
    config.capture.promiscuous = true;
    let mut engine = open(&veth.receiver, config);
    engine.start().unwrap();
    assert_eq!(promiscuity(), "1");
    engine.stop();
    assert_eq!(promiscuity(), "0");

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("c.toml");
    std::fs::write(&path, "[capture]\npromiscuous = true\n").unwrap();
    let config = path.to_str().unwrap();
    let mut process = super::support::start_in(directory.path(), &veth, &["-c", config]);
    assert_eq!(promiscuity(), "1");
    process.signal(nix::sys::signal::Signal::SIGKILL).unwrap();
    process.wait(TIMEOUT).unwrap();
    wait_until("the end of the promiscuous mode", TIMEOUT, || promiscuity() == "0").unwrap();
}
