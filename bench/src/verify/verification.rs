//! Result of a verification.

use std::fmt;

use crate::plural::counted;

/// The outcome of a verification.
///
/// Two sums hold: `received = intact + duplicated + corrupted + misplaced + foreign`, and
/// `sent = intact + missing` (unless more frames arrived intact than the sender reported; then
/// `missing` is 0 and `unexpected` has the excess). A frame that arrived only damaged or misplaced
/// is therefore missing too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verification {
    /// Frames that were sent.
    pub sent: u64,
    /// Frames given to the verifier.
    pub received: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Different frames that arrived as they were sent, byte for byte.
    pub intact: u64,
    /// Frames sent of which no intact copy arrived.
    pub missing: u64,
    /// Intact frames beyond what was sent; above 0 only if the totals are wrong.
    pub unexpected: u64,
    /// Further intact copies of frames that had arrived.
    pub duplicated: u64,
    /// Intact frames that arrived after a later one of their flow and direction (RFC 4737 section
    /// 3.3).
    pub reordered: u64,
    /// Frames of the profile that differ from the sent ones, in any byte or in length.
    pub corrupted: u64,
    /// Intact frames that were passed to the verifier under another session's source address and
    /// VNI.
    pub misplaced: u64,
    /// Frames that the profile does not make.
    pub foreign: u64,
    /// Per session of the profile.
    pub sessions: Vec<SessionVerification>,
}

/// The outcome for one session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionVerification {
    /// Frames that were sent.
    pub sent: u64,
    /// Different frames that arrived intact.
    pub intact: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Frames sent of which no intact copy arrived.
    pub missing: u64,
}

impl Verification {
    /// Returns whether every frame sent arrived once, intact and in order, and nothing else did.
    pub fn is_perfect(&self) -> bool {
        let Self { sent, received, bytes: _, intact, sessions, .. } = self;
        let sessions_agree = sessions.iter().all(|session| session.sent == session.intact);
        sent == received && sent == intact && self.reordered == 0 && sessions_agree
    }
}

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, received, bytes, intact, missing, unexpected, .. } = self;
        let Self { duplicated, reordered, corrupted, misplaced, foreign, sessions, .. } = self;
        let received = counted(*received, "frame");
        writeln!(f, "sent {sent}, received {received}, {bytes} bytes; intact {intact}")?;
        write!(
            f,
            "missing {missing}, duplicated {duplicated}, reordered {reordered}, corrupted {corrupted}"
        )?;
        write!(f, ", misplaced {misplaced}, foreign {foreign}")?;
        if *unexpected > 0 {
            let frames = counted(*unexpected, "intact frame");
            write!(f, "\n{frames} more than were sent: is the count right?")?;
        }
        for (index, session) in
            sessions.iter().enumerate().filter(|(_, session)| session.missing > 0)
        {
            let sent = counted(session.sent, "frame");
            write!(f, "\nsession {index}: {} of {sent} missing", session.missing)?;
        }
        write!(
            f,
            "\n{}",
            if self.is_perfect() {
                "every frame arrived as it was sent"
            } else {
                "NOT as it was sent"
            }
        )
    }
}
