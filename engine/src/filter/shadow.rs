//! Finds rules that can never match, because earlier ones match every packet that they would.
//!
//! A rule is a box in the space of protocol, addresses and ports. From each one the boxes of the
//! earlier rules that it touches are cut off, one after the other; if nothing is left, it is
//! shadowed. Cutting can make many pieces: beyond [`PIECES_MAX`] a rule is taken to be reachable,
//! which errs on the side of no warning.

use ipnet::IpNet;

use super::ranges;
use crate::config::Rule;

/// Pieces of one rule that are looked at. A higher limit finds more complicated cases and takes
/// longer; the quadratic part of the search is a second for 4096 rules that all touch each other.
const PIECES_MAX: usize = 4096;

/// A rule that can never match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shadowed {
    /// Its number.
    pub(crate) number: u32,
    /// Numbers of the rules that match in its place, ascending.
    pub(crate) by: Vec<u32>,
}

/// The field of a rule: lowest and highest value.
type Side = (u128, u128);
/// Protocol, source, destination, source port, destination port.
type Box5 = [Side; 5];

/// Returns the shadowed rules of one direction. `rules` are in the order of evaluation.
pub(crate) fn shadowed(rules: &[Rule]) -> Vec<Shadowed> {
    let boxes: Vec<(bool, Box5)> = rules.iter().map(box_of).collect();
    let mut found = Vec::new();
    for (index, (is_v4, box5)) in boxes.iter().enumerate() {
        let earlier = (0..index).filter(|&other| boxes[other].0 == *is_v4);
        if let Some(by) = cover(box5, earlier.map(|other| (rules[other].number, &boxes[other].1))) {
            found.push(Shadowed { number: rules[index].number, by });
        }
    }
    found
}

/// Returns the numbers of the rules that cover the box; `None` if a part is left, or if there are
/// too many pieces.
fn cover<'b>(box5: &Box5, earlier: impl Iterator<Item = (u32, &'b Box5)>) -> Option<Vec<u32>> {
    let mut left = vec![*box5];
    let mut by = Vec::new();
    for (number, other) in earlier {
        if !left.iter().any(|piece| touch(piece, other)) {
            continue;
        }
        left = left.iter().flat_map(|piece| without(piece, other)).collect();
        by.push(number);
        if left.is_empty() {
            return Some(by);
        }
        if left.len() > PIECES_MAX {
            return None;
        }
    }
    None
}

fn touch(one: &Box5, other: &Box5) -> bool {
    one.iter().zip(other).all(|(one, other)| one.0 <= other.1 && other.0 <= one.1)
}

/// Returns the parts of `piece` that are not in `other`: at most two for each side.
fn without(piece: &Box5, other: &Box5) -> Vec<Box5> {
    if !touch(piece, other) {
        return vec![*piece];
    }
    let (mut rest, mut parts) = (*piece, Vec::new());
    for side in 0..rest.len() {
        let ((first, last), (other_first, other_last)) = (rest[side], other[side]);
        if first < other_first {
            let mut part = rest;
            part[side] = (first, other_first - 1);
            parts.push(part);
        }
        if last > other_last {
            let mut part = rest;
            part[side] = (other_last + 1, last);
            parts.push(part);
        }
        rest[side] = (first.max(other_first), last.min(other_last));
    }
    parts
}

/// Returns `true` for an IPv4 rule, and the box of the rule.
fn box_of(rule: &Rule) -> (bool, Box5) {
    let address = |prefix: &IpNet| match prefix {
        IpNet::V4(_) => {
            let (first, last) = ranges::v4(prefix);
            (u128::from(first), u128::from(last))
        }
        IpNet::V6(_) => ranges::v6(prefix),
    };
    let ports = |range| {
        let (first, last) = ranges::ports(range);
        (u128::from(first), u128::from(last))
    };
    let protocol = rule.protocol.map_or((0, 255), |protocol| (protocol.into(), protocol.into()));
    let sides = [
        protocol,
        address(&rule.source),
        address(&rule.destination),
        ports(rule.source_ports),
        ports(rule.destination_ports),
    ];
    (matches!(rule.source, IpNet::V4(_)), sides)
}
