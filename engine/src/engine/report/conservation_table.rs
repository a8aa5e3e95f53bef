//! The conservation table, for people.

use std::fmt;

use vxtap_ebpf::maps::Outcome;

use super::{ActiveMode, CaptureFileReport, InterfaceReport, OutputReport, Report};
use crate::counters::SessionCounters;
use crate::drop_reason::{DropReason, Drops};
use crate::engine::StreamReader;
use crate::outputs::OutputStats;
use crate::plural::counted;
use crate::session::SequenceCounters;
use crate::steering::outcome_name;

/// Number of undeclared pairs that the table lists one by one.
const PAIRS_SHOWN: usize = 10;

/// Explanation of frames with a length of zero in a capture file.
const LENGTH_FILLED_IN: &str =
    "of these, with an IP or UDP length of zero (segmentation offload), taken from the frame";
const LONGER_THAN_IP: &str =
    "of the malformed ones, longer than 65535 bytes (segmentation offload)";

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, interface) in self.interfaces.iter().enumerate() {
            f.write_str(if index > 0 { "\n" } else { "" })?;
            steering(f, interface)?;
        }
        self.capture_file(f)?;
        self.fragments(f)?;
        self.workers(f)?;
        self.sessions(f)?;
        self.unknown_pairs(f)?;
        self.outputs(f)?;
        self.verdict(f)
    }
}

impl Report {
    /// Writes the frames that were passed over or changed as they were read.
    fn capture_file(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(CaptureFileReport { frames, other_ports: _ }) = &self.capture_file else {
            return Ok(());
        };
        for (link_type, count) in &frames.passed_over {
            writeln!(f, "    {:<22}{count:>14}  passed over: {link_type}", "other link type")?;
        }
        for (name, count, action) in [
            ("length_filled_in", frames.lengths_filled_in, LENGTH_FILLED_IN),
            ("longer_than_ip", frames.too_long, LONGER_THAN_IP),
        ] {
            if count > 0 {
                writeln!(f, "    {name:<22}{count:>14}  {action}")?;
            }
        }
        Ok(())
    }

    fn fragments(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let it = &self.fragments;
        if it.fragments == 0 {
            return Ok(());
        }
        writeln!(f, "\n  {:<24}{:>14}", "datagrams in fragments", it.packets)?;
        for (name, count) in [
            ("completed", it.completed),
            ("overlapped", it.overlapped),
            ("too_long", it.too_long),
            ("too_many", it.too_many),
            ("no_memory", it.no_memory),
            ("timed_out", it.timed_out),
            ("pending", it.packets_pending),
        ] {
            if count > 0 {
                writeln!(f, "    {name:<22}{count:>14}")?;
            }
        }
        for (name, count) in [
            ("repeated", it.repeated),
            ("late", it.late),
            ("malformed", it.malformed),
            ("no_room", it.no_room),
        ] {
            if count > 0 {
                writeln!(f, "    fragments {name:<12}{count:>14}")?;
            }
        }
        Ok(())
    }

    fn workers(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n  {:<24}{:>14}{:>14}{:>12}", "worker", "received", "delivered", "dropped")?;
        for worker in &self.workers {
            let name = self.name_of(worker);
            let index =
                worker.cpu.map_or_else(|| name.clone(), |cpu| format!("{name} on CPU {cpu}"));
            row(f, &index, &worker.counters.total)?;
            let kernel = worker.counters.kernel;
            for (name, count) in [
                ("rx_dropped", kernel.rx_dropped),
                ("rx_ring_full", kernel.rx_ring_full),
                ("rx_invalid_descs", kernel.rx_invalid_descs),
                ("rx_fill_ring_empty_descs", kernel.rx_fill_ring_empty_descs),
            ] {
                if count > 0 {
                    writeln!(f, "    in the kernel: {name} {count}")?;
                }
            }
            for (what, count) in [
                ("without arrival time", worker.counters.unstamped),
                ("with reserved bits of VXLAN set", worker.counters.reserved_bits),
            ] {
                if count > 0 {
                    writeln!(f, "    {what}: {count}")?;
                }
            }
        }
        Ok(())
    }

    fn sessions(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n  {:<24}{:>14}{:>14}{:>12}", "session", "received", "delivered", "dropped")?;
        for (index, (name, counters)) in
            self.sessions.iter().zip(&self.session_counters()).enumerate()
        {
            row(f, name, counters)?;
            if let Some((_, counters)) = self.sequences.iter().find(|(id, _)| id.index() == index) {
                let SequenceCounters { received, lost, restarts } = counters;
                let anew = if *restarts > 0 {
                    format!(", restarted {}", counted(*restarts, "time"))
                } else {
                    String::new()
                };
                writeln!(f, "    sequence numbers: {received}, missing: {lost}{anew}")?;
            }
            if counters.received_truncated > 0 {
                writeln!(f, "    truncated by the mirror: {}", counters.received_truncated)?;
            }
            if counters.truncated > 0 {
                writeln!(f, "    truncated here to the packet length: {}", counters.truncated)?;
            }
            if counters.direction_unknown > 0 {
                writeln!(f, "    direction unknown: {}", counters.direction_unknown)?;
            }
            for reason in DropReason::OF_FILTERS {
                if counters.drops.get(reason) > 0 {
                    writeln!(f, "    {reason}: {}", counters.drops.get(reason))?;
                }
            }
        }
        Ok(())
    }

    fn unknown_pairs(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (pairs, beyond) = self.unknown();
        if pairs.is_empty() {
            return Ok(());
        }
        writeln!(f, "\n  {:<38}{:>14}", "undeclared pairs (source, VNI)", "received")?;
        for (pair, count) in pairs.iter().take(PAIRS_SHOWN) {
            writeln!(f, "  {:<38}{:>14}", pair.to_string(), count.frames)?;
        }
        let rest: u64 = pairs.iter().skip(PAIRS_SHOWN).map(|(_, count)| count.frames).sum();
        if pairs.len() > PAIRS_SHOWN {
            let others = counted(pairs.len() - PAIRS_SHOWN, "other pair");
            writeln!(f, "  {others:<38}{rest:>14}")?;
        }
        if beyond.frames > 0 {
            writeln!(f, "  {:<38}{:>14}", "beyond the table", beyond.frames)?;
        }
        Ok(())
    }

    fn outputs(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n  {:<24}{:>14}{:>14}{:>14}", "output", "delivered", "dropped", "written")?;
        for output in &self.outputs {
            let total = output.total();
            let gone = if output.is_gone { "  removed by a reload" } else { "" };
            let written =
                output.written.as_ref().map_or("-".to_owned(), |it| it.frames_written.to_string());
            writeln!(
                f,
                "  {:<24}{:>14}{:>14}{written:>14}{gone}",
                output.title(),
                total.delivered.frames,
                total.dropped
            )?;
            consumers(f, output)?;
            if output.unread > 0 {
                writeln!(f, "    not read when the consumer detached: {}", output.unread)?;
            }
            let of_written = output.written.as_ref().map_or(0, |written| written.out_of_order);
            let out_of_order =
                output.stream.as_ref().map_or(of_written, |stream| stream.out_of_order);
            if out_of_order > 0 {
                writeln!(f, "    out of order: {out_of_order}")?;
            }
            let lost = output.written.as_ref().filter(|written| written.frames_lost > 0);
            if let Some(written) = lost {
                let reason =
                    written.error.as_ref().map_or(String::new(), |error| format!(": {error}"));
                writeln!(f, "    not written: {}{reason}", written.frames_lost)?;
            }
            output.written.as_ref().map_or(Ok(()), |written| files(f, written))?;
        }
        Ok(())
    }

    fn verdict(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.total();
        let (received, delivered) = (total.received.frames, total.delivered.frames);
        writeln!(f, "\n  received {received} = delivered {delivered}{}", reasons(&total.drops))?;
        let lost = self.lost_in_kernel();
        let redirected = self.steering().redirected;
        writeln!(f, "  redirected {redirected} = received {received} + lost in the kernel {lost}")?;
        for broken in self.imbalances() {
            writeln!(f, "  DOES NOT ADD UP: {broken}")?;
        }
        Ok(())
    }
}

/// Writes the frames and files that undeclared senders or the limits of an output have cost.
fn files(f: &mut fmt::Formatter<'_>, written: &OutputStats) -> fmt::Result {
    let OutputStats { low_space, files_deleted, undeclared_files_deleted, .. } = *written;
    if low_space > 0 {
        writeln!(f, "    low_space (frames of undeclared senders): {low_space}")?;
    }
    if files_deleted > 0 {
        let of_undeclared = match undeclared_files_deleted {
            0 => String::new(),
            files => format!(" ({files} of undeclared senders)"),
        };
        writeln!(f, "    files deleted: {files_deleted}{of_undeclared}")?;
    }
    Ok(())
}

/// Writes the consumers of an output that attach while it runs.
fn consumers(f: &mut fmt::Formatter<'_>, output: &OutputReport) -> fmt::Result {
    let Some(consumers) = output.consumers else { return Ok(()) };
    let (who, readers) = match &output.stream {
        Some(stream) => ("readers", &stream.readers[..]),
        None => ("consumers", &[][..]),
    };
    writeln!(f, "    {who} attached: {}, ever: {}", consumers.attached, consumers.attached_total)?;
    for (what, count) in [("disconnected", consumers.disconnected), ("refused", consumers.refused)]
    {
        if count > 0 {
            writeln!(f, "    {who} {what}: {count}")?;
        }
    }
    for reader in readers {
        let StreamReader { name, offered, sent, lost, unsent, is_attached: _ } = reader;
        writeln!(f, "    {name}: {offered} = sent {sent} + lost {lost} + not sent {unsent}")?;
    }
    Ok(())
}

/// Writes an interface and the outcomes of its frames.
fn steering(f: &mut fmt::Formatter<'_>, interface: &InterfaceReport) -> fmt::Result {
    let InterfaceReport { name, mode, fallbacks: _, steering } = interface;
    let (how, seen) = match mode {
        ActiveMode::CaptureFile => (String::new(), "frames seen in the file"),
        ActiveMode::Socket => (format!(", {mode}"), "datagrams seen by the UDP sockets"),
        _ => (format!(", {mode}"), "frames seen by the XDP program"),
    };
    // No kernel stack gets the frames of a file.
    let (not_ours, others) = match mode {
        ActiveMode::CaptureFile => ("left out: to other ports, or not UDP", "left out"),
        _ => ("passed to the kernel stack", "passed"),
    };
    writeln!(f, "{name}{how}\n\n  {seen}")?;
    for (outcome, action) in [
        (Outcome::Redirected, "to the workers"),
        (Outcome::NotOurs, not_ours),
        (Outcome::Fragment, others),
        (Outcome::Malformed, others),
        (Outcome::TooManyExtensions, others),
        (Outcome::NoSocket, others),
        (
            Outcome::SeveralBuffers,
            "passed: longer than a chunk, and this kernel has no multi-buffer AF_XDP",
        ),
        (Outcome::OtherDestination, "passed: addressed to others (capture.destinations)"),
        (Outcome::SourceNotAllowed, "dropped"),
        (Outcome::Unstamped, "of the redirected frames, without arrival time"),
        (Outcome::RedirectErr, "of the redirected frames, refused by the kernel: lost"),
    ] {
        let count = steering.get(outcome);
        if count > 0 || outcome == Outcome::Redirected {
            let name = outcome_name(outcome);
            writeln!(f, "    {name:<22}{count:>14}  {action}")?;
        }
    }
    Ok(())
}

fn row(f: &mut fmt::Formatter<'_>, name: &str, counters: &SessionCounters) -> fmt::Result {
    let (received, delivered) = (counters.received.frames, counters.delivered.frames);
    writeln!(f, "  {name:<24}{received:>14}{delivered:>14}{:>12}", counters.drops.total())
}

/// Returns " + reason count" for each reason with a count.
fn reasons(drops: &Drops) -> String {
    let counted = DropReason::ALL.into_iter().filter(|&reason| drops.get(reason) > 0);
    counted.fold(String::new(), |text, reason| text + &format!(" + {reason} {}", drops.get(reason)))
}
