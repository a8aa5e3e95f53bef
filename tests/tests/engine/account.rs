//! Every lost frame is counted, and the sums add up.

use std::io::{BufRead, BufReader, Read};

use nix::sys::signal::Signal;
use serde_json::Value;
use vxtap::DropReason;
use vxtap::config::{Output, OutputKind, UnknownSessions, WaitMode};
use vxtap_bench::{Profile, Verifier};
use vxtap_tests::{TIMEOUT, Veth, privileged, wait_until};

use super::support::{
    OUTPUT, assert_adds_up, config, config_file, declared, open, run, send_traffic, start, verify,
    wait_for_received,
};

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

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn progress_is_json_to_its_end_and_the_last_object_is_the_whole_account() {
    privileged();
    let veth = Veth::pair(2).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (config, _) = config_file(directory.path(), "progress");
    let mut process = start(&veth, &["-c", &config]);
    let profile = Profile { count: Some(1000), ..Profile::default() };
    send_traffic(&veth.sender, &profile, 10_000);
    wait_for_received(&mut process, 1000);
    process.signal(Signal::SIGTERM).unwrap();
    let stdout = process.child().stdout.take().unwrap();
    let lines: Vec<Value> = BufReader::new(stdout)
        .lines()
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect();
    let mut said = String::new();
    process.child().stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(process.wait(TIMEOUT).unwrap().success(), "{said}");
    assert!(said.contains("\n  received 1000 = delivered 1000\n"), "the table: {said}");
    let (last, others) = lines.split_last().unwrap();
    assert!(others.iter().all(|line| line["final"] == false), "{others:?}");
    assert_eq!(
        (&last["final"], &last["received"], &last["delivered"]),
        (&true.into(), &1000.into(), &1000.into())
    );
    let sum = |objects: &Value, key: &str| -> u64 {
        objects.as_array().unwrap().iter().map(|object| object[key].as_u64().unwrap()).sum()
    };
    assert_eq!(sum(&last["interfaces"], "redirected"), 1000);
    assert_eq!(sum(&last["workers"], "received"), 1000);
    assert_eq!(sum(&last["sessions"], "delivered"), 1000);
    assert_eq!(sum(&last["undeclared"], "frames"), 1000);
    let drops = last["drops"].as_object().unwrap();
    assert_eq!(drops.len(), DropReason::ALL.len());
    assert!(drops.values().all(|count| count == 0), "{drops:?}");
    let [output] = last["outputs"].as_array().unwrap().as_slice() else { panic!("{last}") };
    assert_eq!((&output["delivered"], &output["written"]["frames"]), (&1000.into(), &1000.into()));
    assert_eq!(
        (&last["failures"], &last["imbalances"]),
        (&Value::Array(vec![]), &Value::Array(vec![]))
    );
}
