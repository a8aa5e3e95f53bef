//! The receivers that are compared, each a process of its own: `vxbench receive ROW`.
//!
//! ```text
//!   standard input ──► marks ◄── board ◄── background: ROW ── app
//!   standard output ◄──┘        counts     receiving loop     the same work for every frame of every row
//! ```
//!
//! | row | module | what it is |
//! |---|---|---|
//! | `vxtap` | `vxtap` | the engine through its library |
//! | `xsk-rs`, `xsk-decap` | `xsk` | a bare AF_XDP socket |
//! | `tpacket`, `packet` | `packet` | a `TPACKET_V3` ring, on the kernel's VXLAN device or on the NIC |
//! | `recvmmsg` | `udp` | a UDP socket |
//! | `xdp-drop` | `drop` | an XDP program that counts and drops: what the wire brings |

pub mod app;
pub mod background;
pub mod board;
pub mod drop;
pub(crate) mod interface;
mod latency;
pub mod marks;
pub mod packet;
pub mod tunnel;
pub mod udp;
pub mod vxtap;
#[expect(unsafe_code, reason = "xsk-rs leaves it to its caller that a chunk has one owner")]
pub mod xsk;

use std::io::{stdin, stdout};

use anyhow::Result;
use clap::{Args, Subcommand};

use background::{Background, Receive};
use drop::Dropper;
use packet::Packet;
use udp::Udp;
use vxtap::Vxtap;
use xsk::{Work, Xsk};

/// Receives mirrored traffic in one of the ways that are compared.
///
/// Says in a line of JSON when it is ready, answers each line `mark` on standard input with what it
/// has received so far, and ends with `end` or the end of the input.
#[derive(Debug, Args)]
pub struct Options {
    #[command(subcommand)]
    row: Row,
}

#[derive(Debug, Clone, Subcommand)]
enum Row {
    Vxtap(vxtap::Options),
    XskRs(xsk::Options),
    /// As xsk-rs, with the tunnel taken off and the application's work
    XskDecap(xsk::Options),
    Tpacket(packet::VxlanOptions),
    Packet(packet::NicOptions),
    Recvmmsg(udp::Options),
    XdpDrop(drop::Options),
}

/// Runs a receiver until standard input tells it to end.
///
/// # Errors
/// When the receiver cannot be opened, fails while it receives, or is told something that it does
/// not understand.
pub fn run(options: &Options) -> Result<()> {
    match options.row.clone() {
        Row::Vxtap(options) => vxtap(&options),
        Row::XskRs(options) => in_background(move || Xsk::open(&options, Work::Refill)),
        Row::XskDecap(options) => in_background(move || Xsk::open(&options, Work::Decapsulate)),
        Row::Tpacket(options) => in_background(move || Packet::on_vxlan(&options)),
        Row::Packet(options) => in_background(move || Packet::on_nic(&options)),
        Row::Recvmmsg(options) => in_background(move || Udp::open(&options)),
        Row::XdpDrop(options) => xdp_drop(&options),
    }
}

fn in_background<R: Receive>(open: impl FnOnce() -> Result<R> + Send + 'static) -> Result<()> {
    let (background, about) = Background::start(open)?;
    let served = marks::serve(stdin().lock(), stdout().lock(), about, || background.mark());
    // Why the receiver ended says more than that it does not answer.
    background.end().and(served)
}

fn vxtap(options: &vxtap::Options) -> Result<()> {
    let (vxtap, about) = Vxtap::start(options)?;
    let served = marks::serve(stdin().lock(), stdout().lock(), about, || vxtap.mark());
    vxtap.end().and(served)
}

fn xdp_drop(options: &drop::Options) -> Result<()> {
    let (dropper, about) = Dropper::attach(options)?;
    marks::serve(stdin().lock(), stdout().lock(), about, || dropper.mark())
}
