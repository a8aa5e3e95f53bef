//! The command line of `vxbench compare`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::value_parser;

use super::offered::{CpuLayout, Offered, Size};
use super::receiver_spec::{LADDER, ReceiverSpec};
use super::run_plan::{Measure, PlanRequest};

/// Measures the receivers side by side, on a veth pair in network namespaces of its own.
///
/// Prints tables and writes results.json, table.md and plots. Needs root. Nothing else should run
/// on the machine meanwhile. The columns are described in docs/performance.md.
#[derive(Debug, Clone, clap::Args)]
pub struct CompareOptions {
    /// Built-in rows to measure, in this order; by default all
    #[arg(long, value_delimiter = ',', value_name = "ROW")]
    pub(crate) rows: Vec<String>,
    /// A user-defined row, as NAME=RECEIVER ARGUMENTS of `vxbench receive`; may be repeated
    #[arg(long = "row", value_name = "NAME=ARGUMENTS")]
    pub(crate) own_rows: Vec<ReceiverSpec>,
    /// Measures to take
    #[arg(long, value_delimiter = ',', default_value = "throughput")]
    pub(crate) measures: Vec<Measure>,
    /// A: the receiver has a CPU of its own; B: it shares one with the interface's NAPI thread
    #[arg(long, value_delimiter = ',', default_value = "A,B", ignore_case = true)]
    pub(crate) layouts: Vec<CpuLayout>,
    /// Lengths of the inner frames, in bytes, or imix
    #[arg(long, value_delimiter = ',', default_value = "64,imix,1400")]
    pub(crate) sizes: Vec<Size>,
    /// Number of rounds; each measures everything once
    #[arg(long, default_value_t = 5, value_parser = value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,
    /// Length of one run in seconds, 0.1 to 60
    #[arg(long, default_value = "3", value_parser = run_time)]
    pub(crate) seconds: Duration,
    /// Rows that the others are divided by
    #[arg(long, value_delimiter = ',', value_name = "ROW", default_value = "xsk-rs-busy,tpacket")]
    pub(crate) reference: Vec<String>,
    /// Offered loads of the loss table: rates, or shares of the row's maximum as 80%
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "LOAD",
        default_value = "250kpps,500kpps,1mpps"
    )]
    pub(crate) loss_loads: Vec<Offered>,
    /// Offered loads of the latency table
    #[arg(long, value_delimiter = ',', value_name = "LOAD", default_value = "10%,50%,90%")]
    pub(crate) latency_loads: Vec<Offered>,
    /// Offered loads of the ladder
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "LOAD",
        default_value = "1mpps,2mpps,3mpps,4mpps,5mpps,6mpps"
    )]
    pub(crate) ladder_loads: Vec<Offered>,
    /// Every N-th frame carries a payload tag, whose checksum shows damage; 0: none
    #[arg(long = "proof-every", value_name = "N", default_value_t = 64)]
    pub(crate) tag_every: u32,
    /// Mirror sessions of the traffic; with more than one the kernel's vxlan device is made
    /// `external`, which costs more
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u32).range(1..=65_536))]
    pub(crate) sessions: u32,
    /// Steal time and user time of other processes above which an iteration is measured again, in
    /// percent of the two CPUs' time
    #[arg(long = "disturbance-limit", value_name = "PERCENT", default_value_t = 5.0)]
    pub(crate) noise_limit: f64,
    /// Number of times that a noisy iteration is measured again
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = value_parser!(u8).range(..=10))]
    pub(crate) repeats: u8,
    /// CPU of the generator
    #[arg(long, value_name = "CPU", default_value_t = 0)]
    pub(crate) generator_cpu: usize,
    /// CPU of the receiver
    #[arg(long, value_name = "CPU", default_value_t = 1)]
    pub(crate) receiver_cpu: usize,
    /// Directory for the results
    #[arg(long, value_name = "DIRECTORY", default_value = "target/bench")]
    pub(crate) out: PathBuf,
    /// A smoke test of one to three minutes: short runs of everything, and checks that no frame is
    /// damaged or invented
    ///
    /// Fails when a receiver delivers nothing, more than was sent, or damaged frames. The rates of
    /// a smoke test are not meaningful.
    #[arg(long, conflicts_with_all = ["rounds", "seconds", "measures", "sizes"])]
    pub(crate) quick: bool,
    /// The generator; by default the vxgen beside this program
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) vxgen: Option<PathBuf>,
}

/// Length of a run of the smoke test: long enough for every receiver to read its first block of
/// frames.
const QUICK_TIME: Duration = Duration::from_millis(400);

impl CompareOptions {
    /// Returns these options, or those of the smoke test.
    pub(crate) fn resolved(&self) -> Self {
        if !self.quick {
            return self.clone();
        }
        Self {
            measures: vec![Measure::Throughput, Measure::Loss, Measure::Latency, Measure::Ladder],
            sizes: vec![Size::imix()],
            rounds: 1,
            seconds: QUICK_TIME,
            loss_loads: vec![Offered::Rate(50_000)],
            latency_loads: vec![Offered::Percent(50)],
            ladder_loads: vec![Offered::Rate(2_000_000)],
            repeats: 0,
            ..self.clone()
        }
    }

    /// Checks what clap cannot.
    ///
    /// # Errors
    /// When a row is unknown or a number is not valid.
    pub(crate) fn check(&self) -> Result<Vec<ReceiverSpec>> {
        let rows = if self.rows.is_empty() && !self.own_rows.is_empty() {
            self.own_rows.clone()
        } else {
            ReceiverSpec::select(&self.rows, &self.own_rows)?
        };
        ensure!(
            self.generator_cpu != self.receiver_cpu,
            "generator and receiver have the same CPU {}: give them one each",
            self.receiver_cpu
        );
        ensure!(
            (0.0..=100.0).contains(&self.noise_limit),
            "--disturbance-limit {}: give 0 to 100 percent",
            self.noise_limit
        );
        let fixed = self.ladder_loads.iter().all(|load| matches!(load, Offered::Rate(_)));
        ensure!(
            fixed,
            "--ladder-loads takes rates only, as 1mpps,2mpps: it has the same steps for every row"
        );
        Ok(rows)
    }

    /// Builds the request for the plan.
    pub(crate) fn request(&self, rows: &[ReceiverSpec]) -> PlanRequest {
        let chosen = !self.rows.is_empty() || !self.own_rows.is_empty();
        let indices = |fits: &dyn Fn(&ReceiverSpec) -> bool| {
            (0..rows.len()).filter(|&index| fits(&rows[index])).collect::<Vec<_>>()
        };
        PlanRequest {
            measures: self.measures.clone(),
            layouts: self.layouts.clone(),
            sizes: self.sizes.clone(),
            rounds: self.rounds,
            loss: self.loss_loads.clone(),
            latency: self.latency_loads.clone(),
            ladder: self.ladder_loads.clone(),
            receivers: rows.len(),
            receivers_with_times: indices(&|row| row.has_times),
            receivers_of_ladder: indices(&|row| chosen || LADDER.contains(&row.name.as_str())),
        }
    }
}

/// Reads seconds, with a fraction if wanted.
fn run_time(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.1..=60.0).contains(seconds));
    seconds
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "write seconds from 0.1 to 60, as 3 or 0.5".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::compare::run_plan::run_count;

    #[derive(Debug, Parser)]
    struct CompareCli {
        #[command(flatten)]
        options: CompareOptions,
    }

    fn options(line: &str) -> CompareOptions {
        CompareCli::try_parse_from(format!("compare {line}").split_whitespace())
            .expect("a command line")
            .options
    }

    #[test]
    fn the_default_is_a_throughput_table_of_all_rows() {
        let options = options("");
        let rows = options.check().expect("nothing is wrong");
        let iterations = options.request(&rows).iterations();
        // Two layouts, three sizes, five rounds.
        assert_eq!((iterations.len(), run_count(&iterations)), (30, 30 * rows.len()));
    }

    #[test]
    fn the_smoke_test_measures_everything_once_and_briefly() {
        let options = options("--quick").resolved();
        let rows = options.check().expect("nothing is wrong");
        let iterations = options.request(&rows).iterations();
        assert_eq!(options.measures.len(), 4);
        assert!(iterations.iter().all(|iteration| iteration.round == 1));
        // A run takes a second or two; the limit is three minutes.
        assert!(run_count(&iterations) < 90, "{}", run_count(&iterations));
    }

    #[test]
    fn a_row_of_ones_own_alone_is_measured_alone() {
        let line = ["compare", "--row", "mine=vxtap --wait busy", "--measures", "ladder"];
        let options = CompareCli::try_parse_from(line).expect("a command line").options;
        let rows = options.check().expect("nothing is wrong");
        assert_eq!(rows.len(), 1);
        assert_eq!(options.request(&rows).receivers_of_ladder, [0]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let error = |line: &str| options(line).check().expect_err("refused").to_string();
        assert_eq!(
            error("--receiver-cpu 0"),
            "generator and receiver have the same CPU 0: give them one each"
        );
        assert_eq!(
            error("--disturbance-limit 200"),
            "--disturbance-limit 200: give 0 to 100 percent"
        );
        assert_eq!(
            error("--ladder-loads 50%"),
            "--ladder-loads takes rates only, as 1mpps,2mpps: it has the same steps for every row"
        );
        assert!(CompareCli::try_parse_from(["compare", "--seconds", "0"]).is_err());
        assert!(CompareCli::try_parse_from(["compare", "--quick", "--rounds", "3"]).is_err());
    }
}
