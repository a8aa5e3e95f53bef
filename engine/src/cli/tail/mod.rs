//! `vxtap tail`: shows the frames of a running engine.

mod block_reader;
mod frame_writer;
mod tail_output;
#[cfg(test)]
mod tests;

use std::io::{self, IsTerminal, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::flag;

use super::args::{TailArgs, TailFormat};
use super::control_socket::{Answer, Request, request};
use super::run::{EXIT_INTERRUPTED, SECOND_SIGNAL_DELAY, STOP_SIGNALS};
use super::{CommandError, log};
use block_reader::BlockReader;
pub(super) use block_reader::{TailBlock, TailFrame};
use frame_writer::FrameWriter;
pub(super) use tail_output::TailOutput;

/// Interval of the checks for signals.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Time to wait for the rest of the stream after the last data; the engine gives up earlier.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// Runs until a signal, the end of the reader, the requested number of frames, or the end of the
/// engine.
pub(super) fn tail(args: &TailArgs) -> Result<(), CommandError> {
    let is_terminal = io::stdout().is_terminal();
    let default = if is_terminal { TailFormat::Text } else { TailFormat::Pcapng };
    let format = args.format.unwrap_or(default);
    if is_terminal && format != TailFormat::Text {
        let advice = "standard output is a terminal: pipe it into a program, such as `| tcpdump -nr -`, or redirect it to a file";
        return Err(CommandError::Refused(anyhow!(advice)));
    }
    let stop_requested = stop_on_signals().map_err(CommandError::Failed)?;
    let wanted = if args.outer { Request::TailOuter } else { Request::Tail(args.session.clone()) };
    let (answer, stream) = request(args.interface.as_deref(), &wanted)?;
    if let Answer::Refused(text) = answer {
        return Err(CommandError::Refused(anyhow!("{text}")));
    }
    let mut show = FrameWriter::new(format, args.count);
    let copied = copy(&stream, &mut show, &mut io::stdout().lock(), &stop_requested);
    log(&show.output().summary());
    copied.map_err(|error| CommandError::Failed(anyhow!("{error}")))
}

/// Returns the flag that the first signal sets. The next one ends the process at once, after a
/// delay, as timeout(1) sends the first one twice.
pub(super) fn stop_on_signals() -> anyhow::Result<Arc<AtomicBool>> {
    let stop_requested = Arc::new(AtomicBool::new(false));
    for signal in STOP_SIGNALS {
        flag::register(signal, stop_requested.clone())
            .map_err(|error| anyhow!("cannot handle signals: {error}"))?;
    }
    let requested = stop_requested.clone();
    thread::spawn(move || {
        while !requested.load(Ordering::Relaxed) {
            thread::sleep(POLL_INTERVAL);
        }
        thread::sleep(SECOND_SIGNAL_DELAY);
        for signal in STOP_SIGNALS {
            // If this fails, the process still ends in order, unless its reader blocks it.
            let _ =
                flag::register_conditional_shutdown(signal, EXIT_INTERRUPTED, requested.clone());
        }
    });
    Ok(stop_requested)
}

/// Returns `true` if the reader of the output has closed it, which writing would not show on a
/// quiet stream.
fn is_reader_gone(out: &impl AsFd) -> bool {
    let mut entries = [PollFd::new(out, PollFlags::empty())];
    poll(&mut entries, Some(&Timespec::default())).is_ok()
        && entries[0].revents().contains(PollFlags::ERR)
}

/// Receiver of the blocks of a stream, which makes an output of them.
pub(super) trait BlockSink {
    /// Adds a block, with its bytes.
    fn block(&mut self, raw: &[u8], content: TailBlock<'_>);

    /// Returns what the blocks have given so far.
    fn output(&mut self) -> &mut TailOutput;
}

/// Copies the stream until its end. A reader that closes the output ends it, as a signal does.
pub(super) fn copy(
    stream: &UnixStream,
    show: &mut impl BlockSink,
    out: &mut (impl Write + AsFd),
    stop_requested: &AtomicBool,
) -> io::Result<()> {
    stream.set_read_timeout(Some(POLL_INTERVAL))?;
    let mut blocks = BlockReader::default();
    let mut ending: Option<Instant> = None;
    let mut is_read = true;
    loop {
        let is_wanted =
            is_read && !show.output().is_over() && !stop_requested.load(Ordering::Relaxed);
        if ending.is_none() && !is_wanted {
            // Frames in flight still arrive, then the number of lost ones.
            stream.shutdown(Shutdown::Write)?;
            ending = Some(Instant::now());
        }
        if ending.is_some_and(|since| since.elapsed() > DRAIN_TIMEOUT) {
            return Ok(());
        }
        is_read = is_read && !is_reader_gone(out);
        match blocks.fill(stream) {
            Ok(0) if blocks.has_partial_block() => {
                return Err(io::Error::other("the engine ended in the middle of a frame"));
            }
            Ok(0) => return Ok(()),
            Ok(_) => ending = ending.map(|_| Instant::now()),
            Err(error) if is_retryable(&error) => continue,
            Err(error) => return Err(error),
        }
        while let Some((raw, content)) = blocks.next()? {
            show.block(raw, content);
        }
        if is_read {
            match show.output().flush(out) {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => is_read = false,
                written => written?,
            }
        }
    }
}

fn is_retryable(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted)
}
