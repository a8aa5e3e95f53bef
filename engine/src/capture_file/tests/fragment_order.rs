//! Fragments in an order that only a file allows to mend.

use super::outer_frames::read_outer;
use super::*;

const SECOND: u64 = 1_000_000_000;

/// The fragment of datagram `id` at `offset`; only the first has a port.
fn fragment(id: u8, offset: u8, has_more: bool) -> Vec<u8> {
    let mut frame = vec![0; 50];
    (frame[12], frame[14], frame[17], frame[19], frame[23]) = (8, 0x45, 36, id, 17);
    frame[20] = if has_more { 0x20 } else { 0 };
    frame[21] = offset / 8;
    frame
}

fn file(frames: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let sample = |(timestamp_ns, bytes): &(u64, Vec<u8>)| Sample {
        timestamp_ns: *timestamp_ns,
        original_len: u32::try_from(bytes.len()).unwrap(),
        bytes: bytes.clone(),
    };
    let frames: Vec<_> = frames.iter().map(sample).collect();
    samples::classic(Order::Little, 0xa1b2_3c4d, &frames).bytes
}

/// Files with fragments in several orders.
pub(super) fn files() -> Vec<Vec<u8>> {
    vec![
        file(&[
            (SECOND, fragment(1, 16, false)),
            (SECOND, fragment(2, 16, false)),
            (SECOND, fragment(1, 8, true)),
            (SECOND, fragment(1, 0, true)),
        ]),
        file(&[(SECOND, fragment(1, 0, true)), (SECOND, fragment(1, 16, false))]),
    ]
}

/// Numbers and times of the frames as they are read.
fn order_of(frames: &[(u64, Vec<u8>)]) -> Vec<(u64, u64)> {
    read_outer(&file(frames)).0.into_iter().map(|(number, time, _)| (number, time)).collect()
}

#[test]
fn fragments_before_the_first_one_come_after_it_at_its_time() {
    let frames = [
        (SECOND, fragment(1, 16, false)),
        (SECOND + 1, fragment(2, 16, false)),
        (SECOND + 2, vec![0; 60]),
        (SECOND + 3, fragment(1, 8, true)),
        (SECOND + 4, fragment(1, 0, true)),
        (SECOND + 5, vec![0; 60]),
    ];
    let time = SECOND + 4;
    assert_eq!(
        order_of(&frames),
        [(3, SECOND + 2), (5, time), (1, time), (4, time), (6, SECOND + 5), (2, SECOND + 1)],
        "the first fragment of datagram 2 never comes"
    );
}

#[test]
fn fragments_after_the_first_one_do_not_wait_unless_they_are_of_another_datagram() {
    let late = 5 * SECOND;
    let frames = [
        (SECOND, fragment(1, 0, true)),
        (SECOND + 1, fragment(1, 16, false)),
        (SECOND + 2, fragment(1, 8, true)),
        (late, fragment(1, 16, false)),
        (late + 1, fragment(1, 0, true)),
    ];
    let order: Vec<_> = order_of(&frames).into_iter().map(|(number, _)| number).collect();
    assert_eq!(order, [1, 2, 3, 5, 4]);
}

#[test]
fn fragments_wait_two_seconds_and_no_more_than_fit() {
    let frames = [
        (SECOND, fragment(1, 16, false)),
        (4 * SECOND, vec![0; 60]),
        (4 * SECOND + 1, fragment(1, 0, true)),
    ];
    let order: Vec<_> = order_of(&frames).into_iter().map(|(number, _)| number).collect();
    assert_eq!(order, [2, 1, 3]);

    let mut many: Vec<_> = (0..4097).map(|_| (SECOND, fragment(1, 16, false))).collect();
    many.push((SECOND, fragment(1, 0, true)));
    let order: Vec<_> = order_of(&many).into_iter().map(|(number, _)| number).collect();
    assert_eq!(order[..3], [1, 4098, 2], "the oldest gave up its place");
}

#[test]
fn the_oldest_first_fragment_is_forgotten_before_later_ones() {
    let numbered = |number: u16, offset, has_more| {
        let mut frame = fragment(0, offset, has_more);
        frame[18..20].copy_from_slice(&number.to_be_bytes());
        (SECOND, frame)
    };
    let mut frames: Vec<_> = (0..4097).map(|number| numbered(number, 0, true)).collect();
    frames.push(numbered(4000, 16, false));
    frames.push((SECOND, vec![0; 60]));
    let order: Vec<_> = order_of(&frames).into_iter().map(|(number, _)| number).collect();
    assert_eq!(order[4097..], [4098, 4099], "the datagram of 4000 is remembered");
}
