//! The whole account of a stopped engine as one JSON object, for programs. Names are those of the
//! conservation table and of docs/counters.md.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};
use vxtap::counters::{KernelCounters, ReassemblyCounters, SessionCounters};
use vxtap::engine::{
    ConsumerCounters, InterfaceReport, OutputReport, Report, StreamReader, WorkerReport,
};
use vxtap::session::SequenceCounters;
use vxtap::{DropReason, Drops};

use super::progress::{ProgressLine, to_line};

/// The last line of `--progress json`: the keys of the others, and everything that the
/// conservation table has.
#[derive(Serialize)]
struct Account {
    #[serde(flatten)]
    progress: ProgressLine<Value>,
    drops: Value,
    interfaces: Vec<Value>,
    fragments: Value,
    workers: Vec<Value>,
    undeclared: Vec<Value>,
    undeclared_beyond: u64,
    outputs: Vec<Value>,
    failures: Vec<String>,
    imbalances: Vec<String>,
}

/// Returns the account of a stopped engine as a line of JSON with its newline.
pub(super) fn line(elapsed: Duration, report: &Report) -> String {
    let (pairs, beyond) = report.unknown();
    let pair = |(pair, count): &(vxtap::session::SourceVni, vxtap::counters::FrameBytes)| {
        json!({
            "source": pair.source.to_string(), "vni": pair.vni.get(),
            "frames": count.frames, "bytes": count.bytes,
        })
    };
    to_line(&Account {
        progress: ProgressLine::new(elapsed, report, sessions(report)).last(),
        drops: drops(&report.total().drops),
        interfaces: report.interfaces.iter().map(interface).collect(),
        fragments: fragments(&report.fragments),
        workers: report.workers.iter().map(|it| worker(it, report)).collect(),
        undeclared: pairs.iter().map(pair).collect(),
        undeclared_beyond: beyond.frames,
        outputs: report.outputs.iter().map(output).collect(),
        failures: report.failures.clone(),
        imbalances: report.imbalances(),
    })
}

fn drops(drops: &Drops) -> Value {
    let counts = DropReason::ALL.map(|reason| (reason.name().to_owned(), drops.get(reason).into()));
    Value::Object(counts.into_iter().collect::<Map<_, _>>())
}

fn sessions(report: &Report) -> Vec<Value> {
    let counters = report.session_counters();
    let session = |(index, (name, counters)): (usize, (&String, &SessionCounters))| {
        let sequence = report.sequences.iter().find(|(id, _)| id.index() == index);
        let sequence = sequence.map(|(_, SequenceCounters { received, lost, restarts })| {
            json!({ "received": received, "lost": lost, "restarts": restarts })
        });
        json!({
            "name": name,
            "frames": counters.received.frames,
            "bytes": counters.received.bytes,
            "delivered": counters.delivered.frames,
            "dropped": counters.drops.total(),
            "drops": drops(&counters.drops),
            "received_truncated": counters.received_truncated,
            "truncated": counters.truncated,
            "direction_unknown": counters.direction_unknown,
            "sequence": sequence,
        })
    };
    report.sessions.iter().zip(&counters).enumerate().map(session).collect()
}

fn interface(interface: &InterfaceReport) -> Value {
    let InterfaceReport { name, mode, fallbacks: _, steering } = interface;
    let frames = steering.by_name().map(|(name, frames)| (name.to_owned(), frames.into()));
    let mut object: Map<_, _> = frames.collect();
    object.insert("name".to_owned(), name.clone().into());
    object.insert("mode".to_owned(), mode.to_string().into());
    Value::Object(object)
}

fn fragments(counters: &ReassemblyCounters) -> Value {
    json!({
        "packets": counters.packets,
        "completed": counters.completed,
        "overlapped": counters.overlapped,
        "too_long": counters.too_long,
        "too_many": counters.too_many,
        "no_memory": counters.no_memory,
        "timed_out": counters.timed_out,
        "pending": counters.packets_pending,
        "fragments": counters.fragments,
        "repeated": counters.repeated,
        "late": counters.late,
        "malformed": counters.malformed,
        "no_room": counters.no_room,
    })
}

fn worker(worker: &WorkerReport, report: &Report) -> Value {
    let counters = &worker.counters;
    let KernelCounters { rx_dropped, rx_ring_full, rx_invalid_descs, rx_fill_ring_empty_descs } =
        counters.kernel;
    json!({
        "interface": report.interfaces.get(worker.interface).map(|it| &it.name),
        "queue": worker.queue,
        "cpu": worker.cpu,
        "received": counters.total.received.frames,
        "delivered": counters.total.delivered.frames,
        "dropped": counters.total.drops.total(),
        "rx_dropped": rx_dropped,
        "rx_ring_full": rx_ring_full,
        "rx_invalid_descs": rx_invalid_descs,
        "rx_fill_ring_empty_descs": rx_fill_ring_empty_descs,
        "unstamped": counters.unstamped,
        "reserved_bits": counters.reserved_bits,
    })
}

fn output(output: &OutputReport) -> Value {
    let total = output.total();
    let written = output.written.as_ref().map(|written| {
        json!({
            "frames": written.frames_written, "lost": written.frames_lost,
            "low_space": written.low_space, "files_deleted": written.files_deleted,
            "undeclared_files_deleted": written.undeclared_files_deleted, "error": written.error,
        })
    });
    let of_written = output.written.as_ref().map_or(0, |written| written.out_of_order);
    let out_of_order = output.stream.as_ref().map_or(of_written, |stream| stream.out_of_order);
    let consumers = output.consumers.map(|consumers| {
        let ConsumerCounters { attached, attached_total, disconnected, refused } = consumers;
        json!({
            "attached": attached, "attached_total": attached_total,
            "disconnected": disconnected, "refused": refused,
        })
    });
    let readers = output.stream.iter().flat_map(|stream| &stream.readers).map(|reader| {
        let StreamReader { name, offered, sent, lost, unsent, is_attached: _ } = reader;
        json!({ "name": name, "offered": offered, "sent": sent, "lost": lost, "unsent": unsent })
    });
    json!({
        "name": output.name,
        "member": output.member,
        "removed": output.is_gone,
        "delivered": total.delivered.frames,
        "dropped": total.dropped,
        "unread": output.unread,
        "out_of_order": out_of_order,
        "written": written,
        "consumers": consumers,
        "readers": readers.collect::<Vec<_>>(),
    })
}
