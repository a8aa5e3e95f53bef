//! The receiver of a run: a `vxbench receive` that answers marks, or a program that tells its count
//! at its end.

use std::env;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::bed::{Bed, Place};
use super::external::External;
use super::interrupt::Interrupt;
use super::rows::{Program, Row};
use super::talk::Talker;
use crate::protocol::{Mark, Ready};

/// How long a receiver may take until it takes frames.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// How long the answer to a mark may take. An overloaded CPU answers late.
const MARK_TIMEOUT: Duration = Duration::from_secs(20);

/// How long it may take to detach and end.
const END_TIMEOUT: Duration = Duration::from_secs(20);

/// Time between two looks at whether more frames come. Above the 100 ms to 1 s that a packet ring
/// keeps an unfilled block, as far as the receivers of this crate go.
const SETTLE: Duration = Duration::from_millis(200);

/// How long the rest may take: the 64 MiB of a packet ring are read within a second.
const DRAIN_MAX: Duration = Duration::from_secs(3);

/// A `vxbench receive` that is ready.
#[derive(Debug)]
pub(crate) struct Marked {
    talker: Talker,
    about: String,
}

impl Marked {
    /// Starts `vxbench receive ARGUMENTS` and waits until it takes frames.
    ///
    /// # Errors
    /// When it does not become ready, with what it said.
    pub(crate) fn start(
        place: &impl Place,
        arguments: &[String],
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let program = env::current_exe().context("cannot find the path of vxbench")?;
        let program = program.to_str().context("the path of vxbench is not UTF-8")?;
        let mut command = place.receiver(program);
        command.arg("receive").args(arguments).args(["--interface", place.receives_on()]);
        let mut talker = Talker::start("the receiver", &mut command, interrupt)?;
        let line = talker.line("the word that it is ready", START_TIMEOUT)?;
        let ready: Ready = serde_json::from_str(&line)
            .with_context(|| format!("the receiver does not say ready: {line}"))?;
        ensure!(ready.ready, "the receiver says that it is not ready: {line}");
        Ok(Self { talker, about: ready.about })
    }

    /// Asks for the counts, and begins a new latency histogram.
    ///
    /// # Errors
    /// When the receiver does not answer.
    pub(crate) fn mark(&mut self) -> Result<Mark> {
        self.talker.say("mark")?;
        let line = self.talker.line("an answer to a mark", MARK_TIMEOUT)?;
        serde_json::from_str(&line).with_context(|| format!("this is no answer to a mark: {line}"))
    }

    /// Waits until no more frames come, at most some seconds, and returns the last counts.
    ///
    /// # Errors
    /// When the receiver does not answer, or a signal comes.
    pub(crate) fn drained(&mut self, interrupt: &Interrupt) -> Result<Mark> {
        let end = Instant::now() + DRAIN_MAX;
        let mut last = self.mark()?;
        loop {
            interrupt.pause(SETTLE)?;
            let next = self.mark()?;
            if next.frames == last.frames || Instant::now() >= end {
                return Ok(next);
            }
            last = next;
        }
    }

    /// What exactly was set up.
    pub(crate) fn about(&self) -> &str {
        &self.about
    }

    /// Process id.
    pub(crate) fn id(&self) -> u32 {
        self.talker.id()
    }

    /// Ends it in order.
    ///
    /// # Errors
    /// When it fails or does not end.
    pub(crate) fn end(mut self) -> Result<()> {
        self.talker.say("end")?;
        let (status, complaint) = self.talker.end(END_TIMEOUT)?;
        ensure!(
            status.success(),
            "the receiver failed at its end ({status}): {}",
            complaint.trim()
        );
        Ok(())
    }
}

/// A receiver of either kind.
#[derive(Debug)]
pub(crate) enum Receiver {
    /// Answers marks.
    Marked(Marked),
    /// Tells its count at its end.
    External(External),
}

/// When an external program is ended, the only way to learn its count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With the traffic: what it had not read by then does not count.
    AtOnce,
    /// When it has read the rest.
    Drained,
}

impl Receiver {
    /// Starts the receiver of `row` for traffic of `sessions` sessions and waits until it takes
    /// frames.
    ///
    /// # Errors
    /// When it does not start, with what it said.
    pub(crate) fn start(
        bed: &Bed,
        row: &Row,
        sessions: u32,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let program = match &row.program {
            Program::Receive(arguments) => {
                let mut arguments = arguments.clone();
                if arguments.first().is_some_and(|receiver| receiver == "tpacket") {
                    arguments.extend(["--vni-count".to_owned(), sessions.to_string()]);
                }
                return Marked::start(bed, &arguments, interrupt).map(Self::Marked);
            }
            Program::Tcpdump => super::external::TCPDUMP,
            Program::Dumpcap => super::external::DUMPCAP,
        };
        External::start(bed, program, sessions, interrupt).map(Self::External)
    }

    /// What exactly was set up.
    pub(crate) fn about(&self) -> &str {
        match self {
            Self::Marked(marked) => marked.about(),
            Self::External(external) => external.about(),
        }
    }

    /// Process id.
    pub(crate) fn id(&self) -> u32 {
        match self {
            Self::Marked(marked) => marked.id(),
            Self::External(external) => external.id(),
        }
    }

    /// The counts so far; an external program has none yet.
    ///
    /// # Errors
    /// When the receiver does not answer.
    pub(crate) fn mark(&mut self) -> Result<Mark> {
        match self {
            Self::Marked(marked) => marked.mark(),
            Self::External(_) => Ok(Mark::default()),
        }
    }

    /// The counts of the moment when the traffic ends, and those when the rest has been read; ends
    /// the receiver.
    ///
    /// # Errors
    /// When the receiver does not answer or fails.
    pub(crate) fn finish(self, ending: Ending, interrupt: &Interrupt) -> Result<[Mark; 2]> {
        match self {
            Self::Marked(mut marked) => {
                let at_end = marked.mark()?;
                let drained = marked.drained(interrupt)?;
                marked.end()?;
                Ok([at_end, drained])
            }
            Self::External(external) => {
                let mark = external.finish(ending, interrupt)?;
                Ok([mark.clone(), mark])
            }
        }
    }
}
