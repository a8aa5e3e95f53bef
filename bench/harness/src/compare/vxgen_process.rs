//! The generator of a run: one `vxgen run` in live-frames mode, and its report.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::child_process::ChildProcess;
use super::interrupt::Interrupt;
use super::offered::{Offered, Size};
use super::testbed::LinkUnderTest;

/// Longest time of the generator besides that of sending: to make its frames and load its program.
const OVERHEAD: Duration = Duration::from_secs(20);

/// Longest time until it ends after its report.
const END_TIMEOUT: Duration = Duration::from_secs(20);

/// Settings that all runs share.
#[derive(Debug, Clone)]
pub(crate) struct Generator {
    /// The program.
    pub(crate) vxgen: PathBuf,
    /// Send method: `live`, `packet` or `af-xdp`.
    pub(crate) via: String,
    /// Every N-th frame is whole and carries its payload tag; 0: none.
    pub(crate) tag_every: u32,
    /// Mirror sessions.
    pub(crate) sessions: u32,
}

/// Traffic of a run: frame sizes, rate and duration.
#[derive(Debug, Clone)]
pub(crate) struct OfferedLoad {
    /// Length of the inner frames.
    pub(crate) size: Size,
    /// Not a share: [`Offered::Full`] or a rate.
    pub(crate) offered: Offered,
    /// Duration.
    pub(crate) time: Duration,
}

/// Report of the generator, as vxgen prints it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GeneratorReport {
    /// Frames that the interface took.
    pub(crate) frames: u64,
    /// Their bytes, the tunnel's among them.
    pub(crate) bytes: u64,
    /// Bytes of the inner frames alone.
    pub(crate) inner_bytes: u64,
    /// Frames that the interface refused: on a veth pair the other end's ring was full, as that of
    /// a NIC would be.
    pub(crate) refused: u64,
    /// From the first frame to the last, in nanoseconds.
    pub(crate) elapsed_ns: u64,
    /// Send method.
    pub(crate) via: String,
}

impl GeneratorReport {
    /// Frames that were offered: taken or refused.
    pub(crate) const fn offered(&self) -> u64 {
        self.frames + self.refused
    }
}

/// A generator that sends.
#[derive(Debug)]
pub(crate) struct RunningGenerator {
    child: ChildProcess,
    time: Duration,
}

impl Generator {
    /// Starts sending.
    ///
    /// # Errors
    /// When vxgen cannot be started.
    pub(crate) fn start(
        &self,
        link: &impl LinkUnderTest,
        load: &OfferedLoad,
        interrupt: &Interrupt,
    ) -> Result<RunningGenerator> {
        let program = self.vxgen.to_str().context("the path of vxgen is not UTF-8")?;
        let mut command = link.generator(program);
        command.args(self.arguments(link, load));
        let child = ChildProcess::start("vxgen", &mut command, interrupt)?;
        Ok(RunningGenerator { child, time: load.time })
    }

    fn arguments(&self, link: &impl LinkUnderTest, load: &OfferedLoad) -> Vec<String> {
        let [source, destination] = link.macs();
        let mut words: Vec<String> = ["run", "--json"].map(str::to_owned).into();
        let values = [
            ("--interface", link.tx_interface().to_owned()),
            ("--via", self.via.clone()),
            ("--rate", rate(load.offered)),
            ("--duration", format!("{}ms", load.time.as_millis())),
            ("--sessions", self.sessions.to_string()),
            ("--src-mac", source),
            ("--dst-mac", destination),
        ];
        words.extend(values.into_iter().flat_map(|(name, value)| [name.to_owned(), value]));
        if self.via == "live" {
            words.extend(["--proof-every".to_owned(), self.tag_every.to_string()]);
        }
        words.extend(load.size.arguments().into_iter().map(str::to_owned));
        words
    }
}

/// Formats the rate for vxgen.
fn rate(offered: Offered) -> String {
    match offered {
        Offered::Rate(rate) => rate.to_string(),
        Offered::Full | Offered::Percent(_) => "full".to_owned(),
    }
}

impl RunningGenerator {
    /// Waits for the report, which comes as soon as the last frame has left.
    ///
    /// # Errors
    /// When vxgen fails or prints no report in time.
    pub(crate) fn report(&mut self) -> Result<GeneratorReport> {
        loop {
            let line = self.child.read_line("a report of what it sent", self.time + OVERHEAD)?;
            if !line.starts_with('{') {
                continue;
            }
            let report: GeneratorReport = serde_json::from_str(&line)
                .with_context(|| format!("this is no report of vxgen: {line}"))?;
            ensure!(report.elapsed_ns > 0, "vxgen reports no elapsed time: {line}");
            return Ok(report);
        }
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it does not end. The exit code is not checked: vxgen also fails for refused frames,
    /// which are in the report.
    pub(crate) fn end(self) -> Result<()> {
        self.child.end(END_TIMEOUT).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    struct Here;

    impl LinkUnderTest for Here {
        fn generator(&self, program: &str) -> Command {
            Command::new(program)
        }
        fn receiver(&self, program: &str) -> Command {
            Command::new(program)
        }
        fn tx_interface(&self) -> &'static str {
            "tx"
        }
        fn rx_interface(&self) -> &'static str {
            "rx"
        }
        fn macs(&self) -> [String; 2] {
            ["02:00:00:00:00:01".to_owned(), "02:00:00:00:00:02".to_owned()]
        }
    }

    fn generator(vxgen: &str, via: &str) -> Generator {
        Generator { vxgen: vxgen.into(), via: via.into(), tag_every: 64, sessions: 1 }
    }

    #[test]
    fn the_arguments_say_what_is_sent_where_and_how_fast() {
        let size = "1400".parse().expect("a length");
        let load = OfferedLoad {
            size,
            offered: Offered::Rate(250_000),
            time: Duration::from_millis(1500),
        };
        assert_eq!(
            generator("vxgen", "live").arguments(&Here, &load).join(" "),
            "run --json --interface tx --via live --rate 250000 --duration 1500ms --sessions 1 --src-mac \
             02:00:00:00:00:01 --dst-mac 02:00:00:00:00:02 --proof-every 64 --sizes 1400"
        );
        assert!(
            !generator("vxgen", "packet")
                .arguments(&Here, &load)
                .contains(&"--proof-every".to_owned())
        );
    }

    /// A stand-in for vxgen that prints `line`.
    fn stand_in(line: &str) -> Result<GeneratorReport> {
        let directory = tempfile::tempdir().expect("a directory");
        let script = directory.path().join("vxgen");
        std::fs::write(&script, format!("#!/bin/sh\necho 'a remark'\necho '{line}'\n"))
            .expect("written");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&script, mode).expect("permitted");
        let load = OfferedLoad {
            size: "64".parse().expect("a length"),
            offered: Offered::Full,
            time: OVERHEAD,
        };
        let generator = generator(script.to_str().expect("UTF-8"), "live");
        let mut sending = generator.start(&Here, &load, &Interrupt::default())?;
        let report = sending.report();
        sending.end()?;
        report
    }

    #[test]
    fn the_report_is_read_and_remarks_are_passed_over() {
        let line = r#"{"frames":100,"bytes":12400,"inner_bytes":7400,"refused":3,"elapsed_ns":1000,"via":"live"}"#;
        let report = stand_in(line).expect("a report");
        assert_eq!((report.frames, report.offered(), report.elapsed_ns), (100, 103, 1000));
    }

    #[test]
    fn a_report_without_time_is_refused() {
        let line =
            r#"{"frames":0,"bytes":0,"inner_bytes":0,"refused":0,"elapsed_ns":0,"via":"live"}"#;
        let error = stand_in(line).expect_err("no time").to_string();
        assert!(error.starts_with("vxgen reports no elapsed time"), "{error}");
    }
}
