//! A configuration that cannot work is refused in one sentence that says what to do, and nothing
//! stays attached.

use std::process::Command;

use vxtap::Engine;
use vxtap::config::{CaptureMode, Cpus, Output, OutputKind, Queues};
use vxtap_tests::leftovers::{assert_no_xdp_program, xdp_program};
use vxtap_tests::{Veth, privileged};

use super::support::{as_nobody, config, config_file, finish, open, open_to_all, vxtap, vxtap_on};

/// Returns the object of the XDP program under another name: a foreign program.
fn foreign_object() -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../ebpf/vxtap.bpf.o");
    let mut object = std::fs::read(path).unwrap();
    let name = b"\0vxtap\0";
    let places: Vec<_> =
        (0..object.len() - name.len()).filter(|&at| object[at..].starts_with(name)).collect();
    assert!(!places.is_empty());
    for at in places {
        object[at + 1..at + 6].copy_from_slice(b"other");
    }
    object
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn a_second_engine_and_a_foreign_program_are_refused_by_name() {
    privileged();
    let veth = Veth::pair(2).unwrap();
    let (receiver, interface) = (&veth.receiver, veth.receiver.interface);
    let mut first = open(receiver, config(receiver));
    first.start().unwrap();
    let expected = format!(
        "another vxtap engine already runs on vxrx0 (process {}, XDP program ",
        std::process::id()
    );
    for mode in [CaptureMode::Auto, CaptureMode::Generic] {
        let mut second = config(receiver);
        second.capture.mode = mode;
        let error = receiver.netns.run(|| Engine::open(second)).unwrap_err().to_string();
        assert!(error.starts_with(&expected), "{error}");
    }
    assert!(xdp_program(&receiver.netns, interface).unwrap().is_some(), "the first one goes on");
    first.stop();
    assert_no_xdp_program(&receiver.netns, interface);

    let object = foreign_object();
    let mut loader = aya::Ebpf::load(&object).unwrap();
    let program: &mut aya::programs::Xdp = loader.program_mut("other").unwrap().try_into().unwrap();
    program.load().unwrap();
    receiver.netns.run(|| program.attach(interface, aya::programs::XdpMode::Driver).unwrap());
    let config = config(receiver);
    let error = receiver.netns.run(|| Engine::open(config)).unwrap_err().to_string();
    assert!(error.starts_with("vxrx0 already has the XDP program \"other\" (id "), "{error}");
    assert!(error.contains("which vxtap does not replace"), "{error}");
    let left = xdp_program(&receiver.netns, interface).unwrap().unwrap();
    assert!(left.contains("other"), "it is still there: {left}");
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn what_the_interface_does_not_have_is_refused() {
    privileged();
    let veth = Veth::pair(2).unwrap();
    let receiver = &veth.receiver;
    let refused = |change: &dyn Fn(&mut vxtap::Config)| {
        let mut config = config(receiver);
        change(&mut config);
        let error = receiver.netns.run(|| Engine::open(config)).unwrap_err().to_string();
        assert_no_xdp_program(&receiver.netns, receiver.interface);
        error
    };
    assert_eq!(
        refused(&|config| config.capture.interfaces = vec!["nosuch0".to_owned()]),
        "there is no network interface \"nosuch0\"; choose one of: lo, vxrx0"
    );
    assert_eq!(
        refused(&|config| config.capture.queues = Queues::List(vec![0, 2])),
        "vxrx0 has no RX queue 2: it has 2, numbered from 0 (`ethtool -l vxrx0`)"
    );
    assert_eq!(
        refused(&|config| config.workers.cpus = Cpus::List(vec![0])),
        "workers.cpus lists 1 CPU for 2 queues: list one for each, or use \"auto\""
    );
    assert_eq!(
        refused(&|config| config.capture.mode = CaptureMode::ZeroCopy),
        "the driver does not offer zero-copy for queue 0 (Operation not supported (os error 95)): use \
         capture.mode = \"auto\", \"native\" or \"generic\""
    );
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn a_process_without_privileges_is_told_which_it_needs() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let directory = tempfile::tempdir().unwrap();
    // The build may be in a directory that other users cannot read.
    let binary = directory.path().join("vxtap");
    std::fs::copy(vxtap(), &binary).unwrap();
    open_to_all(directory.path());
    let mut command = as_nobody(&veth);
    let config = directory.path().join("native.toml");
    std::fs::write(&config, "[capture]\nmode = \"native\"\n").unwrap();
    command.arg(&binary).args(["run", "-i", veth.receiver.interface, "-c", "native.toml"]);
    let (code, _, stderr) = finish(command.current_dir(directory.path()));
    assert_eq!(code, Some(1), "{stderr}");
    let expected = "vxtap: not permitted to load the XDP program; run as root, or with the capabilities CAP_BPF";
    assert!(stderr.starts_with(expected) && stderr.lines().count() == 1, "{stderr}");
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn too_little_locked_memory_is_named_with_the_amount() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let mut command: Command = veth.receiver.netns.command("prlimit");
    command.args([
        "--memlock=65536:65536",
        "setpriv",
        "--bounding-set=-ipc_lock",
        "--inh-caps=-ipc_lock",
    ]);
    command.arg(vxtap()).args(["run", "-i", veth.receiver.interface]).current_dir(directory.path());
    let (code, _, stderr) = finish(&mut command);
    assert_eq!(code, Some(1), "{stderr}");
    let expected = "vxtap: too little locked memory for a UMEM of ";
    assert!(
        stderr.starts_with(expected) && stderr.contains("KiB: raise RLIMIT_MEMLOCK"),
        "{stderr}"
    );
    assert_no_xdp_program(&veth.receiver.netns, veth.receiver.interface);
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn a_second_engine_does_not_touch_the_first_ones_file() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let receiver = &veth.receiver;
    let directory = tempfile::tempdir().unwrap();
    let (path, output) = config_file(directory.path(), "capture");
    std::fs::write(&output, "what the first one has written").unwrap();
    let mut first = open(receiver, config(receiver));
    first.start().unwrap();
    let arguments = ["run", "-i", receiver.interface, "-c", &path];
    let (code, _, stderr) = finish(&mut vxtap_on(receiver, &arguments));
    assert_eq!(code, Some(1), "{stderr}");
    assert_eq!(std::fs::read_to_string(&output).unwrap(), "what the first one has written");
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn two_outputs_on_one_file_are_refused_whatever_they_call_it() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    let receiver = &veth.receiver;
    let directory = tempfile::tempdir().unwrap();
    let (file, link) = (directory.path().join("x.pcapng"), directory.path().join("link.pcapng"));
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let mut config = config(receiver);
    config.outputs = [("a", file), ("b", link.clone())]
        .map(|(name, path)| Output::new(name, OutputKind::pcapng(path)))
        .to_vec();
    let error = receiver.netns.run(|| Engine::open(config)).unwrap_err();
    let expected =
        format!("outputs `a` and `b` write to one file, {}: give each its own", link.display());
    assert_eq!(error.to_string(), expected);
    assert_no_xdp_program(&receiver.netns, receiver.interface);
}
