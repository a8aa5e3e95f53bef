//! Progress reports for programs: one JSON object per line.

use std::time::Duration;

use serde::Serialize;
use vxtap::engine::Report;

/// Counts since the start.
#[derive(Serialize)]
struct ProgressLine<'a> {
    elapsed_s: f64,
    received: u64,
    delivered: u64,
    dropped: u64,
    lost_in_kernel: u64,
    sessions: Vec<SessionProgress<'a>>,
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
    let total = report.total();
    let sessions = report.session_counters();
    let sessions = report.sessions.iter().zip(&sessions).map(|(name, session)| {
        let received = session.received;
        SessionProgress { name, frames: received.frames, bytes: received.bytes }
    });
    let progress = ProgressLine {
        elapsed_s: elapsed.as_secs_f64(),
        received: total.received.frames,
        delivered: total.delivered.frames,
        dropped: total.drops.total(),
        lost_in_kernel: report.lost_in_kernel(),
        sessions: sessions.collect(),
    };
    serde_json::to_string(&progress).unwrap_or_default() + "\n"
}
