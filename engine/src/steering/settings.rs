//! Settings of the program that do not change after it has been loaded.

use aya::Ebpf;
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, MapData};
use ipnet::IpNet;
use vxtap_ebpf::maps;

use super::error::SteeringError;
use super::object::{map_error, take_map};

/// Frames that the program steers.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// UDP destination ports to steer, at most [`maps::PORTS_MAX`].
    pub ports: &'a [u16],
    /// Allowed sources of datagrams to these ports, at most [`maps::ALLOWED_MAX`] prefixes of each
    /// IP version. If empty, all sources are allowed; else all others are dropped, those of the
    /// other IP version included.
    pub allowed_sources: &'a [IpNet],
    /// Stamp frames with their arrival time ([`vxtap_ebpf::arrival`]).
    pub stamp_arrival: bool,
    /// Steer fragments of datagrams to these ports too, if they arrive after the first one of their
    /// packet.
    pub fragments: bool,
}

impl Settings<'_> {
    /// Checks that the maps have room for them.
    pub(super) fn check(&self) -> Result<(), SteeringError> {
        let v4 = self.allowed_sources.iter().filter(|net| matches!(net, IpNet::V4(_))).count();
        let limits = [
            ("ports", self.ports.len(), maps::PORTS_MAX),
            ("allowed IPv4 sources", v4, maps::ALLOWED_MAX),
            ("allowed IPv6 sources", self.allowed_sources.len() - v4, maps::ALLOWED_MAX),
        ];
        match limits.into_iter().find(|&(_, given, max)| given > max as usize) {
            Some((what, given, max)) => Err(SteeringError::TooMany { what, given, max }),
            None => Ok(()),
        }
    }

    /// Fills the maps that only the program reads. It keeps them alive.
    pub(super) fn fill(&self, ebpf: &mut Ebpf) -> Result<(), SteeringError> {
        let mut ports: Array<MapData, u64> = take_map(ebpf, maps::PORTS)?;
        for &port in self.ports {
            let (word, bit) = maps::port_bit(port);
            let others = ports.get(&word, 0).map_err(map_error(maps::PORTS))?;
            ports.set(word, others | bit, 0).map_err(map_error(maps::PORTS))?;
        }
        let mut v4: LpmTrie<MapData, [u8; 4], u8> = take_map(ebpf, maps::ALLOWED_V4)?;
        let mut v6: LpmTrie<MapData, [u8; 16], u8> = take_map(ebpf, maps::ALLOWED_V6)?;
        for source in self.allowed_sources {
            let prefix_len = u32::from(source.prefix_len());
            match source {
                IpNet::V4(net) => v4
                    .insert(&Key::new(prefix_len, net.addr().octets()), 1, 0)
                    .map_err(map_error(maps::ALLOWED_V4))?,
                IpNet::V6(net) => v6
                    .insert(&Key::new(prefix_len, net.addr().octets()), 1, 0)
                    .map_err(map_error(maps::ALLOWED_V6))?,
            }
        }
        Ok(())
    }

    /// Returns the flags of [`maps::Settings`].
    pub(super) const fn flags(&self) -> u32 {
        let check = if self.allowed_sources.is_empty() { 0 } else { maps::CHECK_SOURCE };
        let stamp = if self.stamp_arrival { maps::STAMP_ARRIVAL } else { 0 };
        let fragments = if self.fragments { maps::STEER_FRAGMENTS } else { 0 };
        check | stamp | fragments
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const NOBODY: Settings<'static> =
        Settings { ports: &[], allowed_sources: &[], stamp_arrival: false, fragments: false };

    #[test]
    fn more_than_the_maps_hold_is_refused() {
        let ports: Vec<u16> = (0..=64).collect();
        let error = Settings { ports: &ports, ..NOBODY }.check().unwrap_err();
        assert_eq!(error.to_string(), "65 ports are too many, 64 is the limit; name fewer");
        let sources: Vec<IpNet> = (0..=4096_u32)
            .map(|i| IpNet::new(Ipv4Addr::from_bits(i).into(), 32).unwrap())
            .collect();
        let error = Settings { allowed_sources: &sources, ..NOBODY }.check().unwrap_err();
        assert_eq!(
            error.to_string(),
            "4097 allowed IPv4 sources are too many, 4096 is the limit; name fewer"
        );
    }

    #[test]
    fn sources_are_checked_only_when_there_are_some_to_allow() {
        assert_eq!(NOBODY.flags(), 0);
        let anywhere = ["10.0.0.0/8".parse().unwrap()];
        assert_eq!(Settings { allowed_sources: &anywhere, ..NOBODY }.flags(), maps::CHECK_SOURCE);
        assert_eq!(Settings { stamp_arrival: true, ..NOBODY }.flags(), maps::STAMP_ARRIVAL);
        assert_eq!(Settings { fragments: true, ..NOBODY }.flags(), maps::STEER_FRAGMENTS);
    }
}
