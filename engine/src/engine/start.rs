//! Starting: the outputs, then the workers, then the frames are let in.

use std::sync::Arc;

use super::lane::{Entrance, Lane, Open};
use super::{Engine, EngineError, Source, sinks};
use crate::config::WaitMode;
use crate::output::{Origin, Writer};
use crate::worker::{Parts, WhenFull};

impl Engine {
    /// Starts the outputs and the workers, and lets the frames in.
    ///
    /// # Errors
    ///
    /// [`EngineError`] if a thread or a map entry is refused.
    ///
    /// # Panics
    ///
    /// If it is called twice.
    pub fn start(&mut self) -> Result<(), EngineError> {
        assert!(!std::mem::replace(&mut self.is_started, true), "an engine is started once");
        self.start_sinks()?;
        // Nobody can take them any more.
        self.outlets.iter_mut().for_each(|outlet| outlet.consumer = None);
        let mut entrances = Vec::new();
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        let writers = std::mem::take(&mut self.writers).into_iter();
        for (place, ((_, open), writers)) in waiting.zip(writers).enumerate() {
            entrances.push(self.start_worker(place, open, writers)?);
        }
        // Once all of them run: a queue whose worker is late would lose what it gets.
        entrances.into_iter().enumerate().try_for_each(|(place, entrance)| self.connect(place, entrance))
    }

    /// Starts the worker of a lane.
    pub(super) fn start_worker(
        &mut self,
        place: usize,
        open: Open,
        outputs: Vec<(usize, Writer)>,
    ) -> Result<Entrance, EngineError> {
        let Open { queue: _, cpu, kernel, rx, free, entrance } = open;
        let (wait, when_full) = match self.source {
            Source::Live(_) => (self.config.workers.wait, WhenFull::Drop),
            Source::File(_) => (WaitMode::Interrupt, WhenFull::Wait),
        };
        let (ruleset, orders) = (self.ruleset.clone(), Arc::default());
        let Lane { origin, board, .. } = &self.lanes[place];
        let board = board.clone();
        let fragments = self.fragments.clone();
        let parts =
            Parts { kernel, queue: rx, free, outputs, ruleset, fragments, wait, when_full, board, orders };
        self.workers.spawn(*origin, self.lane_name(*origin), cpu, parts, self.notes.clone())?;
        Ok(entrance)
    }

    /// What sentences call a lane.
    pub(super) fn lane_name(&self, Origin { interface, queue }: Origin) -> String {
        match &self.config.capture.interfaces[..] {
            names @ [_, _, ..] => format!("queue {queue} of {}", names[interface]),
            _ => format!("queue {queue}"),
        }
    }

    /// Lets the frames of a lane in.
    pub(super) fn connect(&mut self, place: usize, entrance: Entrance) -> Result<(), EngineError> {
        let Origin { interface, queue } = self.lanes[place].origin;
        match &mut self.source {
            Source::Live(lives) => lives[interface].connect(queue, entrance),
            Source::File(_) => Ok(()),
        }
    }

    /// Starts the threads of the outputs that are open and have none.
    pub(super) fn start_sinks(&mut self) -> Result<(), EngineError> {
        let clock = match self.source {
            Source::Live(_) => sinks::Clock::Wall,
            Source::File(_) => sinks::Clock::Frames,
        };
        for (id, outlet) in self.outlets.iter_mut().enumerate() {
            let Some(sink) = outlet.sink.take() else { continue };
            let Some(consumer) = outlet.consumer.take() else { continue };
            let output = sinks::Place { id, name: outlet.name.clone(), boards: self.boards.clone(), clock };
            outlet.thread = Some(sinks::start(sink, consumer, output, self.notes.clone())?);
        }
        Ok(())
    }
}
