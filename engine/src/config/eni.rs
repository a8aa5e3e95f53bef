//! Mirrored network interfaces, from which the direction of a frame is inferred.

use std::fmt;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};

use super::capture_checks::check_prefix;
use super::error::{Problem, Violation};
use super::key::Entry;
use super::name::check_name;
use super::unique::Seen;

/// Longest prefix that contains its base address plus two.
const VPC_PREFIX_LEN_MAX: u8 = 30;

/// A mirrored network interface. Table `[[eni]]` of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Eni {
    /// Id, such as `eni-0f3`: 1 to 255 bytes without control characters, unique.
    pub id: String,
    /// MAC address. `None`: unknown; directions are then inferred from addresses.
    pub mac: Option<MacAddress>,
    /// Addresses and delegated prefixes, without host bits.
    pub addresses: Vec<IpNet>,
    /// IPv4 prefixes of its VPC: the address two above the base of each is one of the Amazon DNS
    /// server.
    /// <https://docs.aws.amazon.com/vpc/latest/userguide/AmazonDNS-concepts.html>
    pub vpc_prefixes: Vec<Ipv4Net>,
}

/// A unicast MAC address in wire order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MacAddress(pub [u8; 6]);

/// Error for a text that is not six hexadecimal bytes separated by colons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a MAC address such as 02:aa:bb:cc:dd:01")]
pub struct InvalidMac;

impl FromStr for MacAddress {
    type Err = InvalidMac;

    fn from_str(text: &str) -> Result<Self, InvalidMac> {
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part =
                parts.next().filter(|part| part.len() == 2 && part.is_ascii()).ok_or(InvalidMac)?;
            let digits = part.bytes().all(|digit| digit.is_ascii_hexdigit());
            *byte = u8::from_str_radix(part, 16).ok().filter(|_| digits).ok_or(InvalidMac)?;
        }
        if parts.next().is_some() { Err(InvalidMac) } else { Ok(Self(bytes)) }
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ":" };
            write!(f, "{separator}{byte:02x}")?;
        }
        Ok(())
    }
}

pub(super) fn check_enis(enis: &[Eni]) -> Result<(), Violation> {
    let mut ids = Seen::default();
    for (position, Eni { id, mac, addresses, vpc_prefixes }) in enis.iter().enumerate() {
        let entry = Entry { section: "eni", position };
        check_name(id, &mut ids, entry, "id")?;
        if let Some(mac) = mac {
            check_mac(*mac).map_err(|problem| problem.at(entry.key("mac")))?;
        }
        for (index, prefix) in addresses.iter().enumerate() {
            check_prefix(prefix)
                .map_err(|problem| problem.at(entry.key("addresses").index(index)))?;
        }
        for (index, prefix) in vpc_prefixes.iter().enumerate() {
            check_vpc_prefix(*prefix)
                .map_err(|problem| problem.at(entry.key("vpc_prefixes").index(index)))?;
        }
    }
    Ok(())
}

/// Checks that the address is a unicast address: IEEE 802, section 8, the lowest bit of the first
/// byte marks group addresses.
fn check_mac(mac: MacAddress) -> Result<(), Problem> {
    if mac.0[0] & 1 == 1 || mac.0 == [0; 6] {
        return Err(Problem::refused(mac, "the MAC address of one station"));
    }
    Ok(())
}

fn check_vpc_prefix(prefix: Ipv4Net) -> Result<(), Problem> {
    check_prefix(&IpNet::V4(prefix))?;
    if prefix.prefix_len() > VPC_PREFIX_LEN_MAX {
        let allowed = format!("a prefix of at most {VPC_PREFIX_LEN_MAX} bits");
        return Err(Problem::refused(prefix, allowed));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mac_address_is_read_as_it_is_written() {
        let mac: MacAddress = "02:Aa:bb:cc:dd:01".parse().unwrap();
        assert_eq!(
            (mac.0, mac.to_string().as_str()),
            ([2, 0xaa, 0xbb, 0xcc, 0xdd, 1], "02:aa:bb:cc:dd:01")
        );
        for wrong in [
            "",
            "02",
            "02:aa:bb:cc:dd",
            "02:aa:bb:cc:dd:01:02",
            "2:aa:bb:cc:dd:001",
            "02:aa:bb:cc:dd:+1",
        ] {
            assert_eq!(wrong.parse::<MacAddress>(), Err(InvalidMac), "{wrong}");
        }
    }
}
