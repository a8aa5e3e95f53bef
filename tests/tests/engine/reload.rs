//! A running engine takes over another configuration and loses no frame by it.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use vxtap::Engine;
use vxtap::config::{
    Action, Config, Direction, Filter, NetworkService, Output, OutputKind, PortRange, Rule,
    Session, UDP, UnknownSessions,
};
use vxtap::ring::{Consumer, Next};
use vxtap_bench::send::FrameSource;
use vxtap_bench::sink::Label;
use vxtap_bench::{Profile, Traffic, Verifier};
use vxtap_tests::{TIMEOUT, Veth, privileged, wait_until};

use super::support::{
    OUTPUT, WINDOW, Windowed, assert_adds_up, config, declared, finish, open, send_traffic,
    send_until, start, stop_after, verify_and_count, vxtap_on, wait_for_received,
};

const RELOADS: u32 = 200;
/// Frames that pass under each configuration, at least.
const FRAMES_PER_RELOAD: u64 = 200;
/// A rate at which nothing is lost without reloads. The build has debug assertions: one of them is
/// the worker's check that a batch is published under the ruleset that evaluated it.
const FRAMES_PER_SECOND: u64 = 30_000;

/// Sets the flag when it is dropped.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Returns a rule for all IPv4 traffic.
fn rule(direction: Direction, number: u32, action: Action) -> Rule {
    Rule {
        direction,
        number,
        action,
        protocol: None,
        source: "0.0.0.0/0".parse().unwrap(),
        destination: "0.0.0.0/0".parse().unwrap(),
        source_ports: None,
        destination_ports: None,
    }
}

fn filter(rules: Vec<Rule>) -> Filter {
    Filter { name: "filter".to_owned(), rules, ..Filter::default() }
}

/// Returns the configuration of every second reload: with a filter that accepts everything in
/// another way, one more session, and one more output that writes its own file.
fn other(base: &Config, number: u32, directory: &Path) -> Config {
    let mut config = base.clone();
    let rules = [Direction::Ingress, Direction::Egress].map(|direction| {
        [rule(direction, number + 1, Action::Accept), rule(direction, number + 2, Action::Reject)]
    });
    let mut filter = filter(rules.into_iter().flatten().collect());
    filter.network_services.push(NetworkService::AmazonDns);
    config.filters.push(filter);
    config.sessions.iter_mut().for_each(|session| session.filter = Some("filter".to_owned()));
    config.sessions.push(Session {
        name: format!("new-{}", number % 7),
        vni: 9_000_000 + number % 7,
        ..Session::default()
    });
    let path = directory.join(format!("{number}.pcapng"));
    config.outputs.push(Output::new("more", OutputKind::pcapng(path)));
    config
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn two_hundred_reloads_under_load_lose_no_frame() {
    privileged();
    let veth = Veth::pair(2).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let profile = Profile {
        sessions: vxtap_bench::MirrorSession::numbered(4, [10, 0, 1, 1].into(), 100),
        ..Profile::default()
    };
    let profile = Profile { ipv6_percent: 0, count: None, ..profile };
    let mut base = config(&veth.receiver);
    base.memory.max_outputs = Some(4);
    base.sessions = declared(&profile);
    let mut engine = open(&veth.receiver, base.clone());
    let consumer = engine.take_consumer(OUTPUT).unwrap();
    let received = Arc::new(AtomicU64::new(0));
    let verifier = verify_and_count(consumer, Verifier::new(&profile).unwrap(), received.clone());
    engine.start().unwrap();
    let stop = AtomicBool::new(false);
    let mut traffic = Windowed::new(Traffic::new(&profile).unwrap(), &received);
    let totals = thread::scope(|scope| {
        scope.spawn(|| {
            // Also when something fails here, so that the sender ends.
            let _stop = StopOnDrop(&stop);
            for number in 1..=RELOADS {
                let is_other = number % 2 == 1;
                let config =
                    if is_other { other(&base, number, directory.path()) } else { base.clone() };
                let changes = engine
                    .reload(config)
                    .unwrap_or_else(|error| panic!("reload {number}: {error}"));
                assert_eq!(changes.generation, number);
                assert_eq!(changes.outputs.added.len(), usize::from(is_other));
                let_frames_pass(&received);
            }
        });
        send_until(&veth.sender, &mut traffic, FRAMES_PER_SECOND, Some(&stop))
    });
    let report = stop_after(engine, totals.frames);
    let verdict = verifier.join().unwrap().finish(&totals);
    assert!(totals.frames > 20_000, "{} frames passed meanwhile", totals.frames);
    assert!(verdict.is_perfect(), "{verdict}\n{report}");
    assert_adds_up(&report);
    assert_eq!(report.total().received.frames, totals.frames);
    assert_eq!(report.total().drops.total() + report.lost_in_kernel(), 0, "\n{report}");
    // Every output that came and went has written the frames that it was given, and has got all
    // frames that were meant for it.
    assert_eq!(u32::try_from(report.outputs.len()).unwrap(), 1 + RELOADS / 2);
    let more: Vec<_> = report.outputs[1..].iter().collect();
    for output in &more {
        assert!(output.is_gone);
        let (total, written) = (output.total(), output.written.as_ref().unwrap());
        assert_eq!(
            (total.delivered.frames, total.dropped, written.frames_lost),
            (written.frames_written, 0, 0)
        );
    }
    let frames: u64 = more.iter().map(|output| output.total().delivered.frames).sum();
    assert!(
        frames > totals.frames / 10,
        "{frames} of {} frames passed under the other configuration",
        totals.frames
    );
}

/// Waits until [`FRAMES_PER_RELOAD`] frames have passed under the configuration in force.
/// `received` is the number of frames that have come out; those on their way may have passed
/// before.
fn let_frames_pass(received: &AtomicU64) {
    let enough = received.load(Ordering::Relaxed) + WINDOW + FRAMES_PER_RELOAD;
    wait_until("frames to pass", TIMEOUT, || received.load(Ordering::Relaxed) >= enough).unwrap();
}

/// Mirrored UDP packets of one session, numbered from 0, to port 1000 and 1001 in turn.
struct Numbered(u32);

const HOST: [u8; 4] = [10, 0, 1, 1];

impl FrameSource for Numbered {
    fn next_frame(&mut self, frame: &mut Vec<u8>) -> Option<Label> {
        let number = self.0;
        self.0 += 1;
        let port = 1000 + u16::try_from(number % 2).unwrap();
        let mut inner = Vec::new();
        etherparse::PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4([198, 51, 100, 7], HOST, 64)
            .udp(40_000, port)
            .write(&mut inner, &number.to_be_bytes())
            .unwrap();
        frame.clear();
        etherparse::PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
            .ipv4(HOST, [192, 0, 2, 2], 255)
            .udp(65408, 4789)
            .write(frame, &[&[8, 0, 0, 0, 0, 0, 7, 0], &inner[..]].concat())
            .unwrap();
        Some(Label { session: None, inner_len: inner.len() })
    }

    fn next_at(&self) -> Duration {
        Duration::ZERO
    }
}

/// Returns two rules that only together let one port pass and not the other: half of one filter and
/// half of the other would let both pass, or none.
fn one_port(port: u16) -> Filter {
    let other = 2001 - port;
    let ports = |port| Some(PortRange { first: port, last: port });
    let reject = Rule {
        protocol: Some(UDP),
        destination_ports: ports(other),
        ..rule(Direction::Ingress, 10, Action::Reject)
    };
    let accept = Rule {
        protocol: Some(UDP),
        destination_ports: ports(port),
        ..rule(Direction::Ingress, 20, Action::Accept)
    };
    filter(vec![reject, accept])
}

/// Returns the numbers of all frames that come out, in order; keeps the number after the last one
/// in `next`.
fn numbers(mut consumer: Consumer, next: &AtomicU64) -> Vec<u32> {
    let mut numbers = Vec::new();
    loop {
        match consumer.next(TIMEOUT) {
            Next::Batch(batch) => numbers.extend(batch.iter().map(|frame| {
                assert_eq!(frame.direction(), Some(Direction::Ingress));
                let number = u32::from_be_bytes(*frame.bytes().last_chunk().unwrap());
                next.store(u64::from(number) + 1, Ordering::Relaxed);
                number
            })),
            Next::Idle => {}
            Next::Closed => return numbers,
        }
    }
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn no_frame_is_evaluated_by_half_of_a_filter() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let mut base = config(&veth.receiver);
    base.unknown = UnknownSessions::Drop;
    base.sessions.push(Session {
        name: "numbered".to_owned(),
        vni: 7,
        source: Some(HOST.into()),
        filter: Some("filter".to_owned()),
        ..Session::default()
    });
    base.filters.push(one_port(1000));
    let mut engine = open(&veth.receiver, base.clone());
    let consumer = engine.take_consumer(OUTPUT).unwrap();
    engine.start().unwrap();
    let next = Arc::new(AtomicU64::new(0));
    let reading = thread::spawn({
        let next = next.clone();
        move || numbers(consumer, &next)
    });
    let stop = AtomicBool::new(false);
    let totals = thread::scope(|scope| {
        scope.spawn(|| {
            let _stop = StopOnDrop(&stop);
            for number in 1..=RELOADS {
                let mut config = base.clone();
                config.filters[0] = one_port(1000 + u16::try_from(number % 2).unwrap());
                engine.reload(config).unwrap();
                let_frames_pass(&next);
            }
        });
        let mut frames = Windowed::new(Numbered(0), &next);
        send_until(&veth.sender, &mut frames, FRAMES_PER_SECOND, Some(&stop))
    });
    let report = stop_after(engine, totals.frames);
    let numbers = reading.join().unwrap();
    assert_adds_up(&report);
    assert_eq!(report.total().received.frames, totals.frames);
    assert_eq!(report.lost_in_kernel(), 0);
    // Under one filter every second frame passes. When the filter changes, an accepted frame is
    // followed by the next frame or by the third one. Frames of the same parity that are further
    // apart, or anything else, would be a lost frame or a mixture of the filters.
    assert!(numbers[0] <= 1);
    let mut changes = 0;
    for pair in numbers.windows(2) {
        match pair[1] - pair[0] {
            2 => {}
            1 | 3 => changes += 1,
            other => panic!("{other} between frames {} and {}", pair[0], pair[1]),
        }
    }
    assert!(u64::from(*numbers.last().unwrap()) + 2 >= totals.frames);
    assert!((RELOADS / 2..=RELOADS).contains(&changes), "{changes} changes seen");
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn what_cannot_change_is_named_and_changes_nothing() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let mut base = config(&veth.receiver);
    // 64 chunks for the kernel, 64 for a batch, and 128 for the ring: none are left.
    base.memory.per_queue_mib = 1;
    (base.memory.fill_ring, base.memory.rx_ring) = (64, 64);
    let mut engine = open(&veth.receiver, base.clone());
    assert_eq!(engine.reload(base.clone()).unwrap_err().to_string(), "the engine is not running");
    engine.start().unwrap();
    let refused = |engine: &mut Engine, change: &dyn Fn(&mut Config)| {
        let mut config = base.clone();
        change(&mut config);
        engine.reload(config).unwrap_err().to_string()
    };
    let fixed = refused(&mut engine, &|config| {
        config.capture.ports = vec![8472.into()];
        config.memory.rx_ring = 128;
    });
    assert_eq!(
        fixed,
        "capture.ports, memory.rx_ring cannot change while the engine runs: restart it for that"
    );
    let more = |path: &Path| Output::new("more", OutputKind::pcapng(path));
    let path = directory.path().join("more.pcapng");
    let no_room = refused(&mut engine, &|config| config.outputs.push(more(&path)));
    assert_eq!(
        no_room,
        "outputs more: no memory is left for their rings: it is planned for 1, and there would be 2: restart with memory.max_outputs = 2, or reload again when removed outputs have ended"
    );
    assert!(!path.exists(), "nothing is opened that has no room");
    let invalid = refused(&mut engine, &|config| {
        config.sessions.push(Session { vni: 1 << 24, ..Session::default() });
    });
    assert!(invalid.starts_with("session[0].name: "), "{invalid}");
    assert_eq!(engine.reload(base.clone()).unwrap().to_string(), "nothing is different");
    let report = engine.stop();
    assert_adds_up(&report);
    assert_eq!((report.sessions.len(), report.outputs.len()), (1, 1));
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn an_output_can_be_added_or_changed_without_being_planned_for() {
    const FRAMES: u64 = 1000;
    privileged();
    let veth = Veth::pair(1).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let [one, two, three] =
        ["one", "two", "three"].map(|name| directory.path().join(name).with_extension("pcapng"));
    let disk = |path: &Path| Output::new("disk", OutputKind::pcapng(path));
    let with = |outputs: Vec<Output>| Config { outputs, ..config(&veth.receiver) };
    let profile = Profile { count: Some(FRAMES), ..Profile::default() };
    let mut engine = open(&veth.receiver, with(vec![disk(&one)]));
    engine.start().unwrap();
    engine.take_diagnostics();
    engine.reload(with(vec![disk(&two)])).unwrap();
    let notes = engine.take_diagnostics();
    assert!(
        notes[0].starts_with("output `disk`: rings of 2048 frames, not 8192, since"),
        "{notes:?}"
    );
    send_traffic(&veth.sender, &profile, 20_000);
    // The memory of the first is free as soon as it has ended.
    let added = || vec![disk(&two), Output::new("more", OutputKind::pcapng(&three))];
    wait_until("the memory of the first file", TIMEOUT, || {
        let is_added = engine.reload(with(added())).is_ok();
        is_added && engine.take_diagnostics() == [""; 0]
    })
    .unwrap();
    send_traffic(&veth.sender, &profile, 20_000);
    let report = stop_after(engine, 2 * FRAMES);
    assert_adds_up(&report);
    let delivered: Vec<_> =
        report.outputs.iter().map(|output| output.total().delivered.frames).collect();
    assert_eq!(delivered, [0, 2 * FRAMES, FRAMES], "\n{report}");
    let files = [one, two, three].map(|path| super::support::frames_so_far(&path));
    assert_eq!(files, [0, 2 * FRAMES, FRAMES]);
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn the_file_is_read_again_on_a_hangup_and_when_somebody_asks() {
    privileged();
    let veth = Veth::pair(2).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("vxtap.toml");
    let output = directory.path().join("out.pcapng");
    let write = |sessions: &str| {
        let text = format!(
            "{sessions}[[output]]\nname = \"disk\"\ntype = \"pcapng\"\npath = '{}'\n",
            output.display()
        );
        fs::write(&path, text).unwrap();
    };
    write("");
    let mut process = start(&veth, &["-c", path.to_str().unwrap()]);
    let reload = |arguments: &[&str]| {
        finish(&mut vxtap_on(&veth.receiver, &[&["reload"], arguments].concat()))
    };
    let name = path.to_str().unwrap();

    write("[[session]]\nname = \"web\"\nvni = 100\n");
    let answer = reload(&[]);
    assert_eq!(answer, (Some(0), format!("reloaded {name}: sessions added: web\n"), String::new()));

    write("[[session]]\nname = \"web\"\nvni = 16777216\n");
    let (code, stdout, stderr) = reload(&["-i", veth.receiver.interface]);
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    assert_eq!(
        stderr,
        format!(
            "vxtap: not reloaded, everything goes on as before: {name}:3:7: session[0].vni: found 16777216, allowed is \
             an integer from 0 to 16777215\n"
        )
    );

    write("[[session]]\nname = \"web\"\nvni = 101\n");
    process.signal(Signal::SIGHUP).unwrap();
    let is_changed = || {
        reload(&[]) == (Some(0), format!("reloaded {name}: nothing is different\n"), String::new())
    };
    wait_until("the reload by the hangup", TIMEOUT, is_changed).unwrap();
    let (code, _, stderr) = reload(&["-i", "vxtap-none"]);
    assert_eq!(code, Some(1));
    assert_eq!(
        stderr,
        format!(
            "vxtap: no engine captures from vxtap-none in this network namespace: use -i {}\n",
            veth.receiver.interface
        )
    );

    let profile = Profile {
        count: Some(1000),
        sessions: vxtap_bench::MirrorSession::numbered(1, HOST.into(), 101),
        ..Profile::default()
    };
    send_traffic(&veth.sender, &profile, 20_000);
    wait_for_received(&mut process, 1000);
    process.signal(Signal::SIGTERM).unwrap();
    let said = std::io::read_to_string(process.child().stderr.take().unwrap()).unwrap();
    assert_eq!(process.wait(TIMEOUT).unwrap().code(), Some(0));
    assert!(
        said.contains("  web                               1000          1000           0\n"),
        "{said}"
    );
    assert!(!said.contains("DOES NOT ADD UP"), "{said}");
    assert!(said.contains("vxtap: not reloaded, everything goes on as before: "), "{said}");
    assert!(said.contains(&format!("vxtap: reloaded {name}: sessions changed: web\n")), "{said}");
}
