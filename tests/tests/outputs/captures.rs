//! Reads capture files as Wireshark does.
//!
//! tshark takes half a second for its start; capinfos and editcap read files with the same library.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use vxtap_tests::capture;

/// Returns the number of frames in a file that is whole.
pub(super) fn frames_in(path: &Path) -> u64 {
    // A table without a head: the name of the file, then the number of packets.
    let text = capture(Command::new("capinfos").args(["-T", "-r", "-c"]).arg(path))
        .unwrap_or_else(|error| panic!("{}: {error:#}", path.display()));
    text.trim_end().rsplit('\t').next().unwrap().parse().unwrap()
}

/// Returns the number of frames by VLAN in a file.
pub(super) fn vlans(path: &Path) -> BTreeMap<String, u64> {
    let mut tshark = Command::new("tshark");
    let text = capture(tshark.arg("-r").arg(path).args(["-T", "fields", "-e", "vlan.id"])).unwrap();
    let mut counts = BTreeMap::new();
    text.lines().for_each(|line| *counts.entry(line.to_owned()).or_default() += 1);
    counts
}

/// Copies the frames of a file up to its end or its damage to a classic capture file.
pub(super) fn copy_frames(from: &Path, to: &Path) {
    // It says what is wrong with the file, and ends well.
    capture(Command::new("editcap").args(["-F", "pcap"]).args([from, to])).unwrap();
}
