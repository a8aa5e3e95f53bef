//! `vxbench search`: the highest rate at which a receiver loses nothing, on two real interfaces of
//! this host.
//!
//! On a virtual machine the search is limited by the moments at which the hypervisor runs something
//! else; for comparisons there, `vxbench compare` takes ratios within a round.

mod bisect;
mod physical_link;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use clap::value_parser;

use crate::compare::interrupt::Interrupt;
use crate::compare::offered::{Offered, Size};
use crate::compare::receiver::MarkedReceiver;
use crate::compare::receiver_spec::{ReceiverProgram, ReceiverSpec};
use crate::compare::testbed::CpuPair;
use crate::compare::vxgen_process::{Generator, GeneratorReport, OfferedLoad};
use crate::compare::{log, print, vxgen_path};
use bisect::Bisection;
use physical_link::PhysicalLink;

/// Searches the highest rate without loss on two interfaces that are joined by a cable.
///
/// Halves the interval between the highest rate that lost nothing and the lowest that lost. Needs
/// root, and interfaces that nothing else uses: one that carries the default route is refused.
#[derive(Debug, Clone, clap::Args)]
pub struct SearchOptions {
    /// Interface that the generator sends on
    #[arg(long, value_name = "INTERFACE")]
    tx: String,
    /// Interface that the receiver takes frames from
    #[arg(long, value_name = "INTERFACE")]
    rx: String,
    /// Built-in row, or a user-defined one as NAME=RECEIVER ARGUMENTS of `vxbench receive`
    #[arg(long, default_value = "vxtap-busy")]
    row: String,
    /// Length of the inner frames in bytes, or imix
    #[arg(long, default_value = "imix")]
    size: Size,
    /// Rate of the first trial, the highest of interest
    #[arg(long, value_name = "RATE", default_value = "10mpps")]
    from: Offered,
    /// Width of the interval, in percent of the first rate, that ends the search
    #[arg(long, value_name = "PERCENT", default_value_t = 1, value_parser = value_parser!(u64).range(1..=50))]
    resolution: u64,
    /// Length of a trial in seconds, 1 to 60
    #[arg(long, default_value_t = 5, value_parser = value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// Most trials, 1 to 40
    #[arg(long, default_value_t = 12, value_parser = value_parser!(u32).range(1..=40))]
    trials: u32,
    /// Lost frames of a million that count as none
    #[arg(long, value_name = "PPM", default_value_t = 0, value_parser = value_parser!(u64).range(..=10_000))]
    tolerance: u64,
    /// Send method of the generator: live, packet or af-xdp
    #[arg(long, default_value = "live", value_parser = ["live", "packet", "af-xdp"])]
    via: String,
    /// Mirror sessions of the traffic
    #[arg(long, default_value_t = 8, value_parser = value_parser!(u32).range(1..=65_536))]
    sessions: u32,
    /// CPU of the generator
    #[arg(long, value_name = "CPU", default_value_t = 0)]
    generator_cpu: usize,
    /// CPU of the receiver
    #[arg(long, value_name = "CPU", default_value_t = 1)]
    receiver_cpu: usize,
    /// The generator; by default the vxgen beside this program
    #[arg(long, value_name = "PROGRAM")]
    vxgen: Option<PathBuf>,
}

/// Runs the search and prints each trial.
///
/// # Errors
/// When the interfaces must not be used, a part of a trial fails, a signal comes, or every trial
/// lost frames.
pub fn run(options: &SearchOptions) -> Result<()> {
    let arguments = receiver(&options.row)?;
    let Offered::Rate(highest) = options.from else {
        bail!("--from {}: give a rate, as 10mpps", options.from);
    };
    let cpus = CpuPair { generator: options.generator_cpu, receiver: options.receiver_cpu };
    let link = PhysicalLink::check(&options.tx, &options.rx, cpus)?;
    let interrupt = Interrupt::catch()?;
    let generator = Generator {
        vxgen: vxgen_path(options.vxgen.as_deref())?,
        via: options.via.clone(),
        tag_every: 0,
        sessions: options.sessions,
    };
    let resolution = (highest * options.resolution).div_ceil(100);
    let mut bisection = Bisection::new(highest, resolution, options.trials);
    while let Some(rate) = bisection.next() {
        let time = Duration::from_secs(options.seconds);
        let load = OfferedLoad { size: options.size.clone(), offered: Offered::Rate(rate), time };
        let trial = trial(&link, &arguments, &generator, &load, &interrupt)?;
        log(&trial.line());
        if trial.is_clean(options.tolerance) {
            bisection.lost_nothing(rate, trial.reached());
        } else {
            bisection.lost_some(rate, trial.reached());
        }
    }
    let Some(rate) = bisection.found() else {
        bail!("every trial lost frames: start lower with --from, or allow a few with --tolerance");
    };
    let limit = if bisection.generator_limits() { "; the generator is not faster" } else { "" };
    print(&format!(
        "{}, {}: {rate} frames per second without loss{limit}",
        options.row, options.size
    ));
    Ok(())
}

/// The arguments of `vxbench receive` for a built-in or a user-defined receiver.
fn receiver(row: &str) -> Result<Vec<String>> {
    let row: ReceiverSpec = if row.contains('=') {
        row.parse()?
    } else {
        ReceiverSpec::select(&[row.to_owned()], &[])?.remove(0)
    };
    match row.program {
        ReceiverProgram::Receive(arguments) => Ok(arguments),
        ReceiverProgram::Tcpdump | ReceiverProgram::Dumpcap => {
            bail!(
                "{} reports its count only when it ends: choose a row of `vxbench receive`",
                row.name
            )
        }
    }
}

/// Result of one trial.
#[derive(Debug)]
struct Trial {
    sent: GeneratorReport,
    delivered: u64,
}

/// Sends the load once to a newly started receiver.
fn trial(
    link: &PhysicalLink,
    arguments: &[String],
    generator: &Generator,
    load: &OfferedLoad,
    interrupt: &Interrupt,
) -> Result<Trial> {
    let mut receiver = MarkedReceiver::start(link, arguments, interrupt)?;
    let before = receiver.mark()?.frames;
    let mut sending = generator.start(link, load, interrupt)?;
    let sent = sending.report()?;
    sending.end()?;
    let delivered = receiver.drained(interrupt)?.frames.saturating_sub(before);
    receiver.end()?;
    ensure!(sent.offered() > 0, "the generator sent nothing");
    Ok(Trial { sent, delivered })
}

impl Trial {
    const fn lost(&self) -> u64 {
        self.sent.offered().saturating_sub(self.delivered)
    }

    /// Returns whether at most `tolerance` frames of a million were lost.
    fn is_clean(&self, tolerance: u64) -> bool {
        u128::from(self.lost()) * 1_000_000
            <= u128::from(self.sent.offered()) * u128::from(tolerance)
    }

    /// Frames per second that the generator reached.
    #[expect(clippy::cast_possible_truncation, reason = "a rate that a generator reaches")]
    fn reached(&self) -> u64 {
        (u128::from(self.sent.offered()) * 1_000_000_000 / u128::from(self.sent.elapsed_ns)) as u64
    }

    fn line(&self) -> String {
        format!(
            "offered {} frames at {} per second, delivered {}, lost {}",
            self.sent.offered(),
            self.reached(),
            self.delivered,
            self.lost()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(offered: u64, delivered: u64) -> Trial {
        let sent = GeneratorReport {
            frames: offered,
            elapsed_ns: 2_000_000_000,
            ..GeneratorReport::default()
        };
        Trial { sent, delivered }
    }

    #[test]
    fn one_lost_frame_is_too_many_unless_some_are_allowed() {
        assert!(trial(1_000_000, 1_000_000).is_clean(0));
        assert!(!trial(1_000_000, 999_999).is_clean(0));
        assert!(trial(1_000_000, 999_999).is_clean(1));
        assert!(!trial(1_000_000, 999_998).is_clean(1));
    }

    #[test]
    fn a_trial_is_told_on_one_line() {
        assert_eq!(
            trial(1_000_000, 999_000).line(),
            "offered 1000000 frames at 500000 per second, delivered 999000, lost 1000"
        );
    }

    #[test]
    fn rows_without_marks_cannot_be_searched() {
        assert_eq!(receiver("vxtap-busy").expect("a row").join(" "), "vxtap --wait busy");
        assert_eq!(receiver("mine=packet").expect("a row").join(" "), "packet");
        let error = receiver("tcpdump").expect_err("no marks").to_string();
        assert_eq!(
            error,
            "tcpdump reports its count only when it ends: choose a row of `vxbench receive`"
        );
    }
}
