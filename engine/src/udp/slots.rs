//! Where recvmmsg(2) puts datagrams and what it says about them.

use std::io;
use std::mem::size_of;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::ptr;

use super::PAYLOAD;
use super::message::{self, CONTROL_LEN, Control, Facts, Name};
use crate::sys::syscall;
use crate::xsk::HEADROOM;
use crate::xsk::Umem;

/// Most datagrams that one system call takes.
pub(super) const BATCH: usize = 32;
/// Most chunks that a datagram is given beforehand. What is longer overflows.
pub(super) const PARTS_MAX: usize = 6;
/// The longest datagram.
const DATAGRAM_MAX: usize = 65_535;

/// A datagram that has been received.
#[derive(Clone, Copy, Debug)]
pub(super) struct Datagram {
    /// Bytes of payload.
    pub(super) len: usize,
    /// Source address and port.
    pub(super) from: Option<(IpAddr, u16)>,
    /// Destination address.
    pub(super) to: Option<IpAddr>,
    /// When it arrived, in nanoseconds since 1970-01-01 UTC.
    pub(super) time_ns: Option<u64>,
}

/// Room for what a system call says about a batch, and for what does not fit into the chunks: pages
/// that nobody writes to cost no memory.
#[derive(Debug)]
pub(super) struct Slots {
    names: [Name; BATCH],
    controls: [Control; BATCH],
    lens: [(usize, usize); BATCH],
    overflow: Box<[u8]>,
}

const NO_IOVEC: libc::iovec = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
const NO_HEADER: libc::mmsghdr = libc::mmsghdr {
    msg_hdr: libc::msghdr {
        msg_name: ptr::null_mut(),
        msg_namelen: 0,
        msg_iov: ptr::null_mut(),
        msg_iovlen: 0,
        msg_control: ptr::null_mut(),
        msg_controllen: 0,
        msg_flags: 0,
    },
    msg_len: 0,
};

impl Slots {
    pub(super) fn new() -> Self {
        Self {
            names: [Name::EMPTY; BATCH],
            controls: [Control::EMPTY; BATCH],
            lens: [(0, 0); BATCH],
            overflow: vec![0; BATCH * DATAGRAM_MAX].into(),
        }
    }

    /// Receives datagrams without waiting, each into `parts` of the `chunks`; returns their number.
    ///
    /// # Safety
    ///
    /// The chunks must be lent to the caller: taken from the fill ring and not yet put into the RX
    /// ring; each once.
    pub(super) unsafe fn receive(
        &mut self,
        fd: BorrowedFd<'_>,
        umem: &Umem,
        chunks: &[u64],
        parts: usize,
    ) -> io::Result<usize> {
        let Self { names, controls, lens, overflow } = self;
        let mut iovecs = [[NO_IOVEC; PARTS_MAX + 1]; BATCH];
        let mut headers = [NO_HEADER; BATCH];
        let count = chunks.len() / parts;
        let overflow = overflow.chunks_mut(DATAGRAM_MAX);
        let places = chunks.chunks(parts).zip(overflow).zip(&mut iovecs);
        for ((chunks, overflow), iovecs) in places {
            for (part, (iovec, &chunk)) in iovecs.iter_mut().zip(chunks).enumerate() {
                let offset = if part == 0 { PAYLOAD } else { HEADROOM };
                let len = umem.geometry().chunk_size() - offset;
                let base = umem.lent_bytes(chunk + u64::from(offset), len);
                *iovec = libc::iovec { iov_base: base.as_ptr().cast(), iov_len: len as usize };
            }
            iovecs[parts] =
                libc::iovec { iov_base: overflow.as_mut_ptr().cast(), iov_len: overflow.len() };
        }
        let about = names.iter_mut().zip(controls.iter_mut());
        for ((header, iovecs), (name, control)) in headers.iter_mut().zip(&mut iovecs).zip(about) {
            let header = &mut header.msg_hdr;
            header.msg_name = ptr::from_mut(name).cast();
            header.msg_namelen = u32::try_from(size_of::<Name>()).unwrap_or_default();
            header.msg_iov = iovecs.as_mut_ptr();
            header.msg_iovlen = (parts + 1) as _;
            header.msg_control = ptr::from_mut(control).cast();
            header.msg_controllen = CONTROL_LEN as _;
        }
        // SAFETY: each header points to a name, a control buffer and `parts + 1` iovecs of its own,
        // all of them alive for the call; the iovecs lead into chunks that are the caller's and no
        // two of them share, by its promise, and into the header's own overflow.
        let received = unsafe { syscall::receive_datagrams(fd, &mut headers[..count]) }?;
        for (len, header) in lens.iter_mut().zip(&headers[..received]) {
            *len = (header.msg_len as usize, header.msg_hdr.msg_controllen);
        }
        Ok(received)
    }

    /// The `nth` datagram of the last batch.
    pub(super) fn datagram(&self, nth: usize) -> Datagram {
        let (len, control_len) = self.lens[nth];
        let Facts { time_ns, destination } = message::facts(self.controls[nth].bytes(control_len));
        Datagram { len, from: self.names[nth].address(), to: destination, time_ns }
    }

    /// The last `len` bytes of the `nth` datagram, which did not fit into its chunks.
    pub(super) fn overflow(&self, nth: usize, len: usize) -> &[u8] {
        &self.overflow[nth * DATAGRAM_MAX..][..len.min(DATAGRAM_MAX)]
    }
}
