//! The compiled rules and the rules one after the other say the same.

use std::cell::Cell;

use proptest::test_runner::{Config, TestRunner};

use super::super::compiled::Compiled;
use super::super::rules::first_match;
use super::*;

const RULE_SETS: u32 = 2048;
const PACKETS_EACH: u32 = 512;

/// Numbers in no order (xorshift, Marsaglia 2003).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn of<T: Copy>(&mut self, values: &[T]) -> T {
        values[usize::try_from(self.next() % values.len() as u64).unwrap()]
    }

    /// A packet: mostly of the small world, now and then from outside.
    fn flow(&mut self) -> Flow {
        let is_from_outside = self.next().is_multiple_of(8);
        let v4 = |it: &mut Self| {
            if is_from_outside { u32::try_from(it.next() >> 32).unwrap() } else { it.of(&V4) }
        };
        let v6 = |it: &mut Self| {
            if is_from_outside {
                u128::from(it.next()) << 64 | u128::from(it.next())
            } else {
                it.of(&V6)
            }
        };
        let addresses = if self.next().is_multiple_of(2) {
            Addresses::V4 { source: v4(self), destination: v4(self) }
        } else {
            Addresses::V6 { source: v6(self), destination: v6(self) }
        };
        let port = |it: &mut Self| {
            if is_from_outside { u16::try_from(it.next() >> 48).unwrap() } else { it.of(&PORTS) }
        };
        let ports = Ports { source: port(self), destination: port(self) };
        Flow {
            addresses,
            protocol: self.of(&PROTOCOLS),
            ports: (!self.next().is_multiple_of(8)).then_some(ports),
            is_fragment: false,
        }
    }
}

#[test]
fn the_compiled_rules_find_the_rule_that_the_others_find_in_a_million_packets() {
    let (matched, late, unmatched) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let rules = any_rules(20).prop_union(any_rules(200));
    let mut runner = TestRunner::new(Config::with_cases(RULE_SETS));
    let outcome = runner.run(&(rules, 1..u64::MAX), |(rules, seed)| {
        let compiled = Compiled::new(&rules);
        let mut numbers = Numbers(seed);
        for _ in 0..PACKETS_EACH {
            let flow = numbers.flow();
            let expected = first_match(&rules, &flow);
            let found = compiled.first_match(&flow);
            prop_assert_eq!(found.map(|it| it.index as usize), expected, "{:?}", flow);
            if let (Some(found), Some(index)) = (found, expected) {
                prop_assert_eq!(found.action, rules[index].action);
            }
            let count = if expected.is_some() { &matched } else { &unmatched };
            count.set(count.get() + 1);
            late.set(late.get() + u32::from(expected > Some(64)));
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    // Neither half is empty, and rules beyond the first word of a row decide too.
    let counts = (matched.get(), unmatched.get(), late.get());
    assert!(
        counts.0 + counts.1 >= 1_000_000 && counts.0 > 100_000 && counts.1 > 100_000,
        "{counts:?}"
    );
    assert!(counts.2 > 1000, "{counts:?}");
}

#[test]
fn as_many_rules_as_a_filter_may_have_are_told_apart() {
    let rules: Vec<Rule> = (0..4096)
        .map(|n: u32| Rule {
            source: ipnet::IpNet::V4(ipnet::Ipv4Net::new_assert((0x0a00_0000 + n).into(), 32)),
            ..rule(n + 1)
        })
        .collect();
    let compiled = Compiled::new(&rules);
    for n in 0..4096 {
        let found = compiled.first_match(&flow(0x0a00_0000 + n, 1, (1, 2)));
        assert_eq!(found.map(|it| it.index), Some(n));
    }
    assert_eq!(compiled.first_match(&flow(0x0a00_1000, 1, (1, 2))), None);
    assert_eq!(Compiled::new(&[]).first_match(&flow(0, 0, (0, 0))), None);
}
