//! What became of the frames that an output of the engine's own took.

/// `frames_written + frames_lost` is the number of frames that it took from its rings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputStats {
    /// Where they were to go.
    pub frames_written: u64,
    /// Taken and not there, because writing failed.
    pub frames_lost: u64,
    /// Came behind a later one, as it came longer after it than the frames of several queues are
    /// kept apart. Part of the others.
    pub out_of_order: u64,
    /// The last reason why writing failed, if it did.
    pub error: Option<String>,
}
