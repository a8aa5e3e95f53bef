//! A chart of lines: delivered over offered load, a line for each row.

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use super::bar_chart::color;
use crate::compare::stats::Spread;

/// A line for each series through its medians, with a whisker from the least to the most.
#[derive(Debug)]
pub(super) struct LineChart {
    /// Above the chart.
    pub(super) title: String,
    /// Below the horizontal scale.
    pub(super) x: &'static str,
    /// Beside the vertical scale.
    pub(super) y: &'static str,
    /// Name of each line, with its points from left to right.
    pub(super) series: Vec<(String, Vec<(f64, Spread)>)>,
}

impl LineChart {
    /// Draws the chart; `None` when there is nothing to draw.
    pub(super) fn svg(&self) -> Result<Option<String>> {
        let points = || self.series.iter().flat_map(|(_, points)| points);
        let right = points().map(|&(x, _)| x).fold(0.0, f64::max);
        let top = points().map(|(_, spread)| spread.max).fold(0.0, f64::max);
        if right <= 0.0 || top <= 0.0 {
            return Ok(None);
        }
        let mut svg = String::new();
        self.draw(&mut svg, right * 1.05, top * 1.1)
            .map_err(|error| anyhow!("cannot draw {}: {error}", self.title))?;
        Ok(Some(svg))
    }

    fn draw(
        &self,
        svg: &mut String,
        right: f64,
        top: f64,
    ) -> Result<(), Box<dyn std::error::Error + '_>> {
        let root = SVGBackend::with_string(svg, (900, 560)).into_drawing_area();
        root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&root)
            .caption(&self.title, ("sans-serif", 15))
            .margin(15)
            .x_label_area_size(45)
            .y_label_area_size(60)
            .build_cartesian_2d(0.0..right, 0.0..top)?;
        chart.configure_mesh().x_desc(self.x).y_desc(self.y).light_line_style(WHITE).draw()?;
        for (index, (name, points)) in (0..).zip(&self.series) {
            let color = color(index);
            let medians = points.iter().map(|&(x, spread)| (x, spread.median));
            chart
                .draw_series(LineSeries::new(medians, color.stroke_width(2)).point_size(3))?
                .label(name)
                .legend(move |(x, y)| {
                    PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2))
                });
            let whiskers = points
                .iter()
                .map(|&(x, spread)| PathElement::new([(x, spread.min), (x, spread.max)], color));
            chart.draw_series(whiskers)?;
        }
        // No receiver delivers more than is offered: that corner is free.
        let labels = SeriesLabelPosition::UpperLeft;
        chart
            .configure_series_labels()
            .position(labels)
            .background_style(WHITE)
            .border_style(BLACK)
            .draw()?;
        root.present()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_named() {
        let point = |x, y| (x, Spread::of(&[y]).expect("one value"));
        let lines = LineChart {
            title: "Ladder".to_owned(),
            x: "offered Mpps",
            y: "delivered Mpps",
            series: vec![
                ("vxtap".to_owned(), vec![point(1.0, 1.0), point(2.0, 1.5)]),
                ("tpacket".to_owned(), vec![point(1.0, 0.4), point(2.0, 0.1)]),
            ],
        };
        let svg = lines.svg().expect("drawn").expect("not empty");
        for text in ["Ladder", "offered Mpps", "delivered Mpps", "vxtap", "tpacket"] {
            assert!(svg.contains(&format!("\n{text}\n")), "{text}");
        }
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        let lines = LineChart { title: String::new(), x: "", y: "", series: Vec::new() };
        assert_eq!(lines.svg().expect("drawn"), None);
    }
}
