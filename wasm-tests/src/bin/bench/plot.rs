//! Plots as SVG: bars with their spread, and curves over a logarithmic axis.
//!
//! Written by hand: the two kinds take as many lines as it would take to tell a library about them.

use crate::statistics::Summary;

/// Width of a plot.
const WIDTH: f64 = 860.0;
/// Where the bars begin; names stand before.
const LEFT: f64 = 210.0;
/// Room for the figure behind the longest bar.
const RIGHT: f64 = 90.0;
const TOP: f64 = 40.0;
const BAR: f64 = 26.0;
const COLOURS: [&str; 6] = ["#3465a4", "#cc7a00", "#4e9a06", "#a40000", "#75507b", "#555753"];

/// A bar of a plot.
pub(crate) struct Bar {
    pub(crate) name: String,
    pub(crate) value: Summary,
    /// Bars of one group have one colour.
    pub(crate) group: usize,
}

/// Bars from 0, with a line from the least to the most.
pub(crate) fn bars(title: &str, unit: &str, bars: &[Bar]) -> String {
    let longest = bars.iter().map(|bar| bar.value.most).fold(f64::MIN_POSITIVE, f64::max);
    let x = |value: f64| LEFT + (WIDTH - LEFT - RIGHT) * (value / longest).max(0.0);
    let mut body = String::new();
    for (index, bar) in bars.iter().enumerate() {
        let y = TOP + BAR * index as f64;
        let middle = y + BAR / 2.0 - 2.0;
        let Summary { median, least, most } = bar.value;
        let (end, colour) = (x(median), COLOURS[bar.group % COLOURS.len()]);
        body += &text(LEFT - 8.0, middle + 4.0, "end", &bar.name);
        body += &format!(
            "<rect x=\"{LEFT}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{colour}\"/>\n",
            end - LEFT,
            BAR - 6.0
        );
        body += &line((x(least), middle), (x(most), middle), "#000000");
        let figure = format!("{} {unit}", figure(median));
        body += &text(x(most.max(median)) + 6.0, middle + 4.0, "start", &figure);
    }
    svg(title, TOP + BAR * bars.len() as f64 + 10.0, &body)
}

/// A line of a plot: sizes, and what was measured there.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, Summary)>,
}

/// Lines over sizes, which stand on a logarithmic axis.
pub(crate) fn lines(title: &str, unit: &str, lines: &[Line]) -> String {
    const HEIGHT: f64 = 320.0;
    const LOW: f64 = 60.0;
    const LEGEND: f64 = 190.0;
    let points = || lines.iter().flat_map(|line| &line.points);
    let ends =
        |values: Vec<f64>| Summary::of(values).unwrap_or(Summary { median: 1.0, least: 1.0, most: 1.0 });
    let sizes = ends(points().map(|(size, _)| size.log10()).collect());
    let highest = ends(points().map(|(_, value)| value.most).collect()).most * 1.1;
    let span = (sizes.most - sizes.least).max(f64::MIN_POSITIVE);
    let x = |size: f64| LOW + (WIDTH - LOW - LEGEND) * (size.log10() - sizes.least) / span;
    let y = |value: f64| TOP + HEIGHT * (1.0 - value / highest);
    let mut body = line((LOW, y(0.0)), (WIDTH - LEGEND, y(0.0)), "#000000");
    body += &line((LOW, y(0.0)), (LOW, TOP), "#000000");
    for step in 0..=4 {
        let value = highest * f64::from(step) / 4.0;
        body += &line((LOW - 4.0, y(value)), (LOW, y(value)), "#000000");
        body += &text(LOW - 8.0, y(value) + 4.0, "end", &figure(value));
    }
    for power in sizes.least.floor() as i32..=sizes.most.ceil() as i32 {
        let size = 10_f64.powi(power);
        if (sizes.least..=sizes.most).contains(&f64::from(power)) {
            body += &line((x(size), y(0.0)), (x(size), y(0.0) + 4.0), "#000000");
            body += &text(x(size), y(0.0) + 18.0, "middle", &format!("{size}"));
        }
    }
    body += &text(LOW, TOP - 8.0, "start", unit);
    for (index, Line { name, points }) in lines.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let path: Vec<_> =
            points.iter().map(|(size, value)| format!("{:.1},{:.1}", x(*size), y(value.median))).collect();
        body += &format!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n",
            path.join(" ")
        );
        for (size, value) in points {
            body += &line((x(*size), y(value.least)), (x(*size), y(value.most)), colour);
            body += &format!(
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>\n",
                x(*size),
                y(value.median)
            );
        }
        let legend = TOP + 20.0 * index as f64;
        body += &line((WIDTH - LEGEND + 10.0, legend), (WIDTH - LEGEND + 30.0, legend), colour);
        body += &text(WIDTH - LEGEND + 36.0, legend + 4.0, "start", name);
    }
    svg(title, TOP + HEIGHT + 30.0, &body)
}

/// A number with as many digits as say something.
fn figure(value: f64) -> String {
    match value.abs() {
        small if small < 10.0 => format!("{value:.2}"),
        medium if medium < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

fn line((x1, y1): (f64, f64), (x2, y2): (f64, f64), colour: &str) -> String {
    format!(
        "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\" stroke-width=\"1.5\"/>\n"
    )
}

fn text(x: f64, y: f64, anchor: &str, text: &str) -> String {
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>\n", escape(text))
}

fn svg(title: &str, height: f64, body: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<title>{title}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"8\" y=\"20\" font-weight=\"bold\">{title}</text>\n{body}</svg>\n",
        title = escape(title)
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_the_plot() {
        let value = |median| Summary { median, least: median / 2.0, most: median * 2.0 };
        let bar = |median| Bar { name: "a < b".into(), value: value(median), group: 0 };
        let line = Line { name: "one".into(), points: vec![(1.0, value(1.0)), (1000.0, value(9.0))] };
        for plot in
            [bars("t", "µs", &[bar(0.0), bar(70.0)]), lines("t", "µs", &[line]), lines("t", "µs", &[])]
        {
            assert!(!plot.contains("a < b") && !plot.contains("NaN") && !plot.contains("inf"), "{plot}");
            for attribute in ["x", "x1", "x2", "cx", "width"] {
                for value in plot.split(&format!(" {attribute}=\"")).skip(1) {
                    let value =
                        value.split('"').next().unwrap().trim_end_matches('%').parse::<f64>().unwrap();
                    assert!((0.0..=WIDTH).contains(&value), "{attribute} {value}: {plot}");
                }
            }
        }
    }
}
