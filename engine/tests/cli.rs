//! The command as a process: exit codes, messages and output.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/vxtap.toml");

fn vxtap(args: &[&str]) -> Output {
    command(args).output().expect("vxtap runs")
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vxtap"));
    command.args(args);
    command
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).expect("UTF-8")
}

/// Asserts that a command is refused with exactly this line, and prints nothing else.
fn assert_refused(args: &[&str], line: &str) {
    let Output { status, stdout, stderr } = vxtap(args);
    assert_eq!(text(&stderr), format!("{line}\n"), "{args:?}");
    assert_eq!(text(&stdout), "", "{args:?}");
    assert_eq!(status.code(), Some(2), "{args:?}");
}

/// Writes a configuration and runs the test with its path.
fn with_config(config: &str, test: impl FnOnce(&str)) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("vxtap.toml");
    fs::write(&path, config).expect("written");
    test(path.to_str().expect("UTF-8"));
}

#[test]
fn help_is_printed_for_the_command_and_each_subcommand() {
    for (args, expected) in [
        (&["--help"][..], "Exit codes: 0 all went well"),
        (&["run", "--help"], "vxtap run -i eth2 -c vxtap.toml"),
        (&["check", "--help"], "vxtap check -c vxtap.toml"),
        (&["decap", "--help"], "vxtap decap mirror.pcap -o original.pcapng"),
        (&["explain", "--help"], "vxtap explain mirror.pcap -c vxtap.toml --flow"),
        (&["reload", "--help"], "vxtap reload -i eth1"),
        (&["config", "--help"], "--example"),
    ] {
        let output = vxtap(args);
        assert!(text(&output.stdout).contains(expected), "{args:?}: {}", text(&output.stdout));
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""), "{args:?}");
    }
}

#[test]
fn wrong_usage_ends_with_exit_code_2_and_says_what_is_wrong() {
    for (args, expected) in [
        (&[][..], "Usage: vxtap <COMMAND>"),
        (&["fly"], "unrecognized subcommand 'fly'"),
        (&["check"], "--config <FILE>"),
        (&["decap", "in.pcap"], "--output <OUT>"),
        (&["explain", "in.pcap"], "--config <FILE>"),
        (
            &["explain", "a", "-c", "b", "--json", "--flow"],
            "the argument '--json' cannot be used with '--flow'",
        ),
        (&["config"], "--example"),
        (
            &["run", "-i", "a/b"],
            "'--interface <INTERFACE>': found \"a/b\", allowed is an interface name of 1 to 15 bytes",
        ),
        (&["run", "--port", "1"], "unexpected argument '--port'"),
    ] {
        let output = vxtap(args);
        assert!(text(&output.stderr).contains(expected), "{args:?}: {}", text(&output.stderr));
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), ""), "{args:?}");
    }
}

#[test]
fn run_without_an_interface_is_wrong_usage() {
    let interfaces = vxtap::interface::all().expect("the kernel lists its interfaces");
    let names: Vec<_> =
        interfaces.into_iter().map(|it| it.name).filter(|name| name != "lo").collect();
    let there = match &names[..] {
        [] => String::new(),
        names => format!("; there are: {}", names.join(", ")),
    };
    let message = format!(
        "vxtap: no interface to capture from: use -i INTERFACE, or -c FILE with a configuration{there}"
    );
    assert_refused(&["run"], &message);
    with_config("[sessions]\nunknown = \"pass\"\n", |path| {
        let message = format!(
            "vxtap: no interface to capture from: set capture.interface in {path} or use -i INTERFACE{there}"
        );
        assert_refused(&["run", "-c", path], &message);
    });
}

#[test]
fn an_interface_is_named_once_and_the_message_speaks_of_the_place_where_it_was_named() {
    assert_refused(
        &["run", "-i", "eth1", "-i", "eth2", "-i", "eth1"],
        "vxtap: -i eth1 is given twice",
    );
    let names: Vec<_> = (0..17).map(|number| format!("-ieth{number}")).collect();
    let many: Vec<_> = std::iter::once("run").chain(names.iter().map(String::as_str)).collect();
    assert_refused(&many, "vxtap: -i is given 17 times, allowed are 16 interfaces at most");
    let text = "[[output]]\nname = \"a\"\ntype = \"interface\"\ninterface = \"m0\"\n";
    with_config(text, |path| {
        let message = format!(
            "vxtap: {path}: output[0].interface: found \"m0\", allowed is an interface that is not captured from"
        );
        assert_refused(&["run", "-i", "m0", "-c", path], &message);
    });
}

#[test]
fn a_refused_configuration_is_named_by_file_line_and_key_in_every_command() {
    with_config("[capture]\ninterface = \"eth1\"\nports = [4789, 0]\n", |path| {
        let message = format!(
            "vxtap: {path}:3:16: capture.ports[1]: found 0, allowed is an integer from 1 to 65535"
        );
        assert_refused(&["check", "-c", path], &message);
        assert_refused(&["run", "-i", "eth1", "-c", path], &message);
        assert_refused(&["decap", "in.pcap", "-o", "out.pcapng", "-c", path], &message);
        let written = Path::new(path).with_file_name("out.pcapng");
        assert!(!written.exists());
    });
}

#[test]
fn a_missing_configuration_is_refused_with_the_reason() {
    let missing = "/nonexistent/vxtap.toml";
    let message = format!("vxtap: cannot read {missing}: No such file or directory (os error 2)");
    assert_refused(&["check", "-c", missing], &message);
    assert_refused(&["run", "-i", "eth1", "-c", missing], &message);
}

#[test]
fn decap_does_not_overwrite_its_input() {
    with_config("", |input| {
        let link = format!("{input}.link");
        fs::hard_link(input, &link).expect("a link");
        let message = format!("vxtap: {input} is input and output at once: name another output");
        assert_refused(&["decap", input, "-o", &link], &message);
    });
}

#[test]
fn check_prints_what_the_example_would_do() {
    // An interface that no machine has: of one that is there, addresses and queues are shown.
    let example = fs::read_to_string(EXAMPLE).expect("it is there").replace("eth1", "nosuchif0");
    with_config(&example, |path| {
        let output = vxtap(&["check", "-c", path]);
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
        assert_eq!(text(&output.stdout), described_example(path));
    });
}

fn described_example(path: &str) -> String {
    format!(
        "\
{path} is accepted.

Captures from interface nosuchif0, all RX queues of it: zero-copy mode if the driver can (and is not ENA), else native, else generic mode, else UDP sockets.
Takes VXLAN on UDP port 4789 and GENEVE on UDP port 6081, only from 10.0.0.0/8; from other sources it is dropped and counted. All other traffic goes to the kernel stack.
Takes what is addressed to nosuchif0, which is not here now.
Reassembles outer fragments. Each frame carries the time at which the XDP program saw it.

Runs one worker per RX queue, on CPUs that the engine chooses. While nothing arrives, a worker sleeps for 100 \u{b5}s at a time under load, else until the kernel wakes it (wait = \"adaptive\").

Locks 76.3 MiB of memory per RX queue (at most 80 MiB); that times the number of RX queues in total, for example 305.0 MiB for 4.
  19520 chunks of 4096 bytes, or half of it where the MTU allows: fill ring 8192, RX ring 8192, 1 output ring of 8192, 2048 for an output that a reload adds, 1024 for `vxtap tail`, the rest one batch.

Recognises 2 sessions; other traffic goes to the outputs as the default session, counted by source and VNI.
  name      VNI  source    interface  filter  bytes  outputs
  web       100  10.0.1.5  eni-web    web     all    all
  database  200  any       unknown    none    all    all

A frame whose direction is unknown passes if the rules of either direction accept it.
Filter web: 2 ingress rules, 1 egress rule; traffic with Amazon's DNS server is dropped.

Delivers every frame that passes to 1 output:
  disk  pcapng file \"capture.pcapng\"
"
    )
}

#[test]
fn check_prints_what_other_settings_would_do() {
    let config = "\
[capture]
mode = \"native\"
ports = [4789, 8472]
queues = [0, 1]
arrival_times = false
busy_poll = { usecs = 20 }
[workers]
cpus = [2, 3, 4]
wait = \"busy\"
[memory]
hugepages = true
[sessions]
unknown = \"drop\"
";
    with_config(config, |path| {
        let output = vxtap(&["check", "-c", path]);
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
        for expected in [
            "the interface given with -i (none is configured), RX queues 0, 1 of it: native mode, or not at all.",
            "on UDP ports 4789, 8472, from any source: any host that reaches the interface can forge frames.",
            "the time at which its batch was read.",
            "for up to 20 \u{b5}s per call, 64 packets at once.",
            "on CPUs 2, 3. While nothing arrives, a worker keeps polling, and uses its CPU in full (wait = \"busy\").",
            "; 152.5 MiB in total for 2 RX queues. In huge pages, if the system has enough.",
            "No session is declared; all traffic is dropped, counted by source and VNI.",
            "Writes to vxtap-INTERFACE-TIME.pcapng in the working directory, as no output is configured.",
        ] {
            assert!(
                text(&output.stdout).contains(expected),
                "{expected}\n{}",
                text(&output.stdout)
            );
        }
    });
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut child = command(&["check", "-c", EXAMPLE])
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .expect("vxtap runs");
    let status = child.wait().expect("vxtap ends");
    let mut stderr = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut stderr).expect("read");
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
}

#[test]
fn the_example_is_printed_and_accepted() {
    let output = vxtap(&["config", "--example"]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    assert_eq!(text(&output.stdout), fs::read_to_string(EXAMPLE).expect("the example"));
    with_config(text(&output.stdout), |path| {
        assert_eq!(vxtap(&["check", "-c", path]).status.code(), Some(0));
    });
}

#[test]
fn check_names_rules_that_can_never_match() {
    let rule = |number: u32, source: &str| {
        format!(
            "[[filter.rule]]\ndirection = \"egress\"\nnumber = {number}\naction = \"accept\"\nsource = \"{source}\"\n\
             destination = \"0.0.0.0/0\"\n"
        )
    };
    let rules = [
        rule(10, "0.0.0.0/1"),
        rule(20, "128.0.0.0/1"),
        rule(30, "10.0.0.0/8"),
        rule(40, "0.0.0.0/0"),
    ];
    let config = format!(
        "[sessions]\nunknown_direction = \"reject\"\n[[filter]]\nname = \"f\"\nnetwork_services = [\"amazon-dns\"]\n{}",
        rules.concat()
    );
    with_config(&config, |path| {
        let output = vxtap(&["check", "-c", path]);
        let expected = "\
A frame whose direction is unknown is dropped.
Filter f: 0 ingress rules, 4 egress rules; traffic with Amazon's DNS server is passed.
  No session and no output uses it.
  The egress rule 30 can never match, because of rule 10 before it.
  The egress rule 40 can never match, because of rules 10, 20 before it.
";
        assert!(text(&output.stdout).contains(expected), "{}", text(&output.stdout));
    });
}

/// The code is that of wrong usage for each kind of input; the text has one line.
#[test]
fn an_input_that_is_not_there_is_refused_by_every_command() {
    let file = "/nonexistent.pcap";
    let expected =
        |verb| format!("vxtap: cannot {verb} {file}: No such file or directory (os error 2)\n");
    with_config("", |path| {
        for (arguments, verb) in [
            (&["explain", file, "-c", path][..], "open"),
            (&["decap", file, "-o", "/nonexistent/out.pcapng"], "open"),
            (&["check", "-c", file], "read"),
            (&["import", "aws", file], "read"),
        ] {
            let output = vxtap(arguments);
            let found = (output.status.code(), text(&output.stdout), text(&output.stderr));
            assert_eq!(found, (Some(2), "", &*expected(verb)), "{arguments:?}");
        }
    });
}

#[test]
fn explain_fails_with_a_sentence_where_there_is_nothing_to_explain() {
    with_config("", |path| {
        let output = vxtap(&["explain", path, "-c", path]);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), ""));
    });
    assert_refused(
        &["explain", "in.pcap", "-c", "/nonexistent.toml"],
        "vxtap: cannot read /nonexistent.toml: No such file or directory (os error 2)",
    );
}

#[test]
fn reload_without_an_engine_says_so() {
    let output = vxtap(&["reload", "-i", "vxtap-nobody"]);
    assert_eq!(output.status.code(), Some(1));
    // The rest depends on the engines that run on this machine.
    let sentence = "vxtap: no engine captures from vxtap-nobody in this network namespace";
    let said = text(&output.stderr);
    assert!(said.starts_with(sentence) && said.trim_end().len() > sentence.len(), "{said}");
}

#[test]
fn tail_has_no_lines_but_a_count() {
    for (number, frames) in [("5", "5 frames"), ("1", "1 frame")] {
        let output = vxtap(&["tail", "-n", number]);
        assert_eq!(output.status.code(), Some(2));
        let said = text(&output.stderr);
        let remedy = format!("to end after {frames}, say --count {number}");
        assert!(said.contains(&remedy), "{said}");
    }
    assert!(!text(&vxtap(&["tail", "--help"]).stdout).contains("-n <"), "it is not offered");
}
