//! Compares every number of `include/vxtap.h` with this program.

use std::collections::BTreeMap;
use std::mem::offset_of;

use super::protocol::{FdMessage, Hello, Status, Welcome};
use crate::decap::EncapFlags;
use crate::ring::layout::{self, Header};
use crate::ring::{Descriptor, Encapsulation, Link};

const HEADER: &str = include_str!("../../../../include/vxtap.h");

/// Returns every `#define NAME NUMBER`.
fn numbers() -> BTreeMap<&'static str, u64> {
    let define = |line: &'static str| {
        let mut words = line.strip_prefix("#define ")?.split_whitespace();
        let name = words.next()?;
        let number = words.next()?.trim_end_matches('u').parse().ok()?;
        Some((name, number))
    };
    HEADER.lines().filter_map(define).collect()
}

#[test]
fn every_number_is_that_of_the_program() {
    let expected = [
        ("VXTAP_VERSION", u64::from(layout::VERSION)),
        ("VXTAP_MEMBER_ANY", u64::from(u32::MAX)),
        ("VXTAP_STATUS_WELCOME", Status::Welcome as u64),
        ("VXTAP_STATUS_VERSION", Status::Version as u64),
        ("VXTAP_STATUS_NO_SUCH_MEMBER", Status::NoSuchMember as u64),
        ("VXTAP_STATUS_FULL", Status::Full as u64),
        ("VXTAP_STATUS_UNABLE", Status::Unable as u64),
        ("VXTAP_PARCEL_RING", FdMessage::Ring.word().into()),
        ("VXTAP_PARCEL_SESSIONS", FdMessage::Sessions.word().into()),
        ("VXTAP_RING_HEAD", layout::HEAD as u64),
        ("VXTAP_RING_WRITER_GONE", layout::WRITER_GONE as u64),
        ("VXTAP_RING_REVOKED", layout::REVOKED as u64),
        ("VXTAP_TAIL", layout::TAIL as u64),
        ("VXTAP_CONTINUES", Descriptor::CONTINUES.into()),
        ("VXTAP_INGRESS", Descriptor::INGRESS.into()),
        ("VXTAP_EGRESS", Descriptor::EGRESS.into()),
        ("VXTAP_GENEVE", 8),
        ("VXTAP_NESTED", 16),
        ("VXTAP_IP", 32),
        ("VXTAP_RESERVED_BITS", 64),
    ];
    assert_eq!(numbers(), expected.into());
    assert_eq!(EncapFlags::of_bits(8).encapsulation(), Encapsulation::Geneve);
    assert_eq!(EncapFlags::of_bits(8 | 16).encapsulation(), Encapsulation::GeneveVxlan);
    assert_eq!(
        (EncapFlags::of_bits(32).link(), EncapFlags::of_bits(0).link()),
        (Link::Ip, Link::Ethernet)
    );
    assert!(EncapFlags::of_bits(64).has_reserved_bits());
}

/// Compares the offsets that the header asserts of its structs with those of this program.
#[test]
fn every_place_is_that_of_the_program() {
    let asserted: Vec<_> = HEADER
        .lines()
        .filter(|line| line.starts_with("VXTAP_AT(") || line.starts_with("VXTAP_SIZE("))
        .collect();
    let header = [
        ("version", offset_of!(Header, version)),
        ("ring_len", offset_of!(Header, ring_len)),
        ("descriptor_size", offset_of!(Header, descriptor_size)),
        ("descriptors", offset_of!(Header, descriptors)),
        ("chunk_size", offset_of!(Header, chunk_size)),
        ("chunk_count", offset_of!(Header, chunk_count)),
        ("interface", offset_of!(Header, interface)),
        ("queue", offset_of!(Header, queue)),
    ];
    let descriptor = [
        ("timestamp_ns", offset_of!(Descriptor, timestamp_ns)),
        ("addr", offset_of!(Descriptor, addr)),
        ("len", offset_of!(Descriptor, len)),
        ("original_len", offset_of!(Descriptor, original_len)),
        ("session", offset_of!(Descriptor, session)),
        ("outer_len", offset_of!(Descriptor, outer_len)),
        ("flags", offset_of!(Descriptor, flags)),
    ];
    let at = |name: &str, (field, offset): (&str, usize)| {
        format!("VXTAP_AT({name}, {field}, {offset});")
    };
    let size = |name: &str, size: usize| format!("VXTAP_SIZE({name}, {size});");
    let mut expected = vec![
        size("vxtap_hello", Hello::LEN),
        size("vxtap_welcome", Welcome::LEN),
        size("vxtap_parcel", FdMessage::LEN),
        size("vxtap_ring", size_of::<Header>()),
    ];
    expected.extend(header.map(|field| at("vxtap_ring", field)));
    expected.push(size("vxtap_descriptor", size_of::<Descriptor>()));
    expected.extend(descriptor.map(|field| at("vxtap_descriptor", field)));
    assert_eq!(asserted, expected);
}

#[test]
fn every_magic_is_that_of_the_program() {
    let magic = |name: &str, bytes: &[u8]| {
        format!("#define VXTAP_{name}_MAGIC \"{}\"", String::from_utf8_lossy(bytes))
    };
    assert!(HEADER.contains(&magic("RING", &layout::MAGIC)));
    assert!(HEADER.contains(&magic("SOCKET", &Hello::new(None).to_bytes()[..8])));
}
