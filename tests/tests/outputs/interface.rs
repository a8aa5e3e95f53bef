//! Sniffers find the frames at a network interface of the output.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader};
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use vxtap::config::{Config, Output, OutputKind};
use vxtap::engine::Engine;
use vxtap_bench::{Profile, Verifier};
use vxtap_tests::{NetNs, Process, TIMEOUT, Veth, capture, privileged, wait_until};

use super::captures::vlans;
use super::frames::{mirror, udp};
use super::support::{
    OUTPUT, assert_adds_up, config, declared, finish, frames_so_far, open, open_to_all,
    send_traffic, start, stop_after, verify, vxtap,
};

fn interface_config(veth: &Veth, interface: &str, vlan_tags: bool) -> Config {
    let mut config = config(&veth.receiver);
    let kind = OutputKind::Interface { interface: interface.to_owned(), vlan_tags };
    config.outputs.push(Output::new("sniffers", kind));
    config
}

/// Starts a sniffer that writes the frames that it sees to a file; it listens when this returns.
/// Its buffer holds all frames of a test.
pub(super) fn sniff(netns: &NetNs, program: &str, interface: &str, path: &Path) -> Process {
    let mut command = netns.command(program);
    command
        .args(["-i", interface, "-B", if program == "tshark" { "64" } else { "65536" }, "-w"])
        .arg(path);
    if program == "tcpdump" {
        command.args(["-U", "--immediate-mode"]);
    }
    let process =
        Process::spawn(program, command.stdout(Stdio::null()).stderr(Stdio::null())).unwrap();
    wait_until("the sniffer to listen", TIMEOUT, || {
        // Made before it listens; what it writes first comes after.
        path.metadata().is_ok_and(|file| file.len() >= 24) && sockets_of(netns).contains(interface)
    })
    .unwrap();
    process
}

/// Lists the packet sockets of a namespace, with the interfaces that they are bound to.
fn sockets_of(netns: &NetNs) -> String {
    capture(netns.command("ss").args(["-0", "-a", "-n"])).unwrap()
}

pub(super) fn stop(process: &mut Process) {
    process.signal(Signal::SIGINT).unwrap();
    process.wait(TIMEOUT).unwrap();
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn tcpdump_and_tshark_find_every_frame_with_the_vlan_of_its_session() {
    privileged();
    let veth = Veth::pair(2).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let profile = Profile { count: Some(10_000), ..Profile::default() };
    let mut config = interface_config(&veth, "mirror0", true);
    config.sessions = declared(&profile);
    for (session, vlan) in config.sessions.iter_mut().zip(101..) {
        session.vlan = Some(vlan);
    }
    let mut engine = open(&veth.receiver, config);
    let verifier = verify(engine.take_consumer(OUTPUT).unwrap(), Verifier::new(&profile).unwrap());
    engine.start().unwrap();
    let sniffers = ["tcpdump", "tshark"].map(|program| {
        let path = directory.path().join(program);
        (sniff(&veth.receiver.netns, program, "mirror0", &path), path)
    });
    let totals = send_traffic(&veth.sender, &profile, 10_000);
    wait_until("all frames in the files", TIMEOUT, || {
        sniffers.iter().all(|(_, path)| frames_so_far(path) >= 10_000)
    })
    .unwrap();
    let report = engine.stop();
    assert_adds_up(&report);
    assert!(verifier.join().unwrap().finish(&totals).is_perfect());
    let sent: Vec<_> =
        report.session_counters()[1..].iter().map(|it| it.delivered.frames).collect();
    for (mut process, path) in sniffers {
        // A sniffer ends when its interface is gone.
        if process.ended().unwrap().is_none() {
            stop(&mut process);
        }
        let seen = vlans(&path);
        let expected: BTreeMap<_, _> =
            (101..).map(|vlan: u32| vlan.to_string()).zip(sent.clone()).collect();
        assert_eq!(seen, expected, "{}", path.display());
    }
    let written = report.outputs[1].written.as_ref().unwrap();
    assert_eq!((written.frames_written, written.frames_lost), (10_000, 0));
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn the_host_is_silent_on_the_interface_and_it_goes_however_the_engine_ends() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let netns = &veth.receiver.netns;
    let has_ipv6 = Path::new("/proc/sys/net/ipv6").exists();
    if has_ipv6 {
        veth.receiver.sysctl("net.ipv6.conf.all.disable_ipv6=0");
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("vxtap.toml");
    let text = "[[output]]\nname = \"sniffers\"\ntype = \"interface\"\ninterface = \"mirror0\"\n";
    std::fs::write(&file, text).unwrap();
    let links = || capture(netns.command("ip").args(["-d", "address"])).unwrap();
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let mut process = start(&veth, &["-c", file.to_str().unwrap()]);
        let text = links();
        let (_, mirror) = text.split_once("mirror0").expect(&text);
        assert!(
            mirror.contains("NOARP") && mirror.contains("mtu 1600") && mirror.contains("UP"),
            "{text}"
        );
        assert!(!mirror.contains("inet"), "no address of either kind: {text}");
        let features = capture(netns.command("ethtool").args(["-k", "mirror0"])).unwrap();
        for feature in OFFLOADS {
            assert!(features.contains(&format!("\n{feature}: off")), "{feature}: {features}");
        }
        // On an interface that has come later the host looks for neighbours and routers.
        netns.ip(&["link", "add", "other0", "type", "veth", "peer", "other1"]).unwrap();
        for end in ["other0", "other1"] {
            netns.ip(&["link", "set", end, "up"]).unwrap();
        }
        wait_until("the host to send on another interface", TIMEOUT, || {
            !has_ipv6 || sent(netns, "other0").0 >= 4
        })
        .unwrap();
        netns.ip(&["link", "delete", "other0"]).unwrap();
        assert_eq!(sent(netns, "mirror0"), (0, 0));
        process.signal(signal).unwrap();
        process.wait(TIMEOUT).unwrap();
        wait_until("the interface to be gone", TIMEOUT, || !links().contains("mirror0")).unwrap();
    }
}

/// Returns how many packets the host has sent on an interface, and how many of them were dropped.
fn sent(netns: &NetNs, interface: &str) -> (u64, u64) {
    let text = capture(netns.command("ip").args(["-s", "-j", "link", "show", interface])).unwrap();
    let links: serde_json::Value = serde_json::from_str(&text).unwrap();
    let count = |name: &str| links[0]["stats64"]["tx"][name].as_u64().unwrap();
    (count("packets"), count("dropped"))
}

/// Offloads that would change frames that pass.
const OFFLOADS: [&str; 6] = [
    "rx-checksumming",
    "tx-checksumming",
    "scatter-gather",
    "tcp-segmentation-offload",
    "generic-segmentation-offload",
    "generic-receive-offload",
];

/// A mirrored broadcast to an address of this host is not for the host.
#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn nothing_that_is_mirrored_reaches_a_service_of_the_host() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let service = veth.receiver.netns.run(|| UdpSocket::bind("0.0.0.0:5555")).unwrap();
    service.set_nonblocking(true).unwrap();
    let engine = {
        let mut engine = open(&veth.receiver, interface_config(&veth, "mirror0", false));
        engine.start().unwrap();
        engine
    };
    let to = |destination: [u8; 4]| {
        (4000, udp([0xff; 6], ([203, 0, 113, 5], 1234), (destination, 5555)))
    };
    mirror(
        &veth,
        [[192, 0, 2, 2], [255; 4], [192, 0, 2, 255]].into_iter().map(to).cycle().take(300),
    );
    let report = stop_after(engine, 300);
    let written = report.outputs[1].written.as_ref().unwrap();
    assert_eq!((written.frames_written, written.frames_lost), (300, 0), "\n{report}");
    let got = service.recv(&mut [0; 100]).map_err(|error| error.kind());
    assert_eq!(got, Err(io::ErrorKind::WouldBlock));
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn an_interface_that_is_there_is_used_and_stays_and_one_of_another_kind_is_refused() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let netns = &veth.receiver.netns;
    capture(netns.command("ip").args(["tuntap", "add", "mine", "mode", "tap"])).unwrap();
    let engine = open(&veth.receiver, interface_config(&veth, "mine", false));
    drop(engine);
    assert!(capture(netns.command("ip").args(["link", "show", "mine"])).unwrap().contains("mine"));
    let refusal = |interface| {
        let config = interface_config(&veth, interface, false);
        netns.run(|| Engine::open(config).unwrap_err().to_string())
    };
    for arguments in [
        &["link", "add", "other0", "type", "bridge"][..],
        &["tuntap", "add", "other1", "mode", "tun"],
        &["link", "add", "other2", "type", "veth", "peer", "other3"],
    ] {
        netns.ip(arguments).unwrap();
        let interface = arguments[2];
        assert_eq!(
            refusal(interface),
            format!(
                "output `sniffers` cannot have the interface {interface}: it is there and is no TAP interface: take another name"
            )
        );
    }
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn without_privileges_an_interface_that_root_has_set_up_is_used() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let netns = &veth.receiver.netns;
    let directory = tempfile::tempdir().unwrap();
    // The build may be in a directory that other users cannot read.
    let (binary, config) = (directory.path().join("vxtap"), directory.path().join("vxtap.toml"));
    std::fs::copy(vxtap(), &binary).unwrap();
    open_to_all(directory.path());
    std::fs::write(
        &config,
        "[[output]]\nname = \"ids\"\ntype = \"interface\"\ninterface = \"m0\"\n",
    )
    .unwrap();
    // The device is for root alone on some systems.
    let tun = directory.path().join("tun");
    capture(Command::new("mknod").args(["-m", "0666"]).arg(&tun).args(["c", "10", "200"])).unwrap();
    let script = "mount --bind \"$0\" /dev/net/tun && exec setpriv --reuid 65534 --regid 65534 \
                  --clear-groups --inh-caps=-all \"$@\"";
    let run = || {
        let mut command = netns.command("sh");
        command.args(["-c", script]).arg(&tun).arg(&binary);
        command.args(["run", "-i", veth.receiver.interface, "-c"]).arg(&config);
        command
    };
    let refusal = || {
        let (code, _, said) = finish(&mut run());
        assert_eq!(code, Some(1), "{said}");
        said.lines().last().unwrap().to_owned()
    };
    assert_eq!(
        refusal(),
        "vxtap: output `ids` cannot have the interface m0: this needs CAP_NET_ADMIN, or a TAP interface made for this \
         user: ip tuntap add m0 mode tap user nobody"
    );
    netns.ip(&["tuntap", "add", "m0", "mode", "tap", "user", "nobody"]).unwrap();
    let said = refusal();
    let (_, remedy) = said.split_once("as root: ").unwrap_or_else(|| panic!("{said}"));
    assert!(said.contains("m0: it is not set up, for which CAP_NET_ADMIN is needed"), "{said}");
    capture(netns.command("sh").args(["-c", remedy])).unwrap();
    let mut process =
        Process::spawn("vxtap", run().stdout(Stdio::null()).stderr(Stdio::piped())).unwrap();
    let mut lines = BufReader::new(process.child().stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().ends_with("to m0; stop with Ctrl-C")), "it runs");
    stop(&mut process);
}
