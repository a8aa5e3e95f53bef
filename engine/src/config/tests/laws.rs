//! Properties of every document.

use std::path::Path;

use proptest::prelude::*;

use super::super::*;
use super::parse;

/// Pieces that random documents are made of, so that they get past the parser.
const PIECES: &[&str] = &[
    "[capture]\n",
    "[workers]\n",
    "[memory]\n",
    "[sessions]\n",
    "[[session]]\n",
    "[[eni]]\n",
    "[[filter]]\n",
    "[[filter.rule]]\n",
    "id=",
    "mac=",
    "addresses=",
    "vpc_prefixes=",
    "network_services=",
    "direction=",
    "number=",
    "action=",
    "protocol=",
    "destination=",
    "source_ports=",
    "eni=",
    "filter=",
    "packet_length=",
    "outputs=",
    "\"ingress\"\n",
    "\"accept\"\n",
    "\"tcp\"\n",
    "\"22-23\"\n",
    "\"02:00:00:00:00:01\"\n",
    "[\"a\"]\n",
    "[[output]]\n",
    "[capture.busy_poll]\n",
    "interface=",
    "mode=",
    "ports=",
    "allowed_sources=",
    "queues=",
    "destinations=",
    "promiscuous=",
    "arrival_times=",
    "busy_poll=",
    "usecs=",
    "budget=",
    "cpus=",
    "wait=",
    "per_queue_mib=",
    "chunk_size=",
    "fill_ring=",
    "rx_ring=",
    "output_ring=",
    "hugepages=",
    "unknown=",
    "name=",
    "vni=",
    "source=",
    "type=",
    "path=",
    "\"a\"\n",
    "\"\"\n",
    "\"pcapng\"\n",
    "\"all\"\n",
    "\"10.0.0.1\"\n",
    "\"10.0.0.0/8\"\n",
    "1\n",
    "64\n",
    "-1\n",
    "0xffff_ffff_ffff_ffff\n",
    "1.5\n",
    "true\n",
    "[]\n",
    "[1, 1]\n",
    "[\"::/0\", \"10.0.0.1/8\"]\n",
    "{}\n",
    "{ usecs = 1 }\n",
    "{ a.b = 1 }\n",
    "1979-05-27\n",
    "ä",
    "\r\n",
    ".",
];

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes: Vec<u8>) {
        let _ = toml::from_bytes(Path::new("f"), &bytes);
    }

    #[test]
    fn random_documents_are_accepted_or_refused_at_a_place_inside_them(
        parts in prop::collection::vec(prop::sample::select(PIECES), 0..40),
    ) {
        let text = parts.concat();
        match parse(&text) {
            Ok(config) => prop_assert!(config.validate().is_ok()),
            Err(ConfigError::Syntax { location, .. } | ConfigError::InFile { location, .. }) => {
                let line = text.split('\n').nth(location.line - 1);
                prop_assert!(line.is_some_and(|line| location.column <= line.chars().count() + 1), "{}", location);
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
    }

    #[test]
    fn a_session_is_accepted_exactly_when_its_vni_has_24_bits(
        vni in prop_oneof![any::<u32>(), 0..=0x1FF_FFFF_u32],
        name in "[a-z]{1,20}",
    ) {
        let parsed = parse(&format!("[[session]]\nname = \"{name}\"\nvni = {vni}"));
        prop_assert_eq!(parsed.is_ok(), vni <= 0xFF_FFFF);
        if let Ok(config) = parsed {
            prop_assert_eq!(config.sessions, vec![Session { name, vni, source: None, ..Session::default() }]);
        }
    }
}
