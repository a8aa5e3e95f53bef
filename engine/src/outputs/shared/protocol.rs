//! The words on the socket (`SOCK_SEQPACKET`, unix(7)): a hello, a welcome, then memory. Native
//! byte order.
//!
//! ```text
//!   consumer                                   engine
//!      hello: which member        ──────────►
//!                                 ◄──────────  welcome: that member, or why not
//!                                 ◄──────────  sessions: a file
//!                                 ◄──────────  ring: three files; one message for each queue
//!      (reads)                    ◄──────────  again whenever there is another queue, or other sessions
//!      hangs up, however it ends  ──────────►
//! ```

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

pub(crate) use crate::ring::VERSION;

/// The first eight bytes of each message.
const MAGIC: [u8; 8] = *b"vxtapSHR";
/// Value of [`Hello::member`] for the member with the fewest consumers.
const ANY: u32 = u32::MAX;
/// Room for the text in a [`Welcome`], in bytes.
const SENTENCE_MAX: usize = 104;

/// First message of a consumer: magic, version, member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) version: u32,
    /// `None`: any.
    pub(crate) member: Option<u32>,
}

impl Hello {
    pub(crate) const LEN: usize = 16;

    /// Returns a hello of this version.
    pub(crate) const fn new(member: Option<u32>) -> Self {
        Self { version: VERSION, member }
    }

    pub(crate) fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        put(&mut bytes, &[self.version, self.member.unwrap_or(ANY)]);
        bytes
    }

    /// Parses a hello; `None` if the bytes are none.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let [version, member] =
            words(bytes.get(..Self::LEN).filter(|_| bytes.len() == Self::LEN)?)?;
        Some(Self { version, member: Some(member).filter(|member| *member != ANY) })
    }
}

/// Reason why a consumer is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Welcome = 0,
    /// Another version.
    Version = 1,
    /// There is no such member.
    NoSuchMember = 2,
    /// The member has the largest number of consumers.
    Full = 3,
    /// There is no memory for rings, or the output ends.
    Unable = 4,
}

/// Answer of the engine: magic, version, status, member, members, rings, a text that ends with NUL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Welcome {
    pub(crate) version: u32,
    pub(crate) status: u32,
    pub(crate) member: u32,
    pub(crate) members: u32,
    /// Number of rings that follow at once.
    pub(crate) rings: u32,
    /// Message for the user if the consumer is refused.
    pub(crate) sentence: String,
}

impl Welcome {
    pub(crate) const LEN: usize = 128 + 8;

    pub(crate) fn to_bytes(&self) -> [u8; Self::LEN] {
        let Self { version, status, member, members, rings, sentence } = self;
        let mut bytes = [0; Self::LEN];
        put(&mut bytes, &[*version, *status, *member, *members, *rings, 0]);
        let len = sentence.len().min(SENTENCE_MAX - 1);
        bytes[32..32 + len].copy_from_slice(&sentence.as_bytes()[..len]);
        bytes
    }

    /// Parses a welcome; `None` if the bytes are none.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..Self::LEN)?;
        let [version, status, member, members, rings, _] = words(bytes)?;
        let sentence = bytes[32..].split(|byte| *byte == 0).next().unwrap_or_default();
        let sentence = String::from_utf8_lossy(sentence).into_owned();
        Some(Self { version, status, member, members, rings, sentence })
    }
}

/// Kind of a message with files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FdMessage {
    /// UMEM, ring, tail.
    Ring,
    /// A text: a line for each session, its id, a tab, its name.
    Sessions,
}

/// Largest number of files in a message.
const FILES_MAX: usize = 3;

impl FdMessage {
    pub(crate) const LEN: usize = 16;

    pub(crate) const fn word(self) -> u32 {
        match self {
            Self::Ring => 1,
            Self::Sessions => 2,
        }
    }
}

/// Sends bytes, without waiting.
pub(crate) fn send(socket: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<()> {
    Ok(rustix::net::send(socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT).map(drop)?)
}

/// Sends files, without waiting. The caller may close them afterwards.
pub(crate) fn send_files(
    socket: BorrowedFd<'_>,
    parcel: FdMessage,
    files: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let mut bytes = [0; FdMessage::LEN];
    put(&mut bytes, &[parcel.word(), 0]);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES_MAX))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    assert!(ancillary.push(SendAncillaryMessage::ScmRights(files)), "room for three files");
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    Ok(sendmsg(socket, &[IoSlice::new(&bytes)], &mut ancillary, flags).map(drop)?)
}

/// Waits for a message without files; `None` if the peer has closed the connection.
pub(crate) fn receive(socket: BorrowedFd<'_>, flags: RecvFlags) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = [0; 256];
    let (len, _) = rustix::net::recv(socket, &mut bytes, flags)?;
    Ok((len > 0).then(|| bytes[..len].to_vec()))
}

/// Waits for files; `None` if the peer has closed the connection.
pub(crate) fn receive_files(
    socket: BorrowedFd<'_>,
) -> io::Result<Option<(FdMessage, Vec<OwnedFd>)>> {
    let mut bytes = [0; FdMessage::LEN];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES_MAX))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let slices = &mut [IoSliceMut::new(&mut bytes)];
    let message = recvmsg(socket, slices, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    if message.bytes == 0 {
        return Ok(None);
    }
    let files = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(files) => Some(files.collect::<Vec<_>>()),
        _ => None,
    });
    let files: Vec<_> = files.flatten().collect();
    let parcel = match (words(&bytes), files.len()) {
        (Some([1, _]), 3) => FdMessage::Ring,
        (Some([2, _]), 1) => FdMessage::Sessions,
        _ => {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the engine sends what is not known here",
            ));
        }
    };
    Ok(Some((parcel, files)))
}

/// Writes the magic, followed by words.
fn put(bytes: &mut [u8], words: &[u32]) {
    bytes[..8].copy_from_slice(&MAGIC);
    for (place, word) in bytes[8..].chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
}

/// Returns the words that follow the magic; `None` without it.
fn words<const N: usize>(bytes: &[u8]) -> Option<[u32; N]> {
    let mut words = [0; N];
    let rest = bytes.strip_prefix(&MAGIC)?;
    for (word, bytes) in words.iter_mut().zip(rest.chunks_exact(4)) {
        *word = u32::from_ne_bytes(bytes.try_into().ok()?);
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_what_was_said() {
        for member in [None, Some(3)] {
            assert_eq!(Hello::of_bytes(&Hello::new(member).to_bytes()), Some(Hello::new(member)));
        }
        let bytes = Hello::new(None).to_bytes();
        assert_eq!(Hello::of_bytes(&bytes[..15]), None);
        assert_eq!(Hello::of_bytes(b"GET / HTTP/1.1\r\n"), None);
        let welcome = Welcome {
            version: 1,
            status: 3,
            member: 2,
            members: 4,
            rings: 8,
            sentence: "x".repeat(200),
        };
        let heard = Welcome::of_bytes(&welcome.to_bytes()).unwrap();
        assert_eq!(heard.sentence.len(), SENTENCE_MAX - 1);
        assert_eq!(
            Welcome { sentence: String::new(), ..heard },
            Welcome { sentence: String::new(), ..welcome }
        );
        assert_eq!(Welcome::of_bytes(b""), None);
    }
}
