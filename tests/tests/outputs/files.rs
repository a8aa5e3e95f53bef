//! Files end, are kept and survive what happens to disks and processes; other programs read them.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use vxtap::config::Session;
use vxtap_bench::Profile;
use vxtap_tests::{Process, Veth, capture, privileged, wait_until};

use super::support::{SOON, declared, send_traffic, start, vxtap};

/// Frames that tshark reads in a file.
fn frames_in(path: &Path) -> u64 {
    let text = capture(Command::new("tshark").arg("-r").arg(path).args([
        "-T",
        "fields",
        "-e",
        "frame.number",
    ]));
    text.unwrap_or_else(|error| panic!("{}: {error:#}", path.display())).lines().count() as u64
}

/// Ends `vxtap run`; its table and what it said.
fn stop(process: &mut Process) -> (String, String) {
    process.signal(Signal::SIGINT).unwrap();
    let child = process.child();
    let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let read = |mut from: Box<dyn std::io::Read + Send>| {
        thread::spawn(move || {
            let mut text = String::new();
            from.read_to_string(&mut text).unwrap();
            text
        })
    };
    let texts =
        [read(Box::new(stdout)), read(Box::new(stderr))].map(|thread| thread.join().unwrap());
    process.wait(SOON).unwrap();
    texts.into()
}

/// The count behind a word in the conservation table.
fn counted(table: &str, what: &str) -> u64 {
    let rest = table.split_once(what).unwrap_or_else(|| panic!("no {what:?} in\n{table}")).1;
    rest.split_whitespace().next().unwrap().trim_end_matches(':').parse().unwrap()
}

#[test]
#[ignore = "requires CAP_SYS_ADMIN, CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn a_full_disk_costs_its_output_frames_and_nobody_else_and_it_goes_on_by_itself() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let disk = dir.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let toml = dir.path().join("vxtap.toml");
    let output = |name: &str, path: PathBuf| {
        format!("[[output]]\nname = '{name}'\ntype = 'pcapng'\npath = '{}'\n", path.display())
    };
    let good = dir.path().join("good.pcapng");
    fs::write(&toml, output("full", disk.join("full.pcapng")) + &output("good", good.clone()))
        .unwrap();
    // The mount is in a namespace of its own, and goes with it.
    let script = format!(
        "mount -t tmpfs -o size=4m none '{0}' && head -c 3900k /dev/zero > '{0}/ballast' && exec '{1}' run -i {2} -c '{3}' --progress json",
        disk.display(),
        vxtap().display(),
        veth.receiver.interface,
        toml.display()
    );
    let mut command = veth.receiver.netns.command("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &script]);
    let mut process =
        Process::spawn("vxtap", command.stdout(Stdio::piped()).stderr(Stdio::piped())).unwrap();
    let inside = PathBuf::from(format!("/proc/{}/root{}", process.child().id(), disk.display()));
    wait_until("the engine to run", SOON, || inside.join("full.pcapng").exists() && good.exists())
        .unwrap();
    thread::sleep(Duration::from_millis(500));
    let profile = Profile { count: Some(4000), ..Profile::default() };
    let first = send_traffic(&veth.sender, &profile, 4000);
    thread::sleep(Duration::from_secs(2));
    fs::remove_file(inside.join("ballast")).unwrap();
    thread::sleep(Duration::from_secs(2));
    let second = send_traffic(&veth.sender, &Profile { count: Some(1000), ..profile }, 2000);
    thread::sleep(Duration::from_secs(2));
    // Keeps the mount when the process is gone.
    let mount = File::open(&inside).unwrap();
    let (table, said) = stop(&mut process);
    let sent = first.frames + second.frames;
    assert_eq!(frames_in(&good), sent, "\n{table}{said}");
    let lost = counted(&table, "not written:");
    let full = dir.path().join("full.pcapng");
    fs::copy(format!("/proc/self/fd/{}/full.pcapng", mount.as_raw_fd()), &full).unwrap();
    let written = frames_in(&full);
    assert_eq!(written + lost, sent, "\n{table}{said}");
    assert!(lost > 1000 && written > 1000, "{written} written, {lost} lost");
    assert!(said.contains("No space left on device") && said.contains("goes on writing"), "{said}");
    assert_eq!(
        said.matches("output `full`").count(),
        3,
        "begin and end of it, and the sum at the end: {said}"
    );
}

/// The files of a directory that end so.
fn files(dir: &Path, end: &str) -> Vec<PathBuf> {
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = paths.filter(|path| path.to_str().unwrap().ends_with(end)).collect();
    files.sort();
    files
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn sessions_have_files_that_end_on_a_signal_are_compressed_and_survive_a_kill() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let toml = dir.path().join("vxtap.toml");
    let profile = Profile { count: Some(3000), ..Profile::default() };
    let sessions = declared(&profile);
    assert!(sessions.len() > 1);
    let mut text = format!(
        "[[output]]\nname = 'files'\ntype = 'pcapng'\npath = '{}/caught/{{session}}-{{number}}.pcapng'\ncompression = 'zstd'\nowner = 'nobody'\n",
        dir.path().display()
    );
    let session = |it: &Session| format!("[[session]]\nname = '{}'\nvni = {}\n", it.name, it.vni);
    text.extend(sessions.iter().map(session));
    fs::write(&toml, text).unwrap();
    let arguments = ["-c", toml.to_str().unwrap()];
    let caught = dir.path().join("caught");

    let mut process = start(&veth, &arguments);
    let first = send_traffic(&veth.sender, &profile, 5000);
    process.signal(Signal::SIGUSR1).unwrap();
    wait_until("the files are compressed", SOON, || files(&caught, ".zst").len() == sessions.len())
        .unwrap();
    let second = send_traffic(&veth.sender, &profile, 5000);
    // Within a second a frame is in its file.
    thread::sleep(Duration::from_millis(1500));
    process.signal(Signal::SIGKILL).unwrap();
    process.wait(SOON).unwrap();
    assert_eq!(files(&caught, ".pcapng.part").len(), sessions.len());

    let (_, said) = stop(&mut start(&veth, &arguments));
    assert!(said.contains(&format!("{} files of an earlier run", sessions.len())), "{said}");
    let compressed = files(&caught, ".zst");
    // Also what the killed one has left.
    assert_eq!(compressed.len(), 2 * sessions.len());
    assert_eq!(fs::read_dir(&caught).unwrap().count(), compressed.len());
    assert_eq!(
        compressed.iter().map(|path| frames_in(path)).sum::<u64>(),
        first.frames + second.frames,
        "tshark reads them as they are"
    );
    for path in &compressed {
        capture(Command::new("zstd").args(["--test", "-q"]).arg(path)).unwrap();
    }
    let owners =
        capture(Command::new("stat").args(["-c", "%U %a"]).arg(&caught).args(compressed)).unwrap();
    let mut owners = owners.lines();
    assert_eq!(owners.next(), Some("nobody 700"));
    assert!(owners.all(|owner| owner == "nobody 600"));
}

/// How often `strace` saw fsync(2) and fdatasync(2).
fn syncs(log: &Path) -> (usize, usize) {
    let text = fs::read_to_string(log).unwrap();
    let count = |call: &str| text.lines().filter(|line| line.contains(&format!("{call}("))).count();
    (count("fsync"), count("fdatasync"))
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF, CAP_SYS_PTRACE and network namespaces"]
fn frames_are_brought_onto_the_disk_when_the_configuration_says() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    for (policy, is_for_file, is_each_second) in
        [("never", false, false), ("file", true, false), ("second", true, true)]
    {
        let dir = tempfile::tempdir().unwrap();
        let [toml, log, first] =
            ["vxtap.toml", "log", "000001.pcapng"].map(|name| dir.path().join(name));
        let path = dir.path().join("{number}.pcapng");
        let text = format!(
            "[[output]]\nname = 'files'\ntype = 'pcapng'\npath = '{}'\nfsync = '{policy}'\n",
            path.display()
        );
        fs::write(&toml, text).unwrap();
        let mut process = start(&veth, &["-c", toml.to_str().unwrap()]);
        let pid = process.child().id().to_string();
        let mut strace = Command::new("strace");
        strace
            .args(["-f", "-e", "trace=fsync,fdatasync", "-p", &pid, "-o"])
            .arg(&log)
            .stderr(Stdio::null());
        let mut strace = Process::spawn("strace", &mut strace).unwrap();
        let is_traced = || {
            let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
            tasks
                .filter_map(|task| fs::read_to_string(task.unwrap().path().join("status")).ok())
                .all(|status| !status.contains("TracerPid:\t0\n"))
        };
        wait_until("strace to be there", SOON, is_traced).unwrap();
        send_traffic(&veth.sender, &Profile { count: Some(1000), ..Profile::default() }, 1000);
        thread::sleep(Duration::from_millis(2500));
        process.signal(Signal::SIGUSR1).unwrap();
        wait_until("the file to be whole", SOON, || first.exists()).unwrap();
        thread::sleep(Duration::from_millis(300));
        strace.signal(Signal::SIGINT).unwrap();
        strace.wait(SOON).unwrap();
        stop(&mut process);
        let (fsyncs, fdatasyncs) = syncs(&log);
        // The file and its directory.
        assert_eq!(fsyncs, if is_for_file { 2 } else { 0 }, "{policy}");
        assert_eq!(fdatasyncs >= 2, is_each_second, "{policy}: {fdatasyncs}");
        assert!(is_each_second || fdatasyncs == 0, "{policy}: {fdatasyncs}");
    }
}
