//! The addresses whose datagrams the program takes.

use std::collections::BTreeSet;
use std::net::IpAddr;

use aya::Ebpf;
use aya::maps::{HashMap, MapData};
use vxtap_ebpf::maps;

use super::error::SteeringError;
use super::object::{map_error, take_map};

/// The map of the addresses, in which the program looks destinations up.
pub(super) struct OwnAddresses {
    map: HashMap<MapData, [u8; 16], u8>,
    /// Keys in the map.
    keys: BTreeSet<[u8; 16]>,
}

impl OwnAddresses {
    pub(super) fn new(ebpf: &mut Ebpf) -> Result<Self, SteeringError> {
        Ok(Self { map: take_map(ebpf, maps::DESTINATIONS)?, keys: BTreeSet::new() })
    }

    /// Puts these addresses into the place of those before. One that is in both lists is never
    /// missing.
    ///
    /// # Errors
    ///
    /// [`SteeringError::TooMany`], with which nothing changes, or [`SteeringError::Map`].
    pub(super) fn replace(&mut self, addresses: &[IpAddr]) -> Result<(), SteeringError> {
        let keys: BTreeSet<_> = addresses.iter().copied().map(key_of).collect();
        if keys.len() > maps::DESTINATIONS_MAX as usize {
            let (what, given) = ("addresses of an interface", keys.len());
            return Err(SteeringError::TooMany { what, given, max: maps::DESTINATIONS_MAX });
        }
        // The map may be full: addresses that have gone make room, those that stay are not touched.
        for gone in self.keys.difference(&keys) {
            self.map.remove(gone).map_err(map_error(maps::DESTINATIONS))?;
        }
        for new in keys.difference(&self.keys) {
            self.map.insert(new, 1, 0).map_err(map_error(maps::DESTINATIONS))?;
        }
        self.keys = keys;
        Ok(())
    }
}

/// Returns [`maps::Settings::own_v4`] for these addresses.
pub(super) fn own_v4(addresses: &[IpAddr]) -> u32 {
    let v4 = addresses.iter().find_map(|address| match address {
        IpAddr::V4(address) => Some(u32::from_ne_bytes(address.octets())),
        IpAddr::V6(_) => None,
    });
    v4.unwrap_or_default()
}

/// Returns an address as the key of [`maps::DESTINATIONS`].
const fn key_of(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => maps::mapped(address.octets()),
        IpAddr::V6(address) => address.octets(),
    }
}
