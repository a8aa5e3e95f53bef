//! The outputs that the engine itself empties: a thread for each file and each interface.

use std::thread::{self, JoinHandle};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::EngineError;
use super::lanes::Lanes;
use super::workers::Notes;
use crate::counters::WorkerCounters;
use crate::output::pcapng::{self, CaptureWriter, InterfaceKey, InterfaceTotals, Period, Sink};
use crate::output::{Consumer, Injector, Written};
use crate::session::{Directory, Pair, SessionId};

/// A file that is open and not written to yet.
pub(super) fn open(
    output: &str,
    path: &std::path::Path,
    directory: &Directory,
    sessions: &[SessionId],
) -> Result<Sink, EngineError> {
    let failed = |source| EngineError::Pcapng { output: output.to_owned(), source };
    let file = pcapng::PcapngFile::create(path, Instant::now()).map_err(failed)?;
    Ok(Sink::new(CaptureWriter::with_directory(file, directory, sessions).map_err(failed)?))
}

/// What the time that a file's statistics speak of is taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clock {
    /// Start and end of the engine.
    Wall,
    /// The first and the last frame, so that the same capture file gives the same output.
    Frames,
}

/// Which output it is, and what its file is to say at the end.
pub(super) struct Place {
    pub(super) id: usize,
    pub(super) name: String,
    /// Where the workers post their counts: final ones, for this output, when its rings are closed.
    pub(super) lanes: Lanes,
    pub(super) clock: Clock,
}

/// Starts the thread that moves frames from `consumer` into the file until the workers have closed its rings.
pub(super) fn start(
    mut sink: Sink,
    mut consumer: Consumer,
    output: Place,
    notes: Notes,
) -> Result<JoinHandle<Written>, EngineError> {
    let Place { id, name, lanes, clock } = output;
    let start_ns = utc_ns();
    let period = move || (clock == Clock::Wall).then(|| Period { start_ns, end_ns: utc_ns() });
    let run = move || {
        pcapng::drain(&mut consumer, &mut sink, |error| notes.push(format!("output `{name}`: {error}")));
        let out_of_order = consumer.out_of_order();
        drop(consumer);
        let counters = lanes.counters();
        let report = sink.finish(period(), |key, written| totals(&counters, id, key, written));
        let pcapng::Report { frames_written, frames_lost, error, .. } = report;
        Written { frames_written, frames_lost, out_of_order, error: error.map(|error| error.to_string()) }
    };
    spawn("vxtap-pcapng", run)
}

/// Starts the thread that moves frames from `consumer` into an interface.
pub(super) fn start_injector(
    injector: Injector,
    consumer: Consumer,
    name: String,
    notes: Notes,
) -> Result<JoinHandle<Written>, EngineError> {
    let failed = move |error: &std::io::Error| {
        notes.push(format!("output `{name}` cannot write to its interface: {error}"));
    };
    spawn("vxtap-interface", move || injector.drain(consumer, failed))
}

fn spawn(
    name: &str,
    run: impl FnOnce() -> Written + Send + 'static,
) -> Result<JoinHandle<Written>, EngineError> {
    let no_thread = |source| EngineError::System { what: "cannot start an output".to_owned(), source };
    thread::Builder::new().name(name.to_owned()).spawn(run).map_err(no_thread)
}

/// What an interface block's statistics say: everything that arrived for it, what of that was meant for this output, and what
/// of that is not in the file.
fn totals(counters: &[WorkerCounters], output: usize, key: InterfaceKey, written: u64) -> InterfaceTotals {
    let (received, accepted) = match key {
        InterfaceKey::Session(session) => session_totals(counters, output, session as usize),
        InterfaceKey::Pair { source, vni } => {
            let is_pair = |pair: &Pair| pair.source == source && pair.vni.get() == vni;
            let tallies = counters.iter().flat_map(|counters| &counters.unknown);
            let received = tallies.filter(|(pair, _)| is_pair(pair)).map(|(_, tally)| tally.frames).sum();
            (received, received)
        }
        InterfaceKey::Other | InterfaceKey::Packets => (written, written),
    };
    // A pair that found no place in the table of undeclared ones is counted there only in part.
    let accepted = accepted.max(written);
    InterfaceTotals { received: received.max(accepted), accepted, dropped: accepted - written }
}

/// Frames of a session that arrived, and those of them that this output was offered.
fn session_totals(counters: &[WorkerCounters], output: usize, session: usize) -> (u64, u64) {
    let received = counters.iter().filter_map(|counters| counters.sessions.get(session));
    let offered = counters.iter().filter_map(|counters| counters.outputs.get(output)?.get(session));
    let offered = offered.map(|ledger| ledger.delivered.frames + ledger.full);
    (received.map(|ledger| ledger.received.frames).sum(), offered.sum())
}

fn utc_ns() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX)
}
