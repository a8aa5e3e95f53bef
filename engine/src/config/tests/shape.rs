//! Refusals of the shape: what is not TOML, unknown and missing keys, wrong types.

use std::path::Path;

use super::super::toml;
use super::assert_refusals;

#[test]
fn what_is_not_toml_is_refused_where_the_parser_stopped() {
    assert_refusals(&[
        ("[capture", "1:9: unclosed table, expected `]`"),
        ("a = 1\na = 2", "2:1: duplicate key"),
        ("[capture]\nports = [4789", "2:14: unclosed array, expected `]`"),
        (
            "[capture]\ninterface = eth1",
            "2:13: string values must be quoted, expected literal string",
        ),
    ]);
}

#[test]
fn another_format_than_toml_is_named() {
    let hint = |format: &str| {
        format!(
            "this looks like {format}, and a configuration is TOML (`vxtap config --example` prints one)"
        )
    };
    assert_refusals(&[
        (
            "capture:\n  interface: eth1\n",
            &format!("1:9: key with no value, expected `=`: {}", hint("YAML")),
        ),
        (
            "{ \"capture\": {} }",
            &format!("1:1: invalid key-value pair, expected key: {}", hint("JSON")),
        ),
    ]);
}

#[test]
fn bytes_that_are_not_utf8_are_refused_where_they_stand() {
    let error =
        toml::from_bytes(Path::new("f"), b"[capture]\na = \"\xff\"").expect_err("not UTF-8");
    assert_eq!(error.to_string(), "f:2:6: found bytes that are not UTF-8 text");
}

/// As `vxtap config --example > vxtap.toml` of Windows PowerShell writes it.
#[test]
fn utf16_with_a_byte_order_mark_is_read() {
    let utf16 = |text: &str| -> Vec<u8> {
        format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect()
    };
    let config = toml::from_bytes(Path::new("f"), &utf16("[capture]\r\ninterface = \"eth1\"\r\n"));
    assert_eq!(config.expect("TOML").capture.interfaces, ["eth1"]);
    // Positions are those in the text.
    let error = toml::from_bytes(Path::new("f"), &utf16("[capture]\r\nports = 70000\r\n"));
    let error = error.expect_err("no port").to_string();
    assert!(error.starts_with("f:2:9: "), "{error}");
    let mut odd = utf16("[capture]\na");
    odd.push(0);
    let error = toml::from_bytes(Path::new("f"), &odd).expect_err("half a unit");
    assert_eq!(error.to_string(), "f:2:2: found bytes that are not UTF-16 text");
}

#[test]
fn an_unknown_key_is_refused_with_the_one_that_was_meant() {
    assert_refusals(&[
        (
            "[[sesion]]",
            "1:3: sesion: unknown key (did you mean `session`?); allowed here are `capture`, `workers`, `memory`, \
             `sessions`, `eni`, `filter`, `vxlan_profile`, `session`, `output`",
        ),
        (
            "[memory]\nrx_rings = 64",
            "2:1: memory.rx_rings: unknown key (did you mean `rx_ring`?); allowed here are `per_queue_mib`, \
             `chunk_size`, `fill_ring`, `rx_ring`, `output_ring`, `max_outputs`, `hugepages`",
        ),
        (
            "[capture]\nbusy_poll = { \"a\\nb\" = 1 }",
            "2:15: capture.busy_poll.\"a\\nb\": unknown key; allowed here are `usecs`, `budget`",
        ),
        (
            "[[session]]\nname = \"a\"\nvni = 1\n[[session]]\nname = \"b\"\nvin = 2",
            "6:1: session[1].vin: unknown key (did you mean `vni`?); allowed here are `name`, `vni`, `source`, `eni`, \
             `filter`, `vxlan_profile`, `packet_length`, `number`, `vlan`, `outputs`",
        ),
        (
            "[sessions]\nzz = 1\naa = 2",
            "2:1: sessions.zz: unknown key; allowed here are `unknown`, `unknown_direction`",
        ),
    ]);
}

#[test]
fn a_renamed_key_is_refused_with_its_new_name() {
    assert_refusals(&[
        ("[[profile]]\nname = \"a\"", "1:3: profile: renamed; write `vxlan_profile`"),
        (
            "[[session]]\nname = \"a\"\nvni = 1\nprofile = \"a\"",
            "4:1: session[0].profile: renamed; write `vxlan_profile`",
        ),
        (
            "[[vxlan_profile]]\nname = \"a\"\nsequence = { bit = 8, bit_count = 24 }",
            "3:14: vxlan_profile[0].sequence.bit: renamed; write `first_bit`",
        ),
        (
            "[[vxlan_profile]]\nname = \"a\"\nsequence = { first_bit = 8, bits = 24 }",
            "3:29: vxlan_profile[0].sequence.bits: renamed; write `bit_count`",
        ),
        ("[memory]\noutputs = 2", "2:1: memory.outputs: renamed; write `max_outputs`"),
        (
            "[[output]]\nname = \"a\"\ntype = \"shared\"\npath = \"a\"\nconsumers = 2",
            "5:1: output[0].consumers: renamed; write `max_consumers`",
        ),
        (
            "[[output]]\nname = \"a\"\ntype = \"stream\"\nto = \"tcp\"\nreaders = 2",
            "5:1: output[0].readers: renamed; write `max_readers`",
        ),
    ]);
    let accepts = |table: &str, key: &str| match table {
        "" => toml::KEYS.iter().any(|(section, _)| section.trim_end_matches('.') == key),
        _ => toml::KEYS
            .iter()
            .any(|(section, keys)| section.trim_end_matches('.') == table && keys.contains(&key)),
    };
    for toml::RenamedKey { table, old, new } in toml::RENAMED {
        assert!(accepts(table, new) && !accepts(table, old), "{table}: {old} -> {new}");
    }
}

#[test]
fn a_wrong_type_is_refused_with_what_was_found() {
    assert_refusals(&[
        ("capture = 1", "1:11: capture: found 1, allowed is a table, written [capture]"),
        (
            "[session]\nname = \"a\"",
            "1:1: session: found a table, allowed is a list of tables, each written [[session]]",
        ),
        ("session = [1]", "1:12: session[0]: found 1, allowed is a table"),
        (
            "[capture]\ninterface = 1.5",
            "2:13: capture.interface: found 1.5, allowed is the name of an interface in quotes",
        ),
        (
            "[capture]\nmode = true",
            "2:8: capture.mode: found true, allowed is \"auto\", \"zero-copy\", \"native\", \"generic\" or \"socket\"",
        ),
        (
            "[capture]\nports = 4789",
            "2:9: capture.ports: found 4789, allowed is a list of ports, such as [4789, 6081]",
        ),
        (
            "[capture]\nports = [\"a\"]",
            "2:10: capture.ports[0]: found \"a\", allowed is an integer from 1 to 65535, or one with its tunnel in quotes, \
             such as \"geneve:16081\"",
        ),
        (
            "[capture]\nallowed_sources = \"a\"",
            "2:19: capture.allowed_sources: found \"a\", allowed is a list of address prefixes, such as [\"10.0.0.0/8\"]",
        ),
        (
            "[capture]\nallowed_sources = [10]",
            "2:20: capture.allowed_sources[0]: found 10, allowed is an address prefix in quotes, such as \"10.0.0.0/8\"",
        ),
        (
            "[capture]\nqueues = {}",
            "2:10: capture.queues: found a table, allowed is \"all\" or a list of queues",
        ),
        (
            "[capture]\ndestinations = \"10.0.0.1\"",
            "2:16: capture.destinations: found \"10.0.0.1\", allowed is \"own\" or \"any\"",
        ),
        (
            "[capture]\narrival_times = \"yes\"",
            "2:17: capture.arrival_times: found \"yes\", allowed is true or false",
        ),
        (
            "[capture]\nbusy_poll = true",
            "2:13: capture.busy_poll: found true, allowed is a table such as { usecs = 20, budget = 64 }",
        ),
        (
            "[workers]\ncpus = 2",
            "2:8: workers.cpus: found 2, allowed is \"auto\" or a list of CPUs",
        ),
        (
            "[workers]\nwait = 2024-02-29",
            "2:8: workers.wait: found the date 2024-02-29, allowed is \"busy\", \"adaptive\" or \"interrupt\"",
        ),
        (
            "[memory]\nfill_ring = \"4096\"",
            "2:13: memory.fill_ring: found \"4096\", allowed is a power of two from 64 to 65536",
        ),
        ("[memory]\nhugepages = 1", "2:13: memory.hugepages: found 1, allowed is true or false"),
        (
            "[sessions]\nunknown = []",
            "2:11: sessions.unknown: found an empty list, allowed is \"pass\" or \"drop\"",
        ),
        ("[[session]]\nname = 1", "2:8: session[0].name: found 1, allowed is a name in quotes"),
        (
            "[[session]]\nname = \"a\"\nvni = [1]",
            "3:7: session[0].vni: found a list, allowed is an integer from 0 to 16777215",
        ),
        (
            "[[session]]\nname = \"a\"\nvni = 1\nsource = 10.0",
            "4:10: session[0].source: found 10.0, allowed is an IPv4 or IPv6 address in quotes",
        ),
        (
            "[[output]]\nname = \"a\"\ntype = 1",
            "3:8: output[0].type: found 1, allowed is \"pcapng\", \"interface\", \"stream\" or \"shared\"",
        ),
        (
            "[[output]]\nname = \"a\"\ntype = \"pcapng\"\npath = 1",
            "4:8: output[0].path: found 1, allowed is the path of a file in quotes",
        ),
    ]);
}

#[test]
fn a_missing_key_is_refused_at_the_table_that_needs_it() {
    assert_refusals(&[
        ("[[session]]\nvni = 1", "1:1: session[0].name: missing; allowed is a name in quotes"),
        (
            "\n[[session]]\nname = \"a\"",
            "2:1: session[0].vni: missing; allowed is an integer from 0 to 16777215",
        ),
        ("[[output]]", "1:1: output[0].name: missing; allowed is a name in quotes"),
        (
            "[[output]]\nname = \"a\"",
            "1:1: output[0].type: missing; allowed is \"pcapng\", \"interface\", \"stream\" or \"shared\"",
        ),
        (
            "[[output]]\nname = \"a\"\ntype = \"pcapng\"",
            "1:1: output[0].path: missing; allowed is the path of a file in quotes",
        ),
    ]);
}
