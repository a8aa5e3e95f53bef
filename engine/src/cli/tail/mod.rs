//! `vxtap tail`: shows what passes through a running engine.

mod blocks;
mod show;
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
use super::control::{Answer, Request, request};
use super::run::{GRACE, INTERRUPTED, SIGNALS};
use super::{Failure, say};
use blocks::Blocks;
use show::Show;

/// How soon a signal is noticed.
const TURN: Duration = Duration::from_millis(100);
/// How long what is left of the stream is waited for while nothing comes; the engine gives up
/// earlier.
const PATIENCE: Duration = Duration::from_secs(2);

/// Runs until a signal comes, nobody reads any more, enough was shown, or the engine stops.
pub(super) fn tail(args: &TailArgs) -> Result<(), Failure> {
    let is_terminal = io::stdout().is_terminal();
    let default = if is_terminal { TailFormat::Text } else { TailFormat::Pcapng };
    let format = args.format.unwrap_or(default);
    if is_terminal && format != TailFormat::Text {
        let advice = "standard output is a terminal: put a program behind, such as `| tcpdump -nr -`, or write to a file";
        return Err(Failure::Refused(anyhow!(advice)));
    }
    let is_asked_to_end = end_on_signals().map_err(Failure::Failed)?;
    let (answer, stream) =
        request(args.interface.as_deref(), &Request::Tail(args.session.clone()))?;
    if let Answer::Refused(text) = answer {
        return Err(Failure::Refused(anyhow!("{text}")));
    }
    let mut show = Show::new(format, args.count.unwrap_or(u64::MAX));
    let copied = copy(&stream, &mut show, &mut io::stdout().lock(), &is_asked_to_end);
    say(&show.summary());
    copied.map_err(|error| Failure::Failed(anyhow!("{error}")))
}

/// What the first signal sets. Another one ends the process at once, though not right away:
/// timeout(1) sends the first one twice.
fn end_on_signals() -> anyhow::Result<Arc<AtomicBool>> {
    let is_asked = Arc::new(AtomicBool::new(false));
    for signal in SIGNALS {
        flag::register(signal, is_asked.clone())
            .map_err(|error| anyhow!("cannot handle signals: {error}"))?;
    }
    let asked = is_asked.clone();
    thread::spawn(move || {
        while !asked.load(Ordering::Relaxed) {
            thread::sleep(TURN);
        }
        thread::sleep(GRACE);
        for signal in SIGNALS {
            // If it cannot be had, the process still ends by itself, but where it waits for its
            // reader.
            let _ = flag::register_conditional_shutdown(signal, INTERRUPTED, asked.clone());
        }
    });
    Ok(is_asked)
}

/// Whether nobody reads what is written any more, which a quiet stream would not show.
fn is_left(out: &impl AsFd) -> bool {
    let mut entries = [PollFd::new(out, PollFlags::empty())];
    poll(&mut entries, Some(&Timespec::default())).is_ok()
        && entries[0].revents().contains(PollFlags::ERR)
}

/// Copies the stream until its end. Whoever reads what is written may go: that is as good a reason
/// to end as a signal.
fn copy(
    stream: &UnixStream,
    show: &mut Show,
    out: &mut (impl Write + AsFd),
    is_asked_to_end: &AtomicBool,
) -> io::Result<()> {
    stream.set_read_timeout(Some(TURN))?;
    let mut blocks = Blocks::default();
    let mut ending: Option<Instant> = None;
    let mut is_read = true;
    loop {
        let is_wanted = is_read && !show.is_over() && !is_asked_to_end.load(Ordering::Relaxed);
        if ending.is_none() && !is_wanted {
            // What is on its way still comes, and what was lost.
            stream.shutdown(Shutdown::Write)?;
            ending = Some(Instant::now());
        }
        if ending.is_some_and(|since| since.elapsed() > PATIENCE) {
            return Ok(());
        }
        is_read = is_read && !is_left(out);
        match blocks.fill(stream) {
            Ok(0) if blocks.is_torn() => {
                return Err(io::Error::other("the engine has gone in mid-frame"));
            }
            Ok(0) => return Ok(()),
            Ok(_) => ending = ending.map(|_| Instant::now()),
            Err(error) if is_early(&error) => continue,
            Err(error) => return Err(error),
        }
        while let Some((raw, content)) = blocks.next()? {
            show.block(raw, content);
        }
        if is_read {
            match show.flush(out) {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => is_read = false,
                written => written?,
            }
        }
    }
}

fn is_early(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted)
}
