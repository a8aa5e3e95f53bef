//! Files are rotated, compressed and synced; they survive a full disk and a killed process; other
//! programs read them.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use nix::sys::signal::Signal;
use vxtap::config::Session;
use vxtap_bench::{MirrorSession, Profile};
use vxtap_tests::{Process, TIMEOUT, Veth, capture, privileged, wait_until};

use super::captures::frames_in;
use super::support::{declared, frames_so_far, send_traffic, start, vxtap, wait_for_progress};

/// Ends `vxtap run`; returns its standard output and standard error.
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
    process.wait(TIMEOUT).unwrap();
    texts.into()
}

/// Returns the count behind a word in the conservation table.
fn counted(table: &str, what: &str) -> u64 {
    let rest = table.split_once(what).unwrap_or_else(|| panic!("no {what:?} in\n{table}")).1;
    rest.split_whitespace().next().unwrap().trim_end_matches(':').parse().unwrap()
}

/// Starts `vxtap run` with a new file system of this size at `disk`, after a shell command. Returns
/// the process and the file that its standard error goes to. The mount is in a namespace of its
/// own, and goes with it.
fn start_with_disk(
    veth: &Veth,
    disk: &Path,
    size: &str,
    before: &str,
    toml: &Path,
) -> (Process, PathBuf) {
    let script = format!(
        "mount -t tmpfs -o size={size} none '{}' && {before} && exec '{}' run -i {} -c '{}' --progress json",
        disk.display(),
        vxtap().display(),
        veth.receiver.interface,
        toml.display()
    );
    let mut command = veth.receiver.netns.command("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &script]);
    let errors = toml.with_extension("errors");
    command.stdout(Stdio::piped()).stderr(File::create(&errors).unwrap());
    let mut process = Process::spawn("vxtap", &mut command).unwrap();
    wait_for_progress(&mut process, |_| true);
    (process, errors)
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
    let (mut process, errors) = start_with_disk(
        &veth,
        &disk,
        "4m",
        &format!("head -c 3900k /dev/zero > '{}/ballast'", disk.display()),
        &toml,
    );
    let said = || fs::read_to_string(&errors).unwrap();
    let inside = PathBuf::from(format!("/proc/{}/root{}", process.child().id(), disk.display()));
    let profile = Profile { count: Some(4000), ..Profile::default() };
    let first = send_traffic(&veth.sender, &profile, 4000);
    wait_until("the first frames in the other file", TIMEOUT, || {
        frames_so_far(&good) == first.frames && said().contains("No space left on device")
    })
    .unwrap_or_else(|error| panic!("{error}: {}", said()));
    fs::remove_file(inside.join("ballast")).unwrap();
    // It goes on with a frame.
    let mut second = 0;
    wait_until("the output to go on", TIMEOUT, || {
        let few = Profile { count: Some(100), ..profile.clone() };
        second += send_traffic(&veth.sender, &few, 2000).frames;
        said().contains("has resumed")
    })
    .unwrap_or_else(|error| panic!("{error}: {}", said()));
    let third = send_traffic(&veth.sender, &Profile { count: Some(1000), ..profile }, 2000);
    let sent = first.frames + second + third.frames;
    wait_until("all frames in the other file", TIMEOUT, || frames_so_far(&good) == sent)
        .unwrap_or_else(|error| panic!("{error}: {}", said()));
    // Keeps the mount when the process is gone.
    let mount = File::open(&inside).unwrap();
    process.signal(Signal::SIGINT).unwrap();
    process.wait(TIMEOUT).unwrap();
    let said = said();
    assert_eq!(frames_in(&good), sent, "\n{said}");
    let lost = counted(&said, "not written:");
    let full = dir.path().join("full.pcapng");
    fs::copy(format!("/proc/self/fd/{}/full.pcapng", mount.as_raw_fd()), &full).unwrap();
    let written = frames_in(&full);
    assert_eq!(written + lost, sent, "\n{said}");
    assert!(lost > 1000 && written > 1000, "{written} written, {lost} lost");
    assert!(said.contains("No space left on device") && said.contains("has resumed"), "{said}");
    assert_eq!(
        said.matches("output `full`").count(),
        3,
        "begin and end of it, and the sum at the end: {said}"
    );
}

#[test]
#[ignore = "requires CAP_SYS_ADMIN, CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn made_up_pairs_fill_no_disk_and_cost_a_declared_session_neither_file_nor_frame_nor_exit_code() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let disk = dir.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let toml = dir.path().join("vxtap.toml");
    let profile = |count: u64, sessions: Vec<MirrorSession>| Profile {
        count: Some(count),
        sessions,
        ..Profile::default()
    };
    let web = profile(1000, MirrorSession::numbered(1, Ipv4Addr::new(10, 0, 1, 1).into(), 100));
    let forged = MirrorSession::numbered(400, Ipv4Addr::new(10, 9, 0, 1).into(), 5000);
    let forged = profile(60_000, forged);
    let text = format!(
        "[[session]]\nname = 'web'\nvni = 100\nsource = '10.0.1.1'\n[[output]]\nname = 'archive'\ntype = 'pcapng'\n\
         path = '{}/{{session}}-{{number}}.pcapng'\nrotate_mib = 1\nkeep_files = 300\nundeclared_files_per_hour = 50\n",
        disk.display()
    );
    fs::write(&toml, text).unwrap();
    let (mut process, errors) = start_with_disk(&veth, &disk, "16m", "true", &toml);
    let said = || fs::read_to_string(&errors).unwrap();
    let inside = PathBuf::from(format!("/proc/{}/root{}", process.child().id(), disk.display()));
    let of_web = || {
        let files = files(&inside, "");
        let is_web =
            |path: &&PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("web-");
        files.iter().filter(is_web).map(|path| frames_so_far(path)).sum::<u64>()
    };
    let mut sent = send_traffic(&veth.sender, &web, 5000).frames;
    let strangers = send_traffic(&veth.sender, &forged, 10_000).frames;
    wait_until("the disk to be nearly full", TIMEOUT, || said().contains("less than 5 %"))
        .unwrap_or_else(|error| panic!("{error}: {}", said()));
    sent += send_traffic(&veth.sender, &web, 5000).frames;
    wait_until("all frames of the session", TIMEOUT, || of_web() == sent)
        .unwrap_or_else(|error| panic!("{error}: {} of {sent}\n{}", of_web(), said()));
    // Keeps the mount when the process is gone.
    let mount = File::open(&inside).unwrap();
    process.signal(Signal::SIGINT).unwrap();
    let table = std::io::read_to_string(process.child().stdout.take().unwrap()).unwrap();
    let status = process.wait(TIMEOUT).unwrap();
    let said = said();
    assert!(status.success(), "{status}\n{table}{said}");
    let inside = PathBuf::from(format!("/proc/self/fd/{}", mount.as_raw_fd()));
    let left = files(&inside, ".pcapng");
    let (web, others): (Vec<_>, Vec<_>) = left
        .iter()
        .partition(|path| path.file_name().unwrap().to_str().unwrap().starts_with("web-"));
    assert_eq!(web.iter().map(|path| frames_so_far(path)).sum::<u64>(), sent, "\n{table}{said}");
    let written = others.iter().map(|path| frames_so_far(path)).sum::<u64>();
    let low_space = counted(&said, "low_space (frames of undeclared senders):");
    assert_eq!(written + low_space, strangers, "\n{table}{said}");
    assert!(low_space > 0 && written > 10_000, "{written} written\n{table}{said}");
    let single = others.iter().filter(|path| path.to_str().unwrap().contains("/vni-")).count();
    assert_eq!(single, 50, "\n{table}{said}");
    assert!(said.contains("undeclared senders have caused 50 files within an hour"), "{said}");
    assert!(!said.contains("not written:"), "\n{table}{said}");
}

/// Returns the files of a directory whose names end in `end`.
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
    let open_files = || files(&caught, ".pcapng.part");
    let written = || open_files().iter().map(|path| frames_so_far(path)).sum::<u64>();
    let first = send_traffic(&veth.sender, &profile, 5000);
    wait_until("the first frames in their files", TIMEOUT, || written() == first.frames).unwrap();
    process.signal(Signal::SIGUSR1).unwrap();
    wait_until("the files to be compressed", TIMEOUT, || {
        files(&caught, ".zst").len() == sessions.len()
    })
    .unwrap();
    let second = send_traffic(&veth.sender, &profile, 5000);
    wait_until("the other frames in their files", TIMEOUT, || written() == second.frames).unwrap();
    process.signal(Signal::SIGKILL).unwrap();
    process.wait(TIMEOUT).unwrap();
    assert_eq!(open_files().len(), sessions.len());

    let mut process = start(&veth, &arguments);
    // Also the files that the killed process has left. A stop waits for a compression, but not for
    // ever.
    wait_until("the files to be compressed", TIMEOUT, || {
        files(&caught, ".zst").len() == 2 * sessions.len()
    })
    .unwrap();
    let (_, said) = stop(&mut process);
    assert!(
        said.contains(&format!("{} files that an earlier run did not finish", sessions.len())),
        "{said}"
    );
    let compressed = files(&caught, ".zst");
    assert_eq!(fs::read_dir(&caught).unwrap().count(), compressed.len());
    assert_eq!(
        compressed.iter().map(|path| frames_in(path)).sum::<u64>(),
        first.frames + second.frames,
        "Wireshark reads them as they are"
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

/// Returns how often `strace -y` saw fsync(2) and fdatasync(2) of a directory and the files in it.
fn syncs(log: &Path, directory: &Path) -> (usize, usize) {
    let text = fs::read_to_string(log).unwrap_or_default();
    let directory = directory.to_str().unwrap();
    let count = |call: &str| {
        let is_call = |line: &&str| line.contains(&format!("{call}(")) && line.contains(directory);
        text.lines().filter(is_call).count()
    };
    (count("fsync"), count("fdatasync"))
}

/// Three outputs of one engine, so that the one that syncs each second tells when there was time
/// for the others to do it, too.
#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF, CAP_SYS_PTRACE and network namespaces"]
fn frames_are_brought_onto_the_disk_when_the_configuration_says() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let [toml, log] = ["vxtap.toml", "log"].map(|name| dir.path().join(name));
    let [never, file, second] = ["never", "file", "second"].map(|policy| dir.path().join(policy));
    let output = |directory: &PathBuf| {
        let policy = directory.file_name().unwrap().to_str().unwrap();
        format!(
            "[[output]]\nname = '{policy}'\ntype = 'pcapng'\npath = '{}/{{number}}.pcapng'\nfsync = '{policy}'\n",
            directory.display()
        )
    };
    fs::write(&toml, [&never, &file, &second].map(output).concat()).unwrap();
    let mut process = start(&veth, &["-c", toml.to_str().unwrap()]);
    let pid = process.child().id().to_string();
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-e", "trace=fsync,fdatasync", "-p", &pid, "-o"]).arg(&log);
    let mut strace = Process::spawn("strace", strace.stderr(Stdio::null())).unwrap();
    let is_traced = || {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        tasks
            .filter_map(|task| fs::read_to_string(task.unwrap().path().join("status")).ok())
            .all(|status| !status.contains("TracerPid:\t0\n"))
    };
    wait_until("strace to be there", TIMEOUT, is_traced).unwrap();
    // The second file of an output is there when everything has been done with the first one.
    for (number, name) in [(1, "000001.pcapng"), (2, "000002.pcapng")] {
        send_traffic(&veth.sender, &Profile { count: Some(1000), ..Profile::default() }, 1000);
        wait_until("the disk to have the frames twice", TIMEOUT, || {
            syncs(&log, &second).1 >= 2 * number
        })
        .unwrap();
        process.signal(Signal::SIGUSR1).unwrap();
        wait_until("the files to be whole", TIMEOUT, || {
            // Each and its directory.
            let is_on_disk = |directory: &PathBuf| syncs(&log, directory).0 == 2 * number;
            [&never, &file, &second].into_iter().all(|directory| directory.join(name).exists())
                && [&file, &second].into_iter().all(is_on_disk)
        })
        .unwrap_or_else(|error| panic!("{error}: {}", fs::read_to_string(&log).unwrap()));
    }
    strace.signal(Signal::SIGINT).unwrap();
    strace.wait(TIMEOUT).unwrap();
    stop(&mut process);
    assert_eq!(syncs(&log, &never), (0, 0));
    assert_eq!(syncs(&log, &file), (4, 0));
    let (fsyncs, fdatasyncs) = syncs(&log, &second);
    assert!(fsyncs == 4 && fdatasyncs >= 4, "{fsyncs}, {fdatasyncs}");
}
