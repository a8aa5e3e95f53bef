//! `vxtap tail` shows the frames of a running engine.

use std::fs::File;
use std::io::Read;
use std::iter;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use vxtap::config::Session;
use vxtap_bench::Profile;
use vxtap_tests::{NetNs, Process, Side, TIMEOUT, Veth, privileged, wait_until};

use super::captures::frames_in;
use super::frames::{mirror, udp};
use super::stream::{FRAMES, profile, reader, wait_for_header};
use super::support::{declared, finish, send_traffic, start, start_in, vxtap, vxtap_on};

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn vxtap_tail_shows_a_session_to_tshark_and_a_line_for_each_frame() {
    privileged();
    let veth = Veth::pair(2).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let [file, seen, errors] =
        ["vxtap.toml", "seen.pcapng", "errors"].map(|name| directory.path().join(name));
    // No output takes their frames.
    let session = |(number, session): (usize, Session)| {
        format!(
            "[[session]]\nname = \"session-{number}\"\nvni = {}\noutputs = [\"none\"]\n",
            session.vni
        )
    };
    let sessions: String = declared(&profile()).into_iter().enumerate().map(session).collect();
    let output = "[[output]]\nname = \"none\"\ntype = \"stream\"\nto = \"tcp\"\n";
    std::fs::write(&file, sessions + output).unwrap();
    let mut engine = start(&veth, &["-c", file.to_str().unwrap()]);
    let tail = |arguments: &[&str]| vxtap_on(&veth.receiver, &[&["tail"], arguments].concat());
    assert_eq!(
        finish(&mut tail(&["-s", "sesion-1"])),
        (
            Some(2),
            String::new(),
            "vxtap: no session is called \"sesion-1\": there are default, session-0, session-1, session-2, session-3, and 4 more; an undeclared pair is vni-VNI@SOURCE\n".to_owned()
        )
    );

    let mut command = tail(&["-s", "session-1"]);
    command.stdout(Stdio::piped()).stderr(File::create(&errors).unwrap());
    let mut one = Process::spawn("vxtap tail", &mut command).unwrap();
    let mut tshark = Command::new("tshark");
    let piped = one.child().stdout.take().unwrap();
    wait_for_header(&piped);
    let mut tshark = reader(tshark.args(["-q", "-r", "-", "-w"]).arg(&seen), piped);
    let mut command = tail(&["--format", "text"]);
    let lines_path = directory.path().join("lines");
    command.stdout(File::create(&lines_path).unwrap()).stderr(Stdio::null());
    let mut all = Process::spawn("vxtap tail", &mut command).unwrap();
    let text = || std::fs::read_to_string(&lines_path).unwrap();
    let of_sessions =
        |text: &str| text.lines().filter(|it| it.contains(" session-")).count() as u64;
    // It is attached once it shows a frame of another session.
    wait_until("a first line", TIMEOUT, || {
        let frame = udp([2; 6], ([10, 0, 2, 1], 1), ([10, 0, 2, 2], 2));
        mirror(&veth, iter::once((4000, frame)));
        !text().is_empty()
    })
    .unwrap();
    send_traffic(&veth.sender, &profile(), 10_000);
    wait_until("a line for each frame", TIMEOUT, || of_sessions(&text()) >= FRAMES).unwrap();
    for process in [&mut one, &mut all] {
        process.signal(Signal::SIGINT).unwrap();
        assert!(process.wait(TIMEOUT).unwrap().success());
    }
    tshark.wait(TIMEOUT).unwrap();
    let text = text();
    assert_eq!(of_sessions(&text), FRAMES);
    let all_lines = text.lines().count();
    let of_session = text.lines().filter(|line| line.contains(" session-1 ")).count() as u64;
    assert!(of_session > 0 && of_session < FRAMES);
    assert_eq!(frames_in(&seen), of_session);
    let said = std::fs::read_to_string(&errors).unwrap();
    assert_eq!(said, format!("vxtap: {of_session} frames, 0 lost on the way here\n"));

    // It goes on after a reload, and the table of the engine has the counts of its frames.
    engine.signal(Signal::SIGHUP).unwrap();
    let mut one = Process::spawn(
        "vxtap tail",
        tail(&["--count", "10"]).stdout(Stdio::null()).stderr(Stdio::null()),
    )
    .unwrap();
    let few = Profile { count: Some(100), ..profile() };
    wait_until("ten frames to be shown", TIMEOUT, || {
        send_traffic(&veth.sender, &few, 10_000);
        one.ended().unwrap().is_some()
    })
    .unwrap();
    assert!(one.wait(TIMEOUT).unwrap().success());
    let (code, table) = stopped(engine);
    assert_eq!(code, Some(0), "{table}");
    assert!(
        table.contains("vxtap tail ")
            && table.contains(&format!("{all_lines} = sent {all_lines} + lost 0")),
        "{table}"
    );
}

/// Ends an engine; returns exit code and standard error.
fn stopped(mut engine: Process) -> (Option<i32>, String) {
    engine.signal(Signal::SIGTERM).unwrap();
    let code = engine.wait(TIMEOUT).unwrap().code();
    let mut table = String::new();
    engine.child().stderr.take().unwrap().read_to_string(&mut table).unwrap();
    (code, table)
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn standard_output_is_for_one_thing_and_stays_so() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("vxtap.toml");
    let stdout = "[[output]]\nname = \"pipe\"\ntype = \"stream\"\nto = \"stdout\"\n";
    std::fs::write(&file, stdout).unwrap();
    let run =
        ["run", "--progress", "json", "-i", veth.receiver.interface, "-c", file.to_str().unwrap()];
    let sentence = "vxtap: --progress writes to standard output, and so does an output: use only one of them\n";
    assert_eq!(
        finish(&mut vxtap_on(&veth.receiver, &run)),
        (Some(2), String::new(), sentence.to_owned())
    );

    let tcp = "[[output]]\nname = \"tcp\"\ntype = \"stream\"\nto = \"tcp\"\n";
    std::fs::write(&file, tcp).unwrap();
    let engine = start(&veth, &["-c", file.to_str().unwrap()]);
    std::fs::write(&file, stdout).unwrap();
    let (code, _, refusal) = finish(&mut vxtap_on(&veth.receiver, &["reload"]));
    assert_eq!(code, Some(2));
    assert!(refusal.contains("cannot be added or removed while the engine runs"), "{refusal}");
    assert_eq!(stopped(engine).0, Some(0));
}

/// Runs `vxtap tail` with these arguments until it has shown one frame, while frames are sent;
/// returns the line.
fn one_line(veth: &Veth, arguments: &[&str]) -> String {
    let arguments = [&["tail", "--format", "text", "--count", "1"], arguments].concat();
    let mut command = vxtap_on(&veth.receiver, &arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut tail = Process::spawn("vxtap tail", &mut command).unwrap();
    let sent = wait_until("a frame to be shown", TIMEOUT, || {
        // From the mirrored machine itself.
        let frame = udp([2; 6], ([10, 0, 0, 1], 1), ([10, 0, 2, 2], 2));
        mirror(veth, iter::once((4000, frame)));
        tail.ended().unwrap().is_some()
    });
    let said = std::io::read_to_string(tail.child().stderr.take().unwrap());
    sent.unwrap_or_else(|error| panic!("{error}: {arguments:?}"));
    assert!(tail.wait(TIMEOUT).unwrap().success(), "{said:?}");
    std::io::read_to_string(tail.child().stdout.take().unwrap()).unwrap()
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn a_pair_has_one_name_and_the_direction_of_its_frames_needs_nothing() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("vxtap.toml");
    let output = format!(
        "[[output]]\nname = \"files\"\ntype = \"pcapng\"\npath = '{}/{{session}}-{{number}}.pcapng'\n",
        directory.path().display()
    );
    std::fs::write(&file, &output).unwrap();
    let engine = start(&veth, &["-c", file.to_str().unwrap()]);
    let line = one_line(&veth, &["-s", "vni-7@10.0.0.1"]);
    assert!(line.contains("Z vni-7@10.0.0.1 egress 10.0.0.1:1 > 10.0.2.2:2 udp, "), "{line}");
    let (code, table) = stopped(engine);
    assert_eq!(code, Some(0), "{table}");
    assert!(table.contains("\n  vni-7@10.0.0.1 "), "{table}");
    let written = directory.path().join("vni-7@10.0.0.1-000001.pcapng");
    assert!(frames_in(&written) > 0);

    // The README's session: VNI and source, and nothing that decides about its frames.
    let session = "[[session]]\nname = \"web\"\nvni = 7\nsource = \"10.0.0.1\"\n";
    std::fs::write(&file, session.to_owned() + &output).unwrap();
    let engine = start(&veth, &["-c", file.to_str().unwrap()]);
    for name in ["web", "vni-7@10.0.0.1"] {
        let line = one_line(&veth, &["-s", name]);
        assert!(line.contains("Z web egress 10.0.0.1:1 > 10.0.2.2:2 udp, "), "{line}");
    }
    assert_eq!(stopped(engine).0, Some(0));
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn an_engine_answers_to_each_name_of_its_interface_and_is_found_from_elsewhere() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let Side { netns, interface, .. } = &veth.receiver;
    let interface = *interface;
    let directory = tempfile::tempdir().unwrap();
    let engine = start_in(directory.path(), &veth, &[]);
    for link in
        [[interface, "down"].as_slice(), &[interface, "name", "renamed0"], &["renamed0", "up"]]
    {
        netns.ip(&[&["link", "set"], link].concat()).unwrap();
    }
    let is_found = || {
        let (code, ..) = finish(&mut vxtap_on(&veth.receiver, &["reload", "-i", "renamed0"]));
        code == Some(2)
    };
    wait_until("the new name to be known", TIMEOUT, is_found).unwrap();
    for name in ["renamed0", interface] {
        assert!(one_line(&veth, &["-i", name]).contains(" vni-7@10.0.0.1 "));
    }

    let nobody = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let mut command = netns.command("setpriv");
    command.args(nobody).arg(vxtap()).arg("tail");
    let (code, _, said) = finish(&mut command);
    let expected = "vxtap: this engine runs as root: only root may ask it\n";
    assert_eq!((code, said.as_str()), (Some(1), expected));

    let elsewhere = NetNs::new().unwrap();
    for words in [["tail"].as_slice(), &["reload", "-i", "eth9"]] {
        let (code, _, said) = finish(elsewhere.command(vxtap()).args(words));
        assert_eq!(code, Some(1));
        let way = format!("`ip netns exec {} vxtap ...`", netns.name());
        assert!(said.contains("in this network namespace; ") && said.contains(&way), "{said}");
    }
    assert_eq!(stopped(engine).0, Some(0));
}
