//! Values of mirrors in reserved bits.

use super::*;
use crate::config::{Direction, DirectionBit, SequenceBits, VxlanProfile};

/// Returns a configuration whose session has frames with a direction in bit 63 and a number in the
/// bits from 8 on.
fn marked() -> Config {
    let mut config = config_of(1, UnknownSessions::Pass);
    config.vxlan_profiles.push(VxlanProfile {
        name: "marks".to_owned(),
        direction: Some(DirectionBit { bit: 63, set: Direction::Egress }),
        sequence: Some(SequenceBits { first_bit: 8, bit_count: 8 }),
    });
    config.sessions[0].vxlan_profile = Some("marks".to_owned());
    config.validate().unwrap();
    config
}

#[test]
fn a_profile_turns_reserved_bits_into_directions_and_losses() {
    let harness = harness_of(&[128], &marked(), WhenFull::Drop);
    let frame = |number: u8, is_egress: bool| {
        let (mut frame, _) = mirrored(1, 7, &[number]);
        frame[43] = number;
        frame[49] = u8::from(is_egress);
        frame
    };
    let directory = harness.directory.clone();
    let frames = [(1, true), (2, false), (4, true), (3, false), (9, true)];
    let (mut consumers, counters) =
        harness.run(frames.map(|(number, is_egress)| frame(number, is_egress)));
    let Next::Batch(batch) = consumers[0].next(Duration::ZERO) else { panic!("no frames") };
    let directions: Vec<_> = batch.iter().map(|frame| frame.direction()).collect();
    let expected = frames
        .map(|(_, is_egress)| Some(if is_egress { Direction::Egress } else { Direction::Ingress }));
    assert_eq!(directions, expected);
    assert_eq!(counters.reserved_bits, 5);
    let [(session, numbers)] = directory.sequence_counters()[..] else {
        panic!("one session is numbered")
    };
    assert_eq!(
        (session, numbers.received, numbers.lost, numbers.restarts),
        (SessionId(1), 5, 4, 0)
    );
}
