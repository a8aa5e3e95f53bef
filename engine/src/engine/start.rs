//! Starting: the outputs, then the workers, then the frames are let in.

use super::clock::Clock;
use super::guests::{Guests, Service};
use super::lane::{Entrance, Open};
use super::lanes::Lane;
use super::outlet::{Opened, Running};
use super::{Engine, EngineError, Source, shared, sinks, stream};
use crate::config::WaitMode;
use crate::output::{Consumer, Injector, Origin, Writer};
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
            entrances.push(self.start_worker(self.lanes.get(place), open, writers)?);
        }
        // Once all of them run: a queue whose worker is late would lose what it gets.
        entrances
            .into_iter()
            .enumerate()
            .try_for_each(|(place, entrance)| self.connect(place, entrance))?;
        self.open_doors();
        Ok(())
    }

    /// Starts the worker of a lane.
    pub(super) fn start_worker(
        &mut self,
        lane: Lane,
        open: Open,
        outputs: Vec<(usize, Writer)>,
    ) -> Result<Entrance, EngineError> {
        let Open { queue: _, cpu, kernel, rx, free, entrance } = open;
        let (wait, when_full) = match self.source {
            Source::Live(_) => (self.config.workers.wait, WhenFull::Drop),
            Source::File(_) => (WaitMode::Interrupt, WhenFull::Wait),
        };
        let Lane { origin, umem: _, board, orders } = lane;
        let ruleset = self.ruleset.clone();
        let fragments = self.fragments.clone();
        let parts = Parts {
            kernel,
            queue: rx,
            free,
            outputs,
            ruleset,
            fragments,
            wait,
            when_full,
            board,
            orders,
        };
        self.workers.spawn(origin, self.lane_name(origin), cpu, parts, self.notes.clone())?;
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
        let Origin { interface, queue } = self.lanes.get(place).origin;
        match &mut self.source {
            Source::Live(lives) => lives[interface].connect(queue, entrance),
            Source::File(_) => Ok(()),
        }
    }

    /// Starts the threads of the outputs that are open and have none.
    pub(super) fn start_sinks(&mut self) -> Result<(), EngineError> {
        for id in 0..self.outlets.len() {
            let outlet = &mut self.outlets[id];
            let Some(opened) = outlet.opened.take() else { continue };
            let consumer = outlet.consumer.take();
            self.outlets[id].running = self.start_sink(id, opened, consumer)?;
        }
        Ok(())
    }

    fn start_sink(
        &self,
        id: usize,
        opened: Opened,
        consumer: Option<Consumer>,
    ) -> Result<Option<Running>, EngineError> {
        let outlet = &self.outlets[id];
        let service = |guests: &Guests| Service {
            name: outlet.name.clone(),
            id,
            guests: guests.clone(),
            ring_len: if outlet.is_for_tail() { self.tail_ring_len } else { self.ring_len },
            lanes: self.lanes.clone(),
            directory: self.directory.clone(),
            notes: self.notes.clone(),
        };
        let running = match (opened, consumer, &outlet.guests) {
            (Opened::Files(series), Some(consumer), _) => {
                let clock = match self.source {
                    Source::Live(_) => Clock::Wall,
                    Source::File(_) => Clock::Frames,
                };
                let output = sinks::Place {
                    id,
                    lanes: self.lanes.clone(),
                    clock,
                    desk: outlet.desk.clone(),
                };
                Running::Writer(sinks::start(*series, consumer, output)?)
            }
            (Opened::Interface(device, has_tags), Some(consumer), _) => {
                let injector = Injector::new(device, &self.directory, has_tags);
                let (name, notes) = (outlet.name.clone(), self.notes.clone());
                Running::Writer(sinks::start_injector(injector, consumer, name, notes)?)
            }
            (Opened::Door(door), _, Some(guests)) => {
                let (_, members) = outlet.member;
                let server = shared::Server { service: service(guests), members };
                Running::Server(shared::start(server, door)?)
            }
            (Opened::Stream(doors, settings), _, Some(guests)) => {
                let hub = stream::Hub { service: service(guests), settings };
                Running::Server(stream::start(hub, doors)?)
            }
            (
                Opened::Files(_) | Opened::Interface(..) | Opened::Door(_) | Opened::Stream(..),
                ..,
            ) => {
                return Ok(None);
            }
        };
        Ok(Some(running))
    }

    /// Ends the threads of outputs from an id on, and forgets these: they did not come to be used.
    pub(super) fn take_back(&mut self, first: usize) {
        for outlet in &mut self.outlets[first..] {
            if let (Some(guests), Some(Running::Server(thread))) =
                (&outlet.guests, outlet.running.take())
            {
                guests.bell.end();
                // One that panicked has ended too.
                let _ = thread.join();
            }
        }
        self.outlets.truncate(first);
    }

    /// Lets in those who come to the outputs, which the workers know.
    pub(super) fn open_doors(&self) {
        self.outlets
            .iter()
            .filter_map(|outlet| outlet.guests.as_ref())
            .for_each(|guests| guests.bell.open());
    }

    /// Tells the threads that serve consumers that there are other queues or sessions.
    pub(super) fn ring_bells(&self) {
        self.outlets
            .iter()
            .filter_map(|outlet| outlet.guests.as_ref())
            .for_each(|guests| guests.bell.ring());
    }
}
