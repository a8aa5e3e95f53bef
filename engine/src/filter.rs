//! Which of a session's frames are wanted.

use crate::drop_reason::DropReason;
use crate::session::SessionId;

/// Decides about each frame between its session and the outputs.
pub(crate) trait Filter: Send {
    /// Whether the frame goes on; `inner` gives its bytes to a filter that looks at them.
    ///
    /// # Errors
    ///
    /// The reason to count it under if it does not.
    fn judge<'a>(&mut self, session: SessionId, inner: impl FnOnce() -> &'a [u8]) -> Result<(), DropReason>;
}

/// No filter: a mirror has filtered already.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AcceptAll;

impl Filter for AcceptAll {
    #[inline]
    fn judge<'a>(
        &mut self,
        _session: SessionId,
        _inner: impl FnOnce() -> &'a [u8],
    ) -> Result<(), DropReason> {
        Ok(())
    }
}
