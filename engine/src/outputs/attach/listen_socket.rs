//! A Unix socket with a path that consumers connect to.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::outputs::parent_directory::create_parent;

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
    /// Creates the socket with mode 0600, and missing directories with mode 0750. Replaces a socket
    /// at this path on which no process listens any more.
    ///
    /// # Errors
    ///
    /// A sentence with the remedy, or the error of the system call.
    pub(crate) fn open(path: &Path, kind: SocketType) -> io::Result<Self> {
        let address = SocketAddrUnix::new(path)?;
        let listener = socket(kind)?;
        create_parent(path)?;
        if let Err(error) = rustix::net::bind(&listener, &address) {
            if error != Errno::ADDRINUSE {
                return Err(error.into());
            }
            check_left_behind(path, &address, kind)?;
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

/// Returns an error unless the path is a socket on which no process listens any more.
fn check_left_behind(path: &Path, address: &SocketAddrUnix, kind: SocketType) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        return Err(in_use("it is there and is no socket: remove it, or name another path"));
    }
    let client = socket(kind)?;
    match rustix::net::connect(&client, address) {
        Err(Errno::CONNREFUSED) => Ok(()),
        Ok(()) => {
            let peer = rustix::net::sockopt::socket_peercred(&client)?.pid;
            Err(in_use(&format!("process {peer} listens there: stop it, or name another path")))
        }
        Err(_) => Err(in_use("another process listens there: stop it, or name another path")),
    }
}

fn in_use(sentence: &str) -> io::Error {
    io::Error::new(io::ErrorKind::AddrInUse, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_left_behind_is_taken_over_and_one_in_use_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("missing/socket");
        let socket = ListenSocket::open(&path, SocketType::SEQPACKET).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let refusal = |kind| ListenSocket::open(&path, kind).unwrap_err().to_string();
        assert_eq!(
            refusal(SocketType::SEQPACKET),
            format!("process {} listens there: stop it, or name another path", std::process::id())
        );
        assert_eq!(
            refusal(SocketType::STREAM),
            "another process listens there: stop it, or name another path"
        );
        drop(socket);
        assert!(!path.exists());
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        drop(ListenSocket::open(&path, SocketType::SEQPACKET).unwrap());
        fs::write(&path, "a file").unwrap();
        assert_eq!(
            refusal(SocketType::SEQPACKET),
            "it is there and is no socket: remove it, or name another path"
        );
        assert_eq!(fs::read(&path).unwrap(), b"a file", "a file is nobody's socket");
    }
}
