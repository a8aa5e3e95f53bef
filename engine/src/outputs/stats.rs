//! Counts of an output that writes frames itself.

/// Frames that an output has taken from its rings: `frames_written + frames_lost + low_space`; and
/// its files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputStats {
    /// Frames written to the output's file or interface.
    pub frames_written: u64,
    /// Frames that were not written because of an error or for lack of a file.
    pub frames_lost: u64,
    /// Frames of undeclared senders that were not written because the file system has less free
    /// space than [`undeclared_min_free_percent`](crate::config::PcapngFiles). They are not among
    /// `frames_lost`: they do not make a run fail.
    pub low_space: u64,
    /// Completed files that were deleted to keep within the output's limits.
    pub files_deleted: u64,
    /// Those of `files_deleted` that undeclared senders had caused.
    pub undeclared_files_deleted: u64,
    /// Frames delivered out of timestamp order because they missed the merge window. Included in
    /// the other counts.
    pub out_of_order: u64,
    /// Last write error; `None` if there was none.
    pub error: Option<String>,
}
