//! Other processes read frames in the engine's memory; whatever they do, no other output loses a
//! frame.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use vxtap::config::{Config, Output, OutputKind};
use vxtap::engine::{Engine, OutputReport, Report};
use vxtap::outputs::shared::{AttachError, attach};
use vxtap::ring::{Consumer, Next};
use vxtap_bench::{Profile, Traffic, Verifier};
use vxtap_tests::{Process, TIMEOUT, Veth, capture, privileged, repeats, wait_until};

use super::frames::{mirror, udp};
use super::support::{
    OUTPUT, Windowed, assert_adds_up, config, count, declared, open, send_traffic, send_until,
    stop_after, verify, verify_and_count,
};

/// Returns a configuration with an output that the test reads, and a shared one.
fn shared_config(veth: &Veth, socket: &Path, members: u32, max_consumers: u32) -> Config {
    let mut config = config(&veth.receiver);
    let kind = OutputKind::Shared { path: socket.to_owned(), max_consumers };
    config.outputs.push(Output { members, ..Output::new("shared", kind) });
    config
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Compiles the example in C.
fn compile(directory: &Path) -> PathBuf {
    let program = directory.join("flows");
    let root = repository();
    let mut cc = Command::new("cc");
    cc.args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O2", "-I"]).arg(root.join("include"));
    capture(cc.arg(root.join("examples/flows.c")).arg("-o").arg(&program)).unwrap();
    program
}

/// Starts a process that reads the output; it has attached when this returns.
fn start_example(name: &str, command: &mut Command) -> (Process, BufReader<ChildStderr>) {
    let mut process =
        Process::spawn(name, command.stdout(Stdio::piped()).stderr(Stdio::piped())).unwrap();
    let mut errors = BufReader::new(process.child().stderr.take().unwrap());
    let mut line = String::new();
    errors.read_line(&mut line).unwrap();
    assert!(line.starts_with("flows: attached, 2 rings"), "{line}");
    (process, errors)
}

pub(super) fn example(
    directory: &Path,
    language: &str,
    socket: &Path,
) -> (Process, BufReader<ChildStderr>) {
    let mut command = if language == "C" {
        Command::new(compile(directory))
    } else {
        let mut python = Command::new("python3");
        python.arg("-B").arg(repository().join("examples/flows.py"));
        python
    };
    start_example(language, command.arg(socket))
}

/// Returns the standard output of a process that ends well and writes nothing to standard error.
pub(super) fn output_of((process, errors): &mut (Process, BufReader<ChildStderr>)) -> String {
    let (mut text, mut complaints) = (String::new(), String::new());
    process.child().stdout.take().unwrap().read_to_string(&mut text).unwrap();
    errors.read_to_string(&mut complaints).unwrap();
    assert_eq!((complaints.as_str(), process.wait(TIMEOUT).unwrap().success()), ("", true));
    text
}

/// Returns the frames by protocol and ends, from the lines of the examples:
/// `FRAMES session NUMBER PROTOCOL ENDS` or `FRAMES NAME PROTOCOL ENDS`.
fn flows_of(text: &str, columns_before: usize) -> BTreeMap<String, u64> {
    let mut flows = BTreeMap::new();
    for line in text.lines().filter(|line| !line.contains("frames") && !line.contains("not IP")) {
        let words: Vec<_> = line.split_whitespace().collect();
        *flows.entry(words[columns_before..].join(" ")).or_default() +=
            words[0].parse::<u64>().unwrap();
    }
    flows
}

fn shared_output(report: &Report) -> &OutputReport {
    report.outputs.iter().find(|output| output.name == "shared").unwrap()
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn the_examples_in_c_and_python_count_every_frame_of_every_flow() {
    privileged();
    let veth = Veth::pair(2).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("shared.sock");
    let profile = Profile { count: Some(20_000), ..Profile::default() };
    let mut config = shared_config(&veth, &socket, 1, 2);
    config.sessions = declared(&profile);
    let mut engine = open(&veth.receiver, config);
    let verifier = verify(engine.take_consumer(OUTPUT).unwrap(), Verifier::new(&profile).unwrap());
    engine.start().unwrap();
    let mut c = example(directory.path(), "C", &socket);
    let mut python = example(directory.path(), "Python", &socket);
    let totals = send_traffic(&veth.sender, &profile, 10_000);
    let report = stop_after(engine, totals.frames);
    assert_adds_up(&report);
    assert!(verifier.join().unwrap().finish(&totals).is_perfect());
    let (c, python) = (output_of(&mut c), output_of(&mut python));
    let shared = shared_output(&report).total();
    assert_eq!((shared.delivered.frames, shared.dropped), (40_000, 0), "\n{report}");
    assert!(c.contains("20000 frames") && python.contains("20000 frames"), "{c}{python}");
    let (by_c, by_python) = (flows_of(&c, 3), flows_of(&python, 2));
    assert!(by_c.len() > 10, "{c}");
    assert_eq!(by_c, by_python);
    assert!(python.contains("session-0"), "names of sessions come along: {python}");
    assert!(!socket.exists(), "the socket goes with the engine");
}

/// An engine that receives traffic until the test has seen enough.
struct Busy {
    engine: Engine,
    verifier: thread::JoinHandle<Verifier>,
    /// Frames that the verifier has read.
    received: Arc<AtomicU64>,
}

impl Busy {
    fn start(veth: &Veth, config: Config, profile: &Profile) -> Self {
        let mut engine = open(&veth.receiver, config);
        let (consumer, received) = (engine.take_consumer(OUTPUT).unwrap(), Arc::default());
        let verifier =
            verify_and_count(consumer, Verifier::new(profile).unwrap(), Arc::clone(&received));
        engine.start().unwrap();
        Self { engine, verifier, received }
    }

    /// Sends traffic while `meanwhile` runs, then stops and checks that the output that the test
    /// reads has lost no frame. Returns the report and the notes of the engine.
    fn finish(
        self,
        veth: &Veth,
        profile: &Profile,
        rate: u64,
        meanwhile: impl FnOnce() + Send,
    ) -> (Report, Vec<String>) {
        let stop = AtomicBool::new(false);
        let mut traffic = Windowed::new(Traffic::new(profile).unwrap(), &self.received);
        let totals = thread::scope(|scope| {
            let stop = &stop;
            scope.spawn(move || {
                let _stop_at_the_end = StopAtTheEnd(stop);
                meanwhile();
            });
            send_until(&veth.sender, &mut traffic, rate, Some(stop))
        });
        let notes = self.engine.take_diagnostics();
        let report = stop_after(self.engine, totals.frames);
        assert_adds_up(&report);
        let verdict = self.verifier.join().unwrap().finish(&totals);
        assert!(verdict.is_perfect(), "{verdict:?}\n{report}\n{notes:?}");
        for worker in &report.workers {
            assert_eq!(worker.counters.chunks.published, 0, "all memory is back\n{report}");
        }
        (report, notes)
    }
}

/// The sender ends also when the test fails.
struct StopAtTheEnd<'a>(&'a AtomicBool);

impl Drop for StopAtTheEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Starts a consumer that behaves as the test wants; it has attached when this returns.
fn consumer(mode: &str, socket: &Path) -> (Process, BufReader<ChildStdout>) {
    let mut python = Command::new("python3");
    python
        .arg("-B")
        .arg(repository().join("tests/tests/outputs/consumer.py"))
        .arg(mode)
        .arg(socket);
    python.arg(repository().join("examples")).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut process = Process::spawn("a consumer", &mut python).unwrap();
    let mut lines = BufReader::new(process.child().stdout.take().unwrap());
    assert_eq!(next_line(&mut lines), "attached");
    (process, lines)
}

fn next_line(lines: &mut impl BufRead) -> String {
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn consumers_killed_again_and_again_in_the_middle_of_a_batch_cost_nobody_else_a_frame() {
    privileged();
    let kills = u64::from(repeats(15, 100));
    let veth = Veth::pair(2).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("shared.sock");
    let profile = Profile::default();
    let busy = Busy::start(&veth, shared_config(&veth, &socket, 1, 1), &profile);
    let (report, _) = busy.finish(&veth, &profile, 20_000, || {
        for _ in 0..kills {
            // Only one may be attached: each takes the place of the one before, at once.
            let (mut process, mut lines) = consumer("hold", &socket);
            assert_eq!(next_line(&mut lines), "holding");
            process.signal(Signal::SIGKILL).unwrap();
            process.wait(TIMEOUT).unwrap();
        }
        wait_until("the last one to be gone", TIMEOUT, || attach(&socket, None).is_ok()).unwrap();
    });
    let shared = shared_output(&report);
    let consumers = shared.consumers.unwrap();
    assert_eq!(
        (consumers.attached_total, consumers.disconnected, consumers.attached),
        (kills + 1, 0, 0),
        "\n{report}"
    );
    assert_eq!(consumers.refused, 0, "\n{report}");
    assert!(shared.unread >= kills * 70, "\n{report}");
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn a_hostile_consumer_can_write_to_nothing_and_lies_in_vain() {
    privileged();
    let veth = Veth::pair(2).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("shared.sock");
    let profile = Profile::default();
    let busy = Busy::start(&veth, shared_config(&veth, &socket, 1, 1), &profile);
    let (report, notes) = busy.finish(&veth, &profile, 5000, || {
        let (mut process, mut lines) = consumer("write", &socket);
        for _ in 0..8 {
            assert_eq!(next_line(&mut lines), "refused 1", "EPERM");
        }
        process.wait(TIMEOUT).unwrap();
        for memory in ["poke-umem", "poke-ring"] {
            let (mut process, mut lines) = consumer(memory, &socket);
            assert_eq!(next_line(&mut lines), "poking");
            let status = process.wait(TIMEOUT).unwrap();
            let signal = std::os::unix::process::ExitStatusExt::signal(&status);
            assert_eq!(signal, Some(Signal::SIGSEGV as i32), "{memory}: {status}");
        }
        for lie in ["garbage", "back"] {
            let (mut process, mut lines) = consumer(lie, &socket);
            assert_eq!(next_line(&mut lines), "hung up", "{lie}");
            process.wait(TIMEOUT).unwrap();
        }
        // A well-behaved consumer can attach afterwards.
        wait_until("a free place", TIMEOUT, || attach(&socket, None).is_ok()).unwrap();
    });
    let consumers = shared_output(&report).consumers.unwrap();
    assert_eq!(
        (consumers.attached_total, consumers.disconnected, consumers.attached),
        (6, 2, 0),
        "\n{report}"
    );
    assert_eq!(
        notes.iter().filter(|note| note.contains("was disconnected")).count(),
        2,
        "{notes:?}"
    );
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn whoever_is_not_welcome_is_told_why() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("shared.sock");
    let mut engine = open(&veth.receiver, shared_config(&veth, &socket, 2, 1));
    let consumer = engine.take_consumer(OUTPUT).unwrap();
    let refusal = |member| attach(&socket, member).unwrap_err().to_string();
    engine.start().unwrap();
    let first = attach(&socket, Some(1)).unwrap();
    assert_eq!((first.member, first.members), (1, 2));
    assert_eq!(
        refusal(Some(1)),
        "member 1 of output `shared` has 1 consumer already (output.max_consumers)"
    );
    assert_eq!(refusal(Some(2)), "output `shared` has no member 2: its members are 0 to 1");
    let second = attach(&socket, None).unwrap();
    assert_eq!(second.member, 0, "the one without a consumer");
    assert!(refusal(None).contains("has 1 consumer already"));
    drop(second);
    wait_until("its place to be free", TIMEOUT, || attach(&socket, Some(0)).is_ok()).unwrap();
    // Another engine cannot have the socket.
    let mut config = shared_config(&veth, &socket, 1, 1);
    config.capture.interfaces = vec![veth.sender.interface.to_owned()];
    let another = veth.sender.netns.run(|| Engine::open(config).unwrap_err().to_string());
    assert!(
        another.starts_with("output `shared` cannot listen at")
            && another.ends_with("listens there: stop it, or name another path"),
        "{another}"
    );
    let notes = engine.take_diagnostics();
    let refused: Vec<_> = notes.iter().filter(|note| note.contains(" refused ")).collect();
    assert_eq!(refused.len(), 1, "the others are summed up: {notes:?}");
    let report = engine.stop();
    assert_adds_up(&report);
    let is_sum = |note: &String| {
        note.starts_with("output `shared` refused ") && note.ends_with(" more consumers")
    };
    assert!(report.diagnostics.iter().any(is_sum), "{:?}", report.diagnostics);
    drop(consumer);
    assert_eq!(count(first.consumer), 0, "the end is seen");
    assert!(matches!(attach(&socket, None), Err(AttachError::Connect { .. })));
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn a_consumer_that_does_not_leave_when_a_reload_takes_its_output_keeps_the_memory_for_10_s() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("shared.sock");
    let mut with = shared_config(&veth, &socket, 1, 1);
    with.memory.max_outputs = Some(2);
    let mut without = with.clone();
    without.outputs.pop();
    let mut engine = open(&veth.receiver, with.clone());
    drop(engine.take_consumer(OUTPUT));
    engine.start().unwrap();
    let stuck = attach(&socket, None).unwrap();
    let begin = Instant::now();
    engine.reload(without).unwrap();
    let error = engine.reload(with.clone()).unwrap_err().to_string();
    assert!(error.contains("it is planned for 2, and there would be 3"), "{error}");
    wait_until("room for the output", TIMEOUT, || engine.reload(with.clone()).is_ok()).unwrap();
    assert!(begin.elapsed() >= Duration::from_secs(10), "{:?}", begin.elapsed());
    drop(attach(&socket, None).unwrap());
    let notes = engine.take_diagnostics();
    let report = engine.stop();
    assert_adds_up(&report);
    let consumers = report.outputs[1].consumers.unwrap();
    assert_eq!(
        (consumers.attached_total, consumers.disconnected, consumers.attached),
        (1, 1, 0),
        "\n{report}"
    );
    assert!(
        notes.iter().any(|note| note.ends_with("it did not detach when the output ended")),
        "{notes:?}"
    );
    drop(stuck);
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn both_directions_of_every_flow_meet_at_one_member_from_whatever_queue() {
    const FLOWS: u32 = 10_000;
    privileged();
    let veth = Veth::pair(2).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("shared.sock");
    let mut engine = open(&veth.receiver, shared_config(&veth, &socket, 3, 1));
    let all = engine.take_consumer(OUTPUT).unwrap();
    engine.start().unwrap();
    let members: Vec<_> =
        (0..3).map(|member| attach(&socket, Some(member)).unwrap().consumer).collect();
    let readers: Vec<_> =
        members.into_iter().map(|consumer| thread::spawn(|| flows_in(consumer))).collect();
    let all = thread::spawn(|| flows_in(all));
    send_on_two_queues(&veth, FLOWS);
    let report = stop_after(engine, 2 * u64::from(FLOWS));
    assert_adds_up(&report);
    let all = all.join().unwrap();
    assert_eq!(all.len(), FLOWS as usize, "\n{report}");
    let queues_used =
        report.workers.iter().filter(|worker| worker.counters.total.received.frames > 0).count();
    assert_eq!(queues_used, 2, "\n{report}");
    let different = all.values().filter(|flow| flow.queues.len() == 2).count();
    assert!(
        different > FLOWS as usize / 4,
        "directions of {different} flows came in on different queues"
    );
    let members: Vec<_> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
    for (flow, seen) in &all {
        let at: Vec<_> = members.iter().filter_map(|member| member.get(flow)).collect();
        assert_eq!(at.len(), 1, "flow {flow:?} is at one member");
        assert_eq!((at[0].frames, seen.frames), (2, 2), "with both directions");
    }
    assert!(members.iter().all(|member| member.len() > FLOWS as usize / 5), "each has its share");
}

/// Frames of a flow, and the queues on which they came.
#[derive(Default)]
struct Flow {
    frames: u32,
    queues: std::collections::BTreeSet<u32>,
}

/// Reads an output to its end; returns its flows by their two UDP ends, the lower one first.
fn flows_in(mut consumer: Consumer) -> BTreeMap<[[u8; 6]; 2], Flow> {
    let mut flows: BTreeMap<_, Flow> = BTreeMap::new();
    loop {
        match consumer.next(TIMEOUT) {
            Next::Batch(batch) => {
                for frame in &batch {
                    let bytes = frame.bytes();
                    let end = |address: usize, port: usize| {
                        let mut end = [0; 6];
                        end[..4].copy_from_slice(&bytes[address..address + 4]);
                        end[4..].copy_from_slice(&bytes[port..port + 2]);
                        end
                    };
                    let mut ends = [end(26, 34), end(30, 36)];
                    ends.sort_unstable();
                    let flow = flows.entry(ends).or_default();
                    flow.frames += 1;
                    flow.queues.insert(frame.queue());
                }
            }
            Next::Idle => {}
            Next::Closed => return flows,
        }
    }
}

/// Sends a question and an answer of each flow, each mirrored with its own UDP source port, which
/// decides about the queue.
fn send_on_two_queues(veth: &Veth, flows: u32) {
    let both = |flow: u32| {
        let [_, high, middle, low] = flow.to_be_bytes();
        let client = ([10, high, middle, low], 1024 + u16::try_from(flow % 50_000).unwrap());
        let server = ([192, 168, middle, 53], 53);
        let outer_port = 10_000 + u16::try_from(2 * flow % 40_000).unwrap();
        [(outer_port, udp([2; 6], client, server)), (outer_port + 1, udp([2; 6], server, client))]
    };
    mirror(veth, (0..flows).flat_map(both));
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn an_output_that_a_reload_takes_away_ends_when_its_consumer_has_read_it() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (one, other) = (directory.path().join("one.sock"), directory.path().join("other.sock"));
    let profile = Profile { count: Some(500), ..Profile::default() };
    let mut config = shared_config(&veth, &one, 1, 1);
    config.memory.max_outputs = Some(3);
    let mut engine = open(&veth.receiver, config);
    let test = engine.take_consumer(OUTPUT).unwrap();
    let counted = thread::spawn(|| count(test));
    engine.start().unwrap();
    let before = attach(&one, None).unwrap();
    send_traffic(&veth.sender, &profile, 5000);
    wait_until("the frames to be delivered", TIMEOUT, || {
        shared_output(&engine.report()).total().delivered.frames == 500
    })
    .unwrap();
    let mut changed = shared_config(&veth, &other, 1, 1);
    changed.memory.max_outputs = Some(3);
    changed.sessions = declared(&profile);
    engine.reload(changed).unwrap();
    wait_until("no consumer to be accepted", TIMEOUT, || attach(&one, None).is_err()).unwrap();
    let after = attach(&other, None).unwrap();
    let names: Vec<_> = after.sessions().into_iter().map(|(_, name)| name).collect();
    assert_eq!(names[..2], ["default", "session-0"]);
    send_traffic(&veth.sender, &profile, 5000);
    assert_eq!(count(before.consumer), 500, "it can read its frames to the end");
    assert_adds_up(&stop_after(engine, 1000));
    assert_eq!(count(after.consumer), 500);
    assert_eq!(counted.join().unwrap(), 1000);
}
