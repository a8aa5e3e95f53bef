//! The ladder of signs from which a direction is inferred.

use super::super::direction::{DirectionEvidence, Identity};
use super::*;
use crate::config::{Eni, MacAddress};
use crate::session::{SessionKey, SourceVni, Vni};

const ENI_MAC: [u8; 6] = [2, 0xaa, 0xbb, 0xcc, 0xdd, 1];
const ROUTER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];

fn source(address: &str) -> SessionKey {
    SessionKey::from(SourceVni { source: address.parse().unwrap(), vni: Vni::default() })
}

fn frame(from: [u8; 6], to: [u8; 6]) -> Vec<u8> {
    [to, from].concat()
}

fn v4(source: &str, destination: &str) -> Flow {
    let address = |text: &str| text.parse::<std::net::Ipv4Addr>().unwrap().to_bits();
    flow(address(source), address(destination), (1, 2))
}

fn v6(source: &str, destination: &str) -> Flow {
    let address = |text: &str| text.parse::<std::net::Ipv6Addr>().unwrap().to_bits();
    let addresses = Addresses::V6 { source: address(source), destination: address(destination) };
    Flow { addresses, ..flow(0, 0, (1, 2)) }
}

#[test]
fn the_surest_sign_decides() {
    let identity = Identity::new(&Eni {
        mac: Some(MacAddress(ENI_MAC)),
        addresses: ["10.0.1.5/32", "10.0.2.0/28", "2001:db8::/80"]
            .map(|it| it.parse().unwrap())
            .into(),
        ..Eni::default()
    });
    let (out, inwards) = (frame(ENI_MAC, ROUTER_MAC), frame(ROUTER_MAC, ENI_MAC));
    let (between, own) = (frame(ROUTER_MAC, [6; 6]), frame(ENI_MAC, ENI_MAC));
    let outer = source("10.0.1.5");
    let (ingress, egress) = (Direction::Ingress, Direction::Egress);
    let (mac, address, outer_source) =
        (DirectionEvidence::Mac, DirectionEvidence::Address, DirectionEvidence::OuterSource);
    for (frame, flow, expected) in [
        (&out, Some(v4("10.9.9.9", "10.0.1.5")), Some((egress, mac))),
        (&inwards, Some(v4("10.0.1.5", "10.9.9.9")), Some((ingress, mac))),
        (&out, None, Some((egress, mac))),
        (&between, Some(v4("10.0.2.3", "10.9.9.9")), Some((egress, address))),
        (&between, Some(v4("10.9.9.9", "10.0.2.15")), Some((ingress, address))),
        (&between, Some(v4("10.9.9.9", "10.0.2.16")), None),
        (&between, Some(v6("2001:db8::7", "2001:db9::7")), Some((egress, address))),
        (&own, Some(v4("10.9.9.9", "10.0.1.5")), Some((ingress, address))),
        // Both ends are the interface's own: its primary address is the one that the mirror sends
        // from.
        (&between, Some(v4("10.0.1.5", "10.0.2.1")), Some((egress, outer_source))),
        (&between, Some(v4("10.0.1.5", "10.0.1.5")), None),
        (&between, None, None),
    ] {
        assert_eq!(identity.infer(frame, flow.as_ref(), outer), expected, "{flow:?}");
    }
}

#[test]
fn without_an_interface_the_outer_source_is_left() {
    let identity = Identity::default();
    let found = |flow, outer| identity.infer(&[0; 14], Some(&flow), source(outer));
    let sign = DirectionEvidence::OuterSource;
    assert_eq!(found(v4("10.0.1.5", "10.9.9.9"), "10.0.1.5"), Some((Direction::Egress, sign)));
    assert_eq!(found(v4("10.9.9.9", "10.0.1.5"), "10.0.1.5"), Some((Direction::Ingress, sign)));
    assert_eq!(found(v4("10.9.9.9", "10.9.9.8"), "10.0.1.5"), None);
    assert_eq!(found(v6("fd00::1", "fd00::2"), "fd00::2"), Some((Direction::Ingress, sign)));
    assert_eq!(found(v6("fd00::1", "fd00::2"), "10.0.1.5"), None);
    assert_eq!(found(v4("10.0.1.5", "10.9.9.9"), "fd00::1"), None);
    assert_eq!(identity.infer(&[0; 3], None, source("10.0.1.5")), None, "too short for addresses");
}
