//! Plots as SVG: bars and a curve over a logarithmic axis, both with their spread.
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
const BLACK: &str = "#000000";

/// Colours that are told apart also by those who see few.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    Blue,
    Orange,
    Green,
}

impl Colour {
    fn code(self) -> &'static str {
        match self {
            Self::Blue => "#3465a4",
            Self::Orange => "#cc7a00",
            Self::Green => "#4e9a06",
        }
    }
}

/// A bar of a plot.
pub(crate) struct Bar {
    pub(crate) name: String,
    pub(crate) value: Summary,
    /// Which colour it has.
    pub(crate) colour: Colour,
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
        let (end, colour) = (x(median), bar.colour.code());
        body += &text(LEFT - 8.0, middle + 4.0, "end", &bar.name);
        body += &format!(
            "<rect x=\"{LEFT}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{colour}\"/>\n",
            end - LEFT,
            BAR - 6.0
        );
        body += &line((x(least), middle), (x(most), middle), BLACK);
        let figure = format!("{} {unit}", figure(median));
        body += &text(x(most.max(median)) + 6.0, middle + 4.0, "start", &figure);
    }
    svg(title, TOP + BAR * bars.len() as f64 + 10.0, &body)
}

/// A curve over sizes, which stand on a logarithmic axis; a bar at each point is its spread.
pub(crate) fn curve(title: &str, unit: &str, points: &[(f64, Summary)]) -> String {
    const HEIGHT: f64 = 300.0;
    const LOW: f64 = 60.0;
    const STEPS: u32 = 4;
    let sizes = Summary::of(points.iter().map(|(size, _)| size.log10()));
    let (first, last) = sizes.map_or((0.0, 1.0), |sizes| (sizes.least, sizes.most));
    let highest = points.iter().map(|(_, value)| value.most).fold(f64::MIN_POSITIVE, f64::max) * 1.1;
    let span = (last - first).max(f64::MIN_POSITIVE);
    let x = |size: f64| LOW + (WIDTH - LOW - RIGHT) * (size.log10() - first) / span;
    let y = |value: f64| TOP + HEIGHT * (1.0 - value / highest);
    let mut body = line((LOW, y(0.0)), (WIDTH - RIGHT, y(0.0)), BLACK);
    body += &line((LOW, y(0.0)), (LOW, TOP), BLACK);
    for step in 0..=STEPS {
        let value = highest * f64::from(step) / f64::from(STEPS);
        body += &line((LOW - 4.0, y(value)), (LOW, y(value)), BLACK);
        body += &text(LOW - 8.0, y(value) + 4.0, "end", &format!("{} {unit}", figure(value)));
    }
    let colour = Colour::Blue.code();
    let path: Vec<_> =
        points.iter().map(|(size, value)| format!("{:.1},{:.1}", x(*size), y(value.median))).collect();
    let path = path.join(" ");
    body += &format!("<polyline points=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n");
    for (size, Summary { median, least, most }) in points.iter().copied() {
        let (x, middle) = (x(size), y(median));
        body += &line((x, y(least)), (x, y(most)), BLACK);
        body += &format!("<circle cx=\"{x:.1}\" cy=\"{middle:.1}\" r=\"3\" fill=\"{colour}\"/>\n");
        body += &line((x, y(0.0)), (x, y(0.0) + 4.0), BLACK);
        body += &text(x, y(0.0) + 18.0, "middle", &format!("{size}"));
        body += &text(x, y(most) - 6.0, "middle", &figure(median));
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
        let bar = |median| Bar { name: "a < b".into(), value: value(median), colour: Colour::Blue };
        let points = [(1.0, value(1.0)), (1000.0, value(9.0))];
        for plot in [bars("t", "µs", &[bar(0.0), bar(70.0)]), curve("t", "×", &points), curve("t", "×", &[])]
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
