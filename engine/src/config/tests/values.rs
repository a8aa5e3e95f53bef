//! Refusals of values: each for itself, and in contradiction to others.

use super::super::*;
use super::{assert_refusals, parse, refusal, toml_string};

#[test]
fn a_number_outside_its_limits_is_refused() {
    assert_refusals(&[
        (
            "[capture]\nports = [4789, 0]",
            "2:16: capture.ports[1]: found 0, allowed is an integer from 1 to 65535",
        ),
        (
            "[capture]\nports = [65536]",
            "2:10: capture.ports[0]: found 65536, allowed is an integer from 1 to 65535",
        ),
        (
            "[capture]\nports = [-1]",
            "2:10: capture.ports[0]: found -1, allowed is an integer from 1 to 65535",
        ),
        (
            "[capture]\nports = [0x1_0000_0000_0000_0000]",
            "2:10: capture.ports[0]: found 0x10000000000000000, allowed is an integer from 1 to 65535",
        ),
        (
            "[capture]\nqueues = [1024]",
            "2:11: capture.queues[0]: found 1024, allowed is an integer from 0 to 1023",
        ),
        (
            "[capture]\nbusy_poll = { usecs = 0 }",
            "2:23: capture.busy_poll.usecs: found 0, allowed is an integer from 1 to 1000000",
        ),
        (
            "[capture.busy_poll]\nbudget = 0",
            "2:10: capture.busy_poll.budget: found 0, allowed is an integer from 1 to 65535",
        ),
        (
            "[workers]\ncpus = [1024]",
            "2:9: workers.cpus[0]: found 1024, allowed is an integer from 0 to 1023",
        ),
        (
            "[memory]\nper_queue_mib = 0",
            "2:17: memory.per_queue_mib: found 0, allowed is an integer from 1 to 65536",
        ),
        (
            "[memory]\nmax_outputs = 256",
            "2:15: memory.max_outputs: found 256, allowed is an integer from 1 to 255",
        ),
        (
            "[memory]\nchunk_size = 8192",
            "2:14: memory.chunk_size: found 8192, allowed is 2048 or 4096",
        ),
        (
            "[memory]\nfill_ring = 4095",
            "2:13: memory.fill_ring: found 4095, allowed is a power of two from 64 to 65536",
        ),
        (
            "[memory]\nrx_ring = 32",
            "2:11: memory.rx_ring: found 32, allowed is a power of two from 64 to 65536",
        ),
        (
            "[memory]\noutput_ring = 131072",
            "2:15: memory.output_ring: found 131072, allowed is a power of two from 64 to 65536",
        ),
        (
            "[[session]]\nname = \"a\"\nvni = 16777216",
            "3:7: session[0].vni: found 16777216, allowed is an integer from 0 to 16777215",
        ),
    ]);
}

#[test]
fn a_word_that_a_setting_does_not_know_is_refused() {
    assert_refusals(&[
        (
            "[capture]\nmode = \"fast\"",
            "2:8: capture.mode: found \"fast\", allowed is \"auto\", \"zero-copy\", \"native\", \"generic\" or \"socket\"",
        ),
        (
            "[capture]\nqueues = \"some\"",
            "2:10: capture.queues: found \"some\", allowed is \"all\" or a list of queues",
        ),
        (
            "[workers]\ncpus = \"all\"",
            "2:8: workers.cpus: found \"all\", allowed is \"auto\" or a list of CPUs",
        ),
        (
            "[workers]\nwait = \"Busy\"",
            "2:8: workers.wait: found \"Busy\", allowed is \"busy\", \"adaptive\" or \"interrupt\"",
        ),
        (
            "[sessions]\nunknown = \"\"",
            "2:11: sessions.unknown: found \"\", allowed is \"pass\" or \"drop\"",
        ),
        (
            "[[output]]\nname = \"a\"\ntype = \"consumer\"",
            "3:8: output[0].type: found \"consumer\", allowed is \"pcapng\", \"interface\", \"stream\" or \"shared\"",
        ),
    ]);
}

#[test]
fn a_stream_has_the_keys_of_where_it_goes_to_and_one_member() {
    let stream = |name: &str, keys: &str| {
        format!("[[output]]\nname = \"{name}\"\ntype = \"stream\"\n{keys}\n")
    };
    let to = |keys: &str| stream("a", keys);
    let twice = |keys: &str| stream("a", keys) + &stream("b", keys);
    let address = "4:11: output[0].address: found \"here\", allowed is an address with its port in quotes, such as \"127.0.0.1:57012\"";
    assert_refusals(&[
        (
            &to(""),
            "1:1: output[0].to: missing; allowed is \"stdout\", \"fifo\", \"unix\" or \"tcp\"",
        ),
        (
            &to("to = \"fifo\""),
            "1:1: output[0].path: missing; allowed is the path of a named pipe in quotes",
        ),
        (
            &to("to = \"stdout\"\npath = \"x\""),
            "5:1: output[0].path: unknown key; allowed here are `name`, `type`, `filter`, `order_window_us`, `to`, `format`, `buffer_mib`",
        ),
        (&to("address = \"here\"\nto = \"tcp\""), address),
        (
            &to("to = \"tcp\"\naddress = \"[::1]:0\""),
            "5:11: output[0].address: found \"[::1]:0\", allowed is an address with a port from 1 to 65535",
        ),
        (
            &to("to = \"tcp\"\nmax_readers = 65"),
            "5:15: output[0].max_readers: found 65, allowed is an integer from 1 to 64",
        ),
        (
            &to("to = \"tcp\"\nsend_timeout_s = 0"),
            "5:18: output[0].send_timeout_s: found 0, allowed is an integer from 1 to 86400",
        ),
        (
            &to("to = \"tcp\"\nallowed_users = \"root\""),
            "5:17: output[0].allowed_users: found \"root\", allowed is \"all\" or a list of users",
        ),
        (
            &to("to = \"tcp\"\naddress = \"0.0.0.0:9\"\nallowed_users = [\"zeek\"]"),
            "6:17: output[0].allowed_users: found a list of users at 0.0.0.0:9, allowed is one at a loopback address, as the users of other hosts are not known",
        ),
        (
            &to("to = \"tcp\"\naddress = \"192.0.2.1:9\"\nallowed_users = []"),
            "6:17: output[0].allowed_users: found a list of users at 192.0.2.1:9, allowed is one at a loopback address, as the users of other hosts are not known",
        ),
        (
            &to("to = \"tcp\"\nallowed_users = [\"a b\"]"),
            "5:18: output[0].allowed_users[0]: found \"a b\", allowed is the name or number of a user",
        ),
        (
            &to("to = \"tcp\"\nbuffer_mib = 0"),
            "5:14: output[0].buffer_mib: found 0, allowed is an integer from 1 to 1024",
        ),
        (
            &twice("to = \"tcp\"\naddress = \"[::1]:9\""),
            "10:11: output[1].address: found the address \"[::1]:9\" again, after output[0].address; allowed is each one once",
        ),
        (
            &twice("to = \"stdout\""),
            "8:6: output[1].to: found \"stdout\" again, after output[0].to; allowed is each one once",
        ),
        (
            &twice("to = \"unix\"\npath = \"x\""),
            "10:8: output[1].path: found the path \"x\" again, after output[0].path; allowed is each one once",
        ),
    ]);
    let stream = OutputKind::Stream(Stream::new(StreamTarget::Stdout));
    let outputs = vec![Output { members: 2, ..Output::new("a", stream) }];
    let error = Config { outputs, ..Config::default() }.validate().expect_err("2 members");
    assert_eq!(
        error.to_string(),
        "output[0].members: found 2, allowed is 1, as each reader of a stream gets all frames"
    );
}

#[test]
fn an_impossible_interface_name_is_refused() {
    let allowed = "an interface name of 1 to 15 bytes without `/`, `:` and white space";
    for name in ["", "sixteen-bytes-xx", "a/b", "a b", "eth0:1", ".", "..", "a\u{7}"] {
        assert_eq!(
            refusal(&format!("[capture]\ninterface = {}", toml_string(name))),
            format!("vxtap.toml:2:13: capture.interface: found {name:?}, allowed is {allowed}"),
        );
    }
    assert!(parse("[capture]\ninterface = \"fifteen-bytes-x\"").is_ok());
}

#[test]
fn an_impossible_prefix_is_refused_with_the_one_that_was_meant() {
    assert_refusals(&[
        (
            "[capture]\nallowed_sources = [\"10.0.0.0/8\", \"10.1.2.3/16\"]",
            "2:34: capture.allowed_sources[1]: found 10.1.2.3/16, allowed is a prefix without host bits, here 10.1.0.0/16",
        ),
        (
            "[capture]\nallowed_sources = [\"2001:db8::1/32\"]",
            "2:20: capture.allowed_sources[0]: found 2001:db8::1/32, allowed is a prefix without host bits, here 2001:db8::/32",
        ),
        (
            "[capture]\nallowed_sources = [\"::ffff:10.0.0.0/104\"]",
            "2:20: capture.allowed_sources[0]: found ::ffff:10.0.0.0/104, allowed is an IPv4 prefix in IPv4 form, here 10.0.0.0/8",
        ),
        (
            "[capture]\nallowed_sources = [\"10.0.0.0/33\"]",
            "2:20: capture.allowed_sources[0]: found \"10.0.0.0/33\", allowed is an address prefix in quotes, such as \"10.0.0.0/8\"",
        ),
    ]);
}

#[test]
fn an_impossible_source_is_refused() {
    let session =
        |source: &str| format!("[[session]]\nname = \"a\"\nvni = 1\nsource = \"{source}\"");
    let one_host = "the address of one host; leave `source` out for any source";
    for (source, allowed) in [
        ("0.0.0.0", one_host),
        ("::", one_host),
        ("224.0.0.1", one_host),
        ("ff02::1", one_host),
        ("255.255.255.255", one_host),
        ("::ffff:10.0.0.5", "an IPv4 address in IPv4 form, here 10.0.0.5"),
    ] {
        let message =
            format!("vxtap.toml:4:10: session[0].source: found {source}, allowed is {allowed}");
        assert_eq!(refusal(&session(source)), message);
    }
    assert_eq!(
        refusal(&session("10.0.0.0/8")),
        "vxtap.toml:4:10: session[0].source: found \"10.0.0.0/8\", allowed is an IPv4 or IPv6 address in quotes"
    );
}

#[test]
fn an_impossible_name_or_path_is_refused() {
    let allowed = "a name of 1 to 255 bytes without control characters";
    let long = "x".repeat(256);
    for name in ["", "a\tb", "\u{9b}", &long] {
        let name_toml = toml_string(name);
        let message =
            format!("vxtap.toml:2:8: session[0].name: found {name:?}, allowed is {allowed}");
        assert_eq!(refusal(&format!("[[session]]\nname = {name_toml}\nvni = 1")), message);
        let output = format!("[[output]]\nname = {name_toml}\ntype = \"pcapng\"\npath = \"a\"");
        assert_eq!(refusal(&output), message.replace("session", "output"));
    }
    for path in ["", "/", "a/", "..", "a/.", "a\0"] {
        let text =
            format!("[[output]]\nname = \"a\"\ntype = \"pcapng\"\npath = {}", toml_string(path));
        let message = format!(
            "vxtap.toml:4:8: output[0].path: found {path:?}, allowed is the path of a file"
        );
        assert_eq!(refusal(&text), message);
    }
}

#[test]
fn a_path_that_the_kernel_or_a_shell_would_change_is_refused() {
    let socket = format!("/run/{}/flows.sock", "directory".repeat(13));
    let text =
        |keys: &str, path: &str| format!("[[output]]\nname = \"a\"\n{keys}\npath = {path:?}");
    let long = format!(
        "vxtap.toml:{{line}}:8: output[0].path: found a path of {} bytes, allowed is at most 107 bytes for a Unix socket",
        socket.len()
    );
    let refused = |keys: &str| refusal(&text(keys, &socket));
    assert_eq!(refused("type = \"shared\""), long.replace("{line}", "4"));
    assert_eq!(refused("type = \"stream\"\nto = \"unix\""), long.replace("{line}", "5"));
    assert!(parse(&text("type = \"stream\"\nto = \"fifo\"", &socket)).is_ok());
    assert_eq!(
        refusal(&text("type = \"pcapng\"", "~/a.pcapng")),
        "vxtap.toml:4:8: output[0].path: found \"~/a.pcapng\", allowed is a path as it is, since no shell expands it; \
         \"./~/a.pcapng\" if it is called that"
    );
}

#[test]
fn what_may_stand_once_is_refused_the_second_time() {
    assert_refusals(&[
        (
            "[capture]\nports = [1, 2, 1]",
            "2:16: capture.ports[2]: found 1 again, after capture.ports[0]; allowed is each one once",
        ),
        (
            "[capture]\nqueues = [3, 3]",
            "2:14: capture.queues[1]: found 3 again, after capture.queues[0]; allowed is each one once",
        ),
        (
            "[workers]\ncpus = [2, 2]",
            "2:12: workers.cpus[1]: found 2 again, after workers.cpus[0]; allowed is each one once",
        ),
        (
            "[[session]]\nname = \"a\"\nvni = 1\n[[session]]\nname = \"a\"\nvni = 2",
            "5:8: session[1].name: found the name \"a\" again, after session[0].name; allowed is each one once",
        ),
        (
            "[[session]]\nname = \"a\"\nvni = 1\n[[session]]\nname = \"b\"\nvni = 1",
            "6:7: session[1].vni: found VNI 1 from any source again, after session[0]; allowed is each one once",
        ),
        (
            "[[session]]\nname = \"a\"\nvni = 1\nsource = \"10.0.0.5\"\n[[session]]\nsource = \"10.0.0.5\"\nname = \"b\"\nvni = 1",
            "8:7: session[1].vni: found VNI 1 from 10.0.0.5 again, after session[0]; allowed is each one once",
        ),
        (
            "[[session]]\nname = \"a\"\nvni = 1\nsource = \"10.0.0.5\"\n[[session]]\nname = \"b\"\nvni = 1\nsource = \"10.0.0.5\"",
            "8:10: session[1].source: found VNI 1 from 10.0.0.5 again, after session[0]; allowed is each one once",
        ),
        (
            "[[output]]\nname = \"a\"\ntype = \"pcapng\"\npath = \"x\"\n[[output]]\nname = \"a\"\ntype = \"pcapng\"\npath = \"y\"",
            "6:8: output[1].name: found the name \"a\" again, after output[0].name; allowed is each one once",
        ),
        (
            "[[output]]\nname = \"a\"\ntype = \"pcapng\"\npath = \"x\"\n[[output]]\nname = \"b\"\ntype = \"pcapng\"\npath = \"./x\"",
            "8:8: output[1].path: found the path \"./x\" again, after output[0].path; allowed is each one once",
        ),
    ]);
}

#[test]
fn one_vni_with_and_without_a_source_is_two_sessions() {
    let text = "[[session]]\nname = \"a\"\nvni = 1\n[[session]]\nname = \"b\"\nvni = 1\nsource = \"10.0.0.5\"";
    assert_eq!(parse(text).expect("valid").sessions.len(), 2);
}

#[test]
fn lists_are_neither_empty_nor_too_long() {
    let ports: Vec<_> = (1..=65).collect();
    let list = |things: &[u32]| things.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    assert!(parse(&format!("[capture]\nports = [{}]", list(&ports[..64]))).is_ok());
    let prefixes = |of: fn(u32) -> String| (0..4097).map(of).collect::<Vec<_>>().join(",");
    let v4 = prefixes(|n| format!("\"10.{}.{}.0/24\"", n / 256, n % 256));
    let v6 = prefixes(|n| format!("\"fd00:{n:x}::/32\""));
    let one_less = v6.replacen("\"fd00:0::/32\",", "", 1);
    assert!(parse(&format!("[capture]\nallowed_sources = [{one_less}, \"10.0.0.0/8\"]")).is_ok());
    assert_refusals(&[
        (
            "[capture]\nports = []",
            "2:9: capture.ports: found an empty list, allowed is a list of ports",
        ),
        (
            "[capture]\nqueues = []",
            "2:10: capture.queues: found an empty list, allowed is a list of queues",
        ),
        (
            "[workers]\ncpus = []",
            "2:8: workers.cpus: found an empty list, allowed is a list of CPUs",
        ),
        (
            &format!("[capture]\nports = [{}]", list(&ports)),
            "2:9: capture.ports: found 65 ports, allowed are 64 at most",
        ),
        (
            &format!("[capture]\nallowed_sources = [{v4}]"),
            "2:19: capture.allowed_sources: found 4097 IPv4 prefixes, allowed are 4096 at most",
        ),
        (
            &format!("[capture]\nallowed_sources = [{v6}]"),
            "2:19: capture.allowed_sources: found 4097 IPv6 prefixes, allowed are 4096 at most",
        ),
    ]);
}

#[test]
fn an_interface_that_the_kernel_would_number_is_refused() {
    let interface = |name: &str| {
        format!("[[output]]\nname = \"a\"\ntype = \"interface\"\ninterface = \"{name}\"")
    };
    assert_eq!(
        refusal(&interface("aud%d")),
        "vxtap.toml:4:13: output[0].interface: found \"aud%d\", allowed is a name without `%`, for which the kernel \
         puts in a number"
    );
}

#[test]
fn a_contradiction_is_shown_at_the_later_line() {
    let output = |name: &str| {
        format!("[[output]]\nname = \"{name}\"\ntype = \"pcapng\"\npath = \"{name}\"\n")
    };
    let two = format!("[memory]\nmax_outputs = 1\n{}{}", output("a"), output("b"));
    assert_eq!(
        refusal(&two),
        "vxtap.toml:2:15: memory.max_outputs: found 1, allowed is at least 2, the number of outputs that are configured"
    );
    let few = "found too few CPUs (1 for 2 queues); allowed is one for each queue of capture.queues, or \"auto\"";
    assert_refusals(&[
        ("[capture]\nqueues = [0, 1]\n[workers]\ncpus = [2]", &format!("4:8: workers.cpus: {few}")),
        (
            "[workers]\ncpus = [2]\n[capture]\nqueues = [0, 1]",
            &format!("4:10: capture.queues: {few}"),
        ),
        (
            "[memory]\nper_queue_mib = 24",
            "2:17: memory.per_queue_mib: found memory.per_queue_mib = 24 for chunks of 4096 bytes (fill ring 8192, \
             RX ring 8192, batch 64, output rings 1 x 64); allowed is 33 MiB or more, or shorter rings",
        ),
        (
            "[memory]\nper_queue_mib = 64\nfill_ring = 16384",
            "3:13: memory.fill_ring: found memory.per_queue_mib = 64 for chunks of 4096 bytes (fill ring 16384, \
             RX ring 8192, batch 64, output rings 1 x 64); allowed is 65 MiB or more, or shorter rings",
        ),
        (
            "[memory]\noutput_ring = 8192\n[[output]]\nname = \"a\"\ntype = \"pcapng\"\npath = \"x\"\n\
             [[output]]\nname = \"b\"\ntype = \"pcapng\"\npath = \"y\"",
            "7:1: output[1]: found memory.per_queue_mib = 80 for chunks of 4096 bytes (fill ring 8192, \
             RX ring 8192, batch 64, output rings 2 x 8192); allowed is 97 MiB or more, or shorter rings",
        ),
    ]);
}

#[test]
fn the_same_limits_hold_for_a_configuration_built_by_a_program() {
    let session = |vni| Session { name: "a".to_owned(), vni, source: None, ..Session::default() };
    let mut config =
        Config { sessions: vec![session(1), session(16_777_216)], ..Config::default() };
    config.sessions[1].name = "b".to_owned();
    let error = config.validate().expect_err("25 bits");
    assert_eq!(
        error.to_string(),
        "session[1].vni: found 16777216, allowed is an integer from 0 to 16777215"
    );

    let capture = Capture { ports: vec![0.into()], ..Capture::default() };
    let error = Config { capture, ..Config::default() }.validate().expect_err("port 0");
    assert_eq!(
        error.to_string(),
        "capture.ports[0]: found 0, allowed is an integer from 1 to 65535"
    );

    let memory = Memory { per_queue_mib: 1, ..Memory::default() };
    let error = Config { memory, ..Config::default() }.validate().expect_err("1 MiB").to_string();
    assert!(
        error.starts_with("memory.per_queue_mib: found memory.per_queue_mib = 1 for"),
        "{error}"
    );
}

#[test]
fn the_name_of_the_default_session_is_taken() {
    let error = parse("[[session]]\nname = \"default\"\nvni = 1").expect_err("reserved");
    assert_eq!(
        error.to_string(),
        "vxtap.toml:2:8: session[0].name: found \"default\", allowed is another name, because this is the session of \
         everything that is not declared"
    );
}

#[test]
fn more_outputs_than_a_frame_can_be_shared_by_are_refused() {
    let output = |number| {
        format!("[[output]]\nname = \"{number}\"\ntype = \"pcapng\"\npath = \"{number}\"\n")
    };
    let text: String = (0..256).map(output).collect();
    let error = parse(&format!("[memory]\nper_queue_mib = 4096\n{text}")).expect_err("too many");
    assert!(
        error.to_string().ends_with("output: found 256 outputs, allowed are 255 at most"),
        "{error}"
    );
}

#[test]
fn bits_of_a_profile_are_reserved_ones_and_their_own() {
    let profile = |text: &str| format!("[[vxlan_profile]]\nname = \"a\"\n{text}");
    let reserved = "allowed is bits that RFC 7348 reserves: 0 to 3, 5 to 31 and 56 to 63";
    for (text, message) in [
        (
            "direction = { bit = 4, set = \"egress\" }",
            format!("direction.bit: found bit 4, {reserved}"),
        ),
        (
            "direction = { bit = 32, set = \"egress\" }",
            format!("direction.bit: found bit 32, {reserved}"),
        ),
        (
            "sequence = { first_bit = 28, bit_count = 5 }",
            format!("sequence.first_bit: found 5 bits from 28 on, {reserved}"),
        ),
        (
            "sequence = { first_bit = 60, bit_count = 8 }",
            format!("sequence.first_bit: found 8 bits from 60 on, {reserved}"),
        ),
        (
            "sequence = { first_bit = 8, bit_count = 8 }\ndirection = { bit = 15, set = \"ingress\" }",
            "sequence.first_bit: found 8 bits from 8 on, allowed is other bits than those of `direction`"
                .to_owned(),
        ),
        (
            "sequence = { first_bit = 8, bit_count = 3 }",
            "sequence.bit_count: found 3, allowed is an integer from 4 to 24".to_owned(),
        ),
    ] {
        let refused = refusal(&profile(text));
        assert!(refused.ends_with(&format!("vxlan_profile[0].{message}")), "{refused}");
    }
    for text in [
        "direction = { bit = 63, set = \"egress\" }",
        "sequence = { first_bit = 8, bit_count = 24 }",
    ] {
        assert!(parse(&profile(text)).is_ok(), "{text}");
    }
    let unknown = "[[session]]\nname = \"a\"\nvni = 1\nvxlan_profile = \"x\"";
    assert!(
        refusal(unknown).ends_with(
            "found \"x\", allowed is the name of a [[vxlan_profile]], and there is none"
        )
    );
}
