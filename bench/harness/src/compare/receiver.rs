//! The receiver of a run: a `vxbench receive` that answers marks, or a program that reports its
//! counts at its end.

use std::env;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::child_process::ChildProcess;
use super::external::{self, ExternalReceiver, StopTime};
use super::interrupt::Interrupt;
use super::receiver_spec::{ReceiverProgram, ReceiverSpec};
use super::testbed::{LinkUnderTest, Testbed};
use crate::mark_protocol::{Mark, Ready};

/// Longest time until a receiver takes frames.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// Longest time until a mark is answered. An overloaded CPU answers late.
const MARK_TIMEOUT: Duration = Duration::from_secs(20);

/// Longest time until a receiver has detached and ended.
const END_TIMEOUT: Duration = Duration::from_secs(20);

/// Interval at which the receiver is checked for further frames. It is above the 100 ms for which
/// the packet rings of this crate's receivers keep an unfilled block.
const SETTLE: Duration = Duration::from_millis(200);

/// Longest time to read the rest: the 64 MiB of a packet ring are read within a second.
const DRAIN_MAX: Duration = Duration::from_secs(3);

/// A `vxbench receive` that is ready.
#[derive(Debug)]
pub(crate) struct MarkedReceiver {
    child: ChildProcess,
    about: String,
}

impl MarkedReceiver {
    /// Starts `vxbench receive ARGUMENTS` and waits until it takes frames.
    ///
    /// # Errors
    /// When it does not become ready; the error holds its standard error.
    pub(crate) fn start(
        link: &impl LinkUnderTest,
        arguments: &[String],
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let program = env::current_exe().context("cannot find the path of vxbench")?;
        let program = program.to_str().context("the path of vxbench is not UTF-8")?;
        let mut command = link.receiver(program);
        command.arg("receive").args(arguments).args(["--interface", link.rx_interface()]);
        let mut child = ChildProcess::start("the receiver", &mut command, interrupt)?;
        let answer = child.read_line("the line that reports ready", START_TIMEOUT)?;
        let ready: Ready = serde_json::from_str(&answer)
            .with_context(|| format!("the receiver does not report ready: {answer}"))?;
        ensure!(ready.ready, "the receiver reports that it is not ready: {answer}");
        Ok(Self { child, about: ready.about })
    }

    /// Asks for the counts, and begins a new latency histogram.
    ///
    /// # Errors
    /// When the receiver does not answer.
    pub(crate) fn mark(&mut self) -> Result<Mark> {
        self.child.write_line("mark")?;
        let line = self.child.read_line("an answer to a mark", MARK_TIMEOUT)?;
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

    /// Description of the set-up.
    pub(crate) fn about(&self) -> &str {
        &self.about
    }

    /// Process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends the receiver with the command of the protocol.
    ///
    /// # Errors
    /// When it fails or does not end.
    pub(crate) fn end(mut self) -> Result<()> {
        self.child.write_line("end")?;
        let (status, stderr) = self.child.end(END_TIMEOUT)?;
        ensure!(status.success(), "the receiver failed at its end ({status}): {}", stderr.trim());
        Ok(())
    }
}

/// A receiver of either kind.
#[derive(Debug)]
pub(crate) enum Receiver {
    /// Answers marks.
    Marked(MarkedReceiver),
    /// Reports its counts at its end.
    External(ExternalReceiver),
}

impl Receiver {
    /// Starts the receiver of `row` for traffic of `sessions` sessions and waits until it takes
    /// frames.
    ///
    /// # Errors
    /// When it does not start; the error holds its standard error.
    pub(crate) fn start(
        testbed: &Testbed,
        row: &ReceiverSpec,
        sessions: u32,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let program = match &row.program {
            ReceiverProgram::Receive(arguments) => {
                let mut arguments = arguments.clone();
                if arguments.first().is_some_and(|receiver| receiver == "tpacket") {
                    arguments.extend(["--vni-count".to_owned(), sessions.to_string()]);
                }
                return MarkedReceiver::start(testbed, &arguments, interrupt).map(Self::Marked);
            }
            ReceiverProgram::Tcpdump => external::TCPDUMP,
            ReceiverProgram::Dumpcap => external::DUMPCAP,
        };
        ExternalReceiver::start(testbed, program, sessions, interrupt).map(Self::External)
    }

    /// Description of the set-up.
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

    /// Returns the counts so far; those of an external program are not known before its end.
    ///
    /// # Errors
    /// When the receiver does not answer.
    pub(crate) fn mark(&mut self) -> Result<Mark> {
        match self {
            Self::Marked(marked) => marked.mark(),
            Self::External(_) => Ok(Mark::default()),
        }
    }

    /// Returns the counts at the end of the traffic, and those after the rest has been read; ends
    /// the receiver.
    ///
    /// # Errors
    /// When the receiver does not answer or fails.
    pub(crate) fn finish(self, stop: StopTime, interrupt: &Interrupt) -> Result<[Mark; 2]> {
        match self {
            Self::Marked(mut marked) => {
                let at_end = marked.mark()?;
                let drained = marked.drained(interrupt)?;
                marked.end()?;
                Ok([at_end, drained])
            }
            Self::External(external) => {
                let mark = external.finish(stop, interrupt)?;
                Ok([mark.clone(), mark])
            }
        }
    }
}
