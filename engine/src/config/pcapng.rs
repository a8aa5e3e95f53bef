//! The files of an output: when one ends and the next begins, which are kept, and what is done with
//! those that are whole.

use std::path::Path;

use super::error::{Problem, Violation};
use super::file_name::FileName;
use super::key::KeyPath;
use super::limit::Limit;

/// A TiB: longer files are of no use to any reader.
pub(super) const ROTATE_MIB: Limit = Limit::Range(1, 1 << 20);
/// A year.
pub(super) const ROTATE_S: Limit = Limit::Range(1, 366 * 24 * 3600);
pub(super) const KEEP_FILES: Limit = Limit::Range(1, 1_000_000);
/// A PiB.
pub(super) const KEEP_MIB: Limit = Limit::Range(1, 1 << 30);
/// Ten years.
pub(super) const KEEP_S: Limit = Limit::Range(1, 3660 * 24 * 3600);

/// How an output writes its files. By default it writes one until it ends, and keeps everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PcapngFiles {
    /// Length in MiB at which a file ends and the next begins: 1 to 1048576. `None`: at no length.
    /// The statistics at its end come on top.
    pub rotate_mib: Option<u32>,
    /// Seconds after which a file ends and the next begins: 1 to 31622400 (366 days), counted from
    /// 1970-01-01 UTC, so that 3600 means full hours. `None`: at no time.
    pub rotate_s: Option<u32>,
    /// How many whole files are kept: 1 to 1000000; older ones are deleted. `None`: any number.
    pub keep_files: Option<u32>,
    /// How long all whole files may be together, in MiB: 1 to 1073741824; the oldest are deleted.
    /// `None`: as long as they are.
    pub keep_mib: Option<u32>,
    /// How long a file is kept after it was last written to, in seconds: 1 to 316224000 (3660
    /// days). `None`: for ever.
    pub keep_s: Option<u32>,
    /// What is done with a file that is whole.
    pub compression: Compression,
    /// When the system is made to put onto the disk what was written.
    pub fsync: Fsync,
    /// Whose the files are, and the directory that is made for them: `USER` or `USER:GROUP`, names
    /// or numbers; without a group the user's own. `None`: the user's that the engine runs as.
    /// Others need `CAP_CHOWN`, and `CAP_DAC_OVERRIDE` to finish and compress them.
    pub owner: Option<String>,
}

/// What is done with a file that is whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Nothing.
    #[default]
    None,
    /// It is compressed (RFC 8878), by a thread that has time, and is called `NAME.zst` from then
    /// on.
    Zstd,
}

/// When the system is made to put onto the disk what was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fsync {
    /// When the system likes, usually within half a minute. What is written is safe from the end of
    /// the engine, not from that of the machine.
    #[default]
    Never,
    /// When a file is whole, before it gets its name.
    File,
    /// Each second, and when a file is whole.
    Second,
}

impl PcapngFiles {
    const fn keeps_all(&self) -> bool {
        self.keep_files.is_none() && self.keep_mib.is_none() && self.keep_s.is_none()
    }

    /// Checks what belongs together in an output of so many members, whose files these are to be,
    /// with the name of the files.
    pub(super) fn check(
        &self,
        path: &Path,
        name: &FileName,
        members: u32,
        key: &KeyPath,
    ) -> Result<(), Violation> {
        for (field, limit, value) in [
            ("rotate_mib", ROTATE_MIB, self.rotate_mib),
            ("rotate_s", ROTATE_S, self.rotate_s),
            ("keep_files", KEEP_FILES, self.keep_files),
            ("keep_mib", KEEP_MIB, self.keep_mib),
            ("keep_s", KEEP_S, self.keep_s),
        ] {
            let Some(value) = value else { continue };
            limit.check(value).map_err(|problem| problem.at(key.key(field)))?;
        }
        let refused = |field: &'static str, allowed: &str| {
            let problem = Problem::refused(format_args!("{:?}", path.to_string_lossy()), allowed);
            Err(problem.between(vec![key.key("path"), key.key(field)]))
        };
        if members > 1 && !name.has_member() {
            return refused("members", "a name with {member} in it, for the number of each member");
        }
        let rotates = if self.rotate_s.is_some() { "rotate_s" } else { "rotate_mib" };
        if (self.rotate_s.is_some() || self.rotate_mib.is_some()) && !name.tells_in_time() {
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
            let problem = Problem::refused(
                keep,
                format_args!("{rotate} (rotate_mib) or more, else no file is kept"),
            );
            return Err(problem.between(vec![key.key("keep_mib"), key.key("rotate_mib")]));
        }
        if let Some(owner) = self.owner.as_deref().filter(|owner| !is_owner(owner)) {
            let problem = Problem::refused(format_args!("{owner:?}"), "USER or USER:GROUP");
            return Err(problem.at(key.key("owner")));
        }
        Ok(())
    }
}

fn is_owner(owner: &str) -> bool {
    let (user, group) = owner.split_once(':').unwrap_or((owner, "-"));
    ![user, group].into_iter().any(|name| name.is_empty() || name.contains([':', '\0', '\n', ' ']))
}
