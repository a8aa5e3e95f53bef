//! Receivers `xsk-rs` and `xsk-decap`: an AF_XDP socket through xsk-rs and libxdp, with their
//! default program and sizes, and nothing else.

use std::num::NonZeroU32;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use xsk_rs::config::{BindFlags, Interface, SocketConfig, UmemConfig};
use xsk_rs::{CompQueue, FillQueue, FrameDesc, RxQueue, Socket, TxQueue, Umem};

use super::app::Application;
use super::background::{Receive, WAIT_MS};
use super::decapsulation;

/// Descriptors taken at once, as the engine does.
const BATCH: usize = 64;
const QUEUE: u32 = 0;

/// A bare AF_XDP socket with the default sizes of xsk-rs
#[derive(Debug, Clone, Args)]
pub struct XskOptions {
    /// Interface that the traffic arrives at
    #[arg(long, short, default_value = "vxrx0")]
    pub interface: String,
    /// Wait mode of the socket
    #[arg(long, value_enum, default_value_t = XskWait::Poll)]
    pub wait: XskWait,
}

/// Wait mode of a bare socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum XskWait {
    /// Polls without a pause.
    Busy,
    /// Sleeps in poll(2).
    Poll,
}

/// Handling of a received chunk before it goes back to the fill ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameHandling {
    /// None: its bytes are not read.
    Refill,
    /// The frame is decapsulated and given to the application.
    Decapsulate,
}

/// An AF_XDP socket. All chunks are in the fill ring, in the RX ring, or in the batch.
pub(super) struct XskReceiver {
    wait: XskWait,
    handling: FrameHandling,
    umem: Umem,
    fill: FillQueue,
    rx: RxQueue,
    /// Descriptors of a batch.
    batch: Vec<FrameDesc>,
    // Kept open as long as the socket.
    _completion: CompQueue,
    _tx: TxQueue,
}

impl XskReceiver {
    pub(super) fn open(options: &XskOptions, handling: FrameHandling) -> Result<Self> {
        let umem_config = UmemConfig::default();
        let chunk_count =
            NonZeroU32::new(umem_config.fill_queue_size().get()).context("an empty fill ring")?;
        let (umem, mut chunks) = Umem::new(umem_config, chunk_count, false)?;
        let socket_config =
            SocketConfig::builder().bind_flags(BindFlags::XDP_USE_NEED_WAKEUP).build();
        let interface: Interface = options.interface.parse()?;
        // SAFETY: the UMEM is not shared, so that no two sockets have the same queue of it.
        let socket = unsafe { Socket::new(socket_config, &umem, &interface, QUEUE) };
        let (tx, rx, rings) = socket.with_context(|| {
            format!("cannot open an AF_XDP socket on {} through xsk-rs", options.interface)
        })?;
        let (mut fill, completion) = rings.context("xsk-rs gives no fill ring")?;
        // SAFETY: fresh chunks of this UMEM, each once, and nowhere else.
        let filled = unsafe { fill.produce(&chunks) };
        ensure!(filled == chunks.len(), "the fill ring took {filled} of {} chunks", chunks.len());
        chunks.truncate(BATCH);
        let XskOptions { wait, .. } = *options;
        Ok(Self { wait, handling, umem, fill, rx, batch: chunks, _completion: completion, _tx: tx })
    }

    /// Handles the first `count` frames of the batch.
    fn give(&self, app: &mut Application, count: usize) {
        for chunk in &self.batch[..count] {
            match self.handling {
                FrameHandling::Refill => {
                    app.unread(chunk.lengths().data().saturating_sub(decapsulation::IPV4_LEN));
                }
                FrameHandling::Decapsulate => {
                    // SAFETY: the kernel has handed the chunk over, and gets it back only after
                    // this borrow ends.
                    let frame = unsafe { self.umem.data(chunk) };
                    match decapsulation::inner_of_frame(frame.contents()) {
                        Some(inner) => app.frame(inner),
                        None => app.foreign(),
                    }
                }
            }
        }
    }

    /// Gives the kernel back the first `count` chunks of the batch.
    fn refill(&mut self, count: usize) -> Result<()> {
        // The kernel updates its consumer index of the fill ring late: at the end of its own batch.
        loop {
            // SAFETY: the kernel has handed these chunks over, and no other owner has them. Either
            // all of them go in or none.
            let filled = unsafe { self.fill.produce(&self.batch[..count]) };
            if filled == count {
                return self.wake_up();
            }
            std::hint::spin_loop();
        }
    }

    /// Wakes a kernel that sleeps for lack of chunks.
    fn wake_up(&mut self) -> Result<()> {
        if self.fill.needs_wakeup() {
            self.fill.wakeup(self.rx.fd_mut(), 0)?;
        }
        Ok(())
    }

    fn idle(&mut self) -> Result<()> {
        match self.wait {
            XskWait::Busy => {
                std::hint::spin_loop();
                self.wake_up()
            }
            XskWait::Poll => {
                self.rx.poll(WAIT_MS.into())?;
                Ok(())
            }
        }
    }
}

impl Receive for XskReceiver {
    fn about(&self) -> String {
        let (umem, socket) = (UmemConfig::default(), SocketConfig::default());
        let wait = self
            .wait
            .to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned());
        format!(
            "xsk-rs on libxdp's default program, {count} chunks of {size} bytes, fill ring {fill}, RX ring {rx}, batch \
             {BATCH}, need_wakeup, {wait}{handling}",
            count = umem.fill_queue_size().get(),
            size = umem.frame_size().get(),
            fill = umem.fill_queue_size().get(),
            rx = socket.rx_queue_size().get(),
            handling = if self.handling == FrameHandling::Refill {
                ", frames not read"
            } else {
                ", own decapsulation"
            },
        )
    }

    fn batch(&mut self, app: &mut Application) -> Result<()> {
        // SAFETY: the descriptors are of this socket's UMEM, and no owner has the chunks that they
        // name.
        let count = unsafe { self.rx.consume(&mut self.batch) };
        if count == 0 {
            return self.idle();
        }
        self.give(app, count);
        self.refill(count)
    }

    fn lost(&mut self) -> Result<Option<u64>> {
        let statistics = self.rx.fd().xdp_statistics()?;
        Ok(Some(statistics.rx_dropped() + statistics.rx_ring_full()))
    }
}
