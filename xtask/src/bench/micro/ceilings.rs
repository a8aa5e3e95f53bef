//! The most instructions that a frame may take (`engine/benches/ceilings.toml`), compared with the
//! count of callgrind.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use super::callgrind::Profile;
use crate::shell::{self, say};

/// The file, from the checkout's root.
const FILE: &str = "engine/benches/ceilings.toml";

/// Function in which callgrind counts, and in everything that it calls.
const MEASURED: &str = "instructions::measured";

/// The stages from decap to publish, by their functions. Each is a function of its own in the
/// machine code.
const STAGES: [(&str, &str); 6] = [
    ("decap", "stages::Stages>::decap"),
    ("times", "Stages::find_times"),
    ("sessions", "Stages::find_sessions"),
    ("count", "Stages::count"),
    (FILTER, "stages::Stages>::filter"),
    ("publish", "OutputPorts::publish"),
];

/// The stage that is there for rules alone.
const FILTER: &str = "filter";

/// The other functions of a worker's loop.
const REST: [(&str, &str); 2] = [("refill", "Worker<K>::refill"), ("receive", "RxBatch::receive")];

/// Function of the consumer.
const CONSUMER: &str = "instructions::drain";

/// Percent above the count from which a ceiling is useless and should be lowered.
const SLACK_PERCENT: f64 = 8.0;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ceilings {
    scenario: Vec<Scenario>,
}

/// A task of a worker, and the most instructions per frame for it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    sessions: u32,
    outputs: u32,
    rules: u32,
    decap_to_publish: f64,
    worker: f64,
    consumer: f64,
}

impl Scenario {
    fn name(&self) -> String {
        let plural = |count: u32| if count == 1 { "" } else { "s" };
        let Self { sessions, outputs, .. } = *self;
        let rules = if self.rules > 0 { format!(", {} rules", self.rules) } else { String::new() };
        format!(
            "{sessions} session{}, {outputs} output{}{rules}",
            plural(sessions),
            plural(outputs)
        )
    }
}

/// Instructions per frame. The parts are those of [`STAGES`] and [`REST`].
#[derive(Debug, PartialEq)]
struct Counted {
    parts: Vec<(&'static str, f64)>,
    decap_to_publish: f64,
    worker: f64,
    consumer: f64,
}

impl Counted {
    fn of(profile: &Profile, frames: u64, scenario: &Scenario) -> Result<Self> {
        ensure!(frames > 0, "the bench has worked on no frame");
        #[expect(
            clippy::cast_precision_loss,
            reason = "fewer instructions than a float is exact for"
        )]
        let per_frame = |function| profile.of(function).map(|count| count as f64 / frames as f64);
        let part = |&(name, function): &(&'static str, &'static str)| {
            let is_absent = name == FILTER && scenario.rules == 0;
            Ok((name, if is_absent { 0.0 } else { per_frame(function)? }))
        };
        let parts = STAGES.iter().chain(&REST).map(part);
        let parts = parts.collect::<Result<Vec<_>>>()?;
        let sum = |parts: &[(&str, f64)]| parts.iter().map(|(_, count)| count).sum();
        let consumer = per_frame(CONSUMER)? / f64::from(scenario.outputs);
        Ok(Self {
            decap_to_publish: sum(&parts[..STAGES.len()]),
            worker: sum(&parts),
            parts,
            consumer,
        })
    }

    /// Name, what was counted, and the ceiling.
    const fn beside(&self, ceilings: &Scenario) -> [(&'static str, f64, f64); 3] {
        [
            ("decap to publish", self.decap_to_publish, ceilings.decap_to_publish),
            ("worker", self.worker, ceilings.worker),
            ("consumer", self.consumer, ceilings.consumer),
        ]
    }
}

/// Counts every scenario with the bench `program`, leaves callgrind's files in `directory`, prints
/// a table.
///
/// # Errors
/// When a ceiling is exceeded, or something cannot be counted.
pub(super) fn check(program: &Path, directory: &Path) -> Result<()> {
    let text = fs::read_to_string(shell::root().join(FILE))
        .with_context(|| format!("cannot read {FILE}"))?;
    let ceilings: Ceilings =
        toml::from_str(&text).with_context(|| format!("{FILE} is not valid"))?;
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    let mut exceeded = Vec::new();
    let mut table = header();
    for scenario in &ceilings.scenario {
        let counted = count(program, scenario, directory).with_context(|| scenario.name())?;
        table.push_str(&row(scenario, &counted));
        exceeded.extend(too_many(scenario, &counted));
        slack(scenario, &counted).iter().for_each(say);
    }
    shell::print(&table);
    if !exceeded.is_empty() {
        bail!("more instructions per frame than {FILE} allows:\n  {}", exceeded.join("\n  "));
    }
    Ok(())
}

/// Runs one scenario under callgrind.
fn count(program: &Path, scenario: &Scenario, directory: &Path) -> Result<Counted> {
    let Scenario { sessions, outputs, rules, .. } = scenario;
    let file = directory.join(format!("callgrind.{sessions}-{outputs}-{rules}.out"));
    let mut command = Command::new("valgrind");
    command.args(["--quiet", "--tool=callgrind", "--compress-strings=no", "--compress-pos=no"]);
    command
        .arg(format!("--toggle-collect={MEASURED}"))
        .arg(format!("--callgrind-out-file={}", file.display()));
    command.arg(program).args([sessions.to_string(), outputs.to_string(), rules.to_string()]);
    let frames = shell::output(&mut command).context("the bench has failed under valgrind")?;
    let frames =
        frames.trim().parse().context("the bench did not say how many frames it worked on")?;
    let text =
        fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    Counted::of(&Profile::parse(&text)?, frames, scenario)
}

fn header() -> String {
    let mut header = format!("{:<36}", "instructions per frame");
    for (name, _) in STAGES.iter().chain(&REST) {
        let _ = write!(header, " {name:>8}");
    }
    for name in ["decap to publish", "worker", "consumer"] {
        let _ = write!(header, " | {name:>16} (max)");
    }
    header + "\n"
}

fn row(scenario: &Scenario, counted: &Counted) -> String {
    let mut row = format!("{:<36}", scenario.name());
    for (_, count) in &counted.parts {
        let _ = write!(row, " {count:>8.1}");
    }
    for (_, count, ceiling) in counted.beside(scenario) {
        let _ = write!(row, " | {count:>16.1} ({ceiling:>3})");
    }
    row + "\n"
}

fn too_many(scenario: &Scenario, counted: &Counted) -> Vec<String> {
    let exceeded =
        counted.beside(scenario).into_iter().filter(|&(_, count, ceiling)| count > ceiling);
    let sentence = |(name, count, ceiling)| {
        format!("{}: {name} takes {count:.1}, the ceiling is {ceiling:.1}", scenario.name())
    };
    exceeded.map(sentence).collect()
}

/// Returns a message for each ceiling that is too high to notice anything.
fn slack(scenario: &Scenario, counted: &Counted) -> Vec<String> {
    let loose = counted
        .beside(scenario)
        .into_iter()
        .filter(|&(_, count, ceiling)| ceiling > count * (1.0 + SLACK_PERCENT / 100.0) + 1.0);
    let sentence = |(name, count, ceiling)| {
        format!(
            "{}: {name} takes {count:.1}; its ceiling of {ceiling:.1} can be lowered",
            scenario.name()
        )
    };
    loose.map(sentence).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario(decap_to_publish: f64, worker: f64, consumer: f64) -> Scenario {
        Scenario { sessions: 1, outputs: 2, rules: 0, decap_to_publish, worker, consumer }
    }

    fn count_in(frames: u64, rules: u32) -> Result<Counted> {
        Counted::of(&profile(), frames, &Scenario { rules, ..scenario(0.0, 0.0, 0.0) })
    }

    fn profile() -> Profile {
        let functions = STAGES.iter().chain(&REST).map(|(_, function)| *function).chain([CONSUMER]);
        let costs = (1..).map(|nth| nth * 100);
        let functions =
            functions.zip(costs).map(|(name, cost): (_, u64)| format!("fn={name}\n1 {cost}\n"));
        Profile::parse(
            &std::iter::once("events: Ir\n".to_owned()).chain(functions).collect::<String>(),
        )
        .unwrap()
    }

    #[test]
    fn the_checked_in_ceilings_are_valid_and_have_the_plain_case() {
        let text = fs::read_to_string(shell::root().join(FILE)).unwrap();
        let ceilings: Ceilings = toml::from_str(&text).unwrap();
        assert!(ceilings.scenario.iter().any(|scenario| scenario.name() == "1 session, 1 output"));
    }

    #[test]
    fn sums_are_per_frame_and_those_of_a_consumer_per_output() {
        let counted = count_in(10, 1).unwrap();
        assert_eq!(
            (counted.decap_to_publish, counted.worker, counted.consumer),
            (210.0, 360.0, 45.0)
        );
        assert!(count_in(0, 1).is_err());
    }

    #[test]
    fn without_rules_nothing_is_judged() {
        let counted = count_in(10, 0).unwrap();
        assert_eq!((counted.decap_to_publish, counted.worker), (160.0, 310.0));
    }

    #[test]
    fn only_what_is_above_its_ceiling_is_too_much() {
        let counted = count_in(10, 1).unwrap();
        assert_eq!(too_many(&scenario(210.0, 360.0, 45.0), &counted), Vec::<String>::new());
        assert_eq!(
            too_many(&scenario(209.9, 360.0, 44.0), &counted),
            [
                "1 session, 2 outputs: decap to publish takes 210.0, the ceiling is 209.9",
                "1 session, 2 outputs: consumer takes 45.0, the ceiling is 44.0",
            ]
        );
        assert_eq!(slack(&scenario(210.0, 361.0, 47.0), &counted), Vec::<String>::new());
        assert_eq!(
            slack(&scenario(280.0, 360.0, 45.0), &counted),
            [
                "1 session, 2 outputs: decap to publish takes 210.0; its ceiling of 280.0 can be lowered"
            ]
        );
    }
}
