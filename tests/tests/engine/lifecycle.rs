//! The engine leaves nothing behind, however it ends.

use std::io::{BufRead, BufReader, Read};
use std::process;

use nix::sys::signal::Signal;
use vxtap::config::Cpus;
use vxtap_bench::Profile;
use vxtap_tests::leftovers::{assert_no_xdp_program, open_files, xdp_program};
use vxtap_tests::{TIMEOUT, Veth, privileged, repeats, wait_until};

use super::support::{
    WINDOW, assert_adds_up, config, config_file, finish, open, run_within, send_traffic, start,
    start_in, vxtap_on, wait_for_received,
};

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn starts_and_stops_again_and_again_leave_no_program_and_no_descriptor() {
    privileged();
    let veth = Veth::pair(2).unwrap();
    let profile = Profile { count: Some(200), ..Profile::default() };
    let cycle = || {
        let outcome = run_within(&veth, config(&veth.receiver), &profile, 20_000, WINDOW);
        assert!(outcome.verdict.is_perfect(), "{}\n{}", outcome.verdict, outcome.report);
        assert_adds_up(&outcome.report);
        assert_no_xdp_program(&veth.receiver.netns, veth.receiver.interface);
    };
    // The first run may open files that the process keeps for good.
    cycle();
    let before = open_files(process::id()).unwrap();
    for _ in 0..repeats(25, 100) {
        cycle();
    }
    assert_eq!(open_files(process::id()).unwrap(), before);
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn an_engine_that_is_killed_again_and_again_leaves_the_interface_as_it_was() {
    privileged();
    let veth = Veth::pair(2).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (config, _) = config_file(directory.path(), "killed");
    let profile = Profile { count: Some(500), ..Profile::default() };
    let (receiver, interface) = (&veth.receiver.netns, veth.receiver.interface);
    for _ in 0..repeats(8, 50) {
        let mut process = start(&veth, &["-c", &config]);
        assert!(xdp_program(receiver, interface).unwrap().is_some());
        send_traffic(&veth.sender, &profile, 0);
        process.signal(Signal::SIGKILL).unwrap();
        process.wait(TIMEOUT).unwrap();
        assert_no_xdp_program(receiver, interface);
    }
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn each_signal_even_sent_twice_ends_the_engine_in_order_with_the_table() {
    privileged();
    let veth = Veth::pair(2).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (config, _) = config_file(directory.path(), "signalled");
    let profile = Profile { count: Some(3000), ..Profile::default() };
    // A hangup ends an engine that has no file to read again, like the other signals; its output is
    // then in the working directory.
    let with_file = ["-c", &config];
    for (signal, arguments) in
        [(Signal::SIGINT, &with_file[..]), (Signal::SIGTERM, &with_file), (Signal::SIGHUP, &[])]
    {
        let mut process = start_in(directory.path(), &veth, arguments);
        send_traffic(&veth.sender, &profile, 10_000);
        wait_for_received(&mut process, 3000);
        // timeout(1) sends it twice: to the process and to its group.
        process.signal(signal).unwrap();
        process.signal(signal).unwrap();
        let stderr = process.child().stderr.take().unwrap();
        let table: Vec<_> = BufReader::new(stderr).lines().map(Result::unwrap).collect();
        assert_eq!(process.wait(TIMEOUT).unwrap().code(), Some(0));
        let table = table.join("\n");
        assert!(table.contains("received 3000 = delivered 3000\n"), "{table}");
        assert!(
            table.contains("redirected 3000 = received 3000 + lost in the kernel 0"),
            "{table}"
        );
        assert!(!table.contains("DOES NOT ADD UP"), "{table}");
        assert_no_xdp_program(&veth.receiver.netns, veth.receiver.interface);
    }
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn an_engine_whose_interface_is_deleted_ends_with_an_error() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (config, _) = config_file(directory.path(), "deleted");
    let mut process = start(&veth, &["-c", &config]);
    veth.receiver.netns.ip(&["link", "delete", veth.receiver.interface]).unwrap();
    let status = process.wait(TIMEOUT).unwrap();
    assert_eq!(status.code(), Some(1));
    let mut said = String::new();
    process.child().stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.ends_with("vxtap: vxrx0 was deleted: it delivers no more frames\n"), "{said}");
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn an_engine_that_is_dropped_without_being_stopped_leaves_nothing() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let interface = veth.receiver.interface;
    let mut engine = open(&veth.receiver, config(&veth.receiver));
    engine.start().unwrap();
    drop(engine);
    assert_no_xdp_program(&veth.receiver.netns, interface);
    drop(open(&veth.receiver, config(&veth.receiver)));
    assert_no_xdp_program(&veth.receiver.netns, interface);
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn an_output_that_cannot_be_created_fails_the_start_and_leaves_nothing() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("vxtap.toml");
    let text = "[[output]]\nname = \"disk\"\ntype = \"pcapng\"\npath = \"/proc/none/x.pcapng\"\n";
    std::fs::write(&path, text).unwrap();
    let interface = veth.receiver.interface;
    let arguments = ["run", "-i", interface, "-c", path.to_str().unwrap()];
    let (code, _, stderr) = finish(&mut vxtap_on(&veth.receiver, &arguments));
    assert_eq!(code, Some(1));
    assert!(
        stderr.starts_with("vxtap: output `disk`: ") && stderr.contains("/proc/none/x.pcapng"),
        "{stderr}"
    );
    assert_no_xdp_program(&veth.receiver.netns, interface);
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn each_worker_runs_on_the_cpu_it_is_given() {
    privileged();
    let veth = Veth::pair(2).unwrap();
    let mut config = config(&veth.receiver);
    config.workers.cpus = Cpus::List(vec![1, 0]);
    let mut engine = open(&veth.receiver, config);
    engine.start().unwrap();
    for (queue, cpu) in [(0, "1"), (1, "0")] {
        let name = format!("vxtap-rx-{queue}");
        wait_until(&format!("{name} on CPU {cpu}"), TIMEOUT, || {
            allowed_cpus(&name).as_deref() == Some(cpu)
        })
        .unwrap();
    }
    let report = engine.stop();
    assert_eq!(
        report.workers.iter().map(|worker| worker.cpu).collect::<Vec<_>>(),
        [Some(1), Some(0)]
    );
}

/// Returns the CPUs that the thread of this name may run on (`proc_pid_status(5)`).
fn allowed_cpus(thread: &str) -> Option<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten().map(|task| task.path());
    let mut ours = tasks.filter(|task| {
        std::fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim_end() == thread)
    });
    let status = std::fs::read_to_string(ours.next()?.join("status")).ok()?;
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    Some(allowed.trim().to_owned())
}
