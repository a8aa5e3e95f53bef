//! The tables. Their columns are described in docs/performance.md.

use super::markdown;
use crate::compare::offered::Offered;
use crate::compare::receiver_summary::{Ratio, ReceiverSummary};
use crate::compare::run_plan::Measure;
use crate::compare::stats::Spread;

/// Placeholder for a missing value.
const NONE: &str = "-";

/// All tables of `entries`, each under a heading.
pub(super) fn all(entries: &[ReceiverSummary]) -> String {
    super::tables(entries).iter().map(|group| one(group)).collect()
}

fn one(group: &[&ReceiverSummary]) -> String {
    let ReceiverSummary { cell, inner_len, .. } = group[0];
    let (measure, layout, size) = (cell.measure, cell.layout, &cell.size);
    let (title, table) = match measure {
        Measure::Throughput => ("Delivered at full load", throughput(group)),
        Measure::Loss => ("Loss at fixed loads", loss(group)),
        Measure::Latency => ("Latency from the XDP program to the consumer", latency(group)),
        Measure::Ladder => ("Delivered Mpps by offered load", ladder(group)),
    };
    let bytes = if size.to_string().parse::<u16>().is_ok() { " bytes" } else { "" };
    format!(
        "\n### {title}: layout {layout}, {size}{bytes} inner ({inner_len:.0} on average)\n\n{table}"
    )
}

fn throughput(group: &[&ReceiverSummary]) -> String {
    let references = references(group);
    let costs = comparable(group, &references);
    let mut header = words(&["row", "Mpps", "min..max"]);
    header.extend(references.iter().map(|name| format!("x {name}")));
    header.extend(words(&["offered", "CPU ns/frame", "softirq", "user", "system"]));
    header.extend(costs.iter().map(|name| format!("CPU x {name}")));
    let lines: Vec<Vec<String>> =
        group.iter().map(|entry| throughput_line(entry, &references, &costs)).collect();
    markdown::table(&header, &lines)
}

fn throughput_line(
    entry: &ReceiverSummary,
    references: &[String],
    costs: &[String],
) -> Vec<String> {
    let rate = entry.delivered_mpps;
    let mut cells = vec![
        entry.row.clone(),
        format!("{:.3}", rate.median),
        format!("{:.2}..{:.2}", rate.min, rate.max),
    ];
    cells.extend(references.iter().map(|name| ratio(entry, name, |ratio| ratio.delivered)));
    cells.push(format!("{:.2}", entry.offered_mpps.median));
    // Parentheses: the receiver spins, so that its time is that of the whole run.
    let own = |time: Spread| {
        if entry.spins { format!("({:.0})", time.median) } else { format!("{:.0}", time.median) }
    };
    match entry.cost {
        Some(cost) => cells.extend([
            own(cost.total),
            format!("{:.0}", cost.softirq.median),
            own(cost.user),
            own(cost.system),
        ]),
        None => cells.extend(words(&[NONE; 4])),
    }
    cells.extend(costs.iter().map(|name| ratio(entry, name, |ratio| ratio.cost)));
    cells
}

/// Names of the reference rows, in the order of the command line.
fn references(group: &[&ReceiverSummary]) -> Vec<String> {
    // A reference is not divided by itself: the longest list is the whole one, unless all rows are
    // references.
    let mut lists: Vec<&Vec<Ratio>> = group.iter().map(|entry| &entry.ratios).collect();
    lists.sort_by_key(|list| std::cmp::Reverse(list.len()));
    let mut names: Vec<String> = Vec::new();
    for ratio in lists.into_iter().flatten() {
        if !names.contains(&ratio.reference) {
            names.push(ratio.reference.clone());
        }
    }
    names
}

/// Those of them with a comparable CPU time.
fn comparable(group: &[&ReceiverSummary], references: &[String]) -> Vec<String> {
    let has_cost = |name: &&String| {
        let mut ratios = group.iter().flat_map(|entry| &entry.ratios);
        ratios.any(|ratio| ratio.reference == **name && ratio.cost.is_some())
    };
    references.iter().filter(has_cost).cloned().collect()
}

/// Median and spread of a ratio, `1` for the reference itself.
fn ratio(entry: &ReceiverSummary, reference: &str, of: fn(&Ratio) -> Option<Spread>) -> String {
    if entry.row == reference {
        return "1".to_owned();
    }
    let found = entry.ratios.iter().find(|ratio| ratio.reference == reference).and_then(of);
    found.map_or_else(
        || NONE.to_owned(),
        |ratio| format!("{:.2} ({:.2}..{:.2})", ratio.median, ratio.min, ratio.max),
    )
}

fn loss(group: &[&ReceiverSummary]) -> String {
    let header = words(&[
        "row",
        "load",
        "offered Mpps",
        "lost %",
        "min..max",
        "frames lost, median",
        "most",
    ]);
    let line = |entry: &&ReceiverSummary| {
        let lost = entry.lost_percent;
        vec![
            entry.row.clone(),
            entry.cell.offered.to_string(),
            format!("{:.3}", entry.offered_mpps.median),
            format!("{:.3}", lost.median),
            format!("{:.3}..{:.3}", lost.min, lost.max),
            format!("{:.0}", entry.lost_frames.median),
            format!("{:.0}", entry.lost_frames.max),
        ]
    };
    markdown::table(&header, &group.iter().map(line).collect::<Vec<_>>())
}

fn latency(group: &[&ReceiverSummary]) -> String {
    let header = words(&[
        "row",
        "load",
        "offered Mpps",
        "p50 µs",
        "p99 µs",
        "min..max",
        "p99.9 µs",
        "longest µs",
        "steal %",
    ]);
    let line = |entry: &&ReceiverSummary| {
        let mut cells = vec![
            entry.row.clone(),
            entry.cell.offered.to_string(),
            format!("{:.3}", entry.offered_mpps.median),
        ];
        match entry.latency {
            Some(latency) => cells.extend([
                microseconds(latency.p50.median),
                microseconds(latency.p99.median),
                format!("{}..{}", microseconds(latency.p99.min), microseconds(latency.p99.max)),
                microseconds(latency.p999.median),
                microseconds(latency.max.max),
            ]),
            None => cells.extend(words(&[NONE; 5])),
        }
        cells.push(format!("{:.1}", entry.steal_percent.max));
        cells
    };
    markdown::table(&header, &group.iter().map(line).collect::<Vec<_>>())
}

fn ladder(group: &[&ReceiverSummary]) -> String {
    let mut loads: Vec<Offered> = Vec::new();
    let mut rows: Vec<&str> = Vec::new();
    for entry in group {
        if !loads.contains(&entry.cell.offered) {
            loads.push(entry.cell.offered);
        }
        if !rows.contains(&entry.row.as_str()) {
            rows.push(&entry.row);
        }
    }
    let mut header = words(&["row"]);
    header.extend(loads.iter().map(ToString::to_string));
    header.push("lowest after the peak".to_owned());
    let line = |row: &&str| {
        let at = |load: &Offered| group.iter().find(|e| e.row == *row && e.cell.offered == *load);
        let rates: Vec<Option<f64>> =
            loads.iter().map(|load| at(load).map(|entry| entry.delivered_mpps.median)).collect();
        let mut cells = vec![(*row).to_owned()];
        cells.extend(
            rates
                .iter()
                .map(|rate| rate.map_or_else(|| NONE.to_owned(), |rate| format!("{rate:.3}"))),
        );
        let rates: Vec<f64> = rates.into_iter().flatten().collect();
        cells.push(
            after_peak(&rates)
                .map_or_else(|| NONE.to_owned(), |share| format!("{:.0} %", share * 100.0)),
        );
        cells
    };
    markdown::table(&header, &rows.iter().map(line).collect::<Vec<_>>())
}

/// The lowest rate from the highest one on, as a share of the highest: a share below 1 shows a rate
/// that falls as the load grows.
fn after_peak(rates: &[f64]) -> Option<f64> {
    let peak = (0..rates.len()).max_by(|&a, &b| rates[a].total_cmp(&rates[b]))?;
    let lowest = rates[peak..].iter().copied().min_by(f64::total_cmp)?;
    (rates[peak] > 0.0).then(|| lowest / rates[peak])
}

fn microseconds(nanoseconds: f64) -> String {
    format!("{:.1}", nanoseconds / 1e3)
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::offered::CpuLayout;
    use crate::compare::receiver_summary::summarise;
    use crate::compare::single_run::{RunRecord, made_up};
    use crate::mark_protocol::Latency;

    fn tables(runs: &[RunRecord]) -> String {
        let row = |text: &str| text.parse().expect("a row");
        let rows = [row("vxtap=vxtap"), row("spinner=xsk-rs --wait busy"), row("tpacket=tpacket")];
        all(&summarise(runs, &rows, &["tpacket".to_owned()]))
    }

    #[test]
    fn the_throughput_table_has_medians_spreads_and_ratios() {
        let runs = [
            made_up::run("vxtap", 1, 5_000_000, 3_000_000),
            made_up::run("tpacket", 1, 5_000_000, 1_000_000),
            made_up::run("spinner", 1, 5_000_000, 4_000_000),
            made_up::run("vxtap", 2, 5_000_000, 2_000_000),
            made_up::run("tpacket", 2, 5_000_000, 1_000_000),
            made_up::run("spinner", 2, 5_000_000, 4_000_000),
        ];
        let expected = "\n### Delivered at full load: layout A, 64 bytes inner (74 on average)\n\n\
            | row     |  Mpps |   min..max |         x tpacket | offered | CPU ns/frame | softirq | user | system |     CPU x tpacket |\n\
            | ------- | ----: | ---------: | ----------------: | ------: | -----------: | ------: | ---: | -----: | ----------------: |\n\
            | vxtap   | 2.500 | 2.00..3.00 | 2.50 (2.00..3.00) |    5.00 |          175 |     100 |   50 |     25 | 1.00 (1.00..1.00) |\n\
            | spinner | 4.000 | 4.00..4.00 | 4.00 (4.00..4.00) |    5.00 |        (175) |     100 | (50) |   (25) |                 - |\n\
            | tpacket | 1.000 | 1.00..1.00 |                 1 |    5.00 |          175 |     100 |   50 |     25 |                 1 |\n";
        assert_eq!(tables(&runs), expected);
    }

    #[test]
    fn the_cost_is_not_divided_by_that_of_a_row_that_spins() {
        let row = |text: &str| text.parse().expect("a row");
        let rows = [row("vxtap=vxtap"), row("spinner=xsk-rs --wait busy")];
        let runs = [made_up::run("vxtap", 1, 2000, 1000), made_up::run("spinner", 1, 2000, 1000)];
        let text = all(&summarise(&runs, &rows, &["spinner".to_owned()]));
        assert!(text.contains(" x spinner |"), "{text}");
        assert!(!text.contains("CPU x spinner"), "{text}");
    }

    #[test]
    fn the_loss_table_has_percent_and_frames() {
        let mut run = made_up::run("vxtap", 1, 1_000_000, 999_000);
        run.cell.measure = Measure::Loss;
        run.cell.offered = Offered::Rate(1_000_000);
        let text = tables(&[run]);
        assert!(text.contains("### Loss at fixed loads: layout A, 64 bytes"), "{text}");
        assert!(
            text.contains(
                "| vxtap | 1mpps |        1.000 |  0.100 | 0.100..0.100 |                1000 | 1000 |"
            ),
            "{text}"
        );
    }

    #[test]
    fn the_latency_table_is_in_microseconds() {
        let mut run = made_up::run("vxtap", 1, 1_000_000, 1_000_000);
        run.cell.measure = Measure::Latency;
        run.cell.offered = Offered::Percent(50);
        let latency =
            Latency { count: 9, p50_ns: 5000, p99_ns: 21_500, p999_ns: 99_000, max_ns: 1_000_000 };
        run.at_end.latency = Some(latency);
        let text = tables(&[run]);
        assert!(
            text.contains("|    5.0 |   21.5 | 21.5..21.5 |     99.0 |     1000.0 |     0.5 |"),
            "{text}"
        );
    }

    #[test]
    fn the_ladder_has_a_column_for_each_load_and_the_fall_after_the_peak() {
        let mode = |mpps: u64, delivered| {
            let mut run = made_up::run("vxtap", 1, mpps * 1_000_000, delivered);
            run.cell.measure = Measure::Ladder;
            run.cell.layout = CpuLayout::B;
            run.cell.offered = Offered::Rate(mpps * 1_000_000);
            run
        };
        let text = tables(&[mode(1, 900_000), mode(2, 1_500_000), mode(3, 1_200_000)]);
        assert!(
            text.contains("| row   | 1mpps | 2mpps | 3mpps | lowest after the peak |"),
            "{text}"
        );
        assert!(
            text.contains("| vxtap | 0.900 | 1.500 | 1.200 |                  80 % |"),
            "{text}"
        );
    }

    #[test]
    fn what_rises_to_the_end_does_not_fall() {
        assert_eq!(after_peak(&[1.0, 2.0, 3.0]), Some(1.0));
        assert_eq!(after_peak(&[]), None);
        assert_eq!(after_peak(&[0.0, 0.0]), None);
    }
}
