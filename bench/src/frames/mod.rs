//! Every inner frame of a profile, as a function of (flow, direction, sequence number).
//!
//! The sender and the verifier both make frames here. Common errors are excluded from outside: the
//! tests parse the frames with etherparse, and tshark reads them without a warning.

mod dns_message;
mod frame_layout;
mod transport;

use std::net::IpAddr;

use rand_chacha::rand_core::Rng;

use crate::bit_hash::hash;
use crate::direction::Direction;
use crate::inner_flow::{self, InnerFlow, Protocol, RandomStream};
use crate::payload_tag::{self, PayloadTag};
use crate::profile::{MAX_INNER_LEN, MirrorSession, Profile};
use crate::sizes::Cycle;
use frame_layout::{FrameLayout, Kind};

pub(crate) use frame_layout::TAG_STARTS;

/// Different offsets in the random bytes at which a frame's filler may start.
const FILLER_STARTS: usize = 1 << 16;

/// Names one frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FrameId<'a> {
    pub(crate) flow: &'a InnerFlow,
    pub(crate) direction: Direction,
    /// Number within the flow and direction, from 0.
    pub(crate) sequence: u64,
}

impl FrameId<'_> {
    const fn kind(&self) -> Kind {
        Kind {
            is_ipv6: self.flow.is_ipv6(),
            protocol: self.flow.protocol,
            direction: self.direction,
        }
    }

    /// Position in the cycle of lengths.
    fn size_position(&self) -> u64 {
        u64::from(self.flow.size_start).wrapping_add(self.sequence)
    }

    /// The low bits of the sequence number, for header fields that only have 16.
    const fn number16(&self) -> u16 {
        (self.sequence & 0xFFFF) as u16
    }
}

/// The frames of a profile.
#[derive(Debug)]
pub(crate) struct FrameBuilder {
    run: u32,
    sessions: Vec<MirrorSession>,
    flows: Vec<InnerFlow>,
    flows_per_session: usize,
    /// One cycle per [`Kind`].
    cycles: Vec<Cycle>,
    /// Random bytes; a frame takes a slice of them, found by its name.
    filler: Vec<u8>,
}

impl FrameBuilder {
    /// Makes the tables of a profile that has been checked.
    pub(crate) fn new(profile: &Profile) -> Self {
        let cycle = |kind| {
            let layout = FrameLayout::of(kind);
            Cycle::new(&profile.sizes, layout.transport_end(), layout.tag_end())
        };
        let mut filler = vec![0; FILLER_STARTS + usize::from(MAX_INNER_LEN)];
        inner_flow::random(profile.seed, RandomStream::Filler).fill_bytes(&mut filler);
        Self {
            run: run_id(profile),
            sessions: profile.sessions.clone(),
            flows: inner_flow::table(profile),
            flows_per_session: profile.flows_per_session as usize,
            cycles: Kind::all().into_iter().map(cycle).collect(),
            filler,
        }
    }

    /// Hash of the profile, as every payload tag has it.
    pub(crate) const fn run(&self) -> u32 {
        self.run
    }

    pub(crate) fn flows(&self) -> &[InnerFlow] {
        &self.flows
    }

    pub(crate) fn sessions(&self) -> &[MirrorSession] {
        &self.sessions
    }

    /// Index of the flow that a payload tag names; `None` if the profile has no such flow.
    pub(crate) fn index(&self, tag: &PayloadTag) -> Option<usize> {
        let (session, flow) = (usize::from(tag.session), usize::from(tag.flow));
        let is_known = session < self.sessions.len() && flow < self.flows_per_session;
        is_known.then_some(session * self.flows_per_session + flow)
    }

    /// Length in bytes of a frame.
    pub(crate) fn frame_len(&self, id: FrameId<'_>) -> u16 {
        self.cycle(id.kind()).frame_len(id.size_position())
    }

    /// Appends a frame.
    pub(crate) fn write(&self, id: FrameId<'_>, frame: &mut Vec<u8>) {
        let start = frame.len();
        let frame_len = self.frame_len(id);
        let layout = FrameLayout::of(id.kind());
        frame_layout::write_ethernet_ip(id, frame_len, frame);
        let transport = frame.len();
        match id.flow.protocol {
            Protocol::Tcp => transport::write_tcp(id, self.tcp_numbers(id), frame),
            Protocol::Icmp => transport::write_icmp(id, frame),
            Protocol::Udp => transport::write_udp(id, frame_len - layout.transport_start(), frame),
            Protocol::Dns => {
                transport::write_udp(id, frame_len - layout.transport_start(), frame);
                dns_message::write(id, frame_len - layout.tag_start(), frame);
            }
        }
        self.write_tag(id, frame_len - layout.tag_start(), frame);
        debug_assert_eq!(frame.len() - start, usize::from(frame_len));
        transport::finish(id, &mut frame[transport..]);
    }

    fn write_tag(&self, id: FrameId<'_>, payload_len: u16, frame: &mut Vec<u8>) {
        let tag = PayloadTag {
            run: self.run,
            session: id.flow.session,
            flow: id.flow.number,
            direction: id.direction,
            sequence: id.sequence,
            payload_len,
        };
        tag.write(self.filler(id, usize::from(payload_len) - payload_tag::LEN), frame);
    }

    /// The numbers with which a segment continues the flow's other frames: sequence,
    /// acknowledgement.
    fn tcp_numbers(&self, id: FrameId<'_>) -> [u32; 2] {
        // The directions alternate, so the second one has seen one frame more than it has sent.
        let is_second = id.direction != id.flow.first;
        let heard = id.sequence.wrapping_add(u64::from(is_second));
        let peer = FrameId { direction: id.direction.opposite(), sequence: heard, ..id };
        [self.tcp_sequence(id), self.tcp_sequence(peer)]
    }

    /// TCP sequence number of a frame's first payload byte.
    #[expect(clippy::cast_possible_truncation, reason = "TCP's sequence space is modulo 2^32")]
    fn tcp_sequence(&self, id: FrameId<'_>) -> u32 {
        let cycle = self.cycle(id.kind());
        let before = cycle.payload_before(u64::from(id.flow.size_start));
        let bytes = cycle.payload_before(id.size_position()).wrapping_sub(before);
        id.flow.initial[id.direction as usize].wrapping_add(bytes as u32)
    }

    fn cycle(&self, kind: Kind) -> &Cycle {
        &self.cycles[kind.index()]
    }

    #[expect(clippy::cast_possible_truncation, reason = "the remainder is below 2^16")]
    fn filler(&self, id: FrameId<'_>, len: usize) -> &[u8] {
        let FrameId { flow, direction, sequence } = id;
        let name = u64::from(flow.session) << 32 | u64::from(flow.number) << 8 | direction as u64;
        let start = (hash(hash(sequence) ^ name) % FILLER_STARTS as u64) as usize;
        &self.filler[start..start + len]
    }
}

/// Hashes the fields of a profile on which inner frames depend.
#[expect(clippy::cast_possible_truncation, reason = "an address is taken in halves")]
fn run_id(profile: &Profile) -> u32 {
    let Profile { seed, sessions, flows_per_session, mix, ipv6_percent, sizes, count: _, outer: _ } =
        profile;
    let sessions = sessions.iter().flat_map(|MirrorSession { source, vni }| {
        let bits = match source {
            IpAddr::V4(v4) => u128::from(v4.to_bits()),
            IpAddr::V6(v6) => v6.to_bits(),
        };
        [bits as u64, (bits >> 64) as u64, u64::from(*vni)]
    });
    let mix = [mix.tcp, mix.udp, mix.dns, mix.icmp].map(u64::from);
    let hash = sessions
        .chain(mix)
        .chain([u64::from(*flows_per_session), u64::from(*ipv6_percent)])
        .chain(sizes.lengths().iter().map(|&len| u64::from(len)))
        .fold(hash(*seed), |sum, value| hash(sum.rotate_left(7) ^ value));
    (hash >> 32) as u32
}
