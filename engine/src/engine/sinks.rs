//! The outputs that the engine itself empties: a thread for each file and each interface.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::EngineError;
use super::clock::Clock;
use super::lanes::Lanes;
use super::statement::Ledgers;
use super::workers::Notes;
use crate::output::pcapng::{Series, Statement};
use crate::output::{Consumer, Injector, Next, Written};

/// Longest wait for frames, and how often files are looked after.
const WAIT: Duration = Duration::from_millis(250);

/// Which output it is, and what its files are to say at their ends.
pub(super) struct Place {
    pub(super) id: usize,
    /// Where the workers post their counts: final ones, for this output, when its rings are closed.
    pub(super) lanes: Lanes,
    pub(super) clock: Clock,
    pub(super) desk: Arc<Desk>,
}

/// What the engine and the thread of an output that writes have to tell each other.
#[derive(Debug, Default)]
pub(super) struct Desk {
    /// What has become of the frames so far, if it says so while it runs.
    written: Mutex<Option<Written>>,
    /// How often other files were asked for.
    rotations: AtomicU32,
}

impl Desk {
    pub(super) fn written(&self) -> Option<Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn rotate(&self) {
        self.rotations.fetch_add(1, Ordering::Relaxed);
    }

    fn post(&self, written: Written) {
        *self.written.lock().unwrap_or_else(PoisonError::into_inner) = Some(written);
    }
}

/// Starts the thread that moves frames from `consumer` into files until the workers have closed its
/// rings.
pub(super) fn start(
    series: Series,
    consumer: Consumer,
    output: Place,
) -> Result<JoinHandle<Written>, EngineError> {
    let Place { id, lanes, clock, desk } = output;
    let mut ledgers = Ledgers::new(lanes, id, clock);
    spawn("vxtap-pcapng", move || {
        let (series, out_of_order) = drain(series, consumer, &mut ledgers, &desk);
        Written { out_of_order, ..series.finish(&mut ledgers) }
    })
}

/// Moves frames until none come any more; says how many came out of order.
fn drain(
    mut series: Series,
    mut consumer: Consumer,
    statement: &mut dyn Statement,
    desk: &Desk,
) -> (Series, u64) {
    let mut rotations = 0;
    let mut looked_at = Instant::now();
    loop {
        match consumer.next(WAIT) {
            Next::Batch(batch) => {
                for frame in &batch {
                    series.packet(&frame, statement);
                }
            }
            Next::Idle => {}
            Next::Closed => break,
        }
        let now = Instant::now();
        if now.saturating_duration_since(looked_at) < WAIT {
            continue;
        }
        looked_at = now;
        series.tick(now, statement);
        let asked = desk.rotations.load(Ordering::Relaxed);
        if std::mem::replace(&mut rotations, asked) != asked {
            series.rotate(statement);
        }
        desk.post(Written { out_of_order: consumer.out_of_order(), ..series.written() });
    }
    (series, consumer.out_of_order())
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
    let no_thread =
        |source| EngineError::System { what: "cannot start an output".to_owned(), source };
    thread::Builder::new().name(name.to_owned()).spawn(run).map_err(no_thread)
}
