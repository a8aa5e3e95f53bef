//! A pcapng file that a consumer writes its frames to.

use std::fs;
use std::path::Path;
use std::process;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use vxtap::outputs::pcapng::{CaptureWriter, PcapngFile};
use vxtap::ring::Frame;

/// An open file without a name: its memory or disk space is free again when the process ends,
/// however it ends.
#[derive(Debug)]
pub(super) struct UnlinkedCapture {
    writer: CaptureWriter,
}

impl UnlinkedCapture {
    /// Makes the file in `directory` and unlinks it.
    ///
    /// # Errors
    ///
    /// When it cannot be made there.
    pub(super) fn create(directory: &Path) -> Result<Self> {
        let path = directory.join(format!("vxbench-{}.pcapng", process::id()));
        let file = PcapngFile::create(&path, Instant::now())?;
        fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        Ok(Self { writer: CaptureWriter::new(file, &[])? })
    }

    /// Appends a frame. As the engine's own output it writes blocks of 128 KiB.
    ///
    /// # Errors
    ///
    /// When the system does not take them, e.g. because the disk is full.
    pub(super) fn frame(&mut self, frame: &Frame<'_>) -> Result<()> {
        let result = self.writer.packet(
            frame.into(),
            frame.timestamp_ns(),
            frame.original_len(),
            frame.segments(),
        );
        // The message already holds the text of its source, which an error chain would repeat.
        result.map_err(|error| anyhow!("{error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_has_no_name() {
        let directory = tempfile::tempdir().expect("a directory");
        let _capture = UnlinkedCapture::create(directory.path()).expect("room for a file");
        assert_eq!(fs::read_dir(directory.path()).expect("is there").count(), 0);
        let missing = directory.path().join("missing");
        let error = UnlinkedCapture::create(&missing).expect_err("no such directory").to_string();
        assert!(error.starts_with("cannot create ") && error.contains("No such file"), "{error}");
    }
}
