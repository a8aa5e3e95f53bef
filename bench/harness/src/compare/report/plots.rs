//! The charts and their data.

use anyhow::Result;

use super::bar_chart::BarChart;
use super::line_chart::LineChart;
use crate::compare::offered::CpuLayout;
use crate::compare::receiver_summary::ReceiverSummary;
use crate::compare::run_plan::Measure;
use crate::compare::stats::Spread;

/// File names and texts of all charts with data.
pub(super) fn all(entries: &[ReceiverSummary]) -> Result<Vec<(String, String)>> {
    let mut charts = Vec::new();
    let mut add = |name: String, svg: Option<String>| charts.extend(svg.map(|svg| (name, svg)));
    for layout in [CpuLayout::A, CpuLayout::B] {
        let full = of(entries, Measure::Throughput, layout);
        let by_size = |entry: &ReceiverSummary| entry.cell.size.to_string();
        let title = |what: &str| format!("{what} at full load by inner length, layout {layout}");
        let delivered =
            bars(title("Delivered"), "Mpps", &full, by_size, |entry| Some(entry.delivered_mpps));
        add(format!("throughput-{layout}.svg"), delivered.svg()?);
        // A receiver that spins uses all of its CPU at any rate.
        let sleeping: Vec<&ReceiverSummary> =
            full.iter().copied().filter(|entry| !entry.spins).collect();
        let cost = bars(title("CPU time per delivered frame"), "ns", &sleeping, by_size, |entry| {
            entry.cost.map(|cost| cost.total)
        });
        add(format!("cpu-{layout}.svg"), cost.svg()?);
    }
    for group in super::tables(entries) {
        let cell = &group[0].cell;
        let name = |what: &str| format!("{what}-{}-{}.svg", cell.layout, cell.size);
        let by_load = |entry: &ReceiverSummary| entry.cell.offered.to_string();
        match cell.measure {
            Measure::Throughput => {}
            Measure::Loss => {
                let title = format!("Loss by offered load, layout {}, {}", cell.layout, cell.size);
                let chart =
                    bars(title, "percent", &group, by_load, |entry| Some(entry.lost_percent));
                add(name("loss"), chart.svg()?);
            }
            Measure::Latency => {
                let title = format!(
                    "p99 from XDP to consumer by load, layout {}, {}",
                    cell.layout, cell.size
                );
                let chart = bars(title, "µs", &group, by_load, |entry| {
                    Some(in_microseconds(entry.latency?.p99))
                });
                add(name("latency"), chart.svg()?);
            }
            Measure::Ladder => add(name("ladder"), ladder(&group).svg()?),
        }
    }
    Ok(charts)
}

fn of(entries: &[ReceiverSummary], measure: Measure, layout: CpuLayout) -> Vec<&ReceiverSummary> {
    entries
        .iter()
        .filter(|entry| entry.cell.measure == measure && entry.cell.layout == layout)
        .collect()
}

/// A group for each row, a bar for each different `series`.
fn bars(
    title: String,
    unit: &'static str,
    entries: &[&ReceiverSummary],
    series: fn(&ReceiverSummary) -> String,
    value: fn(&ReceiverSummary) -> Option<Spread>,
) -> BarChart {
    let mut names: Vec<String> = Vec::new();
    let mut rows: Vec<&String> = Vec::new();
    for entry in entries {
        if !names.contains(&series(entry)) {
            names.push(series(entry));
        }
        if !rows.contains(&&entry.row) {
            rows.push(&entry.row);
        }
    }
    let at = |row: &String, name: &String| {
        entries
            .iter()
            .find(|entry| entry.row == *row && series(entry) == *name)
            .and_then(|entry| value(entry))
    };
    let groups =
        rows.iter().map(|row| ((*row).clone(), names.iter().map(|name| at(row, name)).collect()));
    BarChart { title, unit, groups: groups.collect(), series: names }
}

fn ladder(group: &[&ReceiverSummary]) -> LineChart {
    let mut series: Vec<(String, Vec<(f64, Spread)>)> = Vec::new();
    for entry in group {
        // The generator may not reach the requested rate.
        let point = (entry.offered_mpps.median, entry.delivered_mpps);
        match series.iter_mut().find(|(name, _)| *name == entry.row) {
            Some((_, points)) => points.push(point),
            None => series.push((entry.row.clone(), vec![point])),
        }
    }
    for (_, points) in &mut series {
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    let cell = &group[0].cell;
    let title = format!("Delivered while the load grows, layout {}, {}", cell.layout, cell.size);
    LineChart { title, x: "offered Mpps", y: "delivered Mpps", series }
}

fn in_microseconds(time: Spread) -> Spread {
    let Spread { count, median, min, max, lower_quartile, upper_quartile } = time;
    Spread {
        count,
        median: median / 1e3,
        min: min / 1e3,
        max: max / 1e3,
        lower_quartile: lower_quartile / 1e3,
        upper_quartile: upper_quartile / 1e3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::offered::Offered;
    use crate::compare::receiver_summary::summarise;
    use crate::compare::single_run::{RunRecord, made_up};
    use crate::mark_protocol::Latency;

    fn names(runs: &[RunRecord]) -> Vec<String> {
        let rows = ["vxtap=vxtap", "tpacket=tpacket", "spinner=vxtap --wait busy"];
        let rows: Vec<_> = rows.map(|row| row.parse().expect("a row")).into();
        let charts = all(&summarise(runs, &rows, &[])).expect("drawn");
        charts.into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn there_is_a_chart_for_each_table_that_has_something_in_it() {
        let with = |measure, offered| {
            let mut run = made_up::run("vxtap", 1, 2_000_000, 1_000_000);
            (run.cell.measure, run.cell.offered) = (measure, offered);
            run.at_end.latency = Some(Latency { count: 1, p99_ns: 2000, ..Latency::default() });
            run
        };
        let mut step = with(Measure::Ladder, Offered::Rate(2_000_000));
        step.cell.layout = CpuLayout::B;
        let runs = [
            made_up::run("vxtap", 1, 2_000_000, 1_000_000),
            with(Measure::Loss, Offered::Rate(1_000_000)),
            with(Measure::Latency, Offered::Percent(50)),
            step,
        ];
        let expected = [
            "throughput-A.svg",
            "cpu-A.svg",
            "loss-A-64.svg",
            "latency-A-64.svg",
            "ladder-B-64.svg",
        ];
        assert_eq!(names(&runs), expected);
    }

    #[test]
    fn the_cost_of_a_spinning_row_is_not_drawn() {
        assert_eq!(
            names(&[made_up::run("spinner", 1, 2_000_000, 1_000_000)]),
            ["throughput-A.svg"]
        );
    }
}
