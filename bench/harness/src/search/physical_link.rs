//! Two real interfaces of this host, and the checks that protect the interface of the default
//! route.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use vxtap_tests::capture;

use crate::compare::testbed::{CpuPair, LinkUnderTest};

/// An interface to send on and one to receive from, joined by a cable or a switch.
#[derive(Debug)]
pub(super) struct PhysicalLink {
    tx: String,
    rx: String,
    macs: [String; 2],
    cpus: CpuPair,
}

impl PhysicalLink {
    /// Checks that the two may be used.
    ///
    /// # Errors
    /// When they are the same, one does not exist or is down, or one carries the default route.
    pub(super) fn check(tx: &str, rx: &str, cpus: CpuPair) -> Result<Self> {
        ensure!(
            tx != rx,
            "--tx and --rx are both {tx}: the generator needs an interface of its own"
        );
        let default_routes = default_route_interfaces()?;
        for name in [tx, rx] {
            ensure!(
                !default_routes.iter().any(|other| other == name),
                "{name} carries the default route: the search floods it and would cut this host off; choose another"
            );
            let state = read_of(name, "operstate")?;
            ensure!(
                state == "up",
                "{name} is not up (its state is `{state}`): plug it in and run `ip link set {name} up`"
            );
        }
        let macs = [read_of(tx, "address")?, read_of(rx, "address")?];
        Ok(Self { tx: tx.to_owned(), rx: rx.to_owned(), macs, cpus })
    }
}

impl LinkUnderTest for PhysicalLink {
    fn generator(&self, program: &str) -> Command {
        pinned(self.cpus.generator, program)
    }

    fn receiver(&self, program: &str) -> Command {
        pinned(self.cpus.receiver, program)
    }

    fn tx_interface(&self) -> &str {
        &self.tx
    }

    fn rx_interface(&self) -> &str {
        &self.rx
    }

    fn macs(&self) -> [String; 2] {
        self.macs.clone()
    }
}

fn pinned(cpu: usize, program: &str) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", &cpu.to_string(), program]);
    command
}

/// A file of the interface in `/sys/class/net`.
fn read_of(interface: &str, file: &str) -> Result<String> {
    let path = Path::new("/sys/class/net").join(interface).join(file);
    let text =
        fs::read_to_string(path).with_context(|| format!("there is no interface {interface}"))?;
    Ok(text.trim().to_owned())
}

/// Interfaces of the default routes of both families, in all routing tables.
fn default_route_interfaces() -> Result<Vec<String>> {
    let mut found = Vec::new();
    for family in ["-4", "-6"] {
        let arguments = [family, "-o", "route", "show", "table", "all", "default"];
        let routes = capture(Command::new("ip").args(arguments))
            .context("cannot ask for the default route")?;
        found.extend(devices(&routes));
    }
    Ok(found)
}

/// The words after each `dev`; a route with several next hops has several of them.
fn devices(routes: &str) -> Vec<String> {
    let words: Vec<&str> = routes.split_whitespace().collect();
    words.windows(2).filter(|pair| pair[0] == "dev").map(|pair| pair[1].to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CPUS: CpuPair = CpuPair { generator: 0, receiver: 1 };

    #[test]
    fn the_interfaces_of_all_default_routes_are_found() {
        let routes = "default via 10.0.0.1 dev eth0 proto dhcp src 10.0.0.5 metric 100 \n\
                      default table 7 proto static \\\tnexthop via 10.1.0.1 dev eth1 weight 1 \
                      \\\tnexthop via 10.2.0.1 dev eth2 weight 1 \n";
        assert_eq!(devices(routes), ["eth0", "eth1", "eth2"]);
        assert!(devices("").is_empty());
    }

    #[test]
    fn one_interface_alone_is_refused() {
        let error = PhysicalLink::check("lo", "lo", CPUS).expect_err("refused").to_string();
        assert_eq!(error, "--tx and --rx are both lo: the generator needs an interface of its own");
    }

    #[test]
    fn an_interface_that_is_not_there_is_named() {
        let error =
            PhysicalLink::check("no-such-0", "no-such-1", CPUS).expect_err("refused").to_string();
        assert_eq!(error, "there is no interface no-such-0");
    }

    #[test]
    fn the_interface_of_the_default_route_is_refused() {
        // A machine without one has nothing to refuse.
        let Some(name) = default_route_interfaces().expect("ip is there").into_iter().next() else {
            return;
        };
        let error = PhysicalLink::check("no-such-0", &name, CPUS).map(drop);
        let error = error
            .and(PhysicalLink::check(&name, "no-such-0", CPUS).map(drop))
            .expect_err("refused");
        let other = PhysicalLink::check(&name, "no-such-0", CPUS).expect_err("refused").to_string();
        assert!(other.starts_with(&format!("{name} carries the default route")), "{other} {error}");
    }
}
