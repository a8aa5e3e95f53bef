//! Files of a pcapng output: rotation, retention, compression and owner.

use std::path::Path;

use super::error::{Problem, Violation};
use super::file_name::FileName;
use super::key::Entry;
use super::limit::Limit;

/// A TiB: readers cannot handle longer files.
pub(super) const ROTATE_MIB: Limit = Limit::Range(1, 1 << 20);
/// A year.
pub(super) const ROTATE_S: Limit = Limit::Range(1, 366 * 24 * 3600);
pub(super) const KEEP_FILES: Limit = Limit::Range(1, 1_000_000);
/// A PiB.
pub(super) const KEEP_MIB: Limit = Limit::Range(1, 1 << 30);
/// Ten years.
pub(super) const KEEP_S: Limit = Limit::Range(1, 3660 * 24 * 3600);
pub(super) const UNDECLARED_FILES_PER_HOUR: Limit = Limit::Range(1, 1_000_000);
pub(super) const UNDECLARED_MIN_FREE_PERCENT: Limit = Limit::Range(0, 90);

/// Rotation, retention, compression and owner of the files of an output. By default one file that
/// never ends, and no file is deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PcapngFiles {
    /// File length in MiB at which the next file begins: 1 to 1048576. `None`: no limit. The
    /// statistics at the end of a file come on top.
    pub rotate_mib: Option<u32>,
    /// Seconds after which the next file begins: 1 to 31622400 (366 days), counted from 1970-01-01
    /// UTC, so that 3600 means full hours. `None`: no limit.
    pub rotate_s: Option<u32>,
    /// Maximum number of completed files: 1 to 1000000; the oldest are deleted, those of undeclared
    /// senders before all others. `None`: no limit.
    pub keep_files: Option<u32>,
    /// Maximum total length of completed files in MiB: 1 to 1073741824; the oldest are deleted,
    /// those of undeclared senders before all others. `None`: no limit.
    pub keep_mib: Option<u32>,
    /// Seconds after the last write at which a completed file is deleted: 1 to 316224000 (3660
    /// days). `None`: never.
    pub keep_s: Option<u32>,
    /// Number of files that undeclared senders may cause within an hour: 1 to 1000000. Default:
    /// 1000. Above it their further frames share one file. Too low: more of their frames share it;
    /// too high: a sender of invented pairs uses up the inodes of the file system.
    pub undeclared_files_per_hour: u32,
    /// Free space in percent of the file system below which frames of undeclared senders are not
    /// written, as long as sessions are declared: 0 to 90; 0: none. Default: 5. Too low: senders of
    /// invented pairs can fill the disk; too high: undeclared traffic is missing.
    pub undeclared_min_free_percent: u32,
    /// Compression of completed files.
    pub compression: Compression,
    /// Moments at which written data is forced to the disk.
    pub fsync: Fsync,
    /// Owner of the files and of the directory that is created for them: `USER` or `USER:GROUP`,
    /// names or numbers; without a group the user's own. `None`: the user that the engine runs as.
    /// Another owner needs `CAP_CHOWN`, and `CAP_DAC_OVERRIDE` for completing and compressing the
    /// files.
    pub owner: Option<String>,
}

/// Compression of completed files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Files are not compressed.
    #[default]
    None,
    /// Files are compressed (RFC 8878) by a low-priority thread and renamed to `NAME.zst`.
    Zstd,
}

/// Moments at which written data is forced to the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fsync {
    /// Left to the kernel, usually within half a minute. Written data survives the end of the
    /// engine, not a crash of the machine.
    #[default]
    Never,
    /// When a file is complete, before it is renamed.
    File,
    /// Every second, and when a file is complete.
    Second,
}

impl Default for PcapngFiles {
    fn default() -> Self {
        Self {
            rotate_mib: None,
            rotate_s: None,
            keep_files: None,
            keep_mib: None,
            keep_s: None,
            undeclared_files_per_hour: 1000,
            undeclared_min_free_percent: 5,
            compression: Compression::default(),
            fsync: Fsync::default(),
            owner: None,
        }
    }
}

impl PcapngFiles {
    const fn keeps_all(&self) -> bool {
        self.keep_files.is_none() && self.keep_mib.is_none() && self.keep_s.is_none()
    }

    /// Checks the settings against each other, against the file name and the number of members.
    pub(super) fn check(
        &self,
        path: &Path,
        name: &FileName,
        members: u32,
        entry: Entry,
    ) -> Result<(), Violation> {
        for (field, limit, value) in [
            ("rotate_mib", ROTATE_MIB, self.rotate_mib),
            ("rotate_s", ROTATE_S, self.rotate_s),
            ("keep_files", KEEP_FILES, self.keep_files),
            ("keep_mib", KEEP_MIB, self.keep_mib),
            ("keep_s", KEEP_S, self.keep_s),
            (
                "undeclared_files_per_hour",
                UNDECLARED_FILES_PER_HOUR,
                Some(self.undeclared_files_per_hour),
            ),
            (
                "undeclared_min_free_percent",
                UNDECLARED_MIN_FREE_PERCENT,
                Some(self.undeclared_min_free_percent),
            ),
        ] {
            let Some(value) = value else { continue };
            limit.check(value).map_err(|problem| problem.at(entry.key(field)))?;
        }
        if (name.has_fields() || self.compression != Compression::None) && name.ends_like_a_state()
        {
            let found = format_args!("{:?}", path.to_string_lossy());
            let allowed = "a name that does not end in .part or .zst, the endings of unfinished and compressed files";
            return Err(Problem::refused(found, allowed).at(entry.key("path")));
        }
        let refused = |field: &'static str, allowed: &str| {
            let found = format_args!("{:?}", path.to_string_lossy());
            let allowed = format_args!("{allowed}, as {field} is set");
            Err(Problem::refused(found, allowed).at(entry.key("path")))
        };
        if members > 1 && !name.has_member() {
            return refused("members", "a name with {member} in it, for the number of each member");
        }
        let rotates = if self.rotate_s.is_some() { "rotate_s" } else { "rotate_mib" };
        if (self.rotate_s.is_some() || self.rotate_mib.is_some()) && !name.changes_over_time() {
            return refused(
                rotates,
                "a name that tells one file from the next, with {number} or a time such as %Y%m%dT%H%M%SZ",
            );
        }
        if !self.keeps_all() && !name.has_fields() {
            let keep = ["keep_files", "keep_mib", "keep_s"];
            let set = [self.keep_files, self.keep_mib, self.keep_s];
            let field = keep.into_iter().zip(set).find_map(|(field, value)| value.map(|_| field));
            return refused(
                field.unwrap_or(keep[0]),
                "a name that tells files apart, with fields such as {number} or %Y%m%dT%H%M%SZ",
            );
        }
        if let (Some(keep), Some(rotate)) = (self.keep_mib, self.rotate_mib)
            && keep < rotate
        {
            let allowed = format_args!("{rotate} (rotate_mib) or more, else no file is kept");
            return Err(Problem::refused(keep, allowed).at(entry.key("keep_mib")));
        }
        if let Some(owner) = self.owner.as_deref().filter(|owner| !is_owner(owner)) {
            let problem = Problem::refused(format_args!("{owner:?}"), "USER or USER:GROUP");
            return Err(problem.at(entry.key("owner")));
        }
        Ok(())
    }
}

fn is_owner(owner: &str) -> bool {
    let (user, group) = owner.split_once(':').unwrap_or((owner, "-"));
    ![user, group].into_iter().any(|name| name.is_empty() || name.contains([':', '\0', '\n', ' ']))
}
