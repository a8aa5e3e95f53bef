//! Timestamps of pcapng: units and offset are those of each interface.

use pcap_parser::{InterfaceDescriptionBlock, OptionCode};

/// The meaning of an interface's timestamps (`if_tsresol`, `if_tsoffset`).
#[derive(Debug, Clone, Copy)]
pub(super) struct TimestampFormat {
    /// Most significant bit 0: negative power of 10, else negative power of 2, seconds.
    resolution: u8,
    offset_seconds: i64,
}

impl TimestampFormat {
    /// Microseconds since 1970, the default of the format.
    const DEFAULT: Self = Self { resolution: 6, offset_seconds: 0 };

    /// Reads the format from the options: the parser takes the offset as little-endian whatever
    /// the section is.
    pub(super) fn of(description: &InterfaceDescriptionBlock<'_>, is_big_endian: bool) -> Self {
        let mut format = Self::DEFAULT;
        for option in
            description.options.iter().take_while(|option| option.code != OptionCode::EndOfOpt)
        {
            match (option.code, option.as_bytes()) {
                (OptionCode::IfTsresol, Ok(&[resolution])) => format.resolution = resolution,
                (OptionCode::IfTsoffset, Ok(value)) => {
                    if let Ok(value) = <[u8; 8]>::try_from(value) {
                        let from_bytes =
                            if is_big_endian { i64::from_be_bytes } else { i64::from_le_bytes };
                        format.offset_seconds = from_bytes(value);
                    }
                }
                _ => {}
            }
        }
        format
    }

    /// Converts `units` to nanoseconds since 1970, clamped to the range of the type.
    pub(super) fn to_ns(self, units: u64) -> u64 {
        const NS_PER_SECOND: i128 = 1_000_000_000;
        let (exponent, units) = (u32::from(self.resolution & 0x7F), i128::from(units));
        let since_offset = if self.resolution & 0x80 != 0 {
            (units * NS_PER_SECOND) >> exponent
        } else if exponent <= 9 {
            units * 10_i128.pow(9 - exponent)
        } else {
            // 10^19 is beyond what 64 bits of units reach, so that anything from there on is 0.
            units / 10_i128.pow((exponent - 9).min(20))
        };
        let ns = since_offset + i128::from(self.offset_seconds) * NS_PER_SECOND;
        u64::try_from(ns.max(0)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_resolution_gives_nanoseconds() {
        let at = |resolution, units| TimestampFormat { resolution, offset_seconds: 0 }.to_ns(units);
        assert_eq!(at(0, 7), 7_000_000_000);
        assert_eq!(at(6, 1_500_000), 1_500_000_000);
        assert_eq!(at(9, 123), 123);
        assert_eq!(at(12, 1_999), 1);
        assert_eq!(at(127, u64::MAX), 0);
        assert_eq!(at(0x80, 3), 3_000_000_000);
        assert_eq!(at(0x8A, 1536), 1_500_000_000);
        assert_eq!(at(0xFF, u64::MAX), 0);
        assert_eq!(at(0, u64::MAX), u64::MAX, "clamped");
    }

    #[test]
    fn the_offset_moves_time_in_both_directions() {
        assert_eq!(TimestampFormat { resolution: 9, offset_seconds: 2 }.to_ns(5), 2_000_000_005);
        assert_eq!(TimestampFormat { resolution: 0, offset_seconds: -2 }.to_ns(5), 3_000_000_000);
        assert_eq!(
            TimestampFormat { resolution: 0, offset_seconds: i64::MIN }.to_ns(5),
            0,
            "clamped"
        );
        assert_eq!(
            TimestampFormat { resolution: 0, offset_seconds: i64::MAX }.to_ns(u64::MAX),
            u64::MAX,
            "clamped"
        );
    }
}
