//! Every tunnel over every network with everything inside comes out as it went in, on every rung.

use vxtap::Engine;
use vxtap::config::CaptureMode;
use vxtap::engine::Rung;
use vxtap::output::Link;
use vxtap_tests::{NetNs, Veth, VethOptions, privileged};

use super::frames::{Mirrored, all_cases};
use super::support::{Got, assert_adds_up, config, run};

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
        let found = got.iter().find(|got| got.vni == *vni).unwrap_or_else(|| panic!("{case:?} did not come"));
        assert_eq!(&found.bytes, inner, "{case:?}");
        let metadata = (found.source, found.encapsulation, found.gwlb, found.link);
        assert_eq!(metadata, (*source, case.encapsulation, *gwlb, Link::Ethernet), "{case:?}");
        assert_eq!(found.original_len as usize, inner.len(), "{case:?}");
        if outer_is_kept {
            assert_eq!(found.outer, mirrored.outer(), "{case:?}");
        }
    }
}

fn over_veth(mode: CaptureMode, rung: Rung, queues: u32) {
    let options = VethOptions { queues, mtu: MTU };
    let veth = Veth::join(NetNs::new().unwrap(), NetNs::new().unwrap(), options).unwrap();
    let sent = all(veth.receiver.mac);
    let mut config = config(veth.receiver.interface);
    config.capture.mode = mode;
    let engine = veth.receiver.netns.run(|| Engine::open(config)).unwrap();
    let (got, report) = run(engine, &veth.sender, sent.iter().map(|mirrored| &mirrored.frame[..]));
    assert_eq!(report.rung, Some(rung));
    assert_all_came(&sent, &got, true);
    assert!(got.iter().any(|got| got.segments == 3), "8900 bytes in chunks of 4096");
    assert_adds_up(&report);
    assert_eq!(report.total().delivered.frames, sent.len() as u64);
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn native_copy() {
    privileged();
    over_veth(CaptureMode::Native, Rung::NativeCopy, 2);
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn generic() {
    privileged();
    over_veth(CaptureMode::Generic, Rung::Generic, 2);
}
