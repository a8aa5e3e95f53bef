//! Outer frames of a running engine: `vxtap tail --outer` and `vxtap explain --live`.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use vxtap_tests::{Process, TIMEOUT, Veth, privileged, wait_until};

use super::frames::{mirror, udp};
use super::support::{finish, frames_so_far, start, vxtap, vxtap_on};

const CONFIG: &str = "\
[[session]]
name = \"web\"
vni = 7
filter = \"not-dns\"

[[filter]]
name = \"not-dns\"

[[filter.rule]]
direction = \"ingress\"
number = 1
action = \"reject\"
protocol = \"udp\"
source = \"0.0.0.0/0\"
destination = \"0.0.0.0/0\"
destination_ports = \"53\"

[[filter.rule]]
direction = \"ingress\"
number = 2
action = \"accept\"
source = \"0.0.0.0/0\"
destination = \"0.0.0.0/0\"
";

/// Sends frames to the mirrored machine, every other one to port 53.
fn send(veth: &Veth, count: u16) {
    let frame = |number: u16| {
        let port = if number.is_multiple_of(2) { 53 } else { 80 };
        // Above the port of VXLAN: tshark asks the protocol of the lower one first.
        (number + 50_000, udp([2; 6], ([10, 0, 9, 9], number), ([10, 0, 0, 1], port)))
    };
    mirror(veth, (0..count).map(frame));
}

/// Returns the frames of a capture that a display filter selects.
fn selected(capture: &Path, filter: &str) -> usize {
    let mut tshark = Command::new("tshark");
    let (code, frames, said) = finish(tshark.args(["-Y", filter, "-r"]).arg(capture));
    assert_eq!(code, Some(0), "{said}");
    frames.lines().count()
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF, network namespaces, and tshark"]
fn what_arrives_can_be_seen_with_the_reason_of_each_drop_and_explained() {
    const FRAMES: u16 = 100;
    privileged();
    let veth = Veth::pair(2).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let [file, seen, lines, errors] =
        ["vxtap.toml", "seen.pcapng", "lines", "errors"].map(|name| directory.path().join(name));
    let output = directory.path().join("out.pcapng");
    let output =
        format!("[[output]]\nname = \"disk\"\ntype = \"pcapng\"\npath = '{}'\n", output.display());
    std::fs::write(&file, CONFIG.to_owned() + &output).unwrap();
    let mut engine = start(&veth, &["-c", file.to_str().unwrap()]);

    let mut command = vxtap_on(&veth.receiver, &["tail", "--outer"]);
    command.stdout(File::create(&seen).unwrap()).stderr(File::create(&errors).unwrap());
    let mut tail = Process::spawn("vxtap tail", &mut command).unwrap();
    let has_begun = || std::fs::metadata(&seen).unwrap().len() > 0;
    wait_until("the header of the stream", TIMEOUT, has_begun).unwrap();
    send(&veth, FRAMES);
    let have_come = || frames_so_far(&seen) == u64::from(FRAMES);
    wait_until("all frames to be shown", TIMEOUT, have_come).unwrap();
    tail.signal(Signal::SIGINT).unwrap();
    assert!(tail.wait(TIMEOUT).unwrap().success());
    let said = std::fs::read_to_string(&errors).unwrap();
    assert_eq!(said, format!("vxtap: {FRAMES} frames, 0 lost on the way here\n"));
    let half = usize::from(FRAMES / 2);
    assert_eq!(selected(&seen, "vxlan.vni == 7"), 2 * half, "outer frames");
    assert_eq!(selected(&seen, "frame.comment == \"dropped: rule_rejected\""), half);
    assert_eq!(selected(&seen, "frame.comment"), half);

    // A file that `explain` reads, with the same outcomes.
    let mut explain = Command::new(vxtap());
    let (code, text, said) = finish(explain.arg("explain").arg(&seen).arg("-c").arg(&file));
    assert_eq!(code, Some(0), "{said}");
    let sum = format!("received {FRAMES} = accepted {half} + rule_rejected {half}");
    assert!(text.contains(&sum), "{text}");

    // Without a file, by the configuration of the engine.
    let live = ["explain", "--live", "--json", "--count", "20"];
    let mut command = vxtap_on(&veth.receiver, &live);
    command.stdout(File::create(&lines).unwrap()).stderr(Stdio::null());
    let mut explain = Process::spawn("vxtap explain", &mut command).unwrap();
    wait_until("20 frames to be explained", TIMEOUT, || {
        send(&veth, 10);
        explain.ended().unwrap().is_some()
    })
    .unwrap();
    assert!(explain.wait(TIMEOUT).unwrap().success());
    let lines = std::fs::read_to_string(&lines).unwrap();
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 20);
    for line in &lines {
        assert_eq!(line["session"].as_str(), Some("web"));
        assert_eq!(line["direction"].as_str(), Some("ingress"));
        let is_accepted = line["verdict"] == "accept";
        let expected = if is_accepted { Some("delivered") } else { line["reason"].as_str() };
        assert_eq!(line["engine"].as_str(), expected, "{line}");
    }
    assert!(lines.iter().any(|line| line["engine"] == "rule_rejected"));

    engine.signal(Signal::SIGTERM).unwrap();
    assert!(engine.wait(TIMEOUT).unwrap().success());
}
