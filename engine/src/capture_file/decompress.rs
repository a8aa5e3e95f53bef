//! Decompresses capture files as they are read.

use std::io::{self, BufRead as _, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// First of 16 magic numbers of frames to be skipped (RFC 8878, section 3.1.2); the others differ
/// in the lowest four bits of the first byte.
const ZSTD_SKIPPABLE_MAGIC: [u8; 4] = [0x50, 0x2a, 0x4d, 0x18];

/// Bytes that are read from the source at a time. Less means more system calls.
const BUFFER_BYTES: usize = 1 << 16;

/// The content of a file, decompressed if it is compressed with gzip or zstd.
pub(super) struct Content {
    pub(super) reader: Box<dyn Read + Send>,
    pub(super) is_compressed: bool,
}

impl Content {
    /// Recognises the compression by the first bytes.
    pub(super) fn of(source: impl Read + Send + 'static) -> io::Result<Self> {
        let mut source = source;
        let mut start = [0; ZSTD_MAGIC.len()];
        let len = read_up_to(&mut source, &mut start)?;
        let start = &start[..len];
        let is_gzip = start.starts_with(&GZIP_MAGIC);
        let is_zstd = start == ZSTD_MAGIC || is_skippable(start);
        let source = io::Cursor::new(start.to_vec()).chain(source);
        let reader: Box<dyn Read + Send> = if is_gzip {
            Box::new(MultiGzDecoder::new(BufReader::with_capacity(BUFFER_BYTES, source)))
        } else if is_zstd {
            Box::new(ZstdFrames::new(source))
        } else {
            Box::new(source)
        };
        Ok(Self { reader, is_compressed: is_gzip || is_zstd })
    }
}

fn is_skippable(start: &[u8]) -> bool {
    matches!(start, [first, rest @ ..]
        if first & 0xf0 == ZSTD_SKIPPABLE_MAGIC[0] && *rest == ZSTD_SKIPPABLE_MAGIC[1..])
}

/// Fills the buffer unless the source ends before; returns the number of bytes.
fn read_up_to(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < buffer.len() {
        match source.read(&mut buffer[len..]) {
            Ok(0) => break,
            Ok(count) => len += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

/// Zstandard frames one after the other, as `zstd` and vxtap itself write them.
struct ZstdFrames<R> {
    source: BufReader<R>,
    decoder: FrameDecoder,
    /// A frame has begun and is not finished.
    is_in_frame: bool,
}

impl<R: Read> ZstdFrames<R> {
    fn new(source: R) -> Self {
        let source = BufReader::with_capacity(BUFFER_BYTES, source);
        Self { source, decoder: FrameDecoder::new(), is_in_frame: false }
    }

    /// Begins the next frame; returns `false` at the end of the source.
    fn begin(&mut self) -> io::Result<bool> {
        loop {
            if self.source.fill_buf()?.is_empty() {
                return Ok(false);
            }
            match self.decoder.init(&mut self.source) {
                Ok(()) => break,
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let skipped = &mut self.source.by_ref().take(length.into());
                    if io::copy(skipped, &mut io::sink())? < u64::from(length) {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(_) => return Err(invalid(DAMAGED)),
            }
        }
        self.is_in_frame = true;
        Ok(true)
    }

    /// Ends a frame that is decoded; its checksum, if it has one, has to be right.
    fn end(&mut self) -> io::Result<()> {
        self.is_in_frame = false;
        let stated = self.decoder.get_checksum_from_data();
        if stated.is_some() && stated != self.decoder.get_calculated_checksum() {
            return Err(invalid("the checksum of a zstd frame is wrong"));
        }
        Ok(())
    }
}

impl<R: Read> Read for ZstdFrames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.is_in_frame && !self.begin()? {
                return Ok(0);
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let strategy = BlockDecodingStrategy::UptoBlocks(1);
                self.decoder
                    .decode_blocks(&mut self.source, strategy)
                    .map_err(|_error| invalid(DAMAGED))?;
            }
            let count = self.decoder.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            self.end()?;
        }
    }
}

/// The decoder's errors name its own types, which say nothing to a user.
const DAMAGED: &str = "the zstd data is damaged or ends too early";

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
