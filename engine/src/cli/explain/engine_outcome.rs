//! The outcome of a frame at a running engine.

/// Outcome of a frame at a running engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EngineOutcome<'o> {
    Delivered,
    /// Has the name of the drop reason.
    Dropped(&'o str),
}
