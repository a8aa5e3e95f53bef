//! A worse capture mode is taken only for what it can mend; a shortage ends the start with a
//! sentence that says what to raise.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use vxtap_tests::leftovers::assert_no_xdp_program;
use vxtap_tests::{Process, TIMEOUT, Veth, privileged, wait_until};

use super::support::{config_file, vxtap};

/// Results of a start: the lines on standard error up to the one that says that it runs, or to the
/// end.
struct Start {
    said: String,
    runs: bool,
}

/// Starts an engine on the receiving end by a command that its arguments follow, and ends it once
/// it runs.
fn start(veth: &Veth, directory: &Path, prefix: &[&str]) -> Start {
    let (config, _) = config_file(directory, "start");
    let said = directory.join("said");
    let mut command: Command = veth.receiver.netns.command(prefix[0]);
    command.args(&prefix[1..]).arg(vxtap());
    command.args(["run", "-i", veth.receiver.interface, "-c", &config]);
    command.stdout(Stdio::null()).stderr(fs::File::create(&said).unwrap());
    let mut process = Process::spawn("vxtap", &mut command).unwrap();
    let mut runs = false;
    wait_until("the start", TIMEOUT, || {
        runs = fs::read_to_string(&said).unwrap().contains("vxtap: running: ");
        runs || process.ended().unwrap().is_some()
    })
    .unwrap();
    if runs {
        // strace(1) passes no signal on to what it traces.
        let id = child_or_self(process.id());
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), Signal::SIGTERM).unwrap();
    }
    process.wait(TIMEOUT).unwrap();
    assert_no_xdp_program(&veth.receiver.netns, veth.receiver.interface);
    Start { said: fs::read_to_string(&said).unwrap(), runs }
}

/// Returns the only child of a process, or the process itself.
fn child_or_self(id: u32) -> i32 {
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
    children.split_whitespace().next().map_or(id.cast_signed(), |child| child.parse().unwrap())
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn with_whatever_number_of_descriptors_it_runs_natively_or_says_what_to_raise() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (mut ran, mut refused) = (0, 0);
    for files in [6_u32, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 32, 36, 40, 48] {
        let limit = format!("--nofile={files}:{files}");
        let start = start(&veth, directory.path(), &["prlimit", &limit]);
        if start.runs {
            ran += 1;
            assert!(start.said.contains("vxrx0 (native copy)"), "{files}: {}", start.said);
        } else {
            refused += 1;
            let expected =
                format!("vxtap: this process may open {files} files: raise LimitNOFILE=");
            assert!(start.said.contains(&expected), "{files}: {}", start.said);
        }
    }
    assert!(ran > 0 && refused > 0, "{ran} ran, {refused} were refused");
}

/// System calls that fail, with the error numbers, and the end of the start: the mode, or a part of
/// the sentence.
#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn errors_of_the_kernel_lead_to_another_attempt_another_mode_or_the_end() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let directory = tempfile::tempdir().unwrap();
    for (call, error, when, expected) in [
        ("bpf", "EMFILE", "1+", Err("this process may open ")),
        ("bpf", "ENFILE", "1+", Err("fs.file-max")),
        ("bpf", "ENOMEM", "1+", Err("lower memory.per_queue_mib")),
        ("bpf", "ENOSPC", "1+", Err("capture fewer queues")),
        ("bpf", "EPERM", "1+", Ok("UDP socket")),
        ("bpf", "EINVAL", "1+", Ok("UDP socket")),
        ("bpf", "ENOSYS", "1+", Ok("UDP socket")),
        ("bpf", "EAGAIN", "1+", Err("; start again")),
        // The first bind(2) is that of netlink.
        ("bind", "ENOMEM", "2+", Err("lower memory.per_queue_mib")),
    ] {
        let inject = format!("inject={call}:error={error}:when={when}");
        let trace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &inject];
        let start = start(&veth, directory.path(), &trace);
        match expected {
            Ok(mode) => {
                let mode = format!("vxrx0 ({mode})");
                assert!(start.runs && start.said.contains(&mode), "{inject}: {}", start.said);
            }
            Err(sentence) => {
                let is_said = start.said.contains(sentence);
                assert!(!start.runs && is_said, "{inject}: {}", start.said);
            }
        }
    }
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn signals_during_the_start_do_not_cost_the_native_mode() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (config, _) = config_file(directory.path(), "signals");
    let said = directory.path().join("said");
    for _ in 0..5 {
        let mut command: Command = veth.receiver.netns.command(vxtap());
        command.args(["run", "-i", veth.receiver.interface, "-c", &config]);
        command.stdout(Stdio::null()).stderr(fs::File::create(&said).unwrap());
        let mut process = Process::spawn("vxtap", &mut command).unwrap();
        let status = format!("/proc/{}/status", process.id());
        wait_until("the handler of SIGUSR1", TIMEOUT, || {
            let status = fs::read_to_string(&status).unwrap();
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
            u64::from_str_radix(caught.trim(), 16).unwrap() & 1 << 9 != 0
        })
        .unwrap();
        let end = Instant::now() + TIMEOUT;
        let mut sent = 0;
        while !fs::read_to_string(&said).unwrap().contains("vxtap: running: ") {
            assert!(Instant::now() < end, "{}", fs::read_to_string(&said).unwrap());
            process.signal(Signal::SIGUSR1).unwrap();
            sent += 1;
            std::thread::sleep(Duration::from_micros(300));
        }
        process.signal(Signal::SIGTERM).unwrap();
        process.wait(TIMEOUT).unwrap();
        let said = fs::read_to_string(&said).unwrap();
        assert!(said.contains("vxrx0 (native copy)"), "after {sent} signals: {said}");
    }
}
