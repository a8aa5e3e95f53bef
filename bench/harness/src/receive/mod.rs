//! The receivers that are compared, each a process of its own: `vxbench receive RECEIVER`.
//!
//! ```text
//!   standard input ──► mark_server ◄── shared_counts ◄── background: RECEIVER ── app
//!   standard output ◄──┘                                 receiving loop   the same work for every frame of each
//! ```
//!
//! | receiver | module | description |
//! |---|---|---|
//! | `vxtap` | `vxtap` | the engine through its library |
//! | `xsk-rs`, `xsk-decap` | `xsk` | a bare AF_XDP socket |
//! | `tpacket`, `packet` | `packet_ring` | a `TPACKET_V3` ring, on the kernel's VXLAN device or on the NIC |
//! | `recvmmsg` | `udp` | a UDP socket |
//! | `xdp-drop` | `xdp_drop` | an XDP program that counts and drops: the upper limit |

pub mod app;
pub mod background;
pub mod decapsulation;
pub(crate) mod interface_setup;
mod latency;
pub mod mark_server;
pub mod packet_ring;
pub mod shared_counts;
pub mod udp;
pub mod vxtap;
pub mod xdp_drop;
#[expect(unsafe_code, reason = "xsk-rs leaves it to its caller that a chunk has one owner")]
pub mod xsk;

use std::io::{stdin, stdout};

use anyhow::Result;
use clap::{Args, Subcommand};

use background::{Background, Receive};
use packet_ring::PacketRing;
use udp::UdpReceiver;
use vxtap::VxtapReceiver;
use xdp_drop::DropProgram;
use xsk::{FrameHandling, XskReceiver};

/// Receives mirrored traffic with one of the compared receivers.
///
/// Prints a line of JSON when it is ready, answers each line `mark` on standard input with the
/// counts so far, and ends with `end` or the end of the input.
#[derive(Debug, Args)]
pub struct ReceiveOptions {
    #[command(subcommand)]
    receiver: ReceiverCommand,
}

#[derive(Debug, Clone, Subcommand)]
enum ReceiverCommand {
    Vxtap(vxtap::VxtapOptions),
    XskRs(xsk::XskOptions),
    /// As xsk-rs, with decapsulation and the application's work
    XskDecap(xsk::XskOptions),
    Tpacket(packet_ring::VxlanOptions),
    Packet(packet_ring::NicOptions),
    Recvmmsg(udp::UdpOptions),
    XdpDrop(xdp_drop::DropOptions),
}

/// Runs a receiver until standard input ends it.
///
/// # Errors
/// When the receiver cannot be opened, fails while it receives, or reads an unknown line.
pub fn run(options: &ReceiveOptions) -> Result<()> {
    match options.receiver.clone() {
        ReceiverCommand::Vxtap(options) => vxtap(&options),
        ReceiverCommand::XskRs(options) => {
            in_background(move || XskReceiver::open(&options, FrameHandling::Refill))
        }
        ReceiverCommand::XskDecap(options) => {
            in_background(move || XskReceiver::open(&options, FrameHandling::Decapsulate))
        }
        ReceiverCommand::Tpacket(options) => in_background(move || PacketRing::on_vxlan(&options)),
        ReceiverCommand::Packet(options) => in_background(move || PacketRing::on_nic(&options)),
        ReceiverCommand::Recvmmsg(options) => in_background(move || UdpReceiver::open(&options)),
        ReceiverCommand::XdpDrop(options) => xdp_drop(&options),
    }
}

fn in_background<R: Receive>(open: impl FnOnce() -> Result<R> + Send + 'static) -> Result<()> {
    let (background, about) = Background::start(open)?;
    let served = mark_server::serve(stdin().lock(), stdout().lock(), about, || background.mark());
    // The receiver's own error explains more than that of the protocol.
    background.end().and(served)
}

fn vxtap(options: &vxtap::VxtapOptions) -> Result<()> {
    let (vxtap, about) = VxtapReceiver::start(options)?;
    let served = mark_server::serve(stdin().lock(), stdout().lock(), about, || vxtap.mark());
    vxtap.end().and(served)
}

fn xdp_drop(options: &xdp_drop::DropOptions) -> Result<()> {
    let (dropper, about) = DropProgram::attach(options)?;
    mark_server::serve(stdin().lock(), stdout().lock(), about, || dropper.mark())
}
