//! Everything that an output kind needs to open an output.

use std::collections::HashMap;

use super::open_output::Exclusive;
use crate::diagnostics::Diagnostics;
use crate::session::{Directory, SessionId};

/// The engine's state that outputs are opened with.
pub(super) struct OpenContext<'e> {
    pub(super) directory: &'e Directory,
    /// Ids of the configured sessions, in their order.
    pub(super) sessions: Vec<SessionId>,
    /// Files and stream targets in use, with the names of the outputs that have them.
    pub(super) exclusive: HashMap<Exclusive, String>,
    /// Longest packet, in bytes, that the frames of interfaces hold.
    pub(super) mtu: u32,
    pub(super) diagnostics: Diagnostics,
}

impl OpenContext<'_> {
    /// Returns the name of the output that has something which only one may have.
    pub(super) fn owner_of(&self, exclusive: &Exclusive) -> Option<&String> {
        self.exclusive.get(exclusive)
    }
}
