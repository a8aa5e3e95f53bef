//! Refusals of what describes the mirror: interfaces, filters, rules and what sessions refer to.

use super::{assert_refusals, parse};

/// A rule behind which more lines follow; line 8 of the file is the first of these.
const RULE: &str = "[[filter]]\nname = \"f\"\n[[filter.rule]]\ndirection = \"ingress\"\nnumber = 1\naction = \"accept\"\n\
                    source = \"10.0.0.0/8\"\n";

fn rule(lines: &str) -> String {
    format!("{RULE}{lines}")
}

#[test]
fn a_rule_without_its_parts_is_refused() {
    let header = "[[filter]]\nname = \"f\"\n[[filter.rule]]\n";
    let table = |lines: &str| format!("{header}{lines}");
    assert_refusals(&[
        ("[[filter]]", "1:1: filter[0].name: missing; allowed is a name in quotes"),
        (
            &table(""),
            "3:1: filter[0].rule[0].direction: missing; allowed is \"ingress\" or \"egress\"",
        ),
        (
            &table("direction = \"in\""),
            "4:13: filter[0].rule[0].direction: found \"in\", allowed is \"ingress\" or \"egress\"",
        ),
        (
            &table("direction = \"ingress\""),
            "3:1: filter[0].rule[0].number: missing; allowed is an integer from 1 to 4294967295",
        ),
        (
            &table("direction = \"ingress\"\nnumber = 0"),
            "5:10: filter[0].rule[0].number: found 0, allowed is an integer from 1 to 4294967295",
        ),
        (
            &table("direction = \"ingress\"\nnumber = 1"),
            "3:1: filter[0].rule[0].action: missing; allowed is \"accept\" or \"reject\"",
        ),
        (
            &table("direction = \"ingress\"\nnumber = 1\naction = \"drop\""),
            "6:10: filter[0].rule[0].action: found \"drop\", allowed is \"accept\" or \"reject\"",
        ),
        (
            &table("direction = \"ingress\"\nnumber = 1\naction = \"reject\""),
            "3:1: filter[0].rule[0].source: missing; allowed is an address prefix",
        ),
        (&rule(""), "3:1: filter[0].rule[0].destination: missing; allowed is an address prefix"),
        (
            "[[filter]]\nname = \"f\"\nrule = 1",
            "3:8: filter[0].rule: found 1, allowed is a list of tables, each written [[filter.rule]]",
        ),
    ]);
}

#[test]
fn prefixes_of_a_rule_are_of_one_family_and_without_host_bits() {
    assert_refusals(&[
        (
            &rule("destination = \"::/0\""),
            "8:15: filter[0].rule[0].destination: found ::/0, allowed is a prefix of IPv4, as the source 10.0.0.0/8 is",
        ),
        (
            &rule("destination = \"10.1.0.1/16\""),
            "8:15: filter[0].rule[0].destination: found 10.1.0.1/16, allowed is a prefix without host bits, here 10.1.0.0/16",
        ),
        (
            &rule("destination = \"10.0.0.0/33\""),
            "8:15: filter[0].rule[0].destination: found \"10.0.0.0/33\", allowed is an address prefix in quotes, such as \"10.0.0.0/8\"",
        ),
    ]);
}

#[test]
fn protocols_and_ports_of_a_rule_have_their_limits() {
    let words = "\"any\", \"icmp\", \"igmp\", \"tcp\", \"udp\", \"gre\", \"esp\", \"ah\", \"icmpv6\", \"sctp\" or an integer \
                 from 0 to 255";
    let ports = "a port from 0 to 65535, or a range in quotes, such as \"1024-65535\"";
    let with = |line: &str| rule(&format!("destination = \"10.0.0.0/8\"\n{line}"));
    let protocol = |line: &str, found: &str, allowed: &str| {
        (
            with(line),
            format!("9:12: filter[0].rule[0].protocol: found {found}, allowed is {allowed}"),
        )
    };
    let number = "an integer from 0 to 255";
    let only = "ports only with the protocol \"tcp\" or \"udp\"";
    let texts = [
        protocol("protocol = \"TCP\"", "\"TCP\"", words),
        protocol("protocol = 256", "256", number),
        protocol("protocol = -2", "-2", number),
        protocol("protocol = 6.0", "6.0", words),
        (
            with("protocol = \"tcp\"\nsource_ports = 65536"),
            format!("10:16: filter[0].rule[0].source_ports: found 65536, allowed is {ports}"),
        ),
        (
            with("protocol = \"tcp\"\nsource_ports = \"http\""),
            format!("10:16: filter[0].rule[0].source_ports: found \"http\", allowed is {ports}"),
        ),
        (
            with("protocol = \"tcp\"\nsource_ports = [1, 2]"),
            format!("10:16: filter[0].rule[0].source_ports: found a list, allowed is {ports}"),
        ),
        (
            with("protocol = \"tcp\"\ndestination_ports = \"9-3\""),
            "10:21: filter[0].rule[0].destination_ports: found 9-3, allowed is a range that begins with the lower port"
                .to_owned(),
        ),
        (
            with("destination_ports = 22"),
            format!("9:21: filter[0].rule[0].destination_ports: found 22, allowed is {only}"),
        ),
        (
            with("destination_ports = 22\nprotocol = \"icmp\""),
            format!("9:21: filter[0].rule[0].destination_ports: found 22, allowed is {only}"),
        ),
    ];
    assert_refusals(&texts.each_ref().map(|(text, message)| (text.as_str(), message.as_str())));
}

#[test]
fn rule_numbers_names_and_services_stand_once() {
    let rule = |direction: &str, number: u32| {
        format!(
            "[[filter.rule]]\ndirection = \"{direction}\"\nnumber = {number}\naction = \"accept\"\nsource = \"0.0.0.0/0\"\n\
             destination = \"0.0.0.0/0\"\n"
        )
    };
    let filter = "[[filter]]\nname = \"f\"\n";
    assert!(parse(&[filter, &rule("ingress", 1), &rule("egress", 1)].concat()).is_ok());
    assert_refusals(&[
        (
            &[filter, &rule("ingress", 7), &rule("ingress", 7)].concat(),
            "11:10: filter[0].rule[1].number: found ingress rule 7 again, after filter[0].rule[0]; allowed is each one once",
        ),
        (
            &[filter, filter].concat(),
            "4:8: filter[1].name: found the name \"f\" again, after filter[0].name; allowed is each one once",
        ),
        (
            "[[filter]]\nname = \"f\"\nnetwork_services = [\"amazon-dns\", \"amazon-dns\"]",
            "3:35: filter[0].network_services[1]: found \"amazon-dns\" again, after filter[0].network_services[0]; allowed is each one once",
        ),
        (
            "[[filter]]\nname = \"f\"\nnetwork_services = [\"dns\"]",
            "3:21: filter[0].network_services[0]: found \"dns\", allowed is \"amazon-dns\"",
        ),
    ]);
}

#[test]
fn a_direction_has_no_more_rules_than_the_limit() {
    let rules = |count: u32| {
        let rule = |number| {
            format!(
                "{{ direction = \"egress\", number = {number}, action = \"accept\", source = \"::/0\", destination = \"::/0\" }}"
            )
        };
        let rules: Vec<_> = (1..=count).map(rule).collect();
        format!("[[filter]]\nname = \"f\"\nrule = [{}]", rules.join(",\n"))
    };
    assert!(parse(&rules(4096)).is_ok());
    assert_refusals(&[(
        &rules(4097),
        "3:8: filter[0].rule: found 4097 egress rules, allowed are 4096 at most",
    )]);
}

#[test]
fn an_impossible_interface_is_refused() {
    let station = "allowed is the MAC address of one station";
    let eni = |line: &str| format!("[[eni]]\nid = \"e\"\n{line}");
    assert_refusals(&[
        (
            "[[eni]]\nid = \"\"",
            "2:6: eni[0].id: found \"\", allowed is a name of 1 to 255 bytes without control characters",
        ),
        (
            &eni("mac = \"02-aa-bb-cc-dd-01\""),
            "3:7: eni[0].mac: found \"02-aa-bb-cc-dd-01\", allowed is a MAC address in quotes, such as \"02:aa:bb:cc:dd:01\"",
        ),
        (
            &eni("mac = \"01:00:5e:00:00:01\""),
            &format!("3:7: eni[0].mac: found 01:00:5e:00:00:01, {station}"),
        ),
        (
            &eni("mac = \"00:00:00:00:00:00\""),
            &format!("3:7: eni[0].mac: found 00:00:00:00:00:00, {station}"),
        ),
        (
            &eni("addresses = [\"10.0.0.1/24\"]"),
            "3:14: eni[0].addresses[0]: found 10.0.0.1/24, allowed is a prefix without host bits, here 10.0.0.0/24",
        ),
        (
            &eni("vpc_prefixes = [\"fd00::/56\"]"),
            "3:17: eni[0].vpc_prefixes[0]: found \"fd00::/56\", allowed is an IPv4 prefix in quotes, such as \"10.0.0.0/16\"",
        ),
        (
            &eni("vpc_prefixes = [\"10.0.0.0/31\"]"),
            "3:17: eni[0].vpc_prefixes[0]: found 10.0.0.0/31, allowed is a prefix of at most 30 bits",
        ),
    ]);
}

#[test]
fn a_reference_to_nothing_is_refused_with_the_names_that_there_are() {
    let filters = |count: u32| {
        let filter = |number| format!("[[filter]]\nname = \"f{number}\"\n");
        (0..count).map(filter).collect::<Vec<_>>().concat()
    };
    let session = |line: &str| format!("[[session]]\nname = \"s\"\nvni = 1\n{line}\n");
    let output = "[[output]]\nname = \"disk\"\ntype = \"pcapng\"\npath = \"x\"\n";
    assert_refusals(&[
        (
            &[
                &session("filter = \"web\""),
                "[[filter]]\nname = \"all\"\n[[filter]]\nname = \"dns\"",
            ]
            .concat(),
            "4:10: session[0].filter: found \"web\", allowed is the name of a [[filter]]; there are: \"all\", \"dns\"",
        ),
        (
            &[&session("filter = \"f00\""), &filters(10)[..]].concat(),
            "4:10: session[0].filter: found \"f00\", allowed is the name of a [[filter]]; there are: \"f0\", \"f1\", \"f2\", \
             \"f3\", \"f4\", \"f5\", \"f6\", \"f7\", and 2 more (did you mean \"f0\"?)",
        ),
        (
            &[&session("outputs = [\"disc\"]"), output].concat(),
            "4:12: session[0].outputs[0]: found \"disc\", allowed is the name of an [[output]]; there are: \"disk\" (did you \
             mean \"disk\"?)",
        ),
        (
            &[&session("eni = \"eni-0a2\""), "[[eni]]\nid = \"eni-0a1\""].concat(),
            "4:7: session[0].eni: found \"eni-0a2\", allowed is the id of an [[eni]]; there are: \"eni-0a1\" (did you mean \
             \"eni-0a1\"?)",
        ),
        (
            &[output, "filter = \"web\"\n", &filters(1)].concat(),
            "5:10: output[0].filter: found \"web\", allowed is the name of a [[filter]]; there are: \"f0\"",
        ),
    ]);
}

#[test]
fn a_session_refers_to_what_is_declared() {
    let session = |line: &str| format!("[[session]]\nname = \"s\"\nvni = 1\n{line}");
    assert_refusals(&[
        (
            &session("eni = \"x\""),
            "4:7: session[0].eni: found \"x\", allowed is the id of an [[eni]], and there is none",
        ),
        (
            &session("filter = \"x\""),
            "4:10: session[0].filter: found \"x\", allowed is the name of a [[filter]], and there is none",
        ),
        (
            &session("outputs = [\"x\"]"),
            "4:12: session[0].outputs[0]: found \"x\", allowed is the name of an [[output]], and there is none",
        ),
        (
            &session("outputs = []"),
            "4:11: session[0].outputs: found an empty list, allowed is a list of outputs; leave `outputs` out for all of them",
        ),
        (
            &session(
                "outputs = [\"o\", \"o\"]\n[[output]]\nname = \"o\"\ntype = \"pcapng\"\npath = \"p\"",
            ),
            "4:17: session[0].outputs[1]: found \"o\" again, after session[0].outputs[0]; allowed is each one once",
        ),
        (
            &session("packet_length = 0"),
            "4:17: session[0].packet_length: found 0, allowed is an integer from 1 to 65535",
        ),
        (
            &session("number = 32767"),
            "4:10: session[0].number: found 32767, allowed is an integer from 1 to 32766",
        ),
        (
            "[[eni]]\nid = \"e\"\n[[session]]\nname = \"a\"\nvni = 1\neni = \"e\"\nnumber = 1\n[[session]]\nname = \"b\"\nvni = 2\n\
             eni = \"e\"\nnumber = 1",
            "12:10: session[1].number: found session number 1 of e again, after session[0]; allowed is each one once",
        ),
        (
            "[sessions]\nunknown_direction = \"both\"",
            "2:21: sessions.unknown_direction: found \"both\", allowed is \"either\", \"accept\" or \"reject\"",
        ),
    ]);
}
