//! Counts of an output that writes frames itself.

/// Frames that an output has taken from its rings: `frames_written + frames_lost`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputStats {
    /// Frames written to the output's file or interface.
    pub frames_written: u64,
    /// Frames that were not written because of an error or for lack of a file.
    pub frames_lost: u64,
    /// Frames delivered out of timestamp order because they missed the merge window. Included in
    /// the other counts.
    pub out_of_order: u64,
    /// Last write error; `None` if there was none.
    pub error: Option<String>,
}
