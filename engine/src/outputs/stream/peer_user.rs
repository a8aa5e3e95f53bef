//! Finds the user of a program of this host by its TCP connection.
//!
//! Asks the kernel (`SOCK_DIAG_BY_FAMILY` of `sock_diag(7)`) for the other end of the connection.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};

use netlink_sys::{Socket, SocketAddr as NetlinkAddress, protocols::NETLINK_SOCK_DIAG};

/// Length of the request: `struct nlmsghdr` and `struct inet_diag_req_v2`
/// ([`include/uapi/linux/netlink.h`](https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/netlink.h),
/// [`include/uapi/linux/inet_diag.h`](https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/inet_diag.h)).
const REQUEST_LEN: u32 = 16 + 56;
const HEADER_LEN: usize = 16;
/// Place of the sequence number in the header.
const SEQUENCE: usize = 8;
/// Address families and protocol, as bytes.
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const TCP: u8 = 6;
/// `SOCK_DIAG_BY_FAMILY`, type of request and answer.
const BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
/// Flags that ask for all sockets in given states (`NLM_F_ROOT | NLM_F_MATCH`).
const NLM_F_DUMP: u16 = 0x300;
/// Any state, and none.
const ALL_STATES: u32 = u32::MAX;
const NO_STATE: u32 = 0;
/// Places in the answer, behind its header (`struct inet_diag_msg`).
const STATE: usize = 1;
const UID: usize = 64;
const INODE: usize = 68;
/// State of a listening socket (`TCP_LISTEN`).
const LISTEN: u8 = 10;

/// Finds users in one network namespace.
#[derive(Debug)]
pub(crate) struct PeerUsers {
    socket: Socket,
    /// Sequence number of the last request.
    requests: AtomicU32,
    protocol: u8,
}

impl PeerUsers {
    /// Opens a socket for requests about the network namespace of the calling thread.
    pub(super) fn open() -> io::Result<Self> {
        Self::open_for(TCP)
    }

    /// As [`Self::open`], for connections of another protocol than TCP.
    pub(super) fn open_for(protocol: u8) -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
        socket.bind_auto()?;
        socket.connect(&NetlinkAddress::new(0, 0))?;
        Ok(Self { socket, requests: AtomicU32::new(0), protocol })
    }

    /// Asks the kernel for nothing, to find out whether it answers.
    ///
    /// # Errors
    ///
    /// The error of the system call, or a sentence if the kernel cannot tell the users of
    /// connections (`CONFIG_INET_DIAG`).
    pub(super) fn check(&self) -> io::Result<()> {
        let nobody = SocketAddr::from(([0, 0, 0, 0], 0));
        let answer = self.ask(NLM_F_DUMP, NO_STATE, nobody, nobody)?;
        match word(&answer, HEADER_LEN)?.cast_signed().wrapping_neg() {
            0 => Ok(()),
            libc::ENOENT => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "this kernel does not know the users of connections (CONFIG_INET_DIAG)",
            )),
            errno => Err(io::Error::from_raw_os_error(errno)),
        }
    }

    /// Returns the user of the program that has connected from `peer` to `local`. `None` if no
    /// program of the network namespace has that socket any more.
    ///
    /// # Errors
    ///
    /// The error of the system call, or of the kernel if it does not tell.
    pub(super) fn user_of(&self, peer: SocketAddr, local: SocketAddr) -> io::Result<Option<u32>> {
        let user = read(&self.ask(0, ALL_STATES, peer, local)?)?;
        if user.is_none() {
            // A kernel that knows no users has the same answer as one that has no such socket.
            self.check()?;
        }
        Ok(user)
    }

    /// Sends a request for the socket whose own end is `peer`, and returns the first answer.
    fn ask(
        &self,
        flags: u16,
        states: u32,
        peer: SocketAddr,
        local: SocketAddr,
    ) -> io::Result<Vec<u8>> {
        let sequence = self.requests.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let (peer_ip, local_ip) = (peer.ip().to_canonical(), local.ip().to_canonical());
        let family = if peer_ip.is_ipv4() { AF_INET } else { AF_INET6 };
        let mut bytes = Vec::new();
        bytes.extend(REQUEST_LEN.to_ne_bytes());
        bytes.extend(BY_FAMILY.to_ne_bytes());
        bytes.extend((NLM_F_REQUEST | flags).to_ne_bytes());
        bytes.extend(sequence.to_ne_bytes());
        bytes.extend([0; 4]); // port
        bytes.extend([family, self.protocol, 0, 0]);
        bytes.extend(states.to_ne_bytes());
        bytes.extend(peer.port().to_be_bytes());
        bytes.extend(local.port().to_be_bytes());
        bytes.extend(address(peer_ip));
        bytes.extend(address(local_ip));
        bytes.extend([0; 4]); // any interface
        bytes.extend([0xff; 8]); // no cookie
        self.socket.send(&bytes, 0)?;
        loop {
            let (answer, _) = self.socket.recv_from_full()?;
            // An answer may be left over from a request that was interrupted.
            if word(&answer, SEQUENCE)? == sequence {
                return Ok(answer);
            }
        }
    }
}

fn address(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V6(ip) => ip.octets(),
        IpAddr::V4(ip) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&ip.octets());
            bytes
        }
    }
}

fn word(answer: &[u8], at: usize) -> io::Result<u32> {
    let bytes = answer.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
    bytes.map(u32::from_ne_bytes).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

/// Reads the answer. A socket without an inode belongs to no program any more.
fn read(answer: &[u8]) -> io::Result<Option<u32>> {
    let word = |at: usize| word(answer, at);
    let kind = word(4)?.to_ne_bytes();
    if u16::from_ne_bytes([kind[0], kind[1]]) != BY_FAMILY {
        // An error message: a negative errno behind the header.
        let errno = word(HEADER_LEN)?.cast_signed().wrapping_neg();
        return match errno {
            libc::ENOENT => Ok(None),
            _ => Err(io::Error::from_raw_os_error(errno)),
        };
    }
    let state = answer.get(HEADER_LEN + STATE).copied();
    let is_connected = state != Some(LISTEN) && word(HEADER_LEN + INODE)? != 0;
    let user = word(HEADER_LEN + UID)?;
    Ok(is_connected.then_some(user))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn the_user_of_a_connection_is_found_while_a_program_has_it() {
        let users = PeerUsers::open().unwrap();
        let user_of = |peer, local| users.user_of(peer, local).unwrap();
        for address in ["127.0.0.1:0", "[::1]:0", "[::]:0"] {
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let port = listener.local_addr().unwrap().port();
            let to = if address == "[::1]:0" { "::1" } else { "127.0.0.1" };
            let client = TcpStream::connect((to, port)).unwrap();
            let (server, peer) = listener.accept().unwrap();
            let local = server.local_addr().unwrap();
            let own = rustix::process::geteuid().as_raw();
            assert_eq!(user_of(peer, local), Some(own), "{address}");
            drop(client);
            assert_eq!(user_of(peer, local), None, "{address}");
            let (listens, nobody) = (listener.local_addr().unwrap(), SocketAddr::new(peer.ip(), 1));
            assert_eq!(user_of(listens, nobody), None, "{address}: a listener");
        }
    }

    #[test]
    fn a_kernel_that_knows_no_users_is_not_one_whose_peer_has_gone() {
        PeerUsers::open().unwrap().check().unwrap();
        // Of this protocol no kernel knows them.
        let users = PeerUsers::open_for(254).unwrap();
        let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
        for error in [users.check().unwrap_err(), users.user_of(nobody, nobody).unwrap_err()] {
            let sentence = "this kernel does not know the users of connections (CONFIG_INET_DIAG)";
            assert_eq!(error.to_string(), sentence);
        }
    }

    #[test]
    fn an_answer_that_is_cut_short_is_an_error() {
        assert!(read(&[]).is_err() && read(&[20, 0, 0, 0, 20, 0, 0, 0]).is_err());
    }
}
