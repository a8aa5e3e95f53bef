//! A Unix socket with a path that consumers connect to.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// Largest number of pending connections.
const BACKLOG: i32 = 16;

/// A listening Unix socket whose path is removed with it.
#[derive(Debug)]
pub(crate) struct ListenSocket {
    listener: OwnedFd,
    path: PathBuf,
    /// Inode of the path: a file that replaces it is not removed.
    inode: u64,
}

impl ListenSocket {
    /// Creates the socket with mode 0600. Replaces a socket at this path on which no process
    /// listens any more.
    pub(crate) fn open(path: &Path, kind: SocketType) -> io::Result<Self> {
        let address = SocketAddrUnix::new(path)?;
        let listener = socket(kind)?;
        if let Err(error) = rustix::net::bind(&listener, &address) {
            if error != Errno::ADDRINUSE || !is_left_behind(path, &address, kind)? {
                return Err(error.into());
            }
            fs::remove_file(path)?;
            rustix::net::bind(&listener, &address)?;
        }
        // No process can connect before it listens.
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
        let inode = fs::symlink_metadata(path)?.ino();
        rustix::net::listen(&listener, BACKLOG)?;
        Ok(Self { listener, path: path.to_owned(), inode })
    }

    /// Accepts a pending connection; `None` if there is none.
    pub(crate) fn accept(&self) -> io::Result<Option<OwnedFd>> {
        match rustix::net::accept_with(&self.listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)
        {
            Ok(connection) => Ok(Some(connection)),
            Err(Errno::AGAIN | Errno::CONNABORTED | Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for ListenSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Drop for ListenSocket {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|metadata| metadata.ino() == self.inode) {
            // If it cannot be removed, the next engine replaces it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn socket(kind: SocketType) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(AddressFamily::UNIX, kind, flags, None)?)
}

/// Returns whether the path is a socket on which no process listens any more.
fn is_left_behind(path: &Path, address: &SocketAddrUnix, kind: SocketType) -> io::Result<bool> {
    let is_socket = fs::symlink_metadata(path)?.file_type().is_socket();
    Ok(is_socket && rustix::net::connect(&socket(kind)?, address) == Err(Errno::CONNREFUSED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_left_behind_is_taken_over_and_one_in_use_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let socket = ListenSocket::open(&path, SocketType::SEQPACKET).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(
            ListenSocket::open(&path, SocketType::SEQPACKET).unwrap_err().kind(),
            io::ErrorKind::AddrInUse
        );
        drop(socket);
        assert!(!path.exists());
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        drop(ListenSocket::open(&path, SocketType::SEQPACKET).unwrap());
        fs::write(&path, "a file").unwrap();
        assert_eq!(
            ListenSocket::open(&path, SocketType::SEQPACKET).unwrap_err().kind(),
            io::ErrorKind::AddrInUse
        );
        assert_eq!(fs::read(&path).unwrap(), b"a file", "a file is nobody's socket");
    }
}
