//! `vxtap check`: describes the behaviour of the engine in sentences.

mod capture;
mod delivery;
mod resources;
mod shared_files;

use vxtap::Engine;
use vxtap::config::{Config, ConfigError, Output};

use capture::capture;
use delivery::{filters, outputs, sessions};
use resources::{memory, workers};
use shared_files::shared_retention;

/// Describes a configuration.
///
/// # Errors
///
/// As for [`Memory::plan`](vxtap::config::Memory::plan); none for a validated configuration.
pub(super) fn describe(config: &Config) -> Result<String, ConfigError> {
    // Without an output, `vxtap run` has one.
    let rings = Output::count_rings(&config.outputs).max(1);
    let needs = Engine::start_needs(config).ok();
    let needs = needs.filter(|_| !config.capture.interfaces.is_empty());
    let memory = memory(&config.memory, rings, &config.capture, needs)?;
    let paragraphs = [
        capture(&config.capture),
        workers(&config.workers, &config.capture),
        memory,
        sessions(config),
        filters(config),
        outputs(config) + &shared_retention(config),
    ];
    let paragraphs: Vec<_> = paragraphs.into_iter().filter(|it| !it.is_empty()).collect();
    Ok(paragraphs.join("\n"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustix::time::{ClockId, clock_gettime};
    use vxtap::config::{Filter, Session};

    use super::*;

    /// Returns the CPU time that it takes to describe a configuration whose sessions all use the
    /// first of its filters; the shortest of three tries.
    fn cpu_time(sessions: u32, filters: u32) -> Duration {
        let name = |number| format!("filter{number:08}");
        let filters = (0..filters).map(|n| Filter { name: name(n), ..Filter::default() });
        let session = |vni: u32| Session {
            name: vni.to_string(),
            vni,
            filter: Some(name(0)),
            ..Session::default()
        };
        let config = Config {
            sessions: (0..sessions).map(session).collect(),
            filters: filters.collect(),
            ..Config::default()
        };
        let now = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default();
        let time = |_| {
            let start = now();
            assert!(describe(&config).is_ok_and(|text| text.contains("No session and no output")));
            now().saturating_sub(start)
        };
        (0..3).map(time).min().unwrap_or_default()
    }

    #[test]
    fn a_description_of_ten_times_as_much_takes_no_hundred_times_as_long() {
        let (small, large) = (cpu_time(2_000, 1_000), cpu_time(20_000, 10_000));
        assert!(large < 30 * small, "{small:?}, {large:?}");
    }
}
