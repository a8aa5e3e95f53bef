//! The engine's end of an output.

use std::fs::File;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use super::guests::{Door, Guests, StreamCounters};
use super::sinks::Desk;
use super::stream::{Doors, Settings};
use crate::config::{Output, OutputKind, StreamTarget};
use crate::output::pcapng::Series;
use crate::output::{Consumer, Inbox, Reader, Written};
use crate::ruleset::Claim;

/// A member of an output. Its consumer and what it writes to are here until somebody takes the one,
/// or the thread that has both is started.
pub(super) struct Outlet {
    pub(super) name: String,
    /// What is configured; `None` for the one that nobody has configured, for those who look in.
    kind: Option<OutputKind>,
    /// Its place among the members of the output, and their number.
    pub(super) member: (u32, u32),
    order_window: Duration,
    pub(super) consumer: Option<Consumer>,
    /// Where its frames go, until its thread has it.
    pub(super) opened: Option<Opened>,
    pub(super) running: Option<Running>,
    /// Where its thread tells what it does, and is told.
    pub(super) desk: Arc<Desk>,
    /// Who comes to it, if consumers do, instead of the one that others have.
    pub(super) guests: Option<Guests>,
    /// A reload has taken it away.
    pub(super) is_gone: bool,
    /// Where its consumer gets further rings, if somebody has it.
    inbox: Weak<Inbox>,
    /// The file that it writes, if it is always the same one.
    pub(super) file: Option<FileId>,
}

/// What an output has opened.
#[derive(Debug)]
pub(super) enum Opened {
    Files(Box<Series>),
    /// The device of an interface, and whether frames get tags.
    Interface(File, bool),
    /// Of all members; the first one has it.
    Door(Door),
    /// Where the readers of a stream come from, and what it is like.
    Stream(Doors, Settings),
}

/// The thread of an output.
#[derive(Debug)]
pub(super) enum Running {
    Writer(JoinHandle<Written>),
    Server(JoinHandle<()>),
}

impl Running {
    fn is_finished(&self) -> bool {
        match self {
            Self::Writer(thread) => thread.is_finished(),
            Self::Server(thread) => thread.is_finished(),
        }
    }
}

/// Device and inode.
pub(super) type FileId = (u64, u64);

impl Outlet {
    /// A member, at its place, of an output.
    pub(super) fn new(
        output: &Output,
        place: u32,
        guests: Option<Guests>,
        opened: Option<Opened>,
        file: Option<FileId>,
    ) -> Self {
        Self {
            name: output.name.clone(),
            kind: Some(output.kind.clone()),
            member: (place, output.members),
            order_window: Duration::from_micros(output.order_window_us.into()),
            consumer: None,
            opened,
            running: None,
            desk: Arc::default(),
            guests,
            is_gone: false,
            inbox: Weak::new(),
            file,
        }
    }

    /// The one for those who look in.
    pub(super) fn for_tail(name: &str, guests: Guests, opened: Opened) -> Self {
        let output = Output::new(name, OutputKind::Consumer);
        Self { kind: None, ..Self::new(&output, 0, Some(guests), Some(opened), None) }
    }

    /// Whether it is the one for those who look in, which has memory of its own and stays.
    pub(super) const fn is_for_tail(&self) -> bool {
        self.kind.is_none()
    }

    /// Where its readers are, if it is a stream that may still write there.
    pub(super) fn stream_target(&self) -> Option<&StreamTarget> {
        let Some(OutputKind::Stream(stream)) = &self.kind else { return None };
        self.is_alive().then_some(&stream.target)
    }

    /// Whether it writes files, and has not been taken away.
    pub(super) const fn writes_files(&self) -> bool {
        !self.is_gone && matches!(self.kind, Some(OutputKind::Pcapng { .. }))
    }

    /// What it is to get.
    pub(super) fn claim(&self) -> Claim<'_> {
        match self.kind {
            _ if self.is_gone => Claim::Gone,
            Some(_) => Claim::Named(&self.name),
            None => Claim::Everything,
        }
    }

    /// Whether a configuration has it as it is. Which frames it gets may change.
    pub(super) fn is_in(&self, outputs: &[Output]) -> bool {
        self.is_for_tail() || outputs.iter().any(|output| self.is_of(output))
    }

    /// Whether it is a member of such an output.
    pub(super) fn is_of(&self, output: &Output) -> bool {
        let (_, members) = self.member;
        let order_window = Duration::from_micros(output.order_window_us.into());
        output.name == self.name
            && Some(&output.kind) == self.kind.as_ref()
            && output.members == members
            && order_window == self.order_window
    }

    /// Whether its rings may still hold chunks, and its file be written to.
    pub(super) fn is_alive(&self) -> bool {
        let is_finished = self.running.as_ref().is_none_or(Running::is_finished)
            && self.guests.as_ref().is_none_or(|guests| guests.bell.has_ended());
        !self.is_gone || self.inbox.strong_count() > 0 || !is_finished
    }

    /// How many rings of each queue it may have at a time.
    pub(super) fn ring_count(&self) -> usize {
        self.guests.as_ref().map_or(1, |guests| guests.rings as usize)
    }

    /// What became of the frames of each reader, if it is a stream.
    pub(super) fn readers(&self) -> Option<StreamCounters> {
        let is_stream = matches!(self.kind, None | Some(OutputKind::Stream(_)));
        self.guests.as_ref().filter(|_| is_stream).map(|guests| guests.readers.read())
    }

    /// Gives it its consumer.
    pub(super) fn connect(&mut self, mut consumer: Consumer) {
        consumer.order_within(self.order_window);
        self.inbox = Arc::downgrade(consumer.inbox());
        self.consumer = Some(consumer);
    }

    /// Gives its consumer another ring. Without a consumer the ring has lost its reader at once.
    pub(super) fn extend(&self, reader: Reader) {
        if let Some(inbox) = self.inbox.upgrade() {
            inbox.put(reader);
        }
    }
}
