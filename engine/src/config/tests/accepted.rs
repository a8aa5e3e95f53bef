//! Accepted configurations and the structures that they become.

use std::path::Path;

use super::super::*;
use super::parse;

#[test]
fn an_empty_file_is_the_default_and_the_default_is_valid() {
    assert_eq!(parse("").expect("valid"), Config::default());
    assert_eq!(
        parse("[capture]\n[workers]\n[memory]\n[sessions]").expect("valid"),
        Config::default()
    );
    Config::default().validate().expect("valid");
}

const EVERY_KEY: &str = r#"
    [capture]
    interface = "eth1"
    mode = "zero-copy"
    ports = [4789, 8472, "geneve:16081"]
    allowed_sources = ["10.0.0.0/8", "2001:db8::/32", "192.0.2.7"]
    queues = [0, 0x2]
    fragments = "pass"
    destinations = "any"
    promiscuous = true
    arrival_times = false
    busy_poll = { usecs = 30, budget = 16 }
    [workers]
    cpus = [2, 3, 4]
    wait = "busy"
    [memory]
    per_queue_mib = 32
    chunk_size = 2048
    fill_ring = 1024
    rx_ring = 512
    output_ring = 256
    max_outputs = 12
    hugepages = true
    [sessions]
    unknown = "drop"
    unknown_direction = "reject"
    [[eni]]
    id = "eni-0f3"
    mac = "02:aa:bb:cc:dd:01"
    addresses = ["10.0.1.5", "2001:db8::/80"]
    vpc_prefixes = ["10.0.0.0/16"]
    [[filter]]
    name = "tmf-0a1"
    network_services = ["amazon-dns"]
    [[filter.rule]]
    direction = "ingress"
    number = 10
    action = "reject"
    protocol = "tcp"
    source = "10.0.0.0/8"
    destination = "10.0.1.5"
    source_ports = "1024-65535"
    destination_ports = 22
    [[filter.rule]]
    direction = "egress"
    number = 4294967295
    action = "accept"
    source = "::/0"
    destination = "::/0"
    [[vxlan_profile]]
    name = "marks"
    direction = { bit = 56, set = "egress" }
    sequence = { first_bit = 8, bit_count = 24 }
    [[session]]
    name = "web"
    vni = 0
    source = "10.0.1.5"
    eni = "eni-0f3"
    filter = "tmf-0a1"
    vxlan_profile = "marks"
    packet_length = 128
    number = 1
    vlan = 12
    outputs = ["disk"]
    [[output]]
    name = "disk"
    type = "pcapng"
    filter = "tmf-0a1"
    order_window_us = 250
    path = "dir/{session}-%Y-{member}.pcapng"
    members = 2
    rotate_mib = 100
    rotate_s = 3600
    keep_files = 5
    keep_mib = 1000
    keep_s = 86400
    undeclared_files_per_hour = 50
    undeclared_min_free_percent = 0
    compression = "zstd"
    fsync = "file"
    owner = "suricata:adm"
    [[output]]
    name = "ids"
    type = "shared"
    path = "dir/ids.sock"
    members = 2
    max_consumers = 3
    [[output]]
    name = "sniffers"
    type = "interface"
    interface = "mirror{member}"
    members = 2
    vlan_tags = true
    [[output]]
    name = "wireshark"
    type = "stream"
    order_window_us = 0
    to = "tcp"
    address = "[::1]:5000"
    format = "pcap"
    max_readers = 3
    send_timeout_s = 60
    allowed_users = ["suricata", "1000"]
    buffer_mib = 16
    [[output]]
    name = "pipe"
    type = "stream"
    to = "fifo"
    path = "dir/pipe"
"#;

#[test]
fn every_key_reaches_its_field() {
    let prefix = |text: &str| text.parse().expect("a prefix");
    let files = PcapngFiles {
        rotate_mib: Some(100),
        rotate_s: Some(3600),
        keep_files: Some(5),
        keep_mib: Some(1000),
        keep_s: Some(86_400),
        undeclared_files_per_hour: 50,
        undeclared_min_free_percent: 0,
        compression: Compression::Zstd,
        fsync: Fsync::File,
        owner: Some("suricata:adm".to_owned()),
    };
    let expected = Config {
        capture: Capture {
            interfaces: vec!["eth1".to_owned()],
            mode: CaptureMode::ZeroCopy,
            ports: vec![
                4789.into(),
                8472.into(),
                TunnelPort { number: 16081, tunnel: Tunnel::Geneve },
            ],
            allowed_sources: vec![
                prefix("10.0.0.0/8"),
                prefix("2001:db8::/32"),
                prefix("192.0.2.7/32"),
            ],
            queues: Queues::List(vec![0, 2]),
            fragments: FragmentMode::Pass,
            destinations: Destinations::Any,
            promiscuous: true,
            arrival_times: false,
            busy_poll: Some(BusyPoll { usecs: 30, budget: 16 }),
        },
        workers: Workers { cpus: Cpus::List(vec![2, 3, 4]), wait: WaitMode::Busy },
        memory: Memory {
            per_queue_mib: 32,
            chunk_size: Some(2048),
            fill_ring: 1024,
            rx_ring: 512,
            output_ring: Some(256),
            max_outputs: Some(12),
            hugepages: true,
        },
        unknown: UnknownSessions::Drop,
        unknown_direction: UnknownDirection::Reject,
        enis: vec![Eni {
            id: "eni-0f3".to_owned(),
            mac: Some(MacAddress([2, 0xaa, 0xbb, 0xcc, 0xdd, 1])),
            addresses: vec![prefix("10.0.1.5/32"), prefix("2001:db8::/80")],
            vpc_prefixes: vec!["10.0.0.0/16".parse().expect("a prefix")],
        }],
        filters: vec![filter()],
        vxlan_profiles: vec![VxlanProfile {
            name: "marks".to_owned(),
            direction: Some(DirectionBit { bit: 56, set: Direction::Egress }),
            sequence: Some(SequenceBits { first_bit: 8, bit_count: 24 }),
        }],
        sessions: vec![Session {
            name: "web".to_owned(),
            vni: 0,
            vxlan_profile: Some("marks".to_owned()),
            source: Some([10, 0, 1, 5].into()),
            eni: Some("eni-0f3".to_owned()),
            filter: Some("tmf-0a1".to_owned()),
            packet_length: Some(128),
            number: Some(1),
            vlan: Some(12),
            outputs: Some(vec!["disk".to_owned()]),
        }],
        outputs: outputs(files),
    };
    assert_eq!(parse(EVERY_KEY).expect("valid"), expected);
}

fn outputs(files: PcapngFiles) -> Vec<Output> {
    vec![
        Output {
            filter: Some("tmf-0a1".to_owned()),
            order_window_us: 250,
            members: 2,
            ..Output::new(
                "disk",
                OutputKind::Pcapng { path: "dir/{session}-%Y-{member}.pcapng".into(), files },
            )
        },
        Output {
            members: 2,
            ..Output::new(
                "ids",
                OutputKind::Shared { path: "dir/ids.sock".into(), max_consumers: 3 },
            )
        },
        Output {
            members: 2,
            ..Output::new(
                "sniffers",
                OutputKind::Interface { interface: "mirror{member}".to_owned(), vlan_tags: true },
            )
        },
        Output {
            order_window_us: 0,
            ..Output::new(
                "wireshark",
                OutputKind::Stream(Stream {
                    target: StreamTarget::Tcp("[::1]:5000".parse().expect("an address")),
                    format: StreamFormat::Pcap,
                    max_readers: 3,
                    send_timeout_s: 60,
                    allowed_users: AllowedUsers::Listed(vec!["suricata".into(), "1000".into()]),
                    buffer_mib: 16,
                }),
            )
        },
        Output::new("pipe", OutputKind::Stream(Stream::new(StreamTarget::Fifo("dir/pipe".into())))),
    ]
}

fn filter() -> Filter {
    let prefix = |text: &str| text.parse().expect("a prefix");
    let ssh = Rule {
        direction: Direction::Ingress,
        number: 10,
        action: Action::Reject,
        protocol: Some(TCP),
        source: prefix("10.0.0.0/8"),
        destination: prefix("10.0.1.5/32"),
        source_ports: Some(PortRange { first: 1024, last: 65_535 }),
        destination_ports: Some(PortRange { first: 22, last: 22 }),
    };
    let all = Rule {
        direction: Direction::Egress,
        number: u32::MAX,
        action: Action::Accept,
        protocol: None,
        source: prefix("::/0"),
        destination: prefix("::/0"),
        source_ports: None,
        destination_ports: None,
    };
    Filter {
        name: "tmf-0a1".to_owned(),
        network_services: vec![NetworkService::AmazonDns],
        rules: vec![ssh, all],
    }
}

#[test]
fn a_protocol_is_a_word_or_a_number_and_absent_zero_and_minus_one_are_any() {
    for (protocol, number) in [
        ("", None),
        ("protocol = 0", None),
        ("protocol = -1", None),
        ("protocol = \"any\"", None),
        ("protocol = \"udp\"", Some(UDP)),
        ("protocol = \"icmpv6\"", Some(58)),
        ("protocol = 255", Some(255)),
    ] {
        let text = format!(
            "[[filter]]\nname = \"f\"\n[[filter.rule]]\ndirection = \"egress\"\nnumber = 1\naction = \"accept\"\n\
             source = \"0.0.0.0/0\"\ndestination = \"0.0.0.0/0\"\n{protocol}"
        );
        assert_eq!(parse(&text).expect("valid").filters[0].rules[0].protocol, number, "{protocol}");
    }
}

#[test]
fn half_a_busy_poll_table_takes_the_other_half_from_the_default() {
    let config = parse("[capture]\nbusy_poll = { usecs = 5 }").expect("valid");
    assert_eq!(config.capture.busy_poll, Some(BusyPoll { usecs: 5, budget: 64 }));
}

#[test]
fn the_example_is_accepted() {
    let config = Config::read(&example_path()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.capture.interfaces, ["eth1"]);
    assert_eq!((config.sessions.len(), config.outputs.len()), (2, 1));
}

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    std::fs::read_to_string(&path).expect("the page")
}

/// The configurations on a page.
fn examples(page: &str) -> Vec<&str> {
    page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn the_examples_for_the_tools_are_accepted() {
    let page = page("outputs.md");
    let examples = examples(&page);
    assert!(examples.len() >= 4, "{}", examples.len());
    for example in examples {
        parse(example).unwrap_or_else(|error| panic!("{error}\n{example}"));
    }
}

#[test]
fn the_documentation_describes_every_key_with_examples_that_are_accepted() {
    let page = page("configuration.md");
    let examples = examples(&page);
    assert!(examples.len() >= 5, "{}", examples.len());
    let file = Config::read(&example_path()).expect("the example");
    assert_eq!(parse(examples[0]).expect("valid"), file, "the first configuration");
    for example in examples {
        parse(example).unwrap_or_else(|error| panic!("{error}\n{example}"));
    }
    for (section, keys) in toml::KEYS {
        for key in *keys {
            assert!(
                page.contains(&format!("### `{section}{key}`")),
                "{section}{key} is not described"
            );
        }
    }
}

#[test]
fn a_file_that_never_ends_is_not_read_to_the_end() {
    let error = Config::read(Path::new("/dev/zero")).expect_err("endless");
    let source = std::error::Error::source(&error).expect("a source").to_string();
    assert_eq!(
        error.to_string(),
        "cannot read /dev/zero: longer than 64 MiB, which no configuration needs"
    );
    assert_eq!(source, "longer than 64 MiB, which no configuration needs");
}

fn example_path() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/vxtap.toml")
}
