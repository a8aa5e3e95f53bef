//! Every lost frame is counted, and the sums add up.

use vxtap::DropReason;
use vxtap::config::{Output, OutputKind, UnknownSessions, WaitMode};
use vxtap_bench::{Profile, Verifier};
use vxtap_tests::{TIMEOUT, Veth, privileged, wait_until};

use super::support::{OUTPUT, assert_adds_up, config, declared, open, run, send_traffic, verify};

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn a_flood_loses_frames_and_not_one_of_them_without_a_counter() {
    privileged();
    let veth = Veth::pair(2).unwrap();
    let profile = Profile { count: Some(300_000), ..Profile::default() };
    let mut config = config(&veth.receiver);
    config.memory.fill_ring = 64;
    config.memory.rx_ring = 64;
    config.memory.output_ring = Some(64);
    config.workers.wait = WaitMode::Interrupt;
    let outcome = run(&veth, config, &profile, 0);
    assert_adds_up(&outcome.report);
    let report = &outcome.report;
    let full = report.total().drops.get(DropReason::OutputFull);
    assert!(report.lost_in_kernel() + full > 0, "rings of 64 are too short for a flood:\n{report}");
    assert_eq!(outcome.verdict.intact, report.total().delivered.frames);
    assert_eq!(
        (outcome.verdict.corrupted, outcome.verdict.reordered, outcome.verdict.duplicated),
        (0, 0, 0)
    );
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn an_output_that_nobody_reads_costs_the_other_one_nothing() {
    privileged();
    let veth = Veth::pair(2).unwrap();
    let profile = Profile { count: Some(60_000), ..Profile::default() };
    let mut config = config(&veth.receiver);
    config.outputs.push(Output::new("stuck", OutputKind::Consumer));
    config.sessions = declared(&profile)[..4].to_vec();
    let mut engine = open(&veth.receiver, config);
    let stuck = engine.take_consumer("stuck").unwrap();
    let consumer = engine.take_consumer(OUTPUT).unwrap();
    let verifier = verify(consumer, Verifier::new(&profile).unwrap());
    engine.start().unwrap();
    let totals = send_traffic(&veth.sender, &profile, 40_000);
    wait_until("all frames in the counters", TIMEOUT, || {
        engine.report().total().received.frames == totals.frames
    })
    .unwrap();
    let report = engine.stop();
    drop(stuck);
    let verdict = verifier.join().unwrap().finish(&totals);
    assert!(verdict.is_perfect(), "{verdict}\n{report}");
    assert_adds_up(&report);
    let stuck = report.outputs[1].total();
    let published: u32 = report.workers.iter().map(|worker| worker.counters.chunks.published).sum();
    assert!(stuck.dropped > 0 && stuck.delivered.frames > 0, "{report}");
    assert_eq!(stuck.delivered.frames + stuck.dropped, 60_000);
    assert!(u64::from(published) >= stuck.delivered.frames, "it holds what it was given");
    for (counters, sent) in report.outputs[1].sessions[1..].iter().zip(&totals.sessions) {
        assert_eq!(counters.delivered.frames + counters.dropped, sent.frames, "by session too");
    }
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn undeclared_pairs_are_counted_by_pair_and_dropped_if_so_configured() {
    privileged();
    let veth = Veth::pair(2).unwrap();
    let profile = Profile { count: Some(8000), ..Profile::default() };
    let mut config = config(&veth.receiver);
    config.sessions = declared(&profile)[..6].to_vec();
    config.unknown = UnknownSessions::Drop;
    let outcome = run(&veth, config, &profile, 20_000);
    let sent: Vec<_> = outcome.totals.sessions.iter().map(|session| session.frames).collect();
    let report = &outcome.report;
    assert_adds_up(report);
    assert_eq!(report.total().drops.get(DropReason::UnknownSession), sent[6] + sent[7]);
    let (mut pairs, beyond) = report.unknown();
    pairs.sort();
    let counted: Vec<_> =
        pairs.iter().map(|(pair, count)| (pair.to_string(), count.frames)).collect();
    assert_eq!(
        counted,
        [("vni-106@10.0.1.7".to_owned(), sent[6]), ("vni-107@10.0.1.8".to_owned(), sent[7])]
    );
    assert_eq!(beyond.frames, 0);
    assert_eq!(outcome.verdict.intact, sent[..6].iter().sum::<u64>());
}
