//! Ranges of integer keys: checks them and names them in errors.

use std::fmt;

use super::error::Problem;

/// The integers that a key accepts.
#[derive(Clone, Copy, Debug)]
pub(super) enum Limit {
    /// From the first to the second, both included.
    Range(u64, u64),
    /// A power of two from the first to the second, both included.
    PowerOfTwo(u64, u64),
    /// One of two values.
    Either(u64, u64),
}

impl Limit {
    pub(super) const fn accepts(self, number: u64) -> bool {
        match self {
            Self::Range(min, max) => min <= number && number <= max,
            Self::PowerOfTwo(min, max) => {
                min <= number && number <= max && number.is_power_of_two()
            }
            Self::Either(one, other) => number == one || number == other,
        }
    }

    /// # Errors
    ///
    /// [`Problem::Refused`] if the limit does not accept the number.
    pub(super) fn check(self, number: impl Into<u64>) -> Result<(), Problem> {
        let number = number.into();
        if self.accepts(number) { Ok(()) } else { Err(Problem::refused(number, self)) }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range(min, max) => write!(f, "an integer from {min} to {max}"),
            Self::PowerOfTwo(min, max) => write!(f, "a power of two from {min} to {max}"),
            Self::Either(one, other) => write!(f, "{one} or {other}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_are_accepted_and_their_neighbours_are_not() {
        let range = Limit::Range(1, 65_535);
        assert_eq!([0, 1, 65_535, 65_536].map(|n| range.accepts(n)), [false, true, true, false]);
        let power = Limit::PowerOfTwo(64, 256);
        assert_eq!(
            [32, 64, 65, 256, 512].map(|n| power.accepts(n)),
            [false, true, false, true, false]
        );
        let either = Limit::Either(2048, 4096);
        assert_eq!([2048, 3072, 4096, 8192].map(|n| either.accepts(n)), [true, false, true, false]);
    }
}
