//! Rates per session while the demo runs: bars on a terminal, one line per second elsewhere.

use std::io::{IsTerminal as _, stderr};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::plan::Plan;
use super::progress::{Progress, Rate};

/// Lines of the display, in indicatif's template language.
const TOTAL: &str = "{prefix:>12} [{wide_bar:.cyan/dim}] {human_pos}/{human_len} {msg}";
const SESSION: &str = "{prefix:>12} {msg}";

/// The display, and the last progress it showed.
#[derive(Debug)]
pub(super) struct Display {
    total: u64,
    bars: Option<Bars>,
    last: Progress,
}

#[derive(Debug)]
struct Bars {
    all: MultiProgress,
    total: ProgressBar,
    sessions: Vec<(String, ProgressBar)>,
}

impl Display {
    pub(super) fn new(plan: &Plan) -> Self {
        let bars = stderr().is_terminal().then(|| Bars::new(plan));
        Self { total: plan.frames, bars, last: Progress::default() }
    }

    /// Shows a report; returns whether anything arrived since the one before.
    pub(super) fn show(&mut self, progress: Progress) -> bool {
        match &self.bars {
            Some(bars) => bars.show(&progress, &self.last),
            None => eprintln!("{}", self.line(&progress)),
        }
        let before = self.accounted();
        self.last = progress;
        self.accounted() != before
    }

    /// Returns the number of datagrams in the last report: received, or lost before that.
    pub(super) const fn accounted(&self) -> u64 {
        self.last.received + self.last.lost_in_kernel
    }

    /// Ends the display and leaves its last state on the terminal.
    pub(super) fn finish(&self) {
        if let Some(bars) = &self.bars {
            bars.finish();
        }
    }

    fn line(&self, progress: &Progress) -> String {
        let (received, lost) = (progress.received, lost(progress));
        let total = text(progress.total_rate(&self.last));
        // The default session is silent here: every pair is declared.
        let sessions =
            progress.sessions.iter().filter(|session| session.frames > 0).map(|session| {
                let rate = progress.session_rate(&self.last, &session.name);
                format!("{} {:.0}/s", session.name, rate.frames)
            });
        let sessions = sessions.collect::<Vec<_>>().join(", ");
        format!("{received} of {} frames, {lost} lost, {total}: {sessions}", self.total)
    }
}

impl Bars {
    fn new(plan: &Plan) -> Self {
        let all = MultiProgress::new();
        let total = all.add(ProgressBar::new(plan.frames));
        total.set_style(style(TOTAL));
        total.set_prefix("frames");
        let sessions = (0..plan.sessions).map(|number| {
            let name = Plan::session_name(number);
            let bar = all.add(ProgressBar::no_length());
            bar.set_style(style(SESSION));
            bar.set_prefix(name.clone());
            (name, bar)
        });
        let sessions = sessions.collect();
        Self { all, total, sessions }
    }

    fn show(&self, progress: &Progress, last: &Progress) {
        self.total.set_position(progress.received);
        let rate = text(progress.total_rate(last));
        self.total.set_message(format!("{rate}, {} lost", lost(progress)));
        for (name, bar) in &self.sessions {
            bar.set_message(text(progress.session_rate(last, name)));
        }
    }

    fn finish(&self) {
        for (_, bar) in &self.sessions {
            bar.abandon();
        }
        self.total.abandon();
        // A terminal that went away is no reason to fail.
        let _ = self.all.println("");
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Returns the number of frames that will not be in the file.
const fn lost(progress: &Progress) -> u64 {
    progress.dropped + progress.lost_in_kernel
}

fn text(rate: Rate) -> String {
    format!("{:>8.0} frames/s {:>9.1} Mbit/s", rate.frames, rate.bits / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(elapsed_s: f64, frames: u64) -> Progress {
        let line = format!(
            r#"{{"elapsed_s":{elapsed_s},"sessions":[{{"name":"session-0","frames":{frames},"bytes":{}}}],"received":{frames},"delivered":{frames},"dropped":2,"lost_in_kernel":1}}"#,
            frames * 100
        );
        Progress::parse(&line).expect("is progress")
    }

    #[test]
    fn without_a_terminal_a_line_has_the_sums_and_the_rates_of_each_session() {
        let plan = Plan { frames: 1000, rate: "1kpps".into(), sessions: 1, programs: "".into() };
        let mut display = Display { total: plan.frames, bars: None, last: Progress::default() };
        assert!(display.show(progress(1.0, 200)));
        assert_eq!(
            display.line(&progress(2.0, 700)),
            "700 of 1000 frames, 3 lost,      500 frames/s       0.4 Mbit/s: session-0 500/s"
        );
        assert_eq!(display.accounted(), 201);
        assert!(!display.show(progress(2.0, 200)), "nothing new arrived");
    }

    #[test]
    fn the_templates_of_the_bars_are_valid() {
        for template in [TOTAL, SESSION] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
