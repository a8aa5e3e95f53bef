//! Every tunnel over every network with every kind of inner frame comes out as it went in, in every
//! capture mode.

use vxtap::Engine;
use vxtap::config::CaptureMode;
use vxtap::engine::ActiveMode;
use vxtap::ring::Link;
use vxtap_tests::{NetNs, Veth, VethOptions, privileged};

use super::frames::{Mirrored, all_cases};
use super::support::{
    Got, assert_adds_up, config, receive_like_a_host, run, run_to_the_end, write_pcap,
};

/// An 8900-byte frame in VXLAN in GENEVE over IPv6 needs 9044; tags come on top.
const MTU: u32 = 9100;

fn all(receiver_mac: [u8; 6]) -> Vec<Mirrored> {
    (0..).zip(all_cases()).map(|(number, case)| Mirrored::new(case, number, receiver_mac)).collect()
}

/// Frames of several queues come in any order between them.
#[track_caller]
fn assert_all_came(sent: &[Mirrored], got: &[Got], outer_is_kept: bool) {
    assert_eq!(got.len(), sent.len());
    for mirrored in sent {
        let Mirrored { case, inner, source, vni, gwlb, .. } = mirrored;
        let found = got
            .iter()
            .find(|got| got.vni == *vni)
            .unwrap_or_else(|| panic!("{case:?} did not come"));
        assert_eq!(&found.bytes, inner, "{case:?}");
        let metadata = (found.source, found.encapsulation, found.gwlb, found.link);
        assert_eq!(metadata, (*source, case.encapsulation, *gwlb, Link::Ethernet), "{case:?}");
        assert_eq!(found.original_len as usize, inner.len(), "{case:?}");
        if outer_is_kept {
            assert_eq!(found.outer, mirrored.outer(), "{case:?}");
        }
    }
}

fn veth(queues: u32) -> Veth {
    let options = VethOptions { queues, mtu: MTU };
    Veth::join(NetNs::new().unwrap(), NetNs::new().unwrap(), options).unwrap()
}

fn over_veth(mode: CaptureMode, active: ActiveMode) {
    let veth = veth(2);
    let sent = all(veth.receiver.mac);
    let mut config = config(&[veth.receiver.interface]);
    config.capture.mode = mode;
    let engine = veth.receiver.netns.run(|| Engine::open(config)).unwrap();
    let frames = sent.iter().map(|mirrored| &mirrored.frame[..]);
    let (got, report) = run(engine, &veth.sender, frames, sent.len());
    assert_eq!(report.interfaces[0].mode, active);
    assert_all_came(&sent, &got, true);
    assert!(got.iter().any(|got| got.segments == 3), "8900 bytes in chunks of 4096");
    assert_adds_up(&report);
    assert_eq!(report.total().delivered.frames, sent.len() as u64);
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn native_copy() {
    privileged();
    over_veth(CaptureMode::Native, ActiveMode::NativeCopy);
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn generic() {
    privileged();
    over_veth(CaptureMode::Generic, ActiveMode::Generic);
}

/// Checks the frames that the kernel stack passes to UDP sockets of these interfaces. The place of
/// an interface is the number of VLAN tags, which the stack removes.
fn through_udp_sockets(veth: &Veth, interfaces: &[&str]) {
    let mut sent = all(veth.receiver.mac);
    sent.retain(|mirrored| mirrored.case.vlans < interfaces.len());
    let mut config = config(interfaces);
    config.capture.mode = CaptureMode::Socket;
    let engine = veth.receiver.netns.run(|| Engine::open(config)).unwrap();
    let frames = sent.iter().map(|mirrored| &mirrored.frame[..]);
    let (got, report) = run(engine, &veth.sender, frames, sent.len());
    assert!(report.interfaces.iter().all(|interface| interface.mode == ActiveMode::Socket));
    assert_all_came(&sent, &got, false);
    for got in &got {
        let mirrored = sent.iter().find(|mirrored| mirrored.vni == got.vni).unwrap();
        assert_eq!(got.interface, mirrored.case.vlans, "{:?}", mirrored.case);
        // The engine builds the IP header again; the bytes from the ports on are unchanged.
        let ports = if mirrored.case.outer_is_v6 { 40 } else { 20 };
        assert_eq!(got.outer[ports..], mirrored.outer()[ports..], "{:?}", mirrored.case);
    }
    assert_adds_up(&report);
    let by_interface: Vec<_> =
        report.interfaces.iter().map(|interface| interface.steering.redirected).collect();
    assert_eq!(by_interface, vec![(sent.len() / interfaces.len()) as u64; interfaces.len()]);
}

/// Without VLAN interfaces: the host's kernel may have none.
#[test]
#[ignore = "requires CAP_NET_ADMIN and network namespaces"]
fn udp_sockets() {
    privileged();
    let veth = veth(2);
    receive_like_a_host(&veth.receiver);
    through_udp_sockets(&veth, &[veth.receiver.interface]);
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, network namespaces and 8021q; run by cargo xtask test --vm"]
fn udp_sockets_behind_vlan_interfaces() {
    privileged();
    let veth = veth(2);
    receive_like_a_host(&veth.receiver);
    let interfaces = super::support::add_vlan_interfaces(&veth.receiver);
    through_udp_sockets(&veth, &interfaces);
}

#[test]
fn a_capture_file() {
    let sent = all([2; 6]);
    let file = tempfile::NamedTempFile::new().unwrap();
    write_pcap(file.path(), sent.iter().map(|mirrored| &mirrored.frame[..]));
    let engine = Engine::open_capture_file(config(&[]), file.path()).unwrap();
    let (got, report) = run_to_the_end(engine);
    assert_eq!(report.interfaces[0].mode, ActiveMode::CaptureFile);
    assert_all_came(&sent, &got, true);
    assert_adds_up(&report);
}
