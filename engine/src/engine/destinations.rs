//! The outer destinations whose datagrams an interface takes.

use std::net::IpAddr;

use super::interface_notes::InterfaceNote;
use crate::config::Destinations;
use crate::interface::{Interface, OwnAddresses};
use crate::steering::{Steering, SteeringError};

/// Number of addresses that a message lists.
const SHOWN: usize = 8;

/// State of the destinations of one interface.
#[derive(Debug)]
pub(super) struct DestinationFilter {
    configured: Destinations,
    /// The addresses as the program has them; `None` before it has been given any.
    own: Option<OwnAddresses>,
    /// `true` while any destination is taken although only own addresses are configured.
    takes_any: bool,
    /// `true` once it was reported that datagrams to others alone arrive.
    is_reported: bool,
}

impl DestinationFilter {
    pub(super) fn new(configured: Destinations) -> Self {
        let takes_any = configured == Destinations::Any;
        Self { configured, own: None, takes_any, is_reported: false }
    }

    /// Gives the program the addresses of an interface, which is one of `all`, unless it has them;
    /// returns a message about a new state of affairs.
    ///
    /// # Errors
    ///
    /// [`SteeringError`] if the kernel refuses; it goes on with the addresses as before.
    pub(super) fn update(
        &mut self,
        steering: &mut Steering,
        interface: &Interface,
        all: &[Interface],
    ) -> Result<Option<InterfaceNote>, SteeringError> {
        if self.configured == Destinations::Any {
            return Ok(None);
        }
        let own = OwnAddresses::of(interface.index, all)?;
        let is_first = self.own.is_none();
        if self.own.as_ref() == Some(&own) {
            return Ok(None);
        }
        let addresses = own.all();
        let too_many = addresses.len() > vxtap_ebpf::maps::DESTINATIONS_MAX as usize;
        let takes_any = own.is_empty() || too_many;
        steering.set_destinations((!takes_any).then_some(&addresses))?;
        let took_any = std::mem::replace(&mut self.takes_any, takes_any);
        let own = self.own.insert(own);
        let name = &interface.name;
        if takes_any && (is_first || !took_any) {
            let reason = if too_many { "more addresses than fit" } else { "no address" };
            let rest = format!(
                "{reason}: datagrams to any destination are taken, as with capture.destinations = \"any\""
            );
            return Ok(Some(InterfaceNote::new(name, ("has", "have"), rest)));
        }
        let is_said = !takes_any && !is_first;
        Ok(is_said.then(|| {
            let rest = format!("other addresses: datagrams to {} are taken", list(own));
            InterfaceNote::new(name, ("has", "have"), rest)
        }))
    }

    /// Returns a message, once, if all that arrives for the ports is addressed to others.
    pub(super) fn others_alone(
        &mut self,
        steering: &Steering,
        name: &str,
    ) -> Option<InterfaceNote> {
        let own = self.own.as_ref().filter(|_| !self.takes_any && !self.is_reported)?;
        let counters = steering.counters().ok()?;
        if counters.redirected > 0 {
            self.is_reported = true;
            return None;
        }
        if counters.other_destination == 0 {
            return None;
        }
        self.is_reported = true;
        let example = steering.other_destination().ok().flatten();
        let example = example.map_or_else(String::new, |address| format!(", such as {address}"));
        Some(InterfaceNote::whole(format!(
            "all that arrives at {name} for the ports is addressed to others{example}, and left to the kernel stack: {name} \
             has {}; capture.destinations = \"any\" takes it",
            list(own)
        )))
    }
}

/// Lists the addresses of hosts.
fn list(own: &OwnAddresses) -> String {
    let shown: Vec<_> = own.hosts.iter().take(SHOWN).map(IpAddr::to_string).collect();
    let others = own.hosts.len().saturating_sub(SHOWN);
    let others = if others > 0 { format!(" and {others} others") } else { String::new() };
    shown.join(", ") + &others
}
