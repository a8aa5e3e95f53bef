//! A filter of any length, which the generator's traffic passes by its last two rules.

use std::fmt::Write;

/// The generator's first session by default, and the MAC address of its mirrored interface.
const VNI: u32 = 100;
const MAC: &str = "06:00:00:00:00:00";

/// Configuration of the generator's first session with a filter that has `count` rules in each
/// direction, 2 or more. All but the last two reject traffic that the generator does not send, from
/// documentation addresses (RFC 5737), each with another address and port; the last two accept
/// everything, of IPv4 and of IPv6.
pub(super) fn toml(count: u32) -> String {
    let mut text = format!(
        "eni = [{{ id = \"first\", mac = \"{MAC}\" }}]\n\
         session = [{{ name = \"first\", vni = {VNI}, eni = \"first\", filter = \"rules\" }}]\n\
         filter = [{{ name = \"rules\", network_services = [\"amazon-dns\"], rule = ["
    );
    for direction in ["ingress", "egress"] {
        for number in 1..=count {
            // Writing to a string does not fail.
            let _ = write!(text, "{{ direction = \"{direction}\", number = {number}, ");
            text.push_str(&match count - number {
                0 => {
                    "action = \"accept\", source = \"::/0\", destination = \"::/0\" }, ".to_owned()
                }
                1 => "action = \"accept\", source = \"0.0.0.0/0\", destination = \"0.0.0.0/0\" }, "
                    .to_owned(),
                _ => miss(number),
            });
        }
    }
    text + "] }]\n"
}

fn miss(number: u32) -> String {
    let (protocol, host, port) = (["tcp", "udp"][number as usize % 2], number % 256, 1024 + number);
    format!(
        "action = \"reject\", protocol = \"{protocol}\", source = \"203.0.113.{host}\", destination = \"0.0.0.0/0\", \
         destination_ports = {port} }}, "
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use vxtap::Config;

    #[test]
    fn the_configuration_is_valid_and_has_as_many_rules_as_wanted() {
        for count in [2, 10, 1000] {
            let config = Config::from_toml(Path::new("rules"), &super::toml(count)).expect("valid");
            assert_eq!(config.filters[0].rules.len(), 2 * count as usize);
        }
    }
}
