//! Network interfaces, which several descriptions may speak of.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::item::Place;
use crate::config::MacAddress;

/// A network interface, mirrored or not.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct MirrorInterface {
    pub(super) id: String,
    pub(super) place: Place,
    pub(super) label: Option<String>,
    pub(super) mac: Option<MacAddress>,
    /// The primary private address, from which the interface's mirrored traffic comes.
    pub(super) primary: Option<IpAddr>,
    /// All its addresses and delegated prefixes, the primary one first; see [`in_order`].
    pub(super) addresses: Vec<IpNet>,
    pub(super) vpc: Option<String>,
    pub(super) subnet: Option<String>,
    pub(super) assumptions: Vec<String>,
}

/// Returns an interface's addresses and prefixes without duplicates, the primary one first. The
/// others are sorted, as tools list them in any order.
pub(super) fn in_order(primary: Option<IpAddr>, mut others: Vec<IpNet>) -> Vec<IpNet> {
    let primary = primary.map(IpNet::from);
    others.retain(|other| Some(*other) != primary);
    others.sort_unstable();
    others.dedup();
    primary.into_iter().chain(others).collect()
}

/// Returns one description of each interface, sorted by identifier, and the identifiers of those
/// whose descriptions contradict each other. A resource and a data source, for example, may have
/// different parts of an interface.
pub(super) fn combined(
    mut interfaces: Vec<MirrorInterface>,
) -> (Vec<MirrorInterface>, BTreeSet<String>) {
    interfaces.sort_by(|one, two| one.id.cmp(&two.id));
    let (mut result, mut contradictory) = (Vec::<MirrorInterface>::new(), BTreeSet::new());
    for interface in interfaces {
        let Some(last) = result.last_mut().filter(|last| last.id == interface.id) else {
            result.push(interface);
            continue;
        };
        if last.add(&interface).is_err() {
            contradictory.insert(interface.id);
        }
    }
    result.retain(|it| !contradictory.contains(&it.id));
    (result, contradictory)
}

impl MirrorInterface {
    /// Adds what another description has.
    fn add(&mut self, other: &Self) -> Result<(), Contradiction> {
        // Names are comments: one of them does.
        self.label = self.label.iter().chain(&other.label).min().cloned();
        self.mac = either(self.mac, other.mac)?;
        self.primary = either(self.primary, other.primary)?;
        self.vpc = either(self.vpc.take(), other.vpc.clone())?;
        self.subnet = either(self.subnet.take(), other.subnet.clone())?;
        let has_all = |more: &[IpNet], less: &[IpNet]| less.iter().all(|it| more.contains(it));
        let addresses = if has_all(&self.addresses, &other.addresses) {
            self.addresses.clone()
        } else if has_all(&other.addresses, &self.addresses) {
            other.addresses.clone()
        } else {
            return Err(Contradiction);
        };
        self.addresses = in_order(self.primary, addresses);
        self.assumptions.extend(other.assumptions.iter().cloned());
        self.assumptions.sort();
        self.assumptions.dedup();
        Ok(())
    }
}

/// Two descriptions differ in a property that both have.
struct Contradiction;

/// Returns the value that is there.
fn either<T: PartialEq>(one: Option<T>, other: Option<T>) -> Result<Option<T>, Contradiction> {
    match (one, other) {
        (Some(one), Some(other)) if one != other => Err(Contradiction),
        (one, other) => Ok(one.or(other)),
    }
}
