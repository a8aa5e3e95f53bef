//! Progress reports for programs: one JSON object per line, and a last one with the whole account.

use std::time::Duration;

use serde::Serialize;
use vxtap::engine::Report;

/// Counts since the start.
#[derive(Serialize)]
pub(super) struct ProgressLine<S> {
    /// `true` in the last line.
    #[serde(rename = "final")]
    is_final: bool,
    elapsed_s: f64,
    received: u64,
    delivered: u64,
    dropped: u64,
    lost_in_kernel: u64,
    sessions: Vec<S>,
}

impl<S: Serialize> ProgressLine<S> {
    pub(super) fn new(elapsed: Duration, report: &Report, sessions: Vec<S>) -> Self {
        let total = report.total();
        Self {
            is_final: false,
            elapsed_s: elapsed.as_secs_f64(),
            received: total.received.frames,
            delivered: total.delivered.frames,
            dropped: total.drops.total(),
            lost_in_kernel: report.lost_in_kernel(),
            sessions,
        }
    }

    pub(super) fn last(self) -> Self {
        Self { is_final: true, ..self }
    }
}

#[derive(Serialize)]
struct SessionProgress<'a> {
    name: &'a str,
    frames: u64,
    bytes: u64,
}

/// Returns a line of JSON with its newline. `received`, `delivered` and `dropped` count datagrams;
/// `bytes` counts captured bytes of inner frames.
pub(super) fn line(elapsed: Duration, report: &Report) -> String {
    let sessions = report.session_counters();
    let sessions = report.sessions.iter().zip(&sessions).map(|(name, session)| {
        let received = session.received;
        SessionProgress { name, frames: received.frames, bytes: received.bytes }
    });
    to_line(&ProgressLine::new(elapsed, report, sessions.collect()))
}

/// Returns a value as a line of JSON with its newline.
pub(super) fn to_line(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default() + "\n"
}
