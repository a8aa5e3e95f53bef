//! Reads capture files: pcap with any of its time units, and pcapng.

use std::fs::File;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use pcap_parser::traits::PcapNGPacketBlock;
use pcap_parser::{
    Block, InterfaceDescriptionBlock, Linktype, PcapBlockOwned, PcapError, create_reader,
};

use crate::mirror_session::MirrorSession;
use crate::plural::counted;

/// Read buffer at first, and the largest that a block may need, in bytes.
const BUFFER_LEN: usize = 1 << 18;
const MAX_BLOCK_LEN: usize = 1 << 26;

/// A frame in a capture file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CapturedFrame<'a> {
    /// The bytes captured.
    pub bytes: &'a [u8],
    /// Length in bytes before it was cut.
    pub original_len: u32,
    /// Time since 1970 in UTC; zero if the file has none.
    pub at: Duration,
    /// The session that the file's interface description names.
    pub session: Option<MirrorSession>,
}

/// Reason why a capture file cannot be read, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The file cannot be opened or read.
    #[error("cannot read {path}: {source}")]
    File {
        /// The file.
        path: String,
        /// Error of the system call.
        source: std::io::Error,
    },
    /// The format of the file is unknown.
    #[error("{path} is no capture file: vxgen reads pcap and pcapng")]
    Format {
        /// The file.
        path: String,
    },
    /// The file is damaged or cut; every frame before that position was passed to the callback.
    #[error("{path} is damaged or cut off at byte {offset}, after {}: {reason}", counted(*frames, "frame"))]
    Damaged {
        /// The file.
        path: String,
        /// Offset of the block that cannot be read, in bytes.
        offset: u64,
        /// Frames before it.
        frames: u64,
        /// Description of the damage.
        reason: String,
    },
    /// The frames are not Ethernet frames.
    #[error("{path} has frames of link type {linktype}: only Ethernet (1) can be used")]
    Linktype {
        /// The file.
        path: String,
        /// Number of the link type.
        linktype: i32,
    },
}

/// Reads a capture file and calls `each` for every frame in it, in the file's order.
///
/// # Errors
/// See [`CaptureError`]; the frames before the error have been passed to `each`.
pub fn read(path: &Path, mut each: impl FnMut(CapturedFrame<'_>)) -> Result<(), CaptureError> {
    let name = path.display().to_string();
    let file =
        File::open(path).map_err(|source| CaptureError::File { path: name.clone(), source })?;
    let mut reader = create_reader(BUFFER_LEN, file)
        .ok()
        .ok_or_else(|| CaptureError::Format { path: name.clone() })?;
    let mut captured = CaptureReader { path: name, interfaces: Vec::new(), offset: 0, frames: 0 };
    let mut buffer_len = BUFFER_LEN;
    loop {
        match reader.next() {
            Ok((len, block)) => {
                captured.block(&block, &mut each)?;
                captured.offset += len as u64;
                reader.consume(len);
            }
            Err(PcapError::Eof) => return Ok(()),
            Err(PcapError::Incomplete(_)) => {
                reader.refill().map_err(|e| captured.damaged(&e.to_string()))?;
            }
            Err(PcapError::BufferTooSmall) if buffer_len < MAX_BLOCK_LEN => {
                buffer_len *= 2;
                reader.grow(buffer_len);
                reader.refill().map_err(|e| captured.damaged(&e.to_string()))?;
            }
            Err(error) => return Err(captured.damaged(&error.to_string())),
        }
    }
}

/// State of the reader.
struct CaptureReader {
    path: String,
    interfaces: Vec<CaptureInterface>,
    offset: u64,
    frames: u64,
}

/// Properties that the frames of an interface share.
struct CaptureInterface {
    linktype: Linktype,
    units_per_second: u64,
    offset: Duration,
    session: Option<MirrorSession>,
}

impl CaptureReader {
    fn block(
        &mut self,
        block: &PcapBlockOwned<'_>,
        each: &mut impl FnMut(CapturedFrame<'_>),
    ) -> Result<(), CaptureError> {
        match block {
            PcapBlockOwned::LegacyHeader(header) => {
                let units_per_second =
                    if header.is_nanosecond_precision() { 1_000_000_000 } else { 1_000_000 };
                let linktype = header.network;
                let offset = Duration::ZERO;
                self.interfaces.push(CaptureInterface {
                    linktype,
                    units_per_second,
                    offset,
                    session: None,
                });
            }
            PcapBlockOwned::Legacy(frame) => {
                let ticks = |interface: &CaptureInterface| {
                    u64::from(frame.ts_sec)
                        .saturating_mul(interface.units_per_second)
                        .saturating_add(frame.ts_usec.into())
                };
                self.frame(0, ticks, frame.data, frame.origlen, each)?;
            }
            PcapBlockOwned::NG(Block::SectionHeader(_)) => self.interfaces.clear(),
            PcapBlockOwned::NG(Block::InterfaceDescription(block)) => {
                self.interfaces.push(CaptureInterface::of(block));
            }
            PcapBlockOwned::NG(Block::EnhancedPacket(frame)) => {
                let ticks = u64::from(frame.ts_high) << 32 | u64::from(frame.ts_low);
                self.frame(frame.if_id, |_| ticks, frame.packet_data(), frame.origlen, each)?;
            }
            PcapBlockOwned::NG(Block::SimplePacket(frame)) => {
                self.frame(0, |_| 0, frame.packet_data(), frame.origlen, each)?;
            }
            PcapBlockOwned::NG(_) => {}
        }
        Ok(())
    }

    fn frame(
        &mut self,
        interface: u32,
        ticks: impl Fn(&CaptureInterface) -> u64,
        bytes: &[u8],
        original_len: u32,
        each: &mut impl FnMut(CapturedFrame<'_>),
    ) -> Result<(), CaptureError> {
        let Some(interface) = self.interfaces.get(interface as usize) else {
            return Err(self.damaged(&format!(
                "it names interface {interface}, which the file does not describe"
            )));
        };
        if interface.linktype != Linktype::ETHERNET {
            return Err(CaptureError::Linktype {
                path: self.path.clone(),
                linktype: interface.linktype.0,
            });
        }
        let at = interface.time(ticks(interface));
        each(CapturedFrame { bytes, original_len, at, session: interface.session });
        self.frames += 1;
        Ok(())
    }

    fn damaged(&self, reason: &str) -> CaptureError {
        let Self { path, offset, frames, interfaces: _ } = self;
        CaptureError::Damaged {
            path: path.clone(),
            offset: *offset,
            frames: *frames,
            reason: reason.to_owned(),
        }
    }
}

impl CaptureInterface {
    fn of(block: &InterfaceDescriptionBlock<'_>) -> Self {
        let texts = [block.if_description(), block.if_name()];
        let session = texts.into_iter().find_map(|text| session_in(text?.ok()?));
        Self {
            linktype: block.linktype,
            units_per_second: block.ts_resolution().filter(|&units| units > 0).unwrap_or(1_000_000),
            offset: Duration::from_secs(u64::try_from(block.if_tsoffset).unwrap_or(0)),
            session,
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "a remainder of a second fits 64 bits of nanoseconds"
    )]
    fn time(&self, ticks: u64) -> Duration {
        let (seconds, rest) = (ticks / self.units_per_second, ticks % self.units_per_second);
        let nanoseconds = u128::from(rest) * 1_000_000_000 / u128::from(self.units_per_second);
        self.offset.saturating_add(Duration::new(seconds, nanoseconds as u32))
    }
}

/// Finds an outer source address and the number after the word VNI in an interface's description.
fn session_in(text: &str) -> Option<MirrorSession> {
    let words = || {
        text.split(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != ':')
            .filter(|w| !w.is_empty())
    };
    let source = words().find_map(|word| word.parse::<IpAddr>().ok())?;
    let mut after =
        words().skip_while(|word| !word.trim_end_matches(':').eq_ignore_ascii_case("vni")).skip(1);
    let vni = after.next()?.parse().ok()?;
    Some(MirrorSession { source, vni })
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn a_session_is_found_in_an_interfaces_description() {
        let session =
            Some(MirrorSession { source: IpAddr::V4(Ipv4Addr::new(10, 0, 1, 5)), vni: 100 });
        for text in
            ["VNI 100 from 10.0.1.5", "source=10.0.1.5 vni=100", "web, vni: 100, source: 10.0.1.5"]
        {
            assert_eq!(session_in(text), session, "{text}");
        }
        assert_eq!(
            session_in("VNI 7, source fd00::5").map(|s| s.source.to_string()).as_deref(),
            Some("fd00::5")
        );
        assert_eq!(session_in("VNI 100 from any source"), None);
        assert_eq!(session_in("eth1"), None);
    }
}
