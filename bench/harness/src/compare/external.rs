//! tcpdump and dumpcap on the kernel's vxlan device: programs that count by themselves and report
//! the counts when they end.

use std::mem;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use super::child_process::ChildProcess;
use super::interrupt::Interrupt;
use super::testbed::{LinkUnderTest as _, Testbed};
use crate::mark_protocol::Mark;
use crate::receive::interface_setup::{self, VXLAN_DEVICE, Vxlan};

/// Destination address of the generator's frames.
const LOCAL: std::net::Ipv4Addr = std::net::Ipv4Addr::new(10, 0, 0, 2);

/// First VNI of the generator's sessions.
const FIRST_VNI: u32 = 100;

/// Longest time until a program captures.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// Longest time until a program ends after SIGINT.
const END_TIMEOUT: Duration = Duration::from_secs(20);

/// Time to read the rest: the packet ring keeps an unfilled block for a second (libpcap's time-out
/// as tcpdump sets it), and a full ring of 64 MiB is read in about another second.
const DRAIN: Duration = Duration::from_millis(2500);

/// An external program.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ExternalTool {
    name: &'static str,
    arguments: &'static [&'static str],
    /// Text on its standard error that shows that it captures.
    ready: &'static str,
    /// Finds the counts in its standard error.
    read: fn(&str) -> Option<CaptureCounts>,
}

/// `-Z root`: stays the user that may open the device. 64 MiB of ring as in the tpacket row.
pub(crate) const TCPDUMP: ExternalTool = ExternalTool {
    name: "tcpdump",
    arguments: &["-Z", "root", "-n", "-i", VXLAN_DEVICE, "-w", "/dev/null", "-B", "65536"],
    ready: "listening on",
    read: tcpdump_captured,
};

/// `-q`: does not print the count for every packet.
pub(crate) const DUMPCAP: ExternalTool = ExternalTool {
    name: "dumpcap",
    arguments: &["-q", "-i", VXLAN_DEVICE, "-w", "/dev/null", "-B", "64"],
    ready: "File: ",
    read: dumpcap_captured,
};

/// Counts that a program reports at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CaptureCounts {
    frames: u64,
    kernel_lost: u64,
}

/// Moment at which an external program is ended, which is the only way to learn its count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopTime {
    /// With the traffic: frames that the program had not read by then do not count.
    AtOnce,
    /// After the program has read the rest.
    Drained,
}

/// A running tcpdump or dumpcap.
#[derive(Debug)]
pub(crate) struct ExternalReceiver {
    child: ChildProcess,
    tool: ExternalTool,
    about: String,
}

impl ExternalReceiver {
    /// Makes the vxlan device, starts the program and waits until it captures.
    ///
    /// # Errors
    /// When the device cannot be made or the program does not start.
    pub(super) fn start(
        testbed: &Testbed,
        tool: ExternalTool,
        sessions: u32,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let nic = testbed.rx_interface();
        let made = testbed.netns().run(|| {
            interface_setup::turn_gro_on(nic)?;
            interface_setup::take_datagrams(nic, LOCAL)?;
            let device = Vxlan::make(nic, FIRST_VNI, sessions)?;
            let command = device.command.clone();
            // The device is removed with its namespace. Its guard would look for it in the
            // namespace of the dropping thread.
            mem::forget(device);
            anyhow::Ok(command)
        })?;
        let mut command = testbed.receiver(tool.name);
        command.args(tool.arguments);
        let mut child = ChildProcess::start(tool.name, &mut command, interrupt)?;
        child.wait_for_stderr(tool.ready, START_TIMEOUT)?;
        let about = format!("`{made}`, `{} {}`", tool.name, tool.arguments.join(" "));
        Ok(Self { child, tool, about })
    }

    pub(super) fn about(&self) -> &str {
        &self.about
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends the program and returns its counts. Its bytes and resident memory are not known: they
    /// are 0.
    pub(super) fn finish(mut self, stop: StopTime, interrupt: &Interrupt) -> Result<Mark> {
        if stop == StopTime::Drained {
            interrupt.pause(DRAIN)?;
        }
        self.child.signal(Signal::SIGINT)?;
        let (status, said) = self.child.end(END_TIMEOUT)?;
        let name = self.tool.name;
        ensure!(status.success(), "{name} failed ({status}):\n{}", said.trim());
        let captured = (self.tool.read)(&said).with_context(|| {
            format!("{name} did not print the number of captured packets:\n{}", said.trim())
        })?;
        let CaptureCounts { frames, kernel_lost } = captured;
        Ok(Mark { frames, kernel_lost: Some(kernel_lost), ..Mark::default() })
    }
}

/// Reads `N packets captured` and `N packets dropped by kernel`; a single one is printed as
/// `packet`.
fn tcpdump_captured(said: &str) -> Option<CaptureCounts> {
    let number = |end: &str| {
        said.lines().find_map(|line| {
            let (number, words) = line.trim().split_once(' ')?;
            let words = words.strip_prefix("packets").or_else(|| words.strip_prefix("packet"))?;
            (words == end).then(|| number.parse().ok())?
        })
    };
    Some(CaptureCounts { frames: number(" captured")?, kernel_lost: number(" dropped by kernel")? })
}

/// Reads `Packets received/dropped on interface 'DEVICE': N/M (...)`.
fn dumpcap_captured(said: &str) -> Option<CaptureCounts> {
    // Carriage returns separate the updates of one terminal line.
    let lines = said.split(['\n', '\r']);
    let line = lines.rev().find(|line| line.starts_with("Packets received/dropped"))?;
    let (_, counts) = line.rsplit_once("': ")?;
    let (frames, rest) = counts.split_once('/')?;
    let lost = rest.split([' ', '(']).next()?;
    Some(CaptureCounts { frames: frames.parse().ok()?, kernel_lost: lost.parse().ok()? })
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
            Some(CaptureCounts { frames: 2_093_311, kernel_lost: 811_200 })
        );
    }

    #[test]
    fn a_single_packet_is_read_too() {
        let said = "1 packet captured\n1 packet received by filter\n0 packets dropped by kernel\n";
        assert_eq!(tcpdump_captured(said), Some(CaptureCounts { frames: 1, kernel_lost: 0 }));
    }

    #[test]
    fn the_counts_of_dumpcap_are_read() {
        let said = "Capturing on 'vxlan0'\nFile: /dev/null\n\rPackets captured: 1704960\n\
                    Packets received/dropped on interface 'vxlan0': 1704960/923 \
                    (pcap:923/dumpcap:0/flushed:0/ps_ifdrop:0) (99.9%)\n";
        assert_eq!(
            dumpcap_captured(said),
            Some(CaptureCounts { frames: 1_704_960, kernel_lost: 923 })
        );
    }

    #[test]
    fn a_program_that_says_nothing_of_its_counts_has_none() {
        assert_eq!(tcpdump_captured("tcpdump: vxlan0: No such device exists\n"), None);
        assert_eq!(tcpdump_captured("0 packets dropped by kernel\n"), None);
        assert_eq!(dumpcap_captured("Capturing on 'vxlan0'\nFile: /dev/null\n"), None);
    }
}
