//! A buffer of fixed size over a stream, which knows its offset in the file.

use std::fmt;
use std::io::{self, Read};
use std::ops::Range;

/// Size of the buffer, and so of the largest record or block that can be parsed as a whole, in
/// bytes.
///
/// Holds four frames of the largest size. Smaller means more read calls; larger only costs memory.
pub(super) const WINDOW_BYTES: usize = 1 << 20;

/// A window over `source`, moved forward by [`Window::consume`].
pub(super) struct Window {
    source: Box<dyn Read + Send>,
    buffer: Box<[u8]>,
    /// Bytes that are buffered and not yet consumed.
    unread: Range<usize>,
    /// Bytes consumed since the start of the file.
    offset: u64,
    /// Offset of the record that is being read, for errors.
    mark: u64,
}

impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source: _, buffer: _, unread, offset, mark } = self;
        f.debug_struct("Window")
            .field("unread", unread)
            .field("offset", offset)
            .field("mark", mark)
            .finish_non_exhaustive()
    }
}

impl Window {
    pub(super) fn new(source: Box<dyn Read + Send>) -> Self {
        let buffer = vec![0; WINDOW_BYTES].into_boxed_slice();
        Self { source, buffer, unread: 0..0, offset: 0, mark: 0 }
    }

    /// Reads until `len` bytes are buffered or the stream ends; returns how many of the `len` there
    /// are.
    ///
    /// # Panics
    ///
    /// `len` is above [`WINDOW_BYTES`]; callers check the lengths in a file before they call.
    pub(super) fn fill(&mut self, len: usize) -> io::Result<usize> {
        assert!(len <= WINDOW_BYTES, "a record is refused before it outgrows the window");
        if self.unread.start + len > WINDOW_BYTES {
            self.buffer.copy_within(self.unread.clone(), 0);
            self.unread = 0..self.unread.len();
        }
        while self.unread.len() < len {
            match self.source.read(&mut self.buffer[self.unread.end..]) {
                Ok(0) => break,
                Ok(count) => self.unread.end += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.unread.len().min(len))
    }

    /// Returns the next `len` bytes, which [`Window::fill`] has made available.
    pub(super) fn peek(&self, len: usize) -> &[u8] {
        &self.buffer[self.unread.start..][..len]
    }

    /// Consumes the next `len` bytes and returns their place, which is valid until the next fill or
    /// skip.
    pub(super) const fn consume(&mut self, len: usize) -> Range<usize> {
        let start = self.unread.start;
        self.unread.start += len;
        self.offset += len as u64;
        start..start + len
    }

    /// Skips `len` bytes; returns `false` if the stream ends before.
    pub(super) fn skip(&mut self, mut len: u64) -> io::Result<bool> {
        while len > 0 {
            let step = usize::try_from(len).unwrap_or(usize::MAX).min(WINDOW_BYTES);
            let available = self.fill(step)?;
            if available == 0 {
                return Ok(false);
            }
            self.consume(available);
            len -= available as u64;
        }
        Ok(true)
    }

    /// Returns the bytes at a place that [`Window::consume`] gave.
    pub(super) fn at(&self, place: Range<usize>) -> &[u8] {
        &self.buffer[place]
    }

    /// Notes that a record starts here.
    pub(super) const fn set_mark(&mut self) {
        self.mark = self.offset;
    }

    /// Returns where the record that is being read starts, in bytes from the start of the file.
    pub(super) const fn mark(&self) -> u64 {
        self.mark
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte per read, after one interruption.
    struct Dribble(Vec<u8>, bool);

    impl Read for Dribble {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let Some(byte) = self.0.pop() else { return Ok(0) };
            into[0] = byte;
            Ok(1)
        }
    }

    #[test]
    fn a_slow_and_interrupted_source_fills_the_window() {
        let mut window = Window::new(Box::new(Dribble(vec![3, 2, 1], false)));
        assert_eq!(window.fill(2).unwrap(), 2);
        assert_eq!(window.peek(2), [1, 2]);
        window.consume(2);
        assert_eq!(window.fill(2).unwrap(), 1);
        assert_eq!(window.peek(1), [3]);
    }

    #[test]
    fn bytes_survive_the_move_to_the_front_of_the_buffer() {
        let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(3 * WINDOW_BYTES / 2).collect();
        let mut window = Window::new(Box::new(io::Cursor::new(bytes.clone())));
        assert!(window.skip(WINDOW_BYTES as u64 - 10).unwrap());
        window.set_mark();
        assert_eq!(window.fill(1000).unwrap(), 1000);
        assert_eq!(window.peek(1000), &bytes[WINDOW_BYTES - 10..][..1000]);
        assert_eq!(window.mark(), WINDOW_BYTES as u64 - 10);
        assert!(!window.skip(WINDOW_BYTES as u64).unwrap());
    }
}
