//! Notes about interfaces that are not captured as well as they could be, one for all interfaces
//! that it applies to.

use super::active_mode::{ActiveMode, ModeFallback};
use crate::interface::Interface;
use crate::sys::merges_received;

/// Length of a mirrored packet of a usual network, in bytes.
const INNER_MTU: u32 = 1500;
/// Bytes that VXLAN over IPv4 adds to a packet: Ethernet, IPv4, UDP and VXLAN headers (RFC 7348).
const TUNNEL_BYTES: u32 = 14 + 20 + 8 + 8;

/// Word of a command that the name of an interface replaces, if a note is about only one.
const PLACEHOLDER: &str = "INTERFACE";

/// A note about an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InterfaceNote {
    /// Name of the interface; empty for a note that is a whole sentence.
    name: String,
    /// Verb behind one name, and behind several.
    verbs: (&'static str, &'static str),
    /// Rest of the sentence.
    rest: String,
}

impl InterfaceNote {
    pub(super) fn new(
        name: &str,
        verbs: (&'static str, &'static str),
        rest: impl Into<String>,
    ) -> Self {
        Self { name: name.to_owned(), verbs, rest: rest.into() }
    }

    /// A note that is said as it is.
    pub(super) fn whole(sentence: String) -> Self {
        Self::new("", ("", ""), sentence)
    }
}

/// Returns the sentences, in the order in which they first apply.
pub(super) fn sentences(notes: &[InterfaceNote]) -> Vec<String> {
    let mut said: Vec<(&InterfaceNote, Vec<&str>)> = Vec::new();
    for note in notes {
        let same = |(said, _): &&mut (&InterfaceNote, Vec<&str>)| {
            (said.verbs, &said.rest) == (note.verbs, &note.rest)
        };
        match said.iter_mut().find(same) {
            Some((_, names)) => names.push(&note.name),
            None => said.push((note, vec![&note.name])),
        }
    }
    said.into_iter().map(|(note, names)| sentence(note, &names)).collect()
}

fn sentence(note: &InterfaceNote, names: &[&str]) -> String {
    let InterfaceNote { name, verbs: (one, several), rest } = note;
    match names {
        _ if name.is_empty() => rest.clone(),
        [name] => format!("{name} {one} {}", rest.replace(PLACEHOLDER, name)),
        names => format!("{} {several} {rest}", names.join(", ")),
    }
}

/// Returns the notes about an interface that is captured in a mode.
pub(super) fn of(
    interface: &Interface,
    mode: ActiveMode,
    fallbacks: &[ModeFallback],
) -> Vec<InterfaceNote> {
    let name = &interface.name;
    let mut notes = of_fallbacks(name, fallbacks);
    if !interface.is_up {
        notes.push(InterfaceNote::new(
            name,
            ("is", "are"),
            "down, nothing arrives: bring it up with `ip link set dev INTERFACE up`",
        ));
    }
    if let Some(tunnel) = interface.tunnel {
        let rest = format!(
            "the end of a {tunnel} tunnel of the kernel: frames there have no tunnel any more; capture from the interface on \
             which the outer packets arrive"
        );
        notes.push(InterfaceNote::new(name, ("is", "are"), rest));
    }
    if interface.mtu < INNER_MTU + TUNNEL_BYTES {
        let rest = format!(
            "an MTU of {}: mirrored packets of {INNER_MTU} bytes need {}, and longer ones are cut, fragmented or dropped on \
             their way (`ip link set dev INTERFACE mtu 9000`)",
            interface.mtu,
            INNER_MTU + TUNNEL_BYTES
        );
        notes.push(InterfaceNote::new(name, ("has", "have"), rest));
    }
    if mode == ActiveMode::Generic && merges_received(name) {
        let rest = "received frames before the XDP program sees them, which is not how they came \
                    (`ethtool -K INTERFACE gro off lro off`)";
        notes.push(InterfaceNote::new(name, ("may merge", "may merge"), rest));
    }
    notes
}

/// Returns one note for each reason against a mode.
fn of_fallbacks(name: &str, fallbacks: &[ModeFallback]) -> Vec<InterfaceNote> {
    let of_one_reason = fallbacks.chunk_by(|one, other| one.reason == other.reason);
    let note = |fallbacks: &[ModeFallback]| {
        let modes: Vec<_> = fallbacks.iter().map(|fallback| fallback.mode.to_string()).collect();
        let rest = format!("not captured in {} mode: {}", modes.join(" or "), fallbacks[0].reason);
        InterfaceNote::new(name, ("is", "are"), rest)
    };
    of_one_reason.map(note).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_applies_to_several_interfaces_is_said_once() {
        let note = |name, rest: &str| InterfaceNote::new(name, ("is", "are"), rest);
        let notes = [
            note("eth1", "down"),
            InterfaceNote::whole("the rest".to_owned()),
            note("eth2", "slow"),
            note("eth3", "down"),
            note("eth4", "down: `ip link set dev INTERFACE up`"),
        ];
        assert_eq!(
            sentences(&notes),
            [
                "eth1, eth3 are down",
                "the rest",
                "eth2 is slow",
                "eth4 is down: `ip link set dev eth4 up`"
            ]
        );
    }
}
