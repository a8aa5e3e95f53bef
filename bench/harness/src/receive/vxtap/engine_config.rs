//! Makes the engine's configuration from the options, and describes it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};
use clap::ValueEnum;
use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;
use vxtap::config::{Config, Cpus, Output, OutputKind};

use super::{ConsumerWait, VxtapOptions, long_filter, name};

/// Returns the configuration for the options, with the outputs, which a file cannot declare.
pub(super) fn config(options: &VxtapOptions) -> Result<Config> {
    let text = settings(options)?.iter().fold(String::new(), |mut text, (key, value)| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{key} = {value}");
        text
    });
    let text = text + &options.rules.map_or_else(String::new, long_filter::toml);
    let mut config = Config::from_toml(Path::new("--set"), &text)?;
    let output = |number| Output::new(name(number), OutputKind::Consumer);
    config.outputs = (0..options.consumers).map(output).collect();
    Ok(config)
}

/// Returns the keys and values of the configuration: the receiver's own, replaced and extended by
/// `--set`.
fn settings(options: &VxtapOptions) -> Result<BTreeMap<String, String>> {
    let cpu = options.worker_cpu.map_or_else(first_cpu, Ok)?;
    let wait = options.wait.to_possible_value().context("a way to wait")?;
    let own = [
        ("capture.interface", format!("{:?}", options.interface)),
        ("capture.queues", "[0]".to_owned()),
        ("workers.cpus", format!("[{cpu}]")),
        ("workers.wait", format!("{:?}", wait.get_name())),
    ];
    let mut settings: BTreeMap<_, _> =
        own.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    for set in &options.set {
        let (key, value) = set
            .split_once('=')
            .with_context(|| format!("`--set {set}`: write KEY=VALUE, the value in TOML"))?;
        settings.insert(key.trim().to_owned(), value.trim().to_owned());
    }
    Ok(settings)
}

/// First CPU that this process may use.
fn first_cpu() -> Result<usize> {
    let allowed = sched_getaffinity(Pid::from_raw(0)).context("sched_getaffinity failed")?;
    let is_allowed = |&cpu: &usize| allowed.is_set(cpu).unwrap_or(false);
    (0..CpuSet::count()).find(is_allowed).context("no CPU is allowed")
}

/// Describes the set-up in one line.
pub(super) fn about(options: &VxtapOptions, config: &Config) -> Result<String> {
    let plan = config.memory.plan(config.outputs.len())?;
    let memory = &config.memory;
    let set: String = options.set.iter().flat_map(|set| [", ", set]).collect();
    Ok(format!(
        "vxtap, {count} chunks of {size}, fill ring {fill}, RX ring {rx}, output ring {ring}, {consumers} \
         consumer(s) that {naps}{files}, {wait}, worker on CPU {cpu}{rules}{set}",
        count = plan.chunk_count,
        size = memory.chunk_size.map_or_else(
            || "2048 bytes (4096 beyond an MTU of 1754)".to_owned(),
            |size| format!("{size} bytes")
        ),
        fill = memory.fill_ring,
        rx = memory.rx_ring,
        ring = plan.output_ring_len,
        consumers = options.consumers,
        naps = match options.consumer_wait {
            ConsumerWait::Nap => "nap",
            ConsumerWait::Spin => "spin",
        },
        files = options.pcapng.as_ref().map_or_else(String::new, |directory| {
            format!(" and write pcapng to {}", directory.display())
        }),
        wait = config.workers.wait,
        rules = options.rules.map_or_else(String::new, |rules| format!(", {rules} rules")),
        cpu = match &config.workers.cpus {
            Cpus::List(cpus) => format!("{cpus:?}"),
            Cpus::Auto => "of its choice".to_owned(),
        },
    ))
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use vxtap::config::WaitMode;

    use super::*;

    #[derive(Parser)]
    struct ReceiveCli {
        #[command(flatten)]
        options: VxtapOptions,
    }

    fn options(line: &str) -> VxtapOptions {
        ReceiveCli::try_parse_from(["x"].into_iter().chain(line.split_whitespace()))
            .expect("valid")
            .options
    }

    #[test]
    fn the_options_become_a_configuration() {
        let options =
            options("-i if0 --wait busy --consumers 3 --worker-cpu 5 --set memory.fill_ring=512");
        let config = config(&options).expect("valid");
        assert_eq!(config.capture.interfaces, ["if0"]);
        assert_eq!(
            (config.workers.wait, &config.workers.cpus),
            (WaitMode::Busy, &Cpus::List(vec![5]))
        );
        assert_eq!((config.memory.fill_ring, config.outputs.len()), (512, 3));
        let about = about(&options, &config).expect("fits");
        assert!(
            about.contains("fill ring 512") && about.contains("3 consumer(s) that nap, busy"),
            "{about}"
        );
    }

    #[test]
    fn a_consumer_that_spins_is_told_of() {
        let options = options("--worker-cpu 0 --consumer-wait spin");
        let about = about(&options, &config(&options).expect("valid")).expect("fits");
        assert!(about.contains("1 consumer(s) that spin, adaptive"), "{about}");
    }

    #[test]
    fn rules_are_told_of() {
        let options = options("--worker-cpu 0 --rules 10 --set memory.fill_ring=512");
        let config = config(&options).expect("valid");
        assert_eq!((config.sessions.len(), config.memory.fill_ring), (1, 512));
        let about = about(&options, &config).expect("fits");
        assert!(about.ends_with("worker on CPU [0], 10 rules, memory.fill_ring=512"), "{about}");
    }

    #[test]
    fn a_set_key_takes_the_place_of_the_rows_own() {
        let config =
            config(&options("--worker-cpu 0 --set workers.wait=\"interrupt\"")).expect("valid");
        assert_eq!(config.workers.wait, WaitMode::Interrupt);
    }

    #[test]
    fn a_wrong_key_or_no_value_is_refused() {
        let error = config(&options("--set memory.rings=1")).expect_err("no such key").to_string();
        assert!(error.contains("rings"), "{error}");
        let error = config(&options("--set memory")).expect_err("no value").to_string();
        assert_eq!(error, "`--set memory`: write KEY=VALUE, the value in TOML");
    }
}
