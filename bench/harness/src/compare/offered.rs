//! Offered load, frame sizes, and the distribution of the work over the two CPUs.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, Error, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use vxtap_bench::Pace;
use vxtap_bench::profile::Sizes;

/// Rate of the generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Offered {
    /// As fast as it can.
    Full,
    /// Frames per second.
    Rate(u64),
    /// Percent of the receiver's rate at full load in the same layout with the same size.
    Percent(u64),
}

impl FromStr for Offered {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Some(number) = text.strip_suffix('%') {
            let percent = number
                .parse()
                .with_context(|| format!("`{text}` is no share: write for example 80%"))?;
            ensure!((1..=200).contains(&percent), "`{text}`: give 1% to 200% of the row's maximum");
            return Ok(Self::Percent(percent));
        }
        match text.parse()? {
            Pace::Full => Ok(Self::Full),
            Pace::PerSecond(rate) => Ok(Self::Rate(rate.get())),
            Pace::Recorded => {
                bail!("`recorded` is for capture files: write full, 500kpps, 1mpps or 80%")
            }
        }
    }
}

impl fmt::Display for Offered {
    /// Writes it as it is read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Full => f.write_str("full"),
            Self::Rate(rate) if rate % 1_000_000 == 0 => write!(f, "{}mpps", rate / 1_000_000),
            Self::Rate(rate) if rate % 1_000 == 0 => write!(f, "{}kpps", rate / 1_000),
            Self::Rate(rate) => write!(f, "{rate}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// Length of the inner frames, in the syntax of `vxgen --sizes`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Size(String);

impl Size {
    /// 60, 590 and 1514 bytes in the proportion 7:4:1.
    pub(crate) fn imix() -> Self {
        Self("imix".to_owned())
    }

    /// The arguments of `vxgen run` for the frames.
    ///
    /// Frames below 100 bytes are UDP over IPv4 alone, the shortest that have room for a payload
    /// tag; others are vxgen's default mix of protocols.
    pub(crate) fn arguments(&self) -> Vec<&str> {
        let mut arguments = vec!["--sizes", &self.0];
        if self.0.parse::<u16>().is_ok_and(|len| len < 100) {
            arguments.extend(["--mix", "udp=1", "--ipv6-percent", "0"]);
        }
        arguments
    }
}

impl FromStr for Size {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        text.parse::<Sizes>()?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Assignment of the work to the CPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[clap(rename_all = "UPPER")]
pub(crate) enum CpuLayout {
    /// The generator and the veth's softirq on one CPU, the receiver alone on the other.
    A,
    /// The generator on one CPU; the veth's NAPI thread and the receiver share the other.
    B,
}

impl fmt::Display for CpuLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A",
            Self::B => "B",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_offered_is_written_as_it_is_read() {
        for text in ["full", "250kpps", "1mpps", "2500", "80%"] {
            assert_eq!(text.parse::<Offered>().expect("fine").to_string(), text);
        }
        assert_eq!("1500000".parse::<Offered>().expect("fine"), Offered::Rate(1_500_000));
        assert_eq!(Offered::Rate(1_500_000).to_string(), "1500kpps");
    }

    #[test]
    fn nonsense_is_refused_with_what_to_write() {
        let error = |text: &str| text.parse::<Offered>().expect_err("refused").to_string();
        assert_eq!(error("much%"), "`much%` is no share: write for example 80%");
        assert_eq!(error("0%"), "`0%`: give 1% to 200% of the row's maximum");
        assert_eq!(
            error("recorded"),
            "`recorded` is for capture files: write full, 500kpps, 1mpps or 80%"
        );
        assert!(error("fast").starts_with("`fast` is no rate"));
    }

    #[test]
    fn short_frames_are_of_the_shortest_protocol() {
        let size = |text: &str| text.parse::<Size>().expect("fine");
        assert_eq!(size("64").arguments().join(" "), "--sizes 64 --mix udp=1 --ipv6-percent 0");
        assert_eq!(size("imix").arguments().join(" "), "--sizes imix");
        assert_eq!(size("1400").arguments().join(" "), "--sizes 1400");
        assert!("big".parse::<Size>().is_err());
    }
}
