//! Which rule matches a packet first? In a time that hardly depends on the number of rules.
//!
//! Bit vectors: for each of the five fields of a packet, the values are divided at the ends of what the rules ask for, and each
//! piece has a row of bits, one for each rule that its values satisfy. The lowest bit that is set in all five rows is the first
//! rule that matches. Finding a row is a binary search; each row begins with a summary word that says which of its words
//! have a bit at all, so that only words in which all five fields have something are looked at.
//!
//! T. V. Lakshman and D. Stiliadis, High-Speed Policy-based Packet Forwarding Using Efficient Multi-dimensional Range Matching,
//! SIGCOMM 1998; F. Baboescu and G. Varghese, Scalable Packet Classification, SIGCOMM 2001.

use std::collections::{BTreeSet, HashMap};

use ipnet::IpNet;

use crate::config::{Action, PortRange, RULES_MAX, Rule};
use crate::flow::{Addresses, Flow};

/// Stands for ports that the packet does not show; above all ports.
const NO_PORT: u32 = 1 << 16;

const WORD: usize = u64::BITS as usize;
const _: () = assert!(RULES_MAX as usize <= WORD * WORD, "one summary word has a bit for each word of a row");

/// The rules of one direction.
#[derive(Debug, Default)]
pub(crate) struct Compiled {
    v4: Family<u32>,
    v6: Family<u128>,
}

/// The rule that decides about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Match {
    /// Its place in the order in which rules are asked.
    pub(crate) place: u32,
    /// What it says.
    pub(crate) action: Action,
}

/// The rules of one address family.
#[derive(Debug, Default)]
struct Family<A> {
    protocol: Axis<u8>,
    source: Axis<A>,
    destination: Axis<A>,
    source_ports: Axis<u32>,
    destination_ports: Axis<u32>,
    /// By bit.
    matches: Box<[Match]>,
}

/// One field of a packet.
#[derive(Debug, Default)]
struct Axis<V> {
    /// The first value of each piece, ascending, the lowest value first.
    starts: Box<[V]>,
    /// Where the row of each piece begins in `rows`; pieces that satisfy the same rules share one.
    row_starts: Box<[u32]>,
    /// Summary word and words of each row.
    rows: Box<[u64]>,
    row_len: usize,
}

impl Compiled {
    /// Compiles rules that are valid and in the order in which they are asked, at most [`RULES_MAX`].
    pub(crate) fn new(rules: &[Rule]) -> Self {
        let is_v4 = |rule: &&(u32, &Rule)| matches!(rule.1.source, IpNet::V4(_));
        let (v4, v6): (Vec<_>, Vec<_>) = (0..).zip(rules).partition(|rule| is_v4(&rule));
        Self { v4: Family::new(&v4, v4_range), v6: Family::new(&v6, v6_range) }
    }

    /// The first rule that matches.
    #[inline]
    pub(crate) fn first_match(&self, flow: &Flow) -> Option<Match> {
        match flow.addresses {
            Addresses::V4 { source, destination } => self.v4.first_match(flow, source, destination),
            Addresses::V6 { source, destination } => self.v6.first_match(flow, source, destination),
        }
    }
}

impl<A: Copy + Ord + Default + Bounds> Family<A> {
    fn new(rules: &[(u32, &Rule)], range: fn(&IpNet) -> (A, A)) -> Self {
        if rules.is_empty() {
            return Self::default();
        }
        let axis = |of: &dyn Fn(&Rule) -> (A, A)| {
            Axis::new(&rules.iter().map(|(_, rule)| of(rule)).collect::<Vec<_>>())
        };
        let ports = |of: &dyn Fn(&Rule) -> Option<PortRange>| {
            Axis::new(&rules.iter().map(|(_, rule)| port_range(of(rule))).collect::<Vec<_>>())
        };
        let protocols = rules.iter().map(|(_, rule)| rule.protocol.map_or((0, u8::MAX), |it| (it, it)));
        Self {
            protocol: Axis::new(&protocols.collect::<Vec<_>>()),
            source: axis(&|rule| range(&rule.source)),
            destination: axis(&|rule| range(&rule.destination)),
            source_ports: ports(&|rule| rule.source_ports),
            destination_ports: ports(&|rule| rule.destination_ports),
            matches: rules.iter().map(|&(place, rule)| Match { place, action: rule.action }).collect(),
        }
    }

    #[inline]
    fn first_match(&self, flow: &Flow, source: A, destination: A) -> Option<Match> {
        if self.matches.is_empty() {
            return None;
        }
        let (source_port, destination_port) = flow
            .ports
            .map_or((NO_PORT, NO_PORT), |ports| (u32::from(ports.source), u32::from(ports.destination)));
        let rows = [
            self.protocol.row(flow.protocol),
            self.source.row(source),
            self.destination.row(destination),
            self.source_ports.row(source_port),
            self.destination_ports.row(destination_port),
        ];
        lowest_common_bit(rows).map(|bit| self.matches[bit])
    }
}

/// The lowest bit that all rows have, counted from the first word after the summary.
#[inline]
fn lowest_common_bit(rows: [&[u64]; 5]) -> Option<usize> {
    let in_all = |word: usize| rows.iter().fold(u64::MAX, |bits, row| bits & row[word]);
    let mut summary = in_all(0);
    while summary != 0 {
        let word = summary.trailing_zeros() as usize;
        let bits = in_all(1 + word);
        if bits != 0 {
            return Some(word * WORD + bits.trailing_zeros() as usize);
        }
        summary &= summary - 1;
    }
    None
}

/// The ends of a field.
pub(crate) trait Bounds: Sized {
    const MIN: Self;
    /// The value above; `None` at the upper end.
    fn next(self) -> Option<Self>;
}

macro_rules! bounds {
    ($($type:ty: $max:expr),*) => {$(
        impl Bounds for $type {
            const MIN: Self = 0;
            fn next(self) -> Option<Self> {
                (self < $max).then(|| self + 1)
            }
        }
    )*};
}
bounds!(u8: u8::MAX, u32: u32::MAX, u128: u128::MAX);

impl<V: Copy + Ord + Bounds> Axis<V> {
    /// `ranges` has the lowest and the highest value that each rule asks for.
    fn new(ranges: &[(V, V)]) -> Self {
        let mut starts = BTreeSet::from([V::MIN]);
        for &(first, last) in ranges {
            starts.insert(first);
            starts.extend(last.next());
        }
        let row_len = 1 + ranges.len().div_ceil(WORD);
        let (mut rows, mut row_starts, mut known) = (Vec::new(), Vec::new(), HashMap::new());
        for &value in &starts {
            let row = row_of(ranges, value, row_len);
            let start = *known.entry(row).or_insert_with_key(|row| {
                let start = u32::try_from(rows.len()).unwrap_or(u32::MAX);
                rows.extend_from_slice(row);
                start
            });
            row_starts.push(start);
        }
        Self {
            starts: starts.into_iter().collect(),
            row_starts: row_starts.into(),
            rows: rows.into(),
            row_len,
        }
    }

    /// The row of the piece that the value is in.
    #[inline]
    fn row(&self, value: V) -> &[u64] {
        let piece = self.starts.partition_point(|start| *start <= value) - 1;
        &self.rows[self.row_starts[piece] as usize..][..self.row_len]
    }
}

/// Summary word and words with a bit for each rule whose range has the value.
fn row_of<V: Copy + Ord>(ranges: &[(V, V)], value: V, row_len: usize) -> Vec<u64> {
    let mut row = vec![0; row_len];
    for (bit, &(first, last)) in ranges.iter().enumerate() {
        if first <= value && value <= last {
            row[0] |= 1 << (bit / WORD);
            row[1 + bit / WORD] |= 1 << (bit % WORD);
        }
    }
    row
}

/// The lowest and the highest address of an IPv4 prefix.
pub(crate) fn v4_range(prefix: &IpNet) -> (u32, u32) {
    match prefix {
        IpNet::V4(prefix) => (prefix.network().to_bits(), prefix.broadcast().to_bits()),
        IpNet::V6(_) => unreachable!("rules are of one family"),
    }
}

/// The lowest and the highest address of an IPv6 prefix.
pub(crate) fn v6_range(prefix: &IpNet) -> (u128, u128) {
    match prefix {
        IpNet::V6(prefix) => (prefix.network().to_bits(), prefix.broadcast().to_bits()),
        IpNet::V4(_) => unreachable!("rules are of one family"),
    }
}

/// The lowest and the highest port that a rule takes, [`NO_PORT`] included if it asks for none.
pub(crate) fn port_range(range: Option<PortRange>) -> (u32, u32) {
    match range {
        None | Some(PortRange::ALL) => (0, NO_PORT),
        Some(PortRange { first, last }) => (first.into(), last.into()),
    }
}
