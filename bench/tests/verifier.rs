//! Claim: the verifier detects each difference between the frames that arrive and those that were
//! sent.

use vxtap_bench::profile::ProtocolMix;
use vxtap_bench::{MirrorSession, Profile, Totals, Traffic, Verification, Verifier};

const COUNT: u64 = 2000;
const LAST: usize = 1999;

fn profile() -> Profile {
    Profile {
        count: Some(COUNT),
        flows_per_session: 8,
        ipv6_percent: 50,
        mix: ProtocolMix { tcp: 1, udp: 1, dns: 1, icmp: 1 },
        ..Profile::default()
    }
}

/// A frame as the receiver gets it.
#[derive(Clone)]
struct ReceivedFrame {
    session: MirrorSession,
    flow: (u16, u8),
    inner: Vec<u8>,
}

fn frames(profile: &Profile) -> Vec<ReceivedFrame> {
    let mut traffic = Traffic::new(profile).expect("valid profile");
    let mut frame = Vec::new();
    let mut all = Vec::new();
    while let Some(sent) = traffic.next_frame(&mut frame) {
        let flow = (sent.flow, sent.direction as u8);
        all.push(ReceivedFrame {
            session: profile.sessions[sent.session],
            flow,
            inner: frame[50..].to_vec(),
        });
    }
    all
}

fn verify(frames: &[ReceivedFrame]) -> Verification {
    let mut verifier = Verifier::new(&profile()).expect("valid profile");
    for frame in frames {
        verifier.frame(frame.session.source, frame.session.vni, &frame.inner);
    }
    let verdict = verifier.finish(&Traffic::totals(&profile()).expect("valid profile"));
    let Verification { received, intact, duplicated, corrupted, misplaced, foreign, .. } = verdict;
    assert_eq!(received, intact + duplicated + corrupted + misplaced + foreign);
    assert_eq!(verdict.sent, intact + verdict.missing);
    verdict
}

/// Gives frames to a verifier without their session.
fn verify_unnamed(frames: &[ReceivedFrame]) -> Verifier {
    let mut verifier = Verifier::new(&profile()).expect("valid profile");
    for frame in frames {
        verifier.inner_frame(&frame.inner);
    }
    verifier
}

/// Differences from a perfect result: missing, duplicated, reordered, corrupted, misplaced,
/// foreign.
const fn faults(verdict: &Verification) -> [u64; 6] {
    let Verification { missing, duplicated, reordered, corrupted, misplaced, foreign, .. } =
        *verdict;
    [missing, duplicated, reordered, corrupted, misplaced, foreign]
}

#[test]
fn all_frames_in_order_are_perfect() {
    let all = frames(&profile());
    let verdict = verify(&all);
    assert!(verdict.is_perfect(), "{verdict}");
    assert_eq!(verdict.intact, COUNT);
    assert_eq!(verdict.bytes, all.iter().map(|f| f.inner.len() as u64).sum::<u64>());
    assert_eq!(verdict.to_string().lines().last(), Some("every frame arrived as it was sent"));
}

#[test]
fn frames_of_different_flows_may_overtake_each_other() {
    let mut all = frames(&profile());
    all.sort_by_key(|frame| (frame.session.vni, frame.flow));
    assert!(verify(&all).is_perfect());
}

#[test]
fn every_lost_frame_is_missing_wherever_it_was() {
    for at in [0, 1000, LAST] {
        let mut all = frames(&profile());
        let lost = all.remove(at);
        let verdict = verify(&all);
        assert_eq!(faults(&verdict), [1, 0, 0, 0, 0, 0]);
        assert!(!verdict.is_perfect());
        let index = profile().sessions.iter().position(|s| *s == lost.session).expect("a session");
        assert_eq!(verdict.sessions[index].missing, 1);
    }
}

#[test]
fn a_session_of_which_nothing_arrives_is_missing_as_a_whole() {
    let mut all = frames(&profile());
    let lost = profile().sessions[7];
    all.retain(|frame| frame.session != lost);
    let verdict = verify(&all);
    assert_eq!(verdict.missing, COUNT - all.len() as u64);
    assert_eq!(verdict.sessions[7].missing, verdict.missing);
}

#[test]
fn a_frame_that_arrives_twice_is_duplicated() {
    let mut all = frames(&profile());
    all.insert(1500, all[100].clone());
    all.insert(101, all[100].clone());
    assert_eq!(faults(&verify(&all)), [0, 2, 0, 0, 0, 0]);
}

#[test]
fn a_frame_overtaken_within_its_flow_is_reordered() {
    let mut all = frames(&profile());
    let is_same = |a: &ReceivedFrame, b: &ReceivedFrame| (a.session, a.flow) == (b.session, b.flow);
    let next =
        (1..all.len()).find(|&i| is_same(&all[i], &all[0])).expect("another frame of the flow");
    all.swap(0, next);
    assert_eq!(faults(&verify(&all)), [0, 0, 1, 0, 0, 0]);
}

/// Verifies damaged copies of each of the first frames: enough for every protocol, family and
/// direction.
fn verify_damaged(damage: impl Fn(&[u8], &mut dyn FnMut(&[u8]))) -> Verification {
    let mut verifier = Verifier::new(&profile()).expect("valid profile");
    for ReceivedFrame { session, inner, .. } in frames(&profile()).iter().take(200) {
        damage(inner, &mut |damaged| verifier.frame(session.source, session.vni, damaged));
    }
    verifier.finish(&Totals::default())
}

#[test]
fn damage_to_any_byte_of_headers_or_payload_is_corruption() {
    let verdict = verify_damaged(|inner, verify| {
        let mut inner = inner.to_vec();
        for at in 0..inner.len() {
            inner[at] ^= 0x10;
            verify(&inner);
            inner[at] ^= 0x10;
        }
    });
    assert!(verdict.received > 20_000);
    assert_eq!(verdict.corrupted, verdict.received);
}

#[test]
fn a_frame_cut_off_or_with_bytes_added_is_corruption() {
    let verdict = verify_damaged(|inner, verify| {
        // From the end of the longest pair of addresses on.
        (54..inner.len()).for_each(|len| verify(&inner[..len]));
        verify(&[inner, &[0]].concat());
    });
    assert_eq!(verdict.corrupted, verdict.received);
}

#[test]
fn a_corrupted_frame_is_missing_and_its_good_copy_is_no_duplicate() {
    let mut all = frames(&profile());
    all[10].inner[60] ^= 1;
    assert_eq!(faults(&verify(&all)), [1, 0, 0, 1, 0, 0]);
    let good = frames(&profile())[10].clone();
    all.insert(11, good);
    assert_eq!(faults(&verify(&all)), [0, 0, 0, 1, 0, 0]);
}

#[test]
fn frames_of_another_seed_and_other_traffic_are_foreign() {
    let mut all = frames(&profile());
    let other = Profile { seed: 99, count: Some(50), ..profile() };
    all.extend(frames(&other));
    let arp = [[0xFF; 14].as_slice(), &[0; 46]].concat();
    for inner in [vec![], vec![0; 13], arp] {
        all.push(ReceivedFrame { session: profile().sessions[0], flow: (0, 0), inner });
    }
    assert_eq!(faults(&verify(&all)), [0, 0, 0, 0, 0, 53]);
}

#[test]
fn frames_of_a_profile_that_differs_in_anything_inside_are_foreign() {
    let usual = profile;
    for other in [
        Profile { seed: 2, ..usual() },
        Profile { sessions: usual().sessions[1..].to_vec(), ..usual() },
        Profile {
            sessions: MirrorSession::numbered(8, "10.0.1.1".parse().expect("address"), 99),
            ..usual()
        },
        Profile { flows_per_session: 9, ..usual() },
        Profile { ipv6_percent: 51, ..usual() },
        Profile { sizes: "500".parse().expect("a size"), ..usual() },
        Profile { mix: "tcp=2,udp=1,dns=1,icmp=1".parse().expect("a mix"), ..usual() },
    ] {
        assert_eq!(faults(&verify(&frames(&other))), [COUNT, 0, 0, 0, 0, COUNT], "{other:?}");
    }
}

#[test]
fn a_frame_under_another_sessions_name_is_misplaced() {
    let mut all = frames(&profile());
    let sessions = profile().sessions;
    let [first, second] = [sessions[0], sessions[1]];
    all[5].session = if all[5].session == first { second } else { first };
    assert_eq!(faults(&verify(&all)), [1, 0, 0, 0, 1, 0]);
}

#[test]
fn a_receiver_without_names_or_totals_sees_gaps_but_no_lost_ends() {
    let mut all = frames(&profile());
    all.remove(0);
    let verifier = verify_unnamed(&all);
    assert_eq!(faults(&verifier.finish(&verifier.sent_at_least())), [1, 0, 0, 0, 0, 0]);
    all.pop();
    let verifier = verify_unnamed(&all);
    assert_eq!(verifier.finish(&verifier.sent_at_least()).missing, 1);
}

#[test]
fn more_frames_than_were_sent_are_no_success() {
    let verifier = verify_unnamed(&frames(&profile()));
    let verdict = verifier.finish(&Totals { frames: COUNT - 1, ..Totals::default() });
    assert_eq!((verdict.missing, verdict.unexpected), (0, 1));
    assert!(!verdict.is_perfect());
    let end = "1 intact frame more than were sent: is the count right?\nNOT as it was sent";
    assert!(verdict.to_string().ends_with(end), "{verdict}");
}

#[test]
fn a_verdict_reads_as_sentences_with_every_number() {
    let mut all = frames(&profile());
    all.truncate(LAST);
    let text = verify(&all).to_string();
    assert!(text.starts_with("sent 2000, received 1999 frames, "), "{text}");
    assert!(
        text.contains(
            "\nmissing 1, duplicated 0, reordered 0, corrupted 0, misplaced 0, foreign 0\n"
        ),
        "{text}"
    );
}
