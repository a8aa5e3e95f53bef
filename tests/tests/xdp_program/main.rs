//! Claim: the committed XDP object steers exactly the whole UDP datagrams to our ports from allowed
//! sources, counts each frame once, and passes all other frames to the stack unchanged. Two
//! independent loaders have to agree.
//!
//! The kernel runs the program on frames made here (`BPF_PROG_TEST_RUN`); no interface is involved.

#[path = "../../../ebpf/tests/chains/mod.rs"]
mod chains;
mod loader;

use std::collections::BTreeMap;
use std::fs;

use anyhow::Result;
use rustix::time::{ClockId, clock_gettime};
use vxtap_ebpf::arrival::{AREA_LEN, Arrival};
use vxtap_ebpf::maps::{self, Outcome};
use vxtap_ebpf::parse::Refusal;
use vxtap_tests::privileged;

use chains::{Chain, PORT};
use loader::{Counters, Loaded, loaders, object_path, xdp_socket};

const DROP: u32 = 1;
const PASS: u32 = 2;
const REDIRECT: u32 = 4;

/// Least length of a frame in a test run: the kernel requires a whole Ethernet header.
const TEST_RUN_LEN_MIN: usize = 14;
/// Longest frame that is certainly in one buffer: the kernel puts the bytes beyond a page into
/// further buffers.
const FIRST_BUFFER_LEN: usize = 3000;

/// Runs the program and checks its action, that it does not change the frame, and that exactly the
/// counters of `outcomes` go up by one. Returns the metadata that it put in front of the frame.
fn expect(
    program: &mut dyn Loaded,
    frame: &[u8],
    action: u32,
    outcomes: &[Outcome],
    why: &str,
) -> Result<Vec<u8>> {
    expect_in(program, frame, None, action, outcomes, why)
}

fn expect_in(
    program: &mut dyn Loaded,
    frame: &[u8],
    context: Option<&[u8]>,
    action: u32,
    outcomes: &[Outcome],
    why: &str,
) -> Result<Vec<u8>> {
    let why = format!("{}: {why}, {} bytes", program.name(), frame.len());
    let mut expected = program.counters()?;
    for outcome in outcomes {
        expected[*outcome as usize] += 1;
    }
    let mut ran = program.run(frame, context)?;
    assert_eq!(ran.action, action, "{why}");
    assert_eq!(program.counters()?, expected, "{why}");
    let metadata_len = ran.data.len() - frame.len().min(ran.data.len());
    assert!(ran.data.split_off(metadata_len) == frame, "{why}: the frame was changed");
    Ok(ran.data)
}

/// Returns the action and the outcome that are expected when [`PORT`] is ours, there is a socket
/// and all sources are allowed.
const fn verdict(parsed: Result<u16, Refusal>) -> (u32, Outcome) {
    match parsed {
        Ok(_) => (REDIRECT, Outcome::Redirected),
        Err(Refusal::NotUdp) => (PASS, Outcome::NotOurs),
        Err(Refusal::Fragment) => (PASS, Outcome::Fragment),
        Err(Refusal::Malformed) => (PASS, Outcome::Malformed),
        Err(Refusal::TooManyExtensions) => (PASS, Outcome::TooManyExtensions),
    }
}

fn chain(name: &str) -> Chain {
    chains::all().into_iter().find(|chain| chain.name == name).expect("a chain of that name")
}

#[test]
fn the_object_holds_exactly_the_programs_and_the_maps() -> Result<()> {
    let object = aya_obj::Object::parse(&fs::read(object_path())?)?;
    let programs: BTreeMap<_, _> =
        object.programs.iter().map(|(name, program)| (name.as_str(), &program.section)).collect();
    assert_eq!(programs.len(), 2, "{programs:?}");
    let steering = &programs[maps::PROGRAM];
    assert!(matches!(steering, aya_obj::ProgramSection::Xdp { frags: true, .. }), "{steering:?}");
    let counting = &programs[maps::REDIRECT_ERRORS];
    assert!(matches!(counting, aya_obj::ProgramSection::RawTracePoint), "{counting:?}");
    assert_eq!(object.license.to_str()?, "Dual MIT/GPL");

    // Type, bytes of key and value, entries, flags; numbers of linux/bpf.h.
    let (hash, array, per_cpu_array, lru_hash, lpm_trie, xskmap) = (1, 2, 6, 9, 11, 17);
    let no_preallocation = 1;
    let expected = BTreeMap::from([
        (maps::SOCKETS, (xskmap, 4, 4, maps::SOCKETS_MAX, 0)),
        (maps::PORTS, (array, 4, 8, maps::PORT_WORDS, 0)),
        (maps::ALLOWED_V4, (lpm_trie, 8, 1, maps::ALLOWED_MAX, no_preallocation)),
        (maps::ALLOWED_V6, (lpm_trie, 20, 1, maps::ALLOWED_MAX, no_preallocation)),
        (maps::DESTINATIONS, (hash, 16, 1, maps::DESTINATIONS_MAX, 0)),
        (maps::OTHER_DESTINATION, (array, 4, 16, 1, 0)),
        (maps::SETTINGS, (array, 4, u32::try_from(size_of::<maps::Settings>())?, 1, 0)),
        (maps::FRAGMENTS, (lru_hash, 40, 4, maps::FRAGMENTS_MAX, 0)),
        (maps::COUNTERS, (per_cpu_array, 4, 8, maps::OUTCOMES, 0)),
    ]);
    let defined: BTreeMap<_, _> = object
        .maps
        .iter()
        .map(|(name, map)| {
            let definition = (
                map.map_type(),
                map.key_size(),
                map.value_size(),
                map.max_entries(),
                map.map_flags(),
            );
            (name.as_str(), definition)
        })
        .collect();
    assert_eq!(defined, expected);
    Ok(())
}

#[test]
fn the_object_names_no_path_of_the_machine_it_was_built_on() -> Result<()> {
    let object = fs::read(object_path())?;
    for part in ["/root", "/home", "/tmp", "/work", ".cargo", "index.crates.io", ".rustup"] {
        assert!(!object.windows(part.len()).any(|bytes| bytes == part.as_bytes()), "{part}");
    }
    Ok(())
}

#[test]
#[ignore = "requires CAP_NET_ADMIN and CAP_BPF; run by cargo xtask test"]
fn every_chain_cut_at_every_length_is_steered_as_the_parser_says() -> Result<()> {
    privileged();
    let socket = xdp_socket()?;
    for mut program in loaders()? {
        program.allow_port(PORT)?;
        program.set_socket(0, &socket)?;
        for chain in chains::all() {
            for len in TEST_RUN_LEN_MIN..=chain.frame.len().min(FIRST_BUFFER_LEN) {
                let (action, outcome) = verdict(chain.expected(len));
                let metadata =
                    expect(program.as_mut(), &chain.frame[..len], action, &[outcome], chain.name)?;
                assert!(metadata.is_empty());
            }
        }
    }
    Ok(())
}

#[test]
#[ignore = "requires CAP_NET_ADMIN and CAP_BPF; run by cargo xtask test"]
fn exactly_the_ports_in_the_map_are_steered() -> Result<()> {
    privileged();
    let socket = xdp_socket()?;
    let ours = [0, 4789, 6081, 8472, 65_535];
    let mut frame = chain("VLAN").frame;
    let at = frame.windows(2).rposition(|bytes| bytes == PORT.to_be_bytes()).expect("the port");
    for mut program in loaders()? {
        for port in ours {
            program.allow_port(port)?;
        }
        program.set_socket(0, &socket)?;
        for port in 0..=u16::MAX {
            frame[at..at + 2].copy_from_slice(&port.to_be_bytes());
            let action = if ours.contains(&port) { REDIRECT } else { PASS };
            assert_eq!(
                program.run(&frame, None)?.action,
                action,
                "{}: port {port}",
                program.name()
            );
        }
        let mut expected = Counters::default();
        expected[Outcome::Redirected as usize] = 5;
        expected[Outcome::NotOurs as usize] = 65_536 - 5;
        assert_eq!(program.counters()?, expected);
    }
    Ok(())
}

#[test]
#[ignore = "requires CAP_NET_ADMIN and CAP_BPF; run by cargo xtask test"]
fn only_allowed_sources_reach_our_ports_and_nobody_else_is_kept_from_the_stack() -> Result<()> {
    privileged();
    let socket = xdp_socket()?;
    // Sources of the chains: 192.0.2.7 and 2001:db8::7.
    let (v4, v6) = (chain("IPv4").frame, chain("hop-by-hop options").frame);
    let doc_v6 = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
    let steered = (REDIRECT, Outcome::Redirected);
    let dropped = (DROP, Outcome::SourceNotAllowed);
    let cases = [
        ("no source is allowed", vec![], dropped, dropped),
        ("the IPv4 address", vec![(32, &[192, 0, 2, 7][..])], steered, dropped),
        ("its neighbour", vec![(32, &[192, 0, 2, 6][..])], dropped, dropped),
        ("a prefix around it", vec![(31, &[192, 0, 2, 6][..])], steered, dropped),
        ("all of IPv4", vec![(0, &[0, 0, 0, 0][..])], steered, dropped),
        ("the IPv6 address", vec![(128, &doc_v6[..])], dropped, steered),
        (
            "another IPv6 network",
            vec![(32, &[0x20, 1, 0x0d, 0xb9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..])],
            dropped,
            dropped,
        ),
        ("a prefix of each", vec![(24, &[192, 0, 2, 0][..]), (32, &doc_v6[..])], steered, steered),
    ];
    for (why, prefixes, on_v4, on_v6) in cases {
        for mut program in loaders()? {
            program.allow_port(PORT)?;
            program.set_socket(0, &socket)?;
            program.set_flags(maps::CHECK_SOURCE)?;
            for prefix in &prefixes {
                program.allow_source(*prefix)?;
            }
            let program = program.as_mut();
            expect(program, &v4, on_v4.0, &[on_v4.1], why)?;
            expect(program, &v6, on_v6.0, &[on_v6.1], why)?;
            expect(program, &chain("TCP").frame, PASS, &[Outcome::NotOurs], why)?;
            expect(program, &chain("first IPv4 fragment").frame, PASS, &[Outcome::Fragment], why)?;
            let mut other_port = v4.clone();
            other_port[36] ^= 1;
            expect(program, &other_port, PASS, &[Outcome::NotOurs], why)?;
            program.set_flags(0)?;
            expect(program, &v4, REDIRECT, &[Outcome::Redirected], "all sources may send")?;
        }
    }
    Ok(())
}

#[test]
#[ignore = "requires CAP_NET_ADMIN and CAP_BPF; run by cargo xtask test"]
fn only_datagrams_to_own_addresses_groups_and_everybody_are_steered_if_that_is_wanted() -> Result<()>
{
    privileged();
    let socket = xdp_socket()?;
    let doc_v6 = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
    let (own, added) = ([192, 0, 2, 9], [192, 0, 2, 200]);
    let v4 = |to: [u8; 4]| {
        let mut frame = chain("IPv4").frame;
        frame[30..34].copy_from_slice(&to);
        frame
    };
    let v6 = |to: [u8; 16]| {
        let mut frame = chain("hop-by-hop options").frame;
        frame[38..54].copy_from_slice(&to);
        frame
    };
    let group_v6 = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let mut first = fragment(false, 1, 0, PORT);
    let cases = [
        ("the first own address", v4(own), true),
        ("another own address", v4(added), true),
        ("a neighbour", v4([192, 0, 2, 10]), false),
        ("a multicast group", v4([239, 1, 1, 1]), true),
        ("beyond the multicast groups", v4([240, 0, 0, 1]), false),
        ("below the multicast groups", v4([223, 255, 255, 255]), false),
        ("255.255.255.255", v4([255; 4]), true),
        ("the own IPv6 address", v6(doc_v6), true),
        ("an IPv6 multicast group", v6(group_v6), true),
        ("an IPv6 neighbour", v6([0x20; 16]), false),
        ("an IPv4-mapped own address is an IPv6 one", v6(maps::mapped([9, 9, 9, 9])), false),
    ];
    for mut program in loaders()? {
        program.allow_port(PORT)?;
        program.set_socket(0, &socket)?;
        program.add_destination(maps::mapped(own))?;
        program.add_destination(maps::mapped(added))?;
        program.add_destination(doc_v6)?;
        let own_v4 = u32::from_ne_bytes(own);
        let flags = maps::CHECK_DESTINATION | maps::STEER_FRAGMENTS;
        program.set(maps::Settings { flags, own_v4, sockets_id: 0 })?;
        for (why, frame, is_own) in &cases {
            let (action, outcome) = if *is_own {
                (REDIRECT, Outcome::Redirected)
            } else {
                (PASS, Outcome::OtherDestination)
            };
            expect(program.as_mut(), frame, action, &[outcome], why)?;
        }
        assert_eq!(program.other_destination()?, maps::mapped([9, 9, 9, 9]), "the last one");
        // Fragments have 7.7.7.7 for source and destination, behind a VLAN tag.
        expect(program.as_mut(), &first, PASS, &[Outcome::OtherDestination], "a fragment")?;
        first[34..38].copy_from_slice(&own);
        expect(program.as_mut(), &first, REDIRECT, &[Outcome::Redirected], "a fragment for us")?;
        first[34..38].copy_from_slice(&[7; 4]);
        program.set(maps::Settings {
            flags: maps::CHECK_DESTINATION | maps::CHECK_SOURCE,
            own_v4,
            sockets_id: 0,
        })?;
        let (frame, outcome) = (v4([192, 0, 2, 10]), Outcome::OtherDestination);
        expect(program.as_mut(), &frame, PASS, &[outcome], "transit is not dropped")?;
        program.set_flags(0)?;
        expect(program.as_mut(), &frame, REDIRECT, &[Outcome::Redirected], "any destination")?;
    }
    Ok(())
}

#[test]
#[ignore = "requires CAP_NET_ADMIN and CAP_BPF; run by cargo xtask test"]
fn a_queue_without_socket_leaves_its_frames_to_the_stack_and_without_metadata() -> Result<()> {
    privileged();
    let frame = chain("IPv4").frame;
    for mut program in loaders()? {
        program.allow_port(PORT)?;
        program.set_flags(maps::STAMP_ARRIVAL)?;
        let socket = xdp_socket()?;
        program.set_socket(1, &socket)?;
        let metadata = expect(
            program.as_mut(),
            &frame,
            PASS,
            &[Outcome::NoSocket],
            "socket of another queue",
        )?;
        assert!(metadata.is_empty());
        program.set_socket(0, &socket)?;
        expect(program.as_mut(), &frame, REDIRECT, &[Outcome::Redirected], "socket of this queue")?;
        drop(socket);
        expect(program.as_mut(), &frame, PASS, &[Outcome::NoSocket], "closed socket")?;
    }
    Ok(())
}

/// An IPv4 or IPv6 packet's fragment of 16 bytes of data at `offset`; of the first one they begin
/// with a UDP header.
fn fragment(is_v6: bool, identification: u8, offset: u16, port: u16) -> Vec<u8> {
    let mut data = [0x11; 16];
    if offset == 0 {
        data[..8].copy_from_slice(&[0xff, 0x80, 0, 0, 0, 32, 0, 0]);
        data[2..4].copy_from_slice(&port.to_be_bytes());
    }
    let place = (offset | u16::from(is_v6)).to_be_bytes();
    let addresses = [7; 32];
    let ip = if is_v6 {
        let header = [0x60, 0, 0, 0, 0, 24, 44, 64];
        let extension = [17, 0, place[0], place[1], 0, 0, 0, identification];
        [&header[..], &addresses, &extension].concat()
    } else {
        let place = (0x2000 | (offset / 8)).to_be_bytes();
        let header = [0x45, 0, 0, 36, 0, identification, place[0], place[1], 64, 17, 0, 0];
        [&header[..], &addresses[..8]].concat()
    };
    let ether_type = if is_v6 { [0x86, 0xdd] } else { [0x08, 0x00] };
    [&[2; 12][..], &[0x81, 0, 0, 5], &ether_type, &ip, &data].concat()
}

#[test]
#[ignore = "requires CAP_NET_ADMIN and CAP_BPF; run by cargo xtask test"]
fn fragments_are_steered_like_the_first_of_their_packet_if_that_is_wanted() -> Result<()> {
    privileged();
    let socket = xdp_socket()?;
    let ours = (REDIRECT, &[Outcome::Redirected][..]);
    let passed = (PASS, &[Outcome::Fragment][..]);
    for mut program in loaders()? {
        program.allow_port(PORT)?;
        program.set_socket(0, &socket)?;
        for is_v6 in [false, true] {
            let (first, second) = (fragment(is_v6, 1, 0, PORT), fragment(is_v6, 1, 16, 0));
            let foreign = fragment(is_v6, 1, 0, PORT + 1);
            let other = fragment(is_v6, 2, 16, 0);
            let cut = &first[..first.len() - 14];
            let steps: [(&[u8], _, &str); 9] = [
                (&second, passed, "its first has not been seen"),
                (&first, ours, "the first"),
                (&second, ours, "another of the same packet"),
                (&other, passed, "another of another packet"),
                (&second, ours, "again"),
                (&foreign, passed, "a packet to another port takes over the identification"),
                (&second, passed, "and this belongs to it"),
                (cut, passed, "a first fragment without its port"),
                (&second, passed, "is not remembered"),
            ];
            program.set_flags(0)?;
            expect(program.as_mut(), &first, PASS, &[Outcome::Fragment], "not wanted")?;
            program.set_flags(maps::STEER_FRAGMENTS)?;
            for (frame, (action, outcomes), why) in steps {
                expect(program.as_mut(), frame, action, outcomes, why)?;
            }
            program.set_flags(maps::STEER_FRAGMENTS | maps::CHECK_SOURCE)?;
            expect(program.as_mut(), &first, DROP, &[Outcome::SourceNotAllowed], "source")?;
        }
    }
    Ok(())
}

fn monotonic_ns() -> Result<u64> {
    let now = clock_gettime(ClockId::Monotonic);
    Ok(u64::try_from(now.tv_sec)? * 1_000_000_000 + u64::try_from(now.tv_nsec)?)
}

#[test]
#[ignore = "requires CAP_NET_ADMIN and CAP_BPF; run by cargo xtask test"]
fn the_arrival_time_lies_in_front_of_a_steered_frame_and_of_no_other() -> Result<()> {
    privileged();
    let socket = xdp_socket()?;
    for mut program in loaders()? {
        program.allow_port(PORT)?;
        program.set_socket(0, &socket)?;
        program.set_flags(maps::STAMP_ARRIVAL)?;
        for chain in chains::all().iter().filter(|chain| chain.frame.len() < FIRST_BUFFER_LEN) {
            let (action, outcome) = verdict(chain.expected(chain.frame.len()));
            let before = monotonic_ns()?;
            let metadata = expect(program.as_mut(), &chain.frame, action, &[outcome], chain.name)?;
            let after = monotonic_ns()?;
            if action == REDIRECT {
                let area: [u8; AREA_LEN] = metadata.as_slice().try_into()?;
                let time_ns = Arrival::time_in(&area).expect("the mark");
                assert!((before..=after).contains(&time_ns), "{before} <= {time_ns} <= {after}");
            } else {
                assert!(metadata.is_empty(), "{}", chain.name);
            }
        }
        program.set_flags(0)?;
        let frame = chain("IPv4").frame;
        let metadata =
            expect(program.as_mut(), &frame, REDIRECT, &[Outcome::Redirected], "no stamp")?;
        assert!(metadata.is_empty());
    }
    Ok(())
}

/// `struct xdp_md` for a frame whose first `metadata_len` bytes are metadata.
fn context(metadata_len: usize, len: usize) -> Result<Vec<u8>> {
    let fields = [u32::try_from(metadata_len)?, u32::try_from(len)?, 0, 0, 0, 0];
    Ok(fields.iter().flat_map(|field: &u32| field.to_ne_bytes()).collect())
}

#[test]
#[ignore = "requires CAP_NET_ADMIN and CAP_BPF; run by cargo xtask test"]
fn a_frame_with_metadata_of_the_driver_is_steered_unstamped() -> Result<()> {
    privileged();
    let socket = xdp_socket()?;
    let frame = chain("IPv4").frame;
    let both = [vec![0xee; 8], frame].concat();
    let context = context(8, both.len())?;
    for mut program in loaders()? {
        program.allow_port(PORT)?;
        program.set_socket(0, &socket)?;
        program.set_flags(maps::STAMP_ARRIVAL)?;
        let outcomes = [Outcome::Redirected, Outcome::Unstamped];
        expect_in(program.as_mut(), &both, Some(&context), REDIRECT, &outcomes, "metadata")?;
    }
    Ok(())
}

#[test]
#[ignore = "requires CAP_NET_ADMIN and CAP_BPF; run by cargo xtask test"]
fn a_jumbo_frame_in_several_buffers_is_steered_by_its_first() -> Result<()> {
    privileged();
    let socket = xdp_socket()?;
    let mut frame = chain("IPv4").frame;
    frame.resize(9014, 0x5a);
    frame[16..18].copy_from_slice(&9000_u16.to_be_bytes());
    frame[38..40].copy_from_slice(&8980_u16.to_be_bytes());
    for mut program in loaders()? {
        program.allow_port(PORT)?;
        program.set_socket(0, &socket)?;
        program.set_flags(maps::STAMP_ARRIVAL)?;
        let metadata = expect(program.as_mut(), &frame, REDIRECT, &[Outcome::Redirected], "jumbo")?;
        assert_eq!(metadata.len(), AREA_LEN);
        program.set_flags(maps::SINGLE_BUFFER)?;
        expect(program.as_mut(), &frame, PASS, &[Outcome::SeveralBuffers], "sockets take none")?;
        expect(
            program.as_mut(),
            &chain("IPv4").frame,
            REDIRECT,
            &[Outcome::Redirected],
            "a short one",
        )?;
    }
    Ok(())
}
