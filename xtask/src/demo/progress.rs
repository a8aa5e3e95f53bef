//! Progress that `vxtap run --progress json` prints once a second: sums since the start, one JSON
//! object per line.

use serde::Deserialize;

/// One line of progress.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(super) struct Progress {
    /// Seconds since the engine's start.
    pub(super) elapsed_s: f64,
    /// Declared and unknown sessions.
    pub(super) sessions: Vec<SessionProgress>,
    /// Datagrams received.
    pub(super) received: u64,
    /// Frames delivered to the outputs.
    pub(super) delivered: u64,
    /// Datagrams that were not delivered, for any reason.
    pub(super) dropped: u64,
    /// Datagrams that the kernel lost before the engine saw them.
    pub(super) lost_in_kernel: u64,
}

/// Counters of one session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(super) struct SessionProgress {
    /// Name from the configuration.
    pub(super) name: String,
    /// Inner frames.
    pub(super) frames: u64,
    /// Bytes of the inner frames.
    pub(super) bytes: u64,
}

/// Rates between two lines of progress.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Rate {
    /// Frames per second.
    pub(super) frames: f64,
    /// Bits per second.
    pub(super) bits: f64,
}

impl Progress {
    /// Reads a line; `None` when it is not one of progress.
    pub(super) fn parse(line: &str) -> Option<Self> {
        if line.starts_with('{') { serde_json::from_str(line).ok() } else { None }
    }

    /// Returns the rates of the session with this name since `earlier`.
    pub(super) fn session_rate(&self, earlier: &Self, name: &str) -> Rate {
        let sums = |progress: &Self| {
            let found = progress.sessions.iter().find(|session| session.name == name);
            found.map_or((0, 0), |session| (session.frames, session.bytes))
        };
        self.rate(earlier, sums)
    }

    /// Returns the rates of all sessions since `earlier`.
    pub(super) fn total_rate(&self, earlier: &Self) -> Rate {
        let sums = |progress: &Self| {
            let bytes = progress.sessions.iter().map(|session| session.bytes).sum();
            (progress.received, bytes)
        };
        self.rate(earlier, sums)
    }

    #[expect(clippy::cast_precision_loss, reason = "rates are for reading; they keep 53 bits")]
    fn rate(&self, earlier: &Self, sums: impl Fn(&Self) -> (u64, u64)) -> Rate {
        let seconds = self.elapsed_s - earlier.elapsed_s;
        if seconds <= 0.0 {
            return Rate::default();
        }
        let ((frames, bytes), (frames_before, bytes_before)) = (sums(self), sums(earlier));
        let per_second = |count: u64| count as f64 / seconds;
        Rate {
            frames: per_second(frames.saturating_sub(frames_before)),
            bits: 8.0 * per_second(bytes.saturating_sub(bytes_before)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"elapsed_s":2.5,"sessions":[{"name":"web","frames":200,"bytes":20000}],"received":300,"delivered":299,"dropped":1,"lost_in_kernel":2}"#;

    #[test]
    fn a_line_of_progress_is_told_from_a_line_of_the_table() {
        let progress = Progress::parse(LINE).expect("is progress");
        assert_eq!((progress.received, progress.delivered), (300, 299));
        assert_eq!((progress.dropped, progress.lost_in_kernel), (1, 2));
        assert_eq!(
            progress.sessions[0],
            SessionProgress { name: "web".into(), frames: 200, bytes: 20000 }
        );
        assert_eq!(Progress::parse("received 300"), None);
        assert_eq!(Progress::parse("{\"other\":1}"), None);
    }

    #[test]
    fn rates_come_from_the_difference_of_two_lines() {
        let later = Progress::parse(LINE).expect("is progress");
        let earlier = Progress {
            elapsed_s: 2.0,
            sessions: vec![SessionProgress { name: "web".into(), frames: 100, bytes: 10000 }],
            received: 150,
            ..Progress::default()
        };
        assert_eq!(later.session_rate(&earlier, "web"), Rate { frames: 200.0, bits: 160_000.0 });
        assert_eq!(later.session_rate(&earlier, "db"), Rate::default());
        assert_eq!(later.total_rate(&earlier), Rate { frames: 300.0, bits: 160_000.0 });
        assert_eq!(later.total_rate(&later), Rate::default());
    }
}
