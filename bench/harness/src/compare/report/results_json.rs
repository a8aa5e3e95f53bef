//! results.json: the machine, the command line, every run, and the summary.

use std::fmt::Write as _;
use std::{env, fs};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::compare::receiver_spec::ReceiverSpec;
use crate::compare::receiver_summary::ReceiverSummary;
use crate::compare::single_run::RunRecord;
use crate::compare::testbed::CpuPair;

/// Machine of the measurement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Machine {
    /// `uname -srvm`.
    kernel: String,
    /// The model name of `/proc/cpuinfo`.
    cpu_model: String,
    /// Number of CPUs that are online.
    cpus: usize,
    /// In KiB.
    memory_kib: u64,
    /// Of the generator.
    generator_cpu: usize,
    /// Of the receiver.
    receiver_cpu: usize,
}

/// Results of one invocation.
#[derive(Debug, Serialize)]
pub(crate) struct Document {
    /// Machine of the measurement.
    pub(crate) machine: Machine,
    /// The command line.
    pub(crate) command: Vec<String>,
    /// Version of vxbench, which is vxtap's.
    pub(crate) version: &'static str,
    /// Receivers, with their programs and arguments.
    pub(crate) rows: Vec<ReceiverSpec>,
    /// Notes on repeated iterations and failed runs.
    pub(crate) notes: Vec<String>,
    /// Medians, spreads and ratios.
    pub(crate) summary: Vec<ReceiverSummary>,
    /// Every run, including those that are not kept.
    pub(crate) runs: Vec<RunRecord>,
}

impl Machine {
    /// Asks the kernel.
    pub(crate) fn here(cpus: CpuPair) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let kernel = ["ostype", "osrelease", "version"]
            .map(|name| read(&format!("/proc/sys/kernel/{name}")));
        let info = read("/proc/cpuinfo");
        let memory = value(&read("/proc/meminfo"), "MemTotal");
        Self {
            kernel: kernel.each_ref().map(|text| text.trim()).join(" ") + " " + env::consts::ARCH,
            cpu_model: value(&info, "model name"),
            cpus: info.lines().filter(|line| line.starts_with("processor")).count(),
            memory_kib: memory
                .split(' ')
                .next()
                .and_then(|number| number.parse().ok())
                .unwrap_or(0),
            generator_cpu: cpus.generator,
            receiver_cpu: cpus.receiver,
        }
    }
}

/// Returns the value after the first line that starts with `name` and has a colon; empty if there
/// is none.
fn value(text: &str, name: &str) -> String {
    let line = text.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.split_once(':')).map_or("", |(_, value)| value.trim()).to_owned()
}

impl Document {
    /// The document as text.
    pub(crate) fn to_json(&self) -> Result<String> {
        serde_json::to_string_pretty(self).context("cannot write the results as JSON")
    }

    /// Text above the tables: machine, command line, and the set-up of each receiver.
    pub(crate) fn heading(&self) -> String {
        let Machine { kernel, cpu_model, cpus, memory_kib, generator_cpu, receiver_cpu } =
            &self.machine;
        let mut text = format!(
            "{cpu_model}, {cpus} CPUs, {} GiB; {kernel}; generator on CPU {generator_cpu}, receiver on CPU \
             {receiver_cpu}; vxtap {}\n\n    {}\n",
            memory_kib >> 20,
            self.version,
            self.command.join(" ")
        );
        let about = self.rows.iter().filter_map(|row| {
            let run = self.runs.iter().find(|run| run.row == row.name)?;
            Some(format!("- {}: {}\n", row.name, run.about))
        });
        let _ = write!(text, "\n{}", about.collect::<String>());
        let kept = || self.runs.iter().filter(|run| run.kept).map(|run| run.noise);
        let steal = kept().map(|found| found.steal_percent).fold(0.0, f64::max);
        let others = kept().map(|found| found.others_percent).fold(0.0, f64::max);
        let _ = writeln!(
            text,
            "\nHighest noise of a kept run: steal time {steal:.1} %, other processes {others:.1} %."
        );
        for note in &self.notes {
            let _ = writeln!(text, "- {note}");
        }
        text
    }
}

/// Checks that the text has a machine, runs that can be read back, and a summary.
pub(super) fn check(text: &str) -> Result<()> {
    #[derive(Deserialize)]
    struct ReadBack {
        runs: Vec<RunRecord>,
        summary: Vec<serde_json::Value>,
    }
    let written: ReadBack = serde_json::from_str(text)?;
    ensure!(!written.runs.is_empty(), "it has no runs");
    ensure!(!written.summary.is_empty(), "it has no summary");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::receiver_summary::summarise;
    use crate::compare::single_run::made_up;

    fn document() -> Document {
        let rows = vec!["fast=vxtap --wait poll".parse().expect("a row")];
        let mut noisy = made_up::run("fast", 1, 2000, 1500);
        (noisy.kept, noisy.noise.steal_percent) = (false, 40.0);
        let runs = vec![noisy, made_up::run("fast", 1, 2000, 1800)];
        let machine = Machine {
            kernel: "Linux 6.18".into(),
            cpu_model: "Abacus".into(),
            cpus: 2,
            memory_kib: 8 << 20,
            generator_cpu: 0,
            receiver_cpu: 1,
        };
        Document {
            machine,
            command: vec!["vxbench".into(), "compare".into()],
            version: "0.1.0",
            summary: summarise(&runs, &rows, &[]),
            notes: vec!["round 1 was repeated".into()],
            rows,
            runs,
        }
    }

    #[test]
    fn every_run_can_be_read_back() {
        let document = document();
        let text = document.to_json().expect("JSON");
        check(&text).expect("it is what was written");
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let runs: Vec<RunRecord> = serde_json::from_value(value["runs"].clone()).expect("runs");
        assert_eq!(runs, document.runs);
        assert_eq!(value["summary"][0]["row"], "fast");
        assert_eq!(value["machine"]["cpu_model"], "Abacus");
    }

    #[test]
    fn a_file_without_runs_is_not_what_was_written() {
        assert_eq!(
            check(r#"{"runs":[],"summary":[1]}"#).expect_err("empty").to_string(),
            "it has no runs"
        );
        assert!(check("{").is_err());
    }

    #[test]
    fn the_heading_says_where_how_and_what_was_disturbed() {
        assert_eq!(
            document().heading(),
            "Abacus, 2 CPUs, 8 GiB; Linux 6.18; generator on CPU 0, receiver on CPU 1; vxtap 0.1.0\n\n    \
             vxbench compare\n\n- fast: fast, made up\n\nHighest noise of a kept run: steal time \
             0.5 %, other processes 0.2 %.\n- round 1 was repeated\n"
        );
    }

    #[test]
    fn this_machine_has_a_kernel_and_cpus() {
        let machine = Machine::here(CpuPair { generator: 0, receiver: 1 });
        assert!(machine.kernel.starts_with("Linux "));
        assert!(machine.cpus > 0 && machine.memory_kib > 0);
    }
}
