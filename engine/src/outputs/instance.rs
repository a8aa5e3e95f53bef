//! One instance of an output, as the engine holds it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::attach::{AttachedConsumers, StreamCounters};
use super::open_output::{Exclusive, OpenOutput, OutputThread};
use super::output_control::OutputControl;
use crate::config::{Output, OutputKind};
use crate::ring::{Consumer, NewRings, Reader};
use crate::ruleset::Subscription;

/// One member of an output. Owns the consumer and the opened output until the caller takes the
/// consumer or the thread of the output starts.
pub(crate) struct OutputInstance {
    pub(crate) name: String,
    /// Configured kind; `None` for the output of `vxtap tail`, which is not configured.
    kind: Option<OutputKind>,
    /// Number of this member, from 0, and of all members of the output.
    pub(crate) member: (u32, u32),
    order_window: Duration,
    /// Length of each of its rings.
    pub(crate) ring_len: u32,
    pub(crate) consumer: Option<Consumer>,
    /// The opened output, until its thread owns it.
    pub(crate) opened: Option<Box<dyn OpenOutput>>,
    pub(crate) running: Option<OutputThread>,
    pub(crate) control: Arc<OutputControl>,
    /// Consumers that attach while the engine runs, instead of `consumer`.
    pub(crate) attached: Option<AttachedConsumers>,
    /// `true` once a reload has removed the output.
    pub(crate) is_gone: bool,
    /// Takes further rings for the consumer while it exists.
    new_rings: Weak<NewRings>,
    /// File or stream target that no other output may have.
    pub(super) exclusive: Option<Exclusive>,
}

impl OutputInstance {
    /// Returns member number `member` of an output.
    pub(super) fn new(
        output: &Output,
        member: u32,
        attached: Option<AttachedConsumers>,
        opened: Option<Box<dyn OpenOutput>>,
        exclusive: Option<Exclusive>,
    ) -> Self {
        Self {
            name: output.name.clone(),
            kind: Some(output.kind.clone()),
            member: (member, output.members),
            order_window: Duration::from_micros(output.order_window_us.into()),
            ring_len: 0,
            consumer: None,
            opened,
            running: None,
            control: Arc::default(),
            attached,
            is_gone: false,
            new_rings: Weak::new(),
            exclusive,
        }
    }

    /// Returns the output of `vxtap tail`, with rings of this length.
    pub(crate) fn for_tail(
        name: &str,
        attached: AttachedConsumers,
        opened: Box<dyn OpenOutput>,
        ring_len: u32,
    ) -> Self {
        let output = Output::new(name, OutputKind::Consumer);
        let instance = Self::new(&output, 0, Some(attached), Some(opened), None);
        Self { kind: None, ring_len, ..instance }
    }

    /// Returns whether it is the output of `vxtap tail`, which has memory of its own and stays.
    pub(crate) const fn is_for_tail(&self) -> bool {
        self.kind.is_none()
    }

    /// Returns whether it writes files and no reload has removed it.
    pub(crate) fn writes_files(&self) -> bool {
        !self.is_gone && self.kind.as_ref().is_some_and(OutputKind::writes_files)
    }

    /// Returns which sessions it gets frames of.
    pub(crate) fn subscription(&self) -> Subscription<'_> {
        match self.kind {
            _ if self.is_gone => Subscription::Gone,
            Some(_) => Subscription::Named(&self.name),
            None => Subscription::Everything,
        }
    }

    /// Returns whether a configuration has it unchanged, apart from the frames that it gets.
    pub(crate) fn is_in(&self, outputs: &[Output]) -> bool {
        self.is_for_tail() || outputs.iter().any(|output| self.is_of(output))
    }

    /// Returns whether it is a member of `output`.
    pub(crate) fn is_of(&self, output: &Output) -> bool {
        let (_, members) = self.member;
        let order_window = Duration::from_micros(output.order_window_us.into());
        output.name == self.name
            && Some(&output.kind) == self.kind.as_ref()
            && output.members == members
            && order_window == self.order_window
    }

    /// Returns whether its rings may still hold chunks, or its file may still be written.
    pub(crate) fn is_alive(&self) -> bool {
        let is_finished = self.running.as_ref().is_none_or(OutputThread::is_finished)
            && self.attached.as_ref().is_none_or(|attached| attached.notifier.has_ended());
        !self.is_gone || self.new_rings.strong_count() > 0 || !is_finished
    }

    /// Returns the largest number of rings that it may have of each queue at a time.
    pub(crate) fn ring_count(&self) -> usize {
        self.attached.as_ref().map_or(1, |attached| attached.rings as usize)
    }

    /// Returns the counters of each reader; `None` unless it is a stream.
    pub(crate) fn readers(&self) -> Option<StreamCounters> {
        self.attached.as_ref()?.readers.as_ref().map(|readers| readers.read())
    }

    /// Sets its consumer.
    pub(crate) fn set_consumer(&mut self, mut consumer: Consumer) {
        consumer.order_within(self.order_window);
        self.new_rings = Arc::downgrade(consumer.new_rings());
        self.consumer = Some(consumer);
    }

    /// Adds a ring to its consumer. Without a consumer the ring loses its reader at once.
    pub(crate) fn extend(&self, reader: Reader) {
        if let Some(new_rings) = self.new_rings.upgrade() {
            new_rings.put(reader);
        }
    }
}
