//! Programs read the frames as a stream, each at its own pace.

use std::fs::File;
use std::io::Read;
use std::net::TcpStream;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use vxtap::config::{AllowedUsers, Output, OutputKind, Stream, StreamFormat, StreamTarget};
use vxtap::engine::{Engine, Report, StreamReader};
use vxtap_bench::{Profile, Verifier};
use vxtap_tests::{Process, Stopwatch, TIMEOUT, Veth, capture, privileged, wait_until};

use super::captures::frames_in;
use super::support::{
    OUTPUT, as_nobody, assert_adds_up, config, declared, frames_so_far, open, send_traffic,
    stop_after, verify, vxtap_on,
};

pub(super) const FRAMES: u64 = 10_000;

pub(super) fn profile() -> Profile {
    Profile { count: Some(FRAMES), ..Profile::default() }
}

fn stream(name: &str, target: StreamTarget) -> Output {
    Output::new(name, OutputKind::Stream(Stream::new(target)))
}

/// Starts a program that reads a stream as its standard input.
pub(super) fn reader(command: &mut Command, stream: impl Into<OwnedFd>) -> Process {
    command.stdin(Stdio::from(stream.into())).stderr(Stdio::null());
    Process::spawn("a reader", command).unwrap()
}

/// Starts tcpdump, which writes each frame that it reads to a file at once.
fn tcpdump(stream: impl Into<OwnedFd>, path: &Path) -> Process {
    reader(Command::new("tcpdump").args(["-U", "-r", "-", "-w"]).arg(path), stream)
}

/// Waits until a stream has begun: every frame from now on is in it.
pub(super) fn wait_for_header(stream: &impl AsFd) {
    let timeout = Timespec { tv_sec: TIMEOUT.as_secs().cast_signed(), tv_nsec: 0 };
    let ready = poll(&mut [PollFd::new(stream, PollFlags::IN)], Some(&timeout));
    assert_eq!(ready, Ok(1), "the stream begins");
}

/// Starts a program that copies its input to a file.
fn cat(stream: impl Into<OwnedFd>, path: &Path) -> Process {
    reader(Command::new("cat").stdout(File::create(path).unwrap()), stream)
}

fn readers(report: &Report, output: usize) -> &[StreamReader] {
    &report.outputs[output].stream.as_ref().unwrap().readers
}

/// Waits until outputs have so many readers.
fn wait_for_readers(engine: &Engine, counts: &[(usize, usize)]) {
    let there = |report: &Report, output| {
        readers(report, output).iter().filter(|it| it.is_attached).count()
    };
    wait_until("the readers to be there", TIMEOUT, || {
        let report = engine.report();
        counts.iter().all(|(output, count)| there(&report, *output) == *count)
    })
    .unwrap();
}

/// Returns the names of the interfaces and their losses, from the statistics at the end of a pcapng
/// file.
fn losses(path: &Path) -> Vec<(String, u64)> {
    let bytes = std::fs::read(path).unwrap();
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let half = |at: usize| u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap()) as usize;
    let option = |mut at: usize, code: usize| loop {
        let (found, len) = (half(at), half(at + 2));
        if found == code {
            return &bytes[at + 4..at + 4 + len];
        }
        assert_ne!(found, 0, "no option {code}");
        at += 4 + len.next_multiple_of(4);
    };
    let (mut at, mut names, mut losses) = (0, Vec::new(), Vec::new());
    while at < bytes.len() {
        match word(at) {
            1 => names.push(String::from_utf8(option(at + 16, 2).to_vec()).unwrap()),
            5 => {
                let dropped = u64::from_le_bytes(option(at + 20, 5).try_into().unwrap());
                losses.push((names[word(at + 8) as usize].clone(), dropped));
            }
            _ => {}
        }
        at += word(at + 4) as usize;
    }
    losses
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn tcpdump_and_tshark_read_every_frame_from_tcp_a_unix_socket_and_a_named_pipe() {
    privileged();
    let veth = Veth::pair(2).unwrap();
    let netns = &veth.receiver.netns;
    capture(netns.command("ip").args(["link", "set", "lo", "up"])).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let [socket, fifo, tcp, tcp_too, unix, pipe] =
        ["socket", "fifo", "tcp.pcap", "tcp-too.pcapng", "unix.pcap", "pipe.pcap"]
            .map(|name| directory.path().join(name));
    let mut config = config(&veth.receiver);
    config.sessions = declared(&profile());
    config.outputs.push(stream("tcp", StreamTarget::Tcp(StreamTarget::PCAP_OVER_IP)));
    let pcap =
        Stream { format: StreamFormat::Pcap, ..Stream::new(StreamTarget::Unix(socket.clone())) };
    config.outputs.push(Output::new("unix", OutputKind::Stream(pcap)));
    config.outputs.push(stream("fifo", StreamTarget::Fifo(fifo.clone())));
    let mut engine = open(&veth.receiver, config);
    let verifier =
        verify(engine.take_consumer(OUTPUT).unwrap(), Verifier::new(&profile()).unwrap());
    engine.start().unwrap();
    let connection = netns.run(|| TcpStream::connect(StreamTarget::PCAP_OVER_IP)).unwrap();
    let mut tshark = netns.command("tshark");
    tshark.args(["-q", "-i", "TCP@127.0.0.1:57012", "-w"]).arg(&tcp_too).stderr(Stdio::null());
    let mut processes = [
        tcpdump(connection, &tcp),
        Process::spawn("tshark", &mut tshark).unwrap(),
        tcpdump(UnixStream::connect(&socket).unwrap(), &unix),
        tcpdump(File::open(&fifo).unwrap(), &pipe),
    ];
    wait_for_readers(&engine, &[(1, 2), (2, 1), (3, 1)]);
    let totals = send_traffic(&veth.sender, &profile(), 10_000);
    let report = stop_after(engine, totals.frames);
    assert_adds_up(&report);
    assert!(verifier.join().unwrap().finish(&totals).is_perfect());
    for process in &mut processes {
        process.wait(TIMEOUT).unwrap();
    }
    for path in [&tcp, &tcp_too, &unix, &pipe] {
        assert_eq!(frames_in(path), FRAMES, "{}\n{report}", path.display());
    }
    for output in [1, 2, 3] {
        for StreamReader { offered, sent, lost, unsent, .. } in readers(&report, output) {
            assert_eq!((*offered, *sent, *lost, *unsent), (FRAMES, FRAMES, 0, 0), "\n{report}");
        }
    }
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn a_reader_that_stands_still_loses_its_own_frames_and_its_stream_says_how_many_of_which_session() {
    privileged();
    let veth = Veth::pair(2).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let [socket, slow, quick] =
        ["socket", "slow.pcapng", "quick.pcapng"].map(|name| directory.path().join(name));
    let mut config = config(&veth.receiver);
    config.sessions = declared(&profile());
    // Less than the traffic of a second.
    let small = Stream { buffer_mib: 1, ..Stream::new(StreamTarget::Unix(socket.clone())) };
    config.outputs.push(Output::new("stream", OutputKind::Stream(small)));
    let mut engine = open(&veth.receiver, config);
    let verifier =
        verify(engine.take_consumer(OUTPUT).unwrap(), Verifier::new(&profile()).unwrap());
    engine.start().unwrap();
    let mut slow_reader = cat(UnixStream::connect(&socket).unwrap(), &slow);
    wait_for_readers(&engine, &[(1, 1)]);
    let mut quick_reader = cat(UnixStream::connect(&socket).unwrap(), &quick);
    wait_for_readers(&engine, &[(1, 2)]);
    slow_reader.signal(Signal::SIGSTOP).unwrap();
    let totals = send_traffic(&veth.sender, &profile(), 10_000);
    wait_until("all frames to be offered", TIMEOUT, || {
        readers(&engine.report(), 1).iter().all(|reader| reader.offered == FRAMES)
    })
    .unwrap();
    slow_reader.signal(Signal::SIGCONT).unwrap();
    let report = engine.stop();
    assert_adds_up(&report);
    assert!(verifier.join().unwrap().finish(&totals).is_perfect());
    quick_reader.wait(TIMEOUT).unwrap();
    slow_reader.wait(TIMEOUT).unwrap();
    let [slow_account, quick_account] = readers(&report, 1) else { panic!("{report}") };
    assert_eq!((quick_account.sent, frames_in(&quick)), (FRAMES, FRAMES), "\n{report}");
    assert!(losses(&quick).iter().all(|(_, lost)| *lost == 0), "{:?}", losses(&quick));
    let StreamReader { sent, lost, unsent, .. } = *slow_account;
    assert!(lost > 0 && unsent == 0, "\n{report}");
    assert_eq!((frames_in(&slow), sent), (FRAMES - lost, FRAMES - lost), "\n{report}");
    let stated = losses(&slow);
    assert_eq!(stated.iter().map(|(_, lost)| lost).sum::<u64>(), lost, "{stated:?}\n{report}");
    assert!(
        stated.iter().filter(|(_, lost)| *lost > 0).count() > 1,
        "each session has its own: {stated:?}"
    );
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn a_reader_that_takes_nothing_does_not_hold_up_the_end_and_one_too_many_is_turned_away() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("socket");
    let mut config = config(&veth.receiver);
    let one = Stream { max_readers: 1, ..Stream::new(StreamTarget::Unix(socket.clone())) };
    config.outputs.push(Output::new("stream", OutputKind::Stream(one)));
    let mut engine = open(&veth.receiver, config);
    drop(engine.take_consumer(OUTPUT));
    engine.start().unwrap();
    let stuck = UnixStream::connect(&socket).unwrap();
    wait_for_readers(&engine, &[(1, 1)]);
    for _ in 0..3 {
        let mut second = UnixStream::connect(&socket).unwrap();
        let mut answer = Vec::new();
        second.read_to_end(&mut answer).unwrap();
        let reason = "output `stream`: it has 1 reader already (output.max_readers)";
        assert!(String::from_utf8_lossy(&answer).contains(reason), "{answer:?}");
        let file = directory.path().join("refusal.pcapng");
        std::fs::write(&file, answer).unwrap();
        assert_eq!(frames_in(&file), 0, "the reason is a capture that tools can read");
        capture(Command::new("tcpdump").arg("-nr").arg(&file)).unwrap();
    }
    send_traffic(&veth.sender, &profile(), 10_000);
    wait_until("all frames to be offered", TIMEOUT, || {
        readers(&engine.report(), 1)[0].offered == FRAMES
    })
    .unwrap();
    let notes = engine.take_diagnostics();
    let turned_away: Vec<_> = notes.iter().filter(|note| note.contains("turned away")).collect();
    let [note] = turned_away[..] else { panic!("once, then summed: {notes:?}") };
    assert!(
        note.starts_with("output `stream` turned away process ")
            && note.ends_with(": it has 1 reader already (output.max_readers)"),
        "{note}"
    );
    let watch = Stopwatch::start();
    let report = engine.stop();
    assert!(watch.elapsed() < Duration::from_secs(4), "{:?}", watch.elapsed());
    assert_adds_up(&report);
    let said = "output `stream` turned away 2 more".to_owned();
    assert!(report.diagnostics.contains(&said), "{:?}", report.diagnostics);
    let consumers = report.outputs[1].consumers.unwrap();
    assert_eq!(
        (consumers.attached_total, consumers.refused, consumers.disconnected, consumers.attached),
        (1, 3, 1, 0),
        "\n{report}"
    );
    let [account] = readers(&report, 1) else { panic!("{report}") };
    assert_eq!((account.offered, account.unsent > 0), (FRAMES, true), "{account:?}");
    drop(stuck);
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn a_reader_that_takes_nothing_loses_its_place_to_another_one() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let [socket, quick] = ["socket", "quick.pcapng"].map(|name| directory.path().join(name));
    let mut config = config(&veth.receiver);
    let stream = Stream {
        max_readers: 2,
        send_timeout_s: 1,
        buffer_mib: 1,
        ..Stream::new(StreamTarget::Unix(socket.clone()))
    };
    config.outputs.push(Output::new("stream", OutputKind::Stream(stream)));
    let mut engine = open(&veth.receiver, config);
    drop(engine.take_consumer(OUTPUT));
    engine.start().unwrap();
    let stuck = UnixStream::connect(&socket).unwrap();
    wait_for_readers(&engine, &[(1, 1)]);
    let mut quick_reader = cat(UnixStream::connect(&socket).unwrap(), &quick);
    wait_for_readers(&engine, &[(1, 2)]);
    // A reader to whom nothing is sent is not one that takes nothing.
    std::thread::sleep(Duration::from_millis(1500));
    wait_for_readers(&engine, &[(1, 2)]);
    send_traffic(&veth.sender, &profile(), 10_000);
    wait_for_readers(&engine, &[(1, 1)]);
    let notes = engine.take_diagnostics();
    assert!(
        notes.iter().any(|note| note.starts_with("output `stream` disconnected process ")
            && note.ends_with(", which took nothing")),
        "{notes:?}"
    );
    drop(UnixStream::connect(&socket).unwrap());
    let report = stop_after(engine, FRAMES);
    assert_adds_up(&report);
    quick_reader.wait(TIMEOUT).unwrap();
    assert_eq!(frames_in(&quick), FRAMES, "\n{report}");
    let consumers = report.outputs[1].consumers.unwrap();
    assert_eq!((consumers.disconnected, consumers.attached), (1, 0), "\n{report}");
    drop(stuck);
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn over_tcp_on_this_host_only_root_the_engines_user_and_named_ones_read() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    // The address of its own end may be any of the host's. It ends after the first bytes, so that
    // it need not be stopped.
    let nobody = |from: &str| {
        let mut python = as_nobody(&veth);
        let script = format!(
            "import socket, sys\ns = socket.socket()\ns.bind(('{from}', 0))\n\
             s.connect(('127.0.0.1', 57012))\n\
             sys.stdout.buffer.write(s.recv(400, socket.MSG_WAITALL))"
        );
        python.args(["/usr/bin/python3", "-c", &script]);
        let output = python.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let reason = "the user nobody may not read it (output.allowed_users)";
    for (allowed, may) in [
        (AllowedUsers::default(), false),
        (AllowedUsers::Listed(vec!["nobody".to_owned()]), true),
        (AllowedUsers::All, true),
    ] {
        let mut config = config(&veth.receiver);
        config.sessions = declared(&profile());
        let target = StreamTarget::Tcp(StreamTarget::PCAP_OVER_IP);
        let tcp = Stream { allowed_users: allowed, ..Stream::new(target) };
        config.outputs.push(Output::new("tcp", OutputKind::Stream(tcp)));
        let mut engine = open(&veth.receiver, config);
        drop(engine.take_consumer(OUTPUT));
        engine.start().unwrap();
        let netns = &veth.receiver.netns;
        let root = netns.run(|| TcpStream::connect(StreamTarget::PCAP_OVER_IP)).unwrap();
        wait_for_header(&root);
        wait_for_readers(&engine, &[(1, 1)]);
        for from in ["127.0.0.1", "10.0.0.2"] {
            let answer = nobody(from);
            assert_eq!(
                (answer.contains(reason), answer.contains("session-0")),
                (!may, may),
                "from {from}: {answer}"
            );
        }
        let notes = engine.take_diagnostics();
        assert!(notes.iter().any(|note| note.contains("can read the frames")), "{notes:?}");
        assert_eq!(notes.iter().any(|note| note.ends_with(reason)), !may, "{notes:?}");
        let report = engine.stop();
        let consumers = report.outputs[1].consumers.unwrap();
        assert_eq!(consumers.refused, 2 * u64::from(!may), "\n{report}");
    }
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn readers_come_and_go_and_of_what_comes_while_nobody_reads_nothing_waits() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("fifo");
    let mut config = config(&veth.receiver);
    config.outputs = vec![stream("stream", StreamTarget::Fifo(fifo.clone()))];
    let mut engine = open(&veth.receiver, config);
    engine.start().unwrap();
    let mut without = 0;
    for round in 0..3 {
        without += send_traffic(&veth.sender, &profile(), 20_000).frames;
        wait_until("the frames to be received", TIMEOUT, || {
            engine.report().total().received.frames == without
        })
        .unwrap();
        let mut pipe = File::open(&fifo).unwrap();
        wait_for_readers(&engine, &[(0, 1)]);
        let mut bytes = [0; 24];
        pipe.read_exact(&mut bytes).unwrap();
        assert_eq!(bytes[..4], [0x0a, 0x0d, 0x0d, 0x0a], "each reader has a header of its own");
        drop(pipe);
        wait_for_readers(&engine, &[(0, 0)]);
        assert_eq!(readers(&engine.report(), 0).len(), round + 1);
    }
    let report = engine.stop();
    assert_adds_up(&report);
    assert_eq!(report.outputs[0].total().delivered.frames, 0, "\n{report}");
    assert_eq!(report.total().drops.get(vxtap::DropReason::NoOutput), without, "\n{report}");
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn standard_output_is_a_stream_that_tcpdump_reads_and_the_table_goes_elsewhere() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let [file, seen, errors] =
        ["vxtap.toml", "seen.pcap", "errors"].map(|name| directory.path().join(name));
    std::fs::write(
        &file,
        "[[output]]\nname = \"pipe\"\ntype = \"stream\"\nto = \"stdout\"\nformat = \"pcap\"\n",
    )
    .unwrap();
    let arguments = ["run", "-i", veth.receiver.interface, "-c", file.to_str().unwrap()];
    let mut command = vxtap_on(&veth.receiver, &arguments);
    command.stdout(Stdio::piped()).stderr(File::create(&errors).unwrap());
    let mut engine = Process::spawn("vxtap", &mut command).unwrap();
    let stdout = engine.child().stdout.take().unwrap();
    wait_for_header(&stdout);
    let mut sniffer = tcpdump(stdout, &seen);
    let text = || std::fs::read_to_string(&errors).unwrap_or_default();
    wait_until("the engine to run", TIMEOUT, || text().contains("running:")).unwrap();
    let sent = send_traffic(&veth.sender, &profile(), 10_000).frames;
    wait_until("the frames in the file", TIMEOUT, || {
        seen.metadata().is_ok_and(|file| file.len() >= 24) && frames_so_far(&seen) == sent
    })
    .unwrap_or_else(|error| panic!("{error}: {}", text()));
    engine.signal(Signal::SIGINT).unwrap();
    assert!(engine.wait(TIMEOUT).unwrap().success(), "{}", text());
    sniffer.wait(TIMEOUT).unwrap();
    assert_eq!(frames_in(&seen), sent, "{}", text());
    assert!(
        text().contains("standard output: 10000 = sent 10000 + lost 0 + not sent 0"),
        "{}",
        text()
    );
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn an_engine_ends_when_the_program_behind_it_in_a_pipe_does() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let [file, seen, errors] =
        ["vxtap.toml", "seen.pcap", "errors"].map(|name| directory.path().join(name));
    let stream = "[[output]]\nname = \"pipe\"\ntype = \"stream\"\nto = \"stdout\"\n";
    let pcapng = "[[output]]\nname = \"pipe\"\ntype = \"pcapng\"\npath = \"/dev/stdout\"\n";
    for output in [stream, pcapng] {
        std::fs::write(&file, output).unwrap();
        let arguments = ["run", "-i", veth.receiver.interface, "-c", file.to_str().unwrap()];
        let mut command = vxtap_on(&veth.receiver, &arguments);
        command.stdout(Stdio::piped()).stderr(File::create(&errors).unwrap());
        let mut engine = Process::spawn("vxtap", &mut command).unwrap();
        let mut tcpdump = Command::new("tcpdump");
        tcpdump.args(["-c", "5", "-r", "-", "-w"]).arg(&seen);
        let mut sniffer = reader(&mut tcpdump, engine.child().stdout.take().unwrap());
        // It has the pipe too.
        drop(tcpdump);
        let text = || std::fs::read_to_string(&errors).unwrap_or_default();
        wait_until("the engine to run", TIMEOUT, || text().contains("running:")).unwrap();
        send_traffic(&veth.sender, &Profile { count: Some(1000), ..profile() }, 5000);
        sniffer.wait(TIMEOUT).unwrap();
        let status = engine.wait(TIMEOUT).unwrap_or_else(|error| panic!("{error}: {}", text()));
        assert!(status.success(), "{}", text());
        assert!(text().contains("nothing reads standard output any more"), "{}", text());
        assert!(text().contains("\n  redirected "), "with its table: {}", text());
        assert_eq!(frames_in(&seen), 5);
    }
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn a_reload_that_takes_a_stream_away_ends_it_for_its_readers_and_one_that_brings_it_begins_it() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let [socket, seen] = ["socket", "seen.pcapng"].map(|name| directory.path().join(name));
    let mut without = config(&veth.receiver);
    without.memory.max_outputs = Some(3);
    let mut with = without.clone();
    with.outputs.push(stream("stream", StreamTarget::Unix(socket.clone())));
    let mut changed = with.clone();
    let pcap =
        Stream { format: StreamFormat::Pcap, ..Stream::new(StreamTarget::Unix(socket.clone())) };
    changed.outputs[1].kind = OutputKind::Stream(pcap);
    let mut engine = open(&veth.receiver, without.clone());
    drop(engine.take_consumer(OUTPUT));
    engine.start().unwrap();
    for round in 1..=2 {
        engine.reload(with.clone()).unwrap();
        let mut reader = tcpdump(UnixStream::connect(&socket).unwrap(), &seen);
        wait_for_readers(&engine, &[(round, 1)]);
        let error = engine.reload(changed.clone()).unwrap_err().to_string();
        assert!(error.starts_with("outputs `stream` and `stream` write to the socket"), "{error}");
        assert!(
            error.ends_with("is free when the output has gone: reload without it, then with it"),
            "{error}"
        );
        let sent = send_traffic(&veth.sender, &profile(), 10_000).frames;
        wait_until("all frames to be offered", TIMEOUT, || {
            readers(&engine.report(), round)[0].offered == FRAMES
        })
        .unwrap();
        engine.reload(without.clone()).unwrap();
        assert!(reader.wait(TIMEOUT).unwrap().success());
        assert_eq!(frames_in(&seen), sent);
        wait_until("the socket to go", TIMEOUT, || !socket.exists()).unwrap();
    }
    let report = engine.stop();
    assert_adds_up(&report);
    for output in [1, 2] {
        let [account] = readers(&report, output) else { panic!("{report}") };
        assert_eq!((account.sent, account.lost, account.unsent), (FRAMES, 0, 0), "\n{report}");
    }
}
