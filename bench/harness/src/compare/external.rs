//! tcpdump and dumpcap on the kernel's vxlan device: programs that count for themselves and tell it
//! at their end.

use std::mem;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use super::bed::{Bed, Place as _};
use super::interrupt::Interrupt;
use super::receiver::Ending;
use super::talk::Talker;
use crate::protocol::Mark;
use crate::receive::interface::{self, VXLAN_DEVICE, Vxlan};

/// Address that the generator's frames are for.
const LOCAL: std::net::Ipv4Addr = std::net::Ipv4Addr::new(10, 0, 0, 2);

/// First VNI of the generator's sessions.
const FIRST_VNI: u32 = 100;

/// How long a program may take until it captures.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// How long it may take to end after SIGINT.
const END_TIMEOUT: Duration = Duration::from_secs(20);

/// What is given to it to read the rest: its packet ring keeps an unfilled block for a second
/// (libpcap's time-out as tcpdump sets it), and reads a full one of 64 MiB in about another.
const DRAIN: Duration = Duration::from_millis(2500);

/// An external program.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tool {
    name: &'static str,
    arguments: &'static [&'static str],
    /// On its standard error as soon as it captures.
    ready: &'static str,
    /// Finds the counts in its standard error.
    read: fn(&str) -> Option<Captured>,
}

/// `-Z root`: stays the user that may open the device. 64 MiB of ring as in the tpacket row.
pub(crate) const TCPDUMP: Tool = Tool {
    name: "tcpdump",
    arguments: &["-Z", "root", "-n", "-i", VXLAN_DEVICE, "-w", "/dev/null", "-B", "65536"],
    ready: "listening on",
    read: tcpdump_captured,
};

/// `-q`: does not print the count for every packet.
pub(crate) const DUMPCAP: Tool = Tool {
    name: "dumpcap",
    arguments: &["-q", "-i", VXLAN_DEVICE, "-w", "/dev/null", "-B", "64"],
    ready: "File: ",
    read: dumpcap_captured,
};

/// What a program says at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Captured {
    frames: u64,
    kernel_lost: u64,
}

/// A running tcpdump or dumpcap.
#[derive(Debug)]
pub(crate) struct External {
    talker: Talker,
    tool: Tool,
    about: String,
}

impl External {
    /// Makes the vxlan device, starts the program and waits until it captures.
    ///
    /// # Errors
    /// When the device cannot be made or the program does not start.
    pub(super) fn start(
        bed: &Bed,
        tool: Tool,
        sessions: u32,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let nic = bed.receives_on();
        let made = bed.netns().run(|| {
            interface::turn_gro_on(nic)?;
            interface::take_datagrams(nic, LOCAL)?;
            let device = Vxlan::make(nic, FIRST_VNI, sessions)?;
            let command = device.command.clone();
            // It goes with the namespace; its guard would look for it in the one that it is dropped
            // in.
            mem::forget(device);
            anyhow::Ok(command)
        })?;
        let mut command = bed.receiver(tool.name);
        command.args(tool.arguments);
        let mut talker = Talker::start(tool.name, &mut command, interrupt)?;
        talker.wait_for_complaint(tool.ready, START_TIMEOUT)?;
        let about = format!("`{made}`, `{} {}`", tool.name, tool.arguments.join(" "));
        Ok(Self { talker, tool, about })
    }

    pub(super) fn about(&self) -> &str {
        &self.about
    }

    pub(super) fn id(&self) -> u32 {
        self.talker.id()
    }

    /// Ends the program and returns what it captured. Its bytes and resident memory are not known:
    /// they are 0.
    pub(super) fn finish(mut self, ending: Ending, interrupt: &Interrupt) -> Result<Mark> {
        if ending == Ending::Drained {
            interrupt.pause(DRAIN)?;
        }
        self.talker.signal(Signal::SIGINT)?;
        let (status, said) = self.talker.end(END_TIMEOUT)?;
        let name = self.tool.name;
        ensure!(status.success(), "{name} failed ({status}):\n{}", said.trim());
        let captured = (self.tool.read)(&said).with_context(|| {
            format!("{name} does not say how much it captured:\n{}", said.trim())
        })?;
        let Captured { frames, kernel_lost } = captured;
        Ok(Mark { frames, kernel_lost: Some(kernel_lost), ..Mark::default() })
    }
}

/// Reads `N packets captured` and `N packets dropped by kernel`; of one it says `packet`.
fn tcpdump_captured(said: &str) -> Option<Captured> {
    let number = |end: &str| {
        said.lines().find_map(|line| {
            let (number, words) = line.trim().split_once(' ')?;
            let words = words.strip_prefix("packets").or_else(|| words.strip_prefix("packet"))?;
            (words == end).then(|| number.parse().ok())?
        })
    };
    Some(Captured { frames: number(" captured")?, kernel_lost: number(" dropped by kernel")? })
}

/// Reads `Packets received/dropped on interface 'DEVICE': N/M (...)`.
fn dumpcap_captured(said: &str) -> Option<Captured> {
    // Carriage returns separate what it shows on one line of a terminal.
    let lines = said.split(['\n', '\r']);
    let line = lines.rev().find(|line| line.starts_with("Packets received/dropped"))?;
    let (_, counts) = line.rsplit_once("': ")?;
    let (frames, rest) = counts.split_once('/')?;
    let lost = rest.split([' ', '(']).next()?;
    Some(Captured { frames: frames.parse().ok()?, kernel_lost: lost.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_of_tcpdump_are_read() {
        let said = "tcpdump: listening on vxlan0, link-type EN10MB (Ethernet), snapshot length 262144 bytes\n\
                    2093311 packets captured\n\
                    2904511 packets received by filter\n\
                    811200 packets dropped by kernel\n";
        assert_eq!(
            tcpdump_captured(said),
            Some(Captured { frames: 2_093_311, kernel_lost: 811_200 })
        );
    }

    #[test]
    fn a_single_packet_is_read_too() {
        let said = "1 packet captured\n1 packet received by filter\n0 packets dropped by kernel\n";
        assert_eq!(tcpdump_captured(said), Some(Captured { frames: 1, kernel_lost: 0 }));
    }

    #[test]
    fn the_counts_of_dumpcap_are_read() {
        let said = "Capturing on 'vxlan0'\nFile: /dev/null\n\rPackets captured: 1704960\n\
                    Packets received/dropped on interface 'vxlan0': 1704960/923 \
                    (pcap:923/dumpcap:0/flushed:0/ps_ifdrop:0) (99.9%)\n";
        assert_eq!(dumpcap_captured(said), Some(Captured { frames: 1_704_960, kernel_lost: 923 }));
    }

    #[test]
    fn a_program_that_says_nothing_of_its_counts_has_none() {
        assert_eq!(tcpdump_captured("tcpdump: vxlan0: No such device exists\n"), None);
        assert_eq!(tcpdump_captured("0 packets dropped by kernel\n"), None);
        assert_eq!(dumpcap_captured("Capturing on 'vxlan0'\nFile: /dev/null\n"), None);
    }
}
