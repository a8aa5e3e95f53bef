//! Suricata takes the frames from an interface, with a VLAN for each tenant, and from a stream.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use vxtap::config::{Output, OutputKind};
use vxtap_bench::{Profile, Verifier};
use vxtap_tests::{Process, TIMEOUT, Veth, privileged, wait_until};

use super::stream::wait_for_header;
use super::support::{
    OUTPUT, assert_adds_up, config, declared, frames_so_far, open, send_traffic, verify, vxtap_on,
};

const FRAMES: u64 = 10_000;

/// Returns the path of the Suricata that `cargo xtask setup` has unpacked, else that of the system.
fn suricata() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let target = test.ancestors().nth(3).expect("tests lie in target/PROFILE/deps");
    let unpacked = target.join("tools/suricata/suricata");
    if unpacked.exists() { unpacked } else { "suricata".into() }
}

/// Writes settings for Suricata: little output, and that into `directory`.
fn settings(directory: &Path) -> PathBuf {
    let path = directory.join("suricata.yaml");
    let text = format!(
        "%YAML 1.1\n---\ndefault-log-dir: {}\nstats:\n  enabled: yes\n  interval: 1\n\
         outputs:\n  - eve-log:\n      enabled: yes\n      filetype: regular\n      filename: eve.json\n      types: [flow, stats]\n\
         af-packet:\n  - interface: mirror0\n    cluster-id: 99\n    cluster-type: cluster_flow\n    tpacket-v3: yes\n",
        directory.display()
    );
    std::fs::write(&path, text).unwrap();
    path
}

/// Starts Suricata; its messages go to the file `log`.
fn start(mut command: Command, directory: &Path, arguments: &[&str]) -> Process {
    let log = std::fs::File::create(directory.join("log")).unwrap();
    // Checksums are not verified: the mirrored host leaves them to its NIC.
    command.arg("-c").arg(settings(directory)).args(["-k", "none", "-v"]).args(arguments);
    command.arg("-l").arg(directory).stdout(log.try_clone().unwrap()).stderr(log);
    Process::spawn("suricata", &mut command).unwrap()
}

/// Returns the events of a type that Suricata has written.
fn events(directory: &Path, kind: &str) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(directory.join("eve.json")).unwrap_or_default();
    let events =
        text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    events.filter(|event| event["event_type"] == kind).collect()
}

/// Returns the number of packets that Suricata has decoded.
fn decoded(directory: &Path) -> u64 {
    let last = events(directory, "stats").pop().unwrap_or_default();
    last["stats"]["decoder"]["pkts"].as_u64().unwrap_or(0)
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn suricata_sees_every_frame_of_an_interface_and_the_vlan_of_its_session() {
    privileged();
    let veth = Veth::pair(2).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let profile = Profile { count: Some(FRAMES), ..Profile::default() };
    let mut config = config(&veth.receiver);
    let kind = OutputKind::Interface { interface: "mirror0".to_owned(), vlan_tags: true };
    config.outputs.push(Output::new("ids", kind));
    config.sessions = declared(&profile);
    let vlans = 101..;
    for (session, vlan) in config.sessions.iter_mut().zip(vlans.clone()) {
        session.vlan = Some(vlan);
    }
    let expected: BTreeSet<u64> =
        config.sessions.iter().zip(vlans).map(|(_, vlan)| vlan.into()).collect();
    let mut engine = open(&veth.receiver, config);
    let verifier = verify(engine.take_consumer(OUTPUT).unwrap(), Verifier::new(&profile).unwrap());
    engine.start().unwrap();
    let command = veth.receiver.netns.command(suricata());
    let mut suricata = start(command, directory.path(), &["--af-packet"]);
    let log = || std::fs::read_to_string(directory.path().join("log")).unwrap();
    wait_until("Suricata to run", TIMEOUT, || log().contains("Engine started")).unwrap();
    let totals = send_traffic(&veth.sender, &profile, 10_000);
    wait_until("all frames to be decoded", TIMEOUT, || decoded(directory.path()) >= FRAMES)
        .unwrap_or_else(|error| panic!("{error:?}\n{}", log()));
    suricata.signal(Signal::SIGINT).unwrap();
    suricata.wait(TIMEOUT).unwrap();
    let report = engine.stop();
    assert_adds_up(&report);
    assert!(verifier.join().unwrap().finish(&totals).is_perfect());
    assert_eq!(decoded(directory.path()), FRAMES, "{}", log());
    let flows = events(directory.path(), "flow");
    let seen: BTreeSet<u64> = flows.iter().filter_map(|flow| flow["vlan"][0].as_u64()).collect();
    assert_eq!(seen, expected, "{} flows", flows.len());
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn suricata_reads_every_frame_of_a_stream() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let profile = Profile { count: Some(FRAMES), ..Profile::default() };
    let mut engine = super::support::start_in(directory.path(), &veth, &[]);
    let mut command = vxtap_on(&veth.receiver, &["tail"]);
    let said = directory.path().join("tail");
    command.stdout(Stdio::piped()).stderr(std::fs::File::create(&said).unwrap());
    let mut tail = Process::spawn("vxtap tail", &mut command).unwrap();
    let stream = tail.child().stdout.take().unwrap();
    wait_for_header(&stream);
    // The engine offers each frame to all readers at once: a frame that another one has seen is on
    // its way to Suricata.
    let seen = directory.path().join("seen.pcapng");
    let mut command = vxtap_on(&veth.receiver, &["tail"]);
    command.stdout(std::fs::File::create(&seen).unwrap()).stderr(Stdio::null());
    let mut witness = Process::spawn("another vxtap tail", &mut command).unwrap();
    wait_until("the other one to read", TIMEOUT, || seen.metadata().unwrap().len() > 0).unwrap();
    let mut command = Command::new(suricata());
    command.stdin(stream);
    let mut suricata = start(command, directory.path(), &["-r", "/dev/stdin"]);
    let log = || std::fs::read_to_string(directory.path().join("log")).unwrap();
    wait_until("Suricata to run", TIMEOUT, || log().contains("No signatures"))
        .unwrap_or_else(|error| panic!("{error:?}\n{}", log()));
    let sent = send_traffic(&veth.sender, &profile, 10_000).frames;
    wait_until("all frames to be read", TIMEOUT, || frames_so_far(&seen) == sent).unwrap();
    for tail in [&mut tail, &mut witness] {
        tail.signal(Signal::SIGINT).unwrap();
        tail.wait(TIMEOUT).unwrap();
    }
    suricata.wait(TIMEOUT).unwrap();
    let said = std::fs::read_to_string(said).unwrap();
    assert_eq!(said, format!("vxtap: {sent} frames, 0 lost on the way here\n"));
    assert_eq!(decoded(directory.path()), sent, "{}", log());
    engine.signal(Signal::SIGTERM).unwrap();
    engine.wait(TIMEOUT).unwrap();
}
