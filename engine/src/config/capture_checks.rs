//! Checks of interfaces, ports, queues, prefixes and addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use vxtap_ebpf::maps::{ALLOWED_MAX, PORTS_MAX};

use super::capture::{
    BUSY_POLL_BUDGET, BUSY_POLL_USECS, BusyPoll, Capture, INTERFACES_MAX, PORT, QUEUE, Queues,
};
use super::error::{Problem, Violation};
use super::key::KeyPath;
use super::limit::Limit;
use super::tunnel::TunnelPort;
use super::unique::Seen;

impl Capture {
    pub(super) fn check(&self) -> Result<(), Violation> {
        let Self { interfaces, ports, allowed_sources, queues, busy_poll, .. } = self;
        let capture = KeyPath::top("capture");
        check_interfaces(interfaces, &capture.key("interface"))?;
        check_ports(ports, &capture.key("ports"))?;
        check_prefixes(allowed_sources, &capture.key("allowed_sources"))?;
        if let Queues::List(queues) = queues {
            check_list(queues, QUEUE, "queues", &capture.key("queues"))?;
        }
        if let Some(BusyPoll { usecs, budget }) = *busy_poll {
            let key = capture.key("busy_poll");
            BUSY_POLL_USECS.check(usecs).map_err(|problem| problem.at(key.key("usecs")))?;
            BUSY_POLL_BUDGET.check(budget).map_err(|problem| problem.at(key.key("budget")))?;
        }
        Ok(())
    }
}

fn check_interfaces(interfaces: &[String], key: &KeyPath) -> Result<(), Violation> {
    if interfaces.len() > INTERFACES_MAX as usize {
        let (found, things) = (interfaces.len(), "interfaces");
        return Err(Problem::TooMany { found, things, max: INTERFACES_MAX }.at(key.clone()));
    }
    let mut seen = Seen::default();
    for (position, name) in interfaces.iter().enumerate() {
        let at = |problem: Problem| problem.at(key.index(position));
        Capture::check_interface_name(name).map_err(at)?;
        seen.insert(name, position, name, |first| key.index(first)).map_err(at)?;
    }
    Ok(())
}

fn check_ports(ports: &[TunnelPort], key: &KeyPath) -> Result<(), Violation> {
    if ports.len() > PORTS_MAX as usize {
        return Err(Problem::TooMany { found: ports.len(), things: "ports", max: PORTS_MAX }
            .at(key.clone()));
    }
    let numbers: Vec<u16> = ports.iter().map(|port| port.number).collect();
    check_list(&numbers, PORT, "ports", key)
}

/// Checks a list of numbers: not empty, each within the limit, each once.
pub(super) fn check_list<N>(
    list: &[N],
    limit: Limit,
    things: &str,
    key: &KeyPath,
) -> Result<(), Violation>
where
    N: Copy + Into<u64> + Eq + std::hash::Hash + fmt::Display,
{
    if list.is_empty() {
        return Err(
            Problem::refused("an empty list", format_args!("a list of {things}")).at(key.clone())
        );
    }
    let mut seen = Seen::default();
    for (position, &number) in list.iter().enumerate() {
        let at = |problem: Problem| problem.at(key.index(position));
        limit.check(number).map_err(at)?;
        seen.insert(number, position, number, |first| key.index(first)).map_err(at)?;
    }
    Ok(())
}

fn check_prefixes(prefixes: &[IpNet], key: &KeyPath) -> Result<(), Violation> {
    for (position, prefix) in prefixes.iter().enumerate() {
        check_prefix(prefix).map_err(|problem| problem.at(key.index(position)))?;
    }
    for (things, is_counted) in
        [("IPv4 prefixes", is_v4 as fn(&IpNet) -> bool), ("IPv6 prefixes", |prefix| !is_v4(prefix))]
    {
        let found = prefixes.iter().filter(|prefix| is_counted(prefix)).count();
        if found > ALLOWED_MAX as usize {
            return Err(Problem::TooMany { found, things, max: ALLOWED_MAX }.at(key.clone()));
        }
    }
    Ok(())
}

const fn is_v4(prefix: &IpNet) -> bool {
    matches!(prefix, IpNet::V4(_))
}

/// Checks that a prefix has no host bits, and that an IPv4 one is written as such.
pub(super) fn check_prefix(prefix: &IpNet) -> Result<(), Problem> {
    let meant = prefix.trunc();
    if meant != *prefix {
        return Err(Problem::refused(
            prefix,
            format_args!("a prefix without host bits, here {meant}"),
        ));
    }
    if let IpNet::V6(v6) = prefix
        && let Some(mapped) = v6.addr().to_ipv4_mapped()
        && v6.prefix_len() >= 96
    {
        let len = v6.prefix_len() - 96;
        return Err(Problem::refused(
            prefix,
            format_args!("an IPv4 prefix in IPv4 form, here {mapped}/{len}"),
        ));
    }
    Ok(())
}

/// Checks that packets can have the address as their source.
pub(super) fn check_source(address: IpAddr) -> Result<(), Problem> {
    if let IpAddr::V6(v6) = address
        && let Some(mapped) = v6.to_ipv4_mapped()
    {
        return Err(Problem::refused(
            address,
            format_args!("an IPv4 address in IPv4 form, here {mapped}"),
        ));
    }
    if address.is_unspecified()
        || address.is_multicast()
        || address == IpAddr::V4(Ipv4Addr::BROADCAST)
    {
        let allowed = "the address of one host; leave `source` out for any source";
        return Err(Problem::refused(address, allowed));
    }
    Ok(())
}
