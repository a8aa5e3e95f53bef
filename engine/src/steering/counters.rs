//! Numbers of frames by what the program did with them.

use vxtap_ebpf::maps::Outcome;

/// Frames that the program has processed since it was loaded, by outcome. Each is counted once,
/// except that an unstamped frame, and one that the kernel refused after the redirect, is also a
/// redirected one. [`Outcome`] describes the fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "described where the program's outcomes are")]
pub struct SteeringCounters {
    pub redirected: u64,
    pub not_ours: u64,
    pub no_socket: u64,
    pub fragment: u64,
    pub malformed: u64,
    pub too_many_extensions: u64,
    pub source_not_allowed: u64,
    pub unstamped: u64,
    pub several_buffers: u64,
    pub other_destination: u64,
    pub redirect_err: u64,
}

impl SteeringCounters {
    /// Returns each outcome's name and number of frames. The names are those of the fields.
    pub fn by_name(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Outcome::ALL.into_iter().map(move |outcome| (outcome_name(outcome), self.get(outcome)))
    }

    /// Adds other counters.
    pub fn merge(&mut self, other: &Self) {
        for outcome in Outcome::ALL {
            *self.counter_mut(outcome) += other.get(outcome);
        }
    }

    /// Returns the number of frames with this outcome.
    pub(crate) const fn get(mut self, outcome: Outcome) -> u64 {
        *self.counter_mut(outcome)
    }

    /// Returns the counter of an outcome.
    pub(crate) const fn counter_mut(&mut self, outcome: Outcome) -> &mut u64 {
        match outcome {
            Outcome::Redirected => &mut self.redirected,
            Outcome::NotOurs => &mut self.not_ours,
            Outcome::NoSocket => &mut self.no_socket,
            Outcome::Fragment => &mut self.fragment,
            Outcome::Malformed => &mut self.malformed,
            Outcome::TooManyExtensions => &mut self.too_many_extensions,
            Outcome::SourceNotAllowed => &mut self.source_not_allowed,
            Outcome::Unstamped => &mut self.unstamped,
            Outcome::SeveralBuffers => &mut self.several_buffers,
            Outcome::OtherDestination => &mut self.other_destination,
            Outcome::RedirectErr => &mut self.redirect_err,
        }
    }
}

/// Returns the name of the counter of an outcome.
pub(crate) const fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Redirected => "redirected",
        Outcome::NotOurs => "not_ours",
        Outcome::NoSocket => "no_socket",
        Outcome::Fragment => "fragment",
        Outcome::Malformed => "malformed",
        Outcome::TooManyExtensions => "too_many_extensions",
        Outcome::SourceNotAllowed => "source_not_allowed",
        Outcome::Unstamped => "unstamped",
        Outcome::SeveralBuffers => "several_buffers",
        Outcome::OtherDestination => "other_destination",
        Outcome::RedirectErr => "redirect_err",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_has_the_counter_of_its_name_at_its_index() {
        let mut counters = SteeringCounters::default();
        for (index, outcome) in (0..).zip(Outcome::ALL) {
            assert_eq!(outcome as u64, index);
            *counters.counter_mut(outcome) = index + 1;
        }
        let fields: Vec<_> =
            counters.by_name().map(|(name, frames)| format!("{name}: {frames}")).collect();
        let fields = fields.join(", ");
        assert_eq!(format!("{counters:?}"), format!("SteeringCounters {{ {fields} }}"));
        let mut sum = counters;
        sum.merge(&counters);
        assert_eq!(sum.redirect_err, 22);
    }
}
