//! The engine falls back to a capture mode that works, and gives the reasons.

use std::io::Read;
use std::process::Stdio;

use nix::sys::signal::Signal;
use vxtap::engine::{ActiveMode, ModeFallback};
use vxtap_bench::Profile;
use vxtap_bench::profile::OuterHeaders;
use vxtap_tests::{Process, Side, TIMEOUT, Veth, privileged, wait_until};

use super::support::{
    WINDOW, as_nobody, assert_adds_up, config, open_to_all, run_within, send_traffic, vxtap,
    wait_for_received,
};

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn the_reason_for_each_step_down_is_kept_and_said_once() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let profile = Profile { count: Some(500), ..Profile::default() };
    let outcome = run_within(&veth, config(&veth.receiver), &profile, 20_000, WINDOW);
    assert!(outcome.verdict.is_perfect(), "{}\n{}", outcome.verdict, outcome.report);
    assert_adds_up(&outcome.report);
    let reason =
        "the driver does not offer zero-copy (Operation not supported (os error 95))".to_owned();
    let expected = format!("vxrx0 is not captured in zero-copy mode: {reason}");
    assert_eq!(outcome.notes, [expected]);
    let interface = &outcome.report.interfaces[0];
    assert_eq!(
        (interface.mode, &interface.fallbacks[..]),
        (ActiveMode::NativeCopy, &[ModeFallback { mode: ActiveMode::ZeroCopy, reason }][..])
    );
}

/// Returns the outer headers of a tunnel that ends at this host.
fn to(receiver: &Side) -> OuterHeaders {
    OuterHeaders {
        destination_mac: receiver.mac,
        ipv4_destination: receiver.address,
        ..OuterHeaders::default()
    }
}

#[test]
#[ignore = "requires CAP_NET_ADMIN and network namespaces"]
fn without_any_privilege_frames_come_through_udp_sockets() {
    privileged();
    let veth = Veth::pair(2).unwrap();
    let directory = tempfile::tempdir().unwrap();
    // The build may be in a directory that other users cannot read.
    let binary = directory.path().join("vxtap");
    std::fs::copy(vxtap(), &binary).unwrap();
    open_to_all(directory.path());
    let config = "[[output]]\nname = \"file\"\ntype = \"pcapng\"\npath = \"out.pcapng\"\n";
    std::fs::write(directory.path().join("vxtap.toml"), config).unwrap();
    let mut command = as_nobody(&veth);
    command.arg(&binary).args(["run", "-i", veth.receiver.interface, "-c", "vxtap.toml"]);
    command.args(["--progress", "json"]);
    command.current_dir(directory.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = Process::spawn("vxtap", &mut command).unwrap();
    let sockets =
        || veth.receiver.netns.command("ss").args(["-Huln", "sport = :4789"]).output().unwrap();
    wait_until("the sockets", TIMEOUT, || {
        String::from_utf8_lossy(&sockets().stdout).lines().count() == 2
    })
    .unwrap();
    let profile = Profile { count: Some(500), outer: to(&veth.receiver), ..Profile::default() };
    let totals = send_traffic(&veth.sender, &profile, 5_000);
    assert_eq!(totals.frames, 500);
    wait_for_received(&mut process, 500);
    process.signal(Signal::SIGTERM).unwrap();
    let status = process.wait(TIMEOUT).unwrap();
    let mut said = String::new();
    process.child().stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(status.code(), Some(0), "{said}");
    let why = "vxtap: vxrx0 is not captured in zero-copy or native copy or generic copy mode: not permitted to load the \
               XDP program; run as root";
    assert!(said.contains(why), "{said}");
    assert!(said.contains("received 500 = delivered 500"), "{said}");
}
