//! Claim: the harness joins two namespaces by a pair that passes frames, and nothing of it is left
//! afterwards.

use std::collections::BTreeSet;
use std::fs;
use std::net::UdpSocket;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use vxtap_tests::{
    NetNs, Process, TIMEOUT, Veth, capture, leftovers, privileged, remove_stale, wait_until,
};

#[test]
#[ignore = "requires CAP_NET_ADMIN and CAP_BPF; run by cargo xtask test"]
fn a_pair_passes_a_datagram_and_is_gone_after_the_test() -> Result<()> {
    privileged();
    let veth = Veth::pair(2)?;
    let names = [&veth.sender, &veth.receiver].map(|side| side.netns.name().to_owned());
    let (from, to) = (veth.sender.address, veth.receiver.address);

    let inlet = veth.receiver.netns.run(|| UdpSocket::bind((to, 4789)))?;
    inlet.set_read_timeout(Some(TIMEOUT))?;
    let output = veth.sender.netns.run(|| UdpSocket::bind((from, 0)))?;
    let payload = [0xA5; 1500];
    output.send_to(&payload, (to, 4789))?;
    let mut buffer = [0; 2000];
    let (len, source) = inlet.recv_from(&mut buffer)?;
    assert_eq!(&buffer[..len], payload);
    assert_eq!(source.ip(), from);

    drop((inlet, output));
    drop(veth);
    let left = leftovers::namespaces();
    assert!(names.iter().all(|name| !left.contains(name)), "{left:?}");
    Ok(())
}

#[test]
#[ignore = "requires CAP_NET_ADMIN and CAP_BPF; run by cargo xtask test"]
fn each_end_has_the_queues_that_were_asked_for_and_sends_nothing_by_itself() -> Result<()> {
    privileged();
    let veth = Veth::pair(3)?;
    for side in [&veth.sender, &veth.receiver] {
        let queues = format!("/sys/class/net/{}/queues", side.interface);
        let mut listed: Vec<_> =
            capture(side.netns.command("ls").arg(queues))?.lines().map(str::to_owned).collect();
        listed.sort();
        assert_eq!(listed, ["rx-0", "rx-1", "rx-2", "tx-0", "tx-1", "tx-2"]);
        leftovers::assert_no_xdp_program(&side.netns, side.interface);
        let counters = side.netns.ip(&["-s", "-o", "link", "show", "dev", side.interface])?;
        let sent = counters.split("TX:").nth(1).and_then(|part| part.split('\\').nth(1));
        let numbers = sent.map(|part| part.split_whitespace().take(2).collect::<Vec<_>>());
        assert_eq!(numbers, Some(vec!["0", "0"]), "bytes and packets sent by {}", side.interface);
    }
    Ok(())
}

#[test]
#[ignore = "requires CAP_NET_ADMIN and CAP_BPF; run by cargo xtask test"]
fn a_namespace_goes_with_the_processes_still_inside() -> Result<()> {
    privileged();
    let netns = NetNs::new()?;
    let name = netns.name().to_owned();
    let mut process = Process::spawn("sleep", netns.command("sleep").arg("1000"))?;
    wait_until("sleep in its namespace", TIMEOUT, || {
        capture(Command::new("ip").args(["netns", "pids", &name]))
            .is_ok_and(|pids| !pids.trim().is_empty())
    })?;
    drop(netns);
    process.wait(TIMEOUT)?;
    assert!(!leftovers::namespaces().contains(&name));
    Ok(())
}

#[test]
#[ignore = "requires CAP_NET_ADMIN and CAP_BPF; run by cargo xtask test"]
fn a_failing_test_removes_its_namespaces_and_keeps_its_own_message() {
    privileged();
    let mut name = String::new();
    let failed = catch_unwind(AssertUnwindSafe(|| {
        let netns = NetNs::new().expect("root may");
        name = netns.name().to_owned();
        // Removing it again in `Drop` fails; that must not become a second panic.
        capture(Command::new("ip").args(["netns", "delete", &name])).expect("it exists");
        netns_fails(&netns);
    }));
    let message = failed.expect_err("the body fails");
    assert_eq!(message.downcast_ref::<&str>(), Some(&"the test's own failure"));
    assert!(!leftovers::namespaces().contains(&name));
}

fn netns_fails(_inside: &NetNs) {
    panic!("the test's own failure");
}

#[test]
#[ignore = "requires CAP_NET_ADMIN and CAP_BPF; run by cargo xtask test"]
fn what_a_killed_run_left_is_cleared_away_and_what_runs_is_not() -> Result<()> {
    privileged();
    let mut ended = Process::spawn("true", &mut Command::new("true"))?;
    let gone = ended.id();
    ended.wait(TIMEOUT)?;

    let prefix = "vxtap-harness-";
    let alive = NetNs::named(&format!("{prefix}{}-0", std::process::id()))?;
    let left = format!("{prefix}{gone}-0");
    capture(Command::new("ip").args(["netns", "add", &left]))?;
    assert_eq!(remove_stale(prefix)?, [left]);
    assert!(Path::new("/run/netns").join(alive.name()).exists());
    Ok(())
}

#[test]
fn the_readme_has_a_row_for_each_test_program() -> Result<()> {
    let crate_root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(crate_root.join("README.md"))?;
    let rows: BTreeSet<_> = readme
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .map(str::to_owned)
        .collect();
    let entries = fs::read_dir(crate_root.join("tests"))?.collect::<Result<Vec<_>, _>>()?;
    let files =
        entries.iter().filter_map(|entry| entry.path().file_stem()?.to_str().map(str::to_owned));
    assert_eq!(rows, files.collect());
    Ok(())
}
