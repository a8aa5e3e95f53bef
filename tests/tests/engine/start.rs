//! The start says what it takes, and says once what applies to several interfaces.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use vxtap::Engine;
use vxtap::capture_file::CaptureFile;
use vxtap::config::CaptureMode;
use vxtap::engine::{ActiveMode, EngineError};
use vxtap_bench::Profile;
use vxtap_tests::{NetNs, Process, TIMEOUT, Veth, privileged, wait_until};

use super::support::{config, config_file, frames_so_far, open, send_traffic, vxtap};

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn many_interfaces_are_announced_with_their_memory_and_noted_once() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let netns = &veth.receiver.netns;
    let queues = ["numrxqueues", "4", "numtxqueues", "4"];
    let mut command = netns.command(vxtap());
    command.args(["run", "-c", "c.toml"]);
    for number in 0..8 {
        let name = format!("vxa{number}");
        let peer = format!("vxb{number}");
        let add = [&["link", "add", &name][..], &queues, &["type", "veth", "peer", "name", &peer]];
        netns.ip(&add.concat()).unwrap();
        netns.ip(&["link", "set", &peer, "up"]).unwrap();
        netns.ip(&["link", "set", &name, "up"]).unwrap();
        command.args(["-i", &name]);
    }
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("c.toml"), "[memory]\nper_queue_mib = 40\n").unwrap();
    let said = directory.path().join("said");
    command.current_dir(&directory).stdout(Stdio::null());
    command.stderr(fs::File::create(&said).unwrap());
    let mut process = Process::spawn("vxtap", &mut command).unwrap();
    let said = || fs::read_to_string(&said).unwrap();
    wait_until("the start", TIMEOUT, || said().contains("vxtap: running: ")).unwrap();
    process.signal(Signal::SIGTERM).unwrap();
    process.wait(TIMEOUT).unwrap();
    let said = said();
    assert!(said.starts_with("vxtap: opening 8 interfaces with 32 RX queues, "), "{said}");
    for part in ["are not captured in zero-copy mode", "have an MTU of 1500: "] {
        assert_eq!(said.matches(part).count(), 1, "{said}");
    }
    let names = fs::read_dir(&directory).unwrap().map(|it| it.unwrap().file_name());
    let names: Vec<_> = names.filter_map(|name| name.into_string().ok()).collect();
    assert!(names.iter().any(|name| name.starts_with("vxtap-2")), "{names:?}");
}

#[test]
#[ignore = "requires CAP_NET_ADMIN and network namespaces"]
fn an_interface_without_ethernet_header_is_captured_by_udp_sockets_or_refused() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let netns = &veth.receiver.netns;
    netns.ip(&["tuntap", "add", "vxtun0", "mode", "tun"]).unwrap();
    netns.ip(&["link", "set", "vxtun0", "up", "mtu", "1600"]).unwrap();
    let mut config = config(&veth.receiver);
    config.capture.interfaces = vec!["vxtun0".to_owned()];
    let engine = open(&veth.receiver, config.clone());
    assert_eq!(engine.interfaces(), [("vxtun0", ActiveMode::Socket)]);
    let note = "vxtun0 is not captured in zero-copy or native copy or generic copy mode: its packets have no Ethernet header";
    let said = engine.take_diagnostics();
    assert!(said.iter().any(|line| line == note), "{said:?}");
    for mode in [CaptureMode::Native, CaptureMode::Generic, CaptureMode::ZeroCopy] {
        config.capture.mode = mode;
        let error = netns.run(|| Engine::open(config.clone())).unwrap_err();
        assert!(matches!(error, EngineError::NoEthernetHeader { .. }), "{error}");
    }
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn the_end_of_a_tunnel_and_generic_mode_with_merged_frames_are_noted() {
    privileged();
    let netns = NetNs::new().unwrap();
    let add = ["link", "add", "vxend0", "type", "vxlan", "id", "5", "dstport", "4789"];
    netns.ip(&add).unwrap();
    netns.ip(&["link", "set", "vxend0", "up"]).unwrap();
    let mut config = vxtap::Config::default();
    config.capture.interfaces = vec!["vxend0".to_owned()];
    config.capture.mode = CaptureMode::Generic;
    let engine = netns.run(|| Engine::open(config)).unwrap();
    let said = engine.take_diagnostics();
    for part in ["vxend0 is the end of a vxlan tunnel", "vxend0 may merge received frames"] {
        assert_eq!(said.iter().filter(|line| line.starts_with(part)).count(), 1, "{said:?}");
    }
}

/// The XDP program reads the kernel's clock, and the engine that of its time namespace.
#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn arrival_times_are_right_in_a_time_namespace() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (config, output) = config_file(directory.path(), "times");
    let mut command = veth.receiver.netns.command("unshare");
    command.args(["--time", "--monotonic", "1000000", "--fork"]).arg(vxtap());
    command.args(["run", "--progress", "json", "-i", veth.receiver.interface, "-c", &config]);
    command.stdout(Stdio::piped());
    let mut process = Process::spawn("vxtap", &mut command).unwrap();
    super::support::wait_for_progress(&mut process, |_| true);
    let profile = Profile { count: Some(100), ..Profile::default() };
    send_traffic(&veth.sender, &profile, 5_000);
    wait_until("the frames", TIMEOUT, || frames_so_far(&output) == 100).unwrap();
    let children = format!("/proc/{0}/task/{0}/children", process.id());
    let child = fs::read_to_string(children).unwrap().trim().parse().unwrap();
    kill(Pid::from_raw(child), Signal::SIGTERM).unwrap();
    process.wait(TIMEOUT).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let mut file = CaptureFile::open(&output).unwrap();
    let first = Duration::from_nanos(file.next().unwrap().unwrap().timestamp_ns);
    assert!(now.abs_diff(first) < Duration::from_secs(600), "{first:?} at {now:?}");
}
