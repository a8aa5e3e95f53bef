//! Files of a process that has no descriptor left.

use std::fs::File;
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::*;

/// Set in the process that gets a limit of open files.
const IS_LIMITED: &str = "VXTAP_TEST_OPEN_FILES";

#[test]
fn a_declared_session_gets_a_descriptor_that_undeclared_senders_had() {
    const NAME: &str = "a_declared_session_gets_a_descriptor_that_undeclared_senders_had";
    if std::env::var_os(IS_LIMITED).is_some() {
        return [Fsync::Never, Fsync::File].into_iter().for_each(open_at_the_limit);
    }
    // The limit holds for all threads of a process, those of other tests included.
    let (_, module) = module_path!().split_once("::").unwrap();
    let mut test = Command::new(std::env::current_exe().unwrap());
    test.args(["--exact", "--nocapture", &format!("{module}::{NAME}")]).env(IS_LIMITED, "1");
    let output = test.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{output:?}");
}

/// Opens the file of a declared session when the process has no descriptor left.
fn open_at_the_limit(fsync: Fsync) {
    let limit = Rlimit { current: Some(256), ..getrlimit(Resource::Nofile) };
    setrlimit(Resource::Nofile, limit).unwrap();
    for _ in 0..20 {
        let mut fixture = Fixture::new();
        fixture.stats.now_ns = Some(START);
        let files = PcapngFiles { fsync, ..PcapngFiles::default() };
        let mut writer = fixture.open("{session}-{vni}.pcapng", files);
        let undeclared: Vec<_> = (0..4).map(|vni| (0, vni, START)).collect();
        fixture.write(&mut writer, &undeclared);
        let declared = consumer_of(&[(1, 100, START)]);
        let rest: Vec<_> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
        fixture.write_all_of(&mut writer, declared);
        drop(rest);
        let written = writer.finish(&mut fixture.stats);
        assert_eq!((written.frames_written, written.frames_lost), (5, 0));
        assert_eq!(fixture.take_messages(), [""; 0]);
        assert_eq!(fixture.files().len(), 5);
    }
}
