//! A chart of horizontal bars: a group for each row, a bar for each series, a whisker from the
//! least to the most.

use anyhow::{Result, anyhow};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::compare::stats::Spread;

/// A line for each group, `None` where nothing was measured.
#[derive(Debug)]
pub(super) struct BarChart {
    /// Above the chart.
    pub(super) title: String,
    /// Of the values, beside the scale.
    pub(super) unit: &'static str,
    /// Names of the bars of a group.
    pub(super) series: Vec<String>,
    /// Name of each group, with a value for each series.
    pub(super) groups: Vec<(String, Vec<Option<Spread>>)>,
}

/// Pixels.
const WIDTH: i32 = 900;
const LEFT: i32 = 170;
const RIGHT: i32 = 40;
const TOP: i32 = 70;
const BOTTOM: i32 = 50;
const BAR: i32 = 14;
const GAP: i32 = 10;
/// Space for the name of a series in the legend.
const LEGEND: i32 = 110;
const FONT: (&str, i32) = ("sans-serif", 13);

impl BarChart {
    /// Draws the chart; `None` when there is nothing to draw.
    pub(super) fn svg(&self) -> Result<Option<String>> {
        let values = self.groups.iter().flat_map(|(_, values)| values.iter().flatten());
        let largest = values.map(|spread| spread.max).fold(0.0, f64::max);
        if largest <= 0.0 {
            return Ok(None);
        }
        let mut svg = String::new();
        self.draw(&mut svg, largest)
            .map_err(|error| anyhow!("cannot draw {}: {error}", self.title))?;
        Ok(Some(svg))
    }

    fn draw(&self, svg: &mut String, largest: f64) -> Result<(), Box<dyn std::error::Error + '_>> {
        let step = round_step(largest);
        let end = (largest / step).ceil() * step;
        let group_height = BAR * i32::try_from(self.series.len())? + GAP;
        let bottom = TOP + group_height * i32::try_from(self.groups.len())?;
        let root = SVGBackend::with_string(
            svg,
            (WIDTH.cast_unsigned(), (bottom + BOTTOM).cast_unsigned()),
        )
        .into_drawing_area();
        root.fill(&WHITE)?;
        let left_middle = FONT.into_text_style(&root).pos(Pos::new(HPos::Left, VPos::Center));
        let right_middle = FONT.into_text_style(&root).pos(Pos::new(HPos::Right, VPos::Center));
        let center_top = FONT.into_text_style(&root).pos(Pos::new(HPos::Center, VPos::Top));

        root.draw(&Text::new(self.title.clone(), (20, 20), left_middle.clone()))?;
        for (index, name) in (0..).zip(&self.series) {
            let at = LEFT + index * LEGEND;
            root.draw(&Rectangle::new([(at, 42), (at + 12, 54)], color(index).filled()))?;
            root.draw(&Text::new(name.clone(), (at + 18, 48), left_middle.clone()))?;
        }
        for tick in 0..=whole(end / step) {
            let value = f64::from(tick) * step;
            let x = position(value, end);
            root.draw(&PathElement::new([(x, TOP), (x, bottom)], RGBColor(220, 220, 220)))?;
            root.draw(&Text::new(number(value, step), (x, bottom + 6), center_top.clone()))?;
        }
        root.draw(&Text::new(
            self.unit,
            (LEFT + (WIDTH - LEFT - RIGHT) / 2, bottom + 26),
            center_top.clone(),
        ))?;
        for (index, (name, values)) in (0..).zip(&self.groups) {
            let top = TOP + index * group_height + GAP / 2;
            root.draw(&Text::new(
                name.clone(),
                (LEFT - 8, top + (group_height - GAP) / 2),
                right_middle.clone(),
            ))?;
            for (bar, spread) in (0..).zip(values).filter_map(|(bar, value)| Some((bar, (*value)?)))
            {
                let (y, middle) = (top + bar * BAR, top + bar * BAR + BAR / 2);
                let x = |value: f64| position(value, end);
                root.draw(&Rectangle::new(
                    [(LEFT, y + 1), (x(spread.median), y + BAR - 1)],
                    color(bar).filled(),
                ))?;
                root.draw(&PathElement::new(
                    [(x(spread.min), middle), (x(spread.max), middle)],
                    BLACK,
                ))?;
            }
        }
        root.present()?;
        Ok(())
    }
}

/// Pixels from the left.
fn position(value: f64, end: f64) -> i32 {
    LEFT + whole(f64::from(WIDTH - LEFT - RIGHT) * value / end)
}

#[expect(clippy::cast_possible_truncation, reason = "pixels and ticks of a chart")]
fn whole(value: f64) -> i32 {
    value.round() as i32
}

/// A step of 1, 2 or 5 times a power of ten that divides the range up to `largest` into 4 to 10
/// parts.
pub(super) fn round_step(largest: f64) -> f64 {
    let rough = largest / 10.0;
    let power = 10f64.powf(rough.log10().floor());
    let factors = [1.0, 2.0, 5.0, 10.0];
    factors
        .into_iter()
        .map(|factor| factor * power)
        .find(|&step| step >= rough * 0.999)
        .unwrap_or(rough)
}

fn number(value: f64, step: f64) -> String {
    if step < 0.1 {
        format!("{value:.2}")
    } else if step < 1.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

/// Colours that stay apart for the colour-blind (Okabe and Ito).
pub(super) fn color(index: i32) -> RGBColor {
    const COLORS: [RGBColor; 8] = [
        RGBColor(0, 114, 178),
        RGBColor(230, 159, 0),
        RGBColor(0, 158, 115),
        RGBColor(213, 94, 0),
        RGBColor(86, 180, 233),
        RGBColor(204, 121, 167),
        RGBColor(120, 120, 120),
        RGBColor(240, 228, 66),
    ];
    COLORS[usize::try_from(index).unwrap_or(0) % COLORS.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_has_round_steps() {
        for (largest, step) in [(1.0, 0.1), (5.9, 1.0), (1200.0, 200.0), (0.44, 0.05), (10.0, 1.0)]
        {
            assert!(
                (round_step(largest) / step - 1.0).abs() < 1e-6,
                "{largest}: {}",
                round_step(largest)
            );
        }
    }

    #[test]
    fn every_group_and_series_is_named_and_has_its_bar() {
        let bars = BarChart {
            title: "Delivered".to_owned(),
            unit: "Mpps",
            series: vec!["64".to_owned(), "1400".to_owned()],
            groups: vec![
                ("vxtap".to_owned(), vec![Spread::of(&[2.0, 3.0, 4.0]), Spread::of(&[1.0])]),
                ("tpacket".to_owned(), vec![Spread::of(&[1.0]), None]),
            ],
        };
        let svg = bars.svg().expect("drawn").expect("not empty");
        for text in ["Delivered", "Mpps", "64", "1400", "vxtap", "tpacket"] {
            assert!(svg.contains(&format!("\n{text}\n")), "{text}");
        }
        // Two in the legend, three bars, one background.
        assert_eq!(svg.matches("<rect").count(), 6);
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        let groups = vec![("vxtap".to_owned(), vec![None])];
        let bars =
            BarChart { title: String::new(), unit: "Mpps", series: vec![String::new()], groups };
        assert_eq!(bars.svg().expect("drawn"), None);
    }
}
