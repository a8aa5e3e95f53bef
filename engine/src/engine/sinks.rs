//! The outputs that the engine itself empties: a thread for each file.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::EngineError;
use super::workers::Notes;
use crate::config;
use crate::counters::{Board, WorkerCounters};
use crate::output::Consumer;
use crate::output::pcapng::{self, CaptureWriter, InterfaceKey, InterfaceTotals, Period, Sink};
use crate::session::Pair;

/// A file that is open and not written to yet.
pub(super) fn open(
    output: &str,
    path: &std::path::Path,
    sessions: &[config::Session],
) -> Result<Sink, EngineError> {
    let failed = |source| EngineError::Pcapng { output: output.to_owned(), source };
    let file = pcapng::PcapngFile::create(path, Instant::now()).map_err(failed)?;
    Ok(Sink::new(CaptureWriter::new(file, sessions).map_err(failed)?))
}

/// What the time that a file's statistics speak of is taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clock {
    /// Start and end of the engine.
    Wall,
    /// The first and the last frame, so that the same capture file gives the same output.
    Frames,
}

/// Starts the thread that moves frames from `consumer` into the file until the workers are gone. `boards` hold the
/// workers' final counts by then.
pub(super) fn start(
    mut sink: Sink,
    mut consumer: Consumer,
    output: String,
    boards: Vec<Arc<Board>>,
    clock: Clock,
    notes: Notes,
) -> Result<JoinHandle<pcapng::Report>, EngineError> {
    let start_ns = utc_ns();
    let period = move || (clock == Clock::Wall).then(|| Period { start_ns, end_ns: utc_ns() });
    let run = move || {
        pcapng::drain(&mut consumer, &mut sink, |error| notes.push(format!("output `{output}`: {error}")));
        let counters: Vec<_> = boards.iter().map(|board| board.read()).collect();
        sink.finish(period(), |key, written| totals(&counters, key, written))
    };
    thread::Builder::new()
        .name("vxtap-pcapng".to_owned())
        .spawn(run)
        .map_err(|source| EngineError::System { what: "cannot start an output".to_owned(), source })
}

/// What an interface block's statistics say: everything that arrived for it, and what of that is not in the file.
fn totals(counters: &[WorkerCounters], key: InterfaceKey, written: u64) -> InterfaceTotals {
    let received = match key {
        InterfaceKey::Session(session) => {
            let ledgers = counters.iter().filter_map(|counters| counters.sessions.get(session as usize));
            ledgers.map(|ledger| ledger.received.frames).sum()
        }
        InterfaceKey::Pair { source, vni } => {
            let is_pair = |pair: &Pair| pair.source == source && pair.vni.get() == vni;
            let tallies = counters.iter().flat_map(|counters| &counters.unknown);
            tallies.filter(|(pair, _)| is_pair(pair)).map(|(_, tally)| tally.frames).sum()
        }
        InterfaceKey::Other => written,
    };
    // A pair that found no place in the table of undeclared ones is counted there only in part.
    let received = received.max(written);
    InterfaceTotals { received, dropped: received - written }
}

fn utc_ns() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX)
}
