//! Begins files anew that were removed while they were written.

use std::fs::File;
use std::io;

use super::super::open_file::OpenFile;
use super::super::secure_open;
use super::RotatingWriter;
use crate::plural::counted;

impl RotatingWriter {
    /// Begins all removed files anew. Returns whether there were any.
    pub(super) fn replace_removed(&mut self) -> bool {
        let mut files = std::mem::take(&mut self.files);
        let mut is_any = false;
        for file in files.iter_mut() {
            is_any |= self.replace_if_removed(file);
        }
        self.files = files;
        is_any
    }

    /// Begins a file anew if it was removed, and returns whether it was. The frames that it got
    /// since it was last seen are lost.
    pub(super) fn replace_if_removed(&self, file: &mut OpenFile) -> bool {
        let in_file = file.writer.frames_in_file();
        if !file.is_removed() {
            file.frames_seen = in_file;
            return false;
        }
        let lost = in_file.saturating_sub(file.frames_seen);
        let path = file.present_path();
        let (path, created) = (path.display(), self.create_again(file));
        let message = match created {
            Ok(storage) => {
                file.writer.replace_file(storage, lost);
                file.removal_log.of(None);
                format!("{path} was removed while it was written: a new one begins")
            }
            Err(error) => {
                file.writer.file_mut().count_lost(lost);
                format!(
                    "{path} was removed while it was written, and a new one cannot be created: {error}; frames are lost until it can"
                )
            }
        };
        file.frames_seen = file.writer.frames_in_file();
        if let Some(message) = file.removal_log.of(Some(message)) {
            let lost = match lost {
                0 => String::new(),
                lost => format!("; lost: {}", counted(lost, "frame")),
            };
            (self.log)(message + &lost);
        }
        true
    }

    fn create_again(&self, file: &OpenFile) -> io::Result<File> {
        let (path, owner) = (file.present_path(), self.factory.owner);
        if file.has_part_name {
            secure_open::create_new(&path, owner)
        } else {
            secure_open::create(&path, owner, false)
        }
    }
}
