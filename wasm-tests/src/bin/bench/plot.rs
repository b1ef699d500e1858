//! The pictures of the report: bars, and curves over a logarithmic axis. Each shows medians and their spread.

use std::fmt::Display;
use std::ops::Range;

use plotters::coord::Shift;
use plotters::prelude::SegmentValue::{CenterOf, Exact};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::contenders::Group;
use crate::report::number;
use crate::statistics::Summary;

/// Width of a picture.
const WIDTH: u32 = 860;
/// Height of a curve's picture.
const HEIGHT: u32 = 360;
/// Height of one bar, with the space to the next.
const BAR: u32 = 26;
/// Room for the title, and for the axis below with its name.
const AROUND: u32 = 90;
/// Room for the legend, below everything.
const LEGEND: u32 = 30;
/// Room for names of bars.
const NAMES: u32 = 190;
/// Room for figures of an axis, with its name.
const FIGURES: u32 = 70;

const TITLE: (&str, u32) = ("sans-serif", 18);
const TEXT: (&str, u32) = ("sans-serif", 15);

const SPREAD: RGBColor = BLACK;
const CURVE: RGBColor = Group::Ours.colour();
const BOUND: RGBColor = RGBColor(0xcc, 0x00, 0x00);

impl Group {
    const ALL: [Self; 3] = [Self::Ours, Self::Envoy, Self::Nginx];

    /// Colour-blind readers can tell them apart too.
    const fn colour(self) -> RGBColor {
        match self {
            Self::Ours => RGBColor(0x34, 0x65, 0xa4),
            Self::Envoy => RGBColor(0xcc, 0x7a, 0x00),
            Self::Nginx => RGBColor(0x4e, 0x9a, 0x06),
        }
    }

    /// Its name in the legend.
    const fn name(self) -> &'static str {
        match self {
            Self::Ours => "this filter",
            Self::Envoy => "others in Envoy",
            Self::Nginx => "nginx",
        }
    }
}

/// One contender in a bar chart.
pub(crate) struct Bar {
    pub(crate) name: &'static str,
    pub(crate) group: Group,
    pub(crate) value: Summary,
    /// The most that it may be, if there is a bound.
    pub(crate) bound: Option<f64>,
}

/// What the figures of a picture mean, and how they are written.
pub(crate) struct Figures<'a> {
    /// The name of the axis.
    pub(crate) of: &'a str,
    pub(crate) unit: &'a str,
    /// Digits after the point, as in the report's table.
    pub(crate) digits: usize,
}

/// Draws bars from 0. A line on each spans the least and the most.
///
/// # Errors
/// When the picture cannot be drawn.
pub(crate) fn bars(title: &str, figures: &Figures, bars: &[Bar]) -> Result<String, String> {
    let mut picture = String::new();
    let height = AROUND + LEGEND + BAR * bars.len() as u32;
    draw_bars(canvas(&mut picture, height), title, figures, bars).map_err(|error| failed(title, error))?;
    Ok(picture)
}

/// Draws a curve over `sizes`, on a logarithmic axis. A line at each point spans the least and the most.
///
/// # Errors
/// When the picture cannot be drawn.
pub(crate) fn curve(
    title: &str,
    figures: &Figures,
    sizes: &str,
    points: &[(usize, Summary)],
) -> Result<String, String> {
    let mut picture = String::new();
    let canvas = canvas(&mut picture, HEIGHT);
    draw_curve(canvas, title, figures, sizes, points).map_err(|error| failed(title, error))?;
    Ok(picture)
}

type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

fn canvas(picture: &mut String, height: u32) -> Canvas<'_> {
    SVGBackend::with_string(picture, (WIDTH, height)).into_drawing_area()
}

fn failed(title: &str, error: impl Display) -> String {
    format!("cannot draw {title:?}: {error}")
}

fn draw_bars<'a>(canvas: Canvas<'a>, title: &str, figures: &Figures, bars: &[Bar]) -> Drawn<'a> {
    // Places count from the bottom, and the first bar is at the top.
    let count = bars.len();
    let placed = || (0..count).rev().zip(bars);
    let most = bars.iter().map(|bar| bar.value.most).fold(0.0, f64::max);
    canvas.fill(&WHITE)?;
    let (upper, legend) = canvas.split_vertically(canvas.dim_in_pixel().1 - LEGEND);
    let mut chart = ChartBuilder::on(&upper)
        .caption(title, TITLE)
        .margin(10)
        .x_label_area_size(45)
        .y_label_area_size(NAMES)
        .build_cartesian_2d(axis(most), (0..count.saturating_sub(1)).into_segmented())?;
    let name = |place: &SegmentValue<usize>| match place {
        CenterOf(place) => bars.iter().rev().nth(*place).map_or("", |bar| bar.name).to_owned(),
        Exact(_) | SegmentValue::Last => String::new(),
    };
    chart
        .configure_mesh()
        .disable_y_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc(format!("{}, {}", figures.of, figures.unit))
        .label_style(TEXT)
        .x_label_formatter(&round)
        .y_labels(count)
        .y_label_formatter(&name)
        .draw()?;
    chart.draw_series(placed().map(|(place, bar)| {
        let corners = [(0.0, Exact(place)), (bar.value.median.max(0.0), Exact(place + 1))];
        let mut rectangle = Rectangle::new(corners, bar.group.colour().filled());
        rectangle.set_margin(3, 3, 0, 0);
        rectangle
    }))?;
    chart.draw_series(placed().map(|(place, bar)| {
        // The axis begins at 0, and noise can be below it.
        let Summary { median, least, most } = bar.value.map(|value| value.max(0.0));
        ErrorBar::new_horizontal(CenterOf(place), least, median, most, SPREAD.filled(), 8)
    }))?;
    // A bound far above all bars would make them short, so it is left out.
    let bound = |bar: &Bar| bar.bound.filter(|bound| *bound <= most);
    chart.draw_series(placed().filter_map(|(place, bar)| {
        let bound = bound(bar)?;
        Some(PathElement::new([(bound, Exact(place)), (bound, Exact(place + 1))], BOUND.stroke_width(3)))
    }))?;
    chart.draw_series(placed().map(|(place, bar)| {
        let end = bar.value.most.max(bound(bar).unwrap_or_default()).max(0.0);
        EmptyElement::at((end, CenterOf(place)))
            + figures.text(bar.value.median, (8, 0), HPos::Left, VPos::Center)
    }))?;
    let groups = Group::ALL.into_iter().filter(|group| bars.iter().any(|bar| bar.group == *group));
    let mut entries: Vec<_> = groups.map(|group| (group.colour(), group.name())).collect();
    entries.push((SPREAD, "least, median and most of the rounds"));
    if bars.iter().any(|bar| bound(bar).is_some()) {
        entries.push((BOUND, "bound"));
    }
    draw_legend(&legend, &entries)?;
    canvas.present()
}

fn draw_curve<'a>(
    canvas: Canvas<'a>,
    title: &str,
    figures: &Figures,
    sizes: &str,
    points: &[(usize, Summary)],
) -> Drawn<'a> {
    let points: Vec<_> = points.iter().map(|(size, value)| (*size as f64, *value)).collect();
    let least = points.iter().map(|(size, _)| *size).reduce(f64::min).unwrap_or(1.0);
    let largest = points.iter().map(|(size, _)| *size).reduce(f64::max).unwrap_or(1.0);
    let most = points.iter().map(|(_, value)| value.most).fold(0.0, f64::max);
    // Some room for the figures at both ends.
    let room = (largest / least).powf(0.06).max(1.1);
    let all_sizes = (least / room..largest * room).log_scale();
    canvas.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&canvas)
        .caption(title, TITLE)
        .margin(10)
        .x_label_area_size(45)
        .y_label_area_size(FIGURES)
        .build_cartesian_2d(
            all_sizes.with_key_points(points.iter().map(|(size, _)| *size).collect()),
            axis(most),
        )?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc(sizes)
        .y_desc(format!("{}, {}", figures.of, figures.unit))
        .label_style(TEXT)
        .x_label_formatter(&round)
        .y_label_formatter(&round)
        .draw()?;
    let line = points.iter().map(|(size, value)| (*size, value.median));
    chart.draw_series(LineSeries::new(line, CURVE.stroke_width(2)))?;
    chart.draw_series(points.iter().map(|(size, value)| {
        ErrorBar::new_vertical(*size, value.least, value.median, value.most, CURVE.filled(), 8)
    }))?;
    chart.draw_series(points.iter().map(|(size, value)| {
        EmptyElement::at((*size, value.most))
            + figures.text(value.median, (0, -8), HPos::Center, VPos::Bottom)
    }))?;
    canvas.present()
}

/// From 0, with room for a figure beyond the last value.
fn axis(most: f64) -> Range<f64> {
    0.0..if most > 0.0 { most * 1.12 } else { 1.0 }
}

/// A figure of an axis, without the errors of floating-point sums.
fn round(value: &f64) -> String {
    ((value * 1e6).round() / 1e6).to_string()
}

impl Figures<'_> {
    /// A figure beside a point.
    fn text<'a>(
        &self,
        value: f64,
        offset: (i32, i32),
        across: HPos,
        along: VPos,
    ) -> Text<'a, (i32, i32), String> {
        Text::new(format!("{} {}", number(value, self.digits), self.unit), offset, text(across, along))
    }
}

fn text<'a>(across: HPos, along: VPos) -> TextStyle<'a> {
    TEXT.into_text_style(&(WIDTH, BAR)).pos(Pos::new(across, along))
}

/// One row below the chart: plotters' own legend would cover bars.
fn draw_legend<'a>(canvas: &Canvas<'a>, entries: &[(RGBColor, &str)]) -> Drawn<'a> {
    const MARK: i32 = 12;
    const LETTER: i32 = 7;
    let (mut x, y) = (20, 8);
    for (colour, name) in entries {
        canvas.draw(&Rectangle::new([(x, y), (x + MARK, y + MARK)], colour.filled()))?;
        x += MARK + 6;
        canvas.draw(&Text::new(*name, (x, y + MARK / 2), text(HPos::Left, VPos::Center)))?;
        x += LETTER * name.len() as i32 + 20;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIGURES: Figures = Figures { of: "CPU", unit: "µs", digits: 1 };

    /// The texts of a picture.
    fn texts(picture: &str) -> Vec<&str> {
        let elements = picture.split("<text ").skip(1).filter_map(|rest| rest.split("</text>").next());
        elements.filter_map(|element| element.split_once('>')).map(|(_, text)| text.trim()).collect()
    }

    /// Everything has a place, and it is inside the picture.
    fn assert_inside(picture: &str) {
        for attribute in ["x", "x1", "x2", "cx", "width"] {
            for value in picture.split(&format!(" {attribute}=\"")).skip(1) {
                let value = value.split('"').next().unwrap().parse::<i64>().unwrap();
                assert!((0..=i64::from(WIDTH)).contains(&value), "{attribute} {value}: {picture}");
            }
        }
    }

    fn value(median: f64) -> Summary {
        Summary { median, least: median / 2.0, most: median * 2.0 }
    }

    fn bar(name: &'static str, group: Group, median: f64, bound: Option<f64>) -> Bar {
        Bar { name, group, value: value(median), bound }
    }

    #[test]
    fn a_bar_chart_names_every_bar_its_figure_and_its_axis() {
        let few = [bar("a < b", Group::Ours, 70.04, Some(80.0)), bar("c", Group::Nginx, 3.0, None)];
        let picture = bars("title", &FIGURES, &few).unwrap();
        assert_inside(&picture);
        let texts = texts(&picture);
        let legend = ["this filter", "nginx", "least, median and most of the rounds", "bound"];
        for text in
            ["title", "a &lt; b", "70.0 µs", "c", "3.0 µs", "CPU, µs", "0", "20"].iter().chain(&legend)
        {
            assert!(texts.contains(text), "{text}: {texts:?}");
        }
        assert!(!texts.contains(&"others in Envoy"), "{texts:?}");
    }

    #[test]
    fn a_bound_far_above_all_bars_is_left_out() {
        let few = [bar("a", Group::Ours, 1.0, Some(1e6))];
        let picture = bars("title", &FIGURES, &few).unwrap();
        assert_inside(&picture);
        assert!(!texts(&picture).contains(&"bound"));
    }

    #[test]
    fn a_curve_names_every_size_its_figure_and_both_axes() {
        let points = [(1, value(1.0)), (1024, value(1.5)), (100_000, value(9.0))];
        let picture = curve("title", &FIGURES, "hosts", &points).unwrap();
        assert_inside(&picture);
        let texts = texts(&picture);
        for text in ["title", "1", "1024", "100000", "1.0 µs", "1.5 µs", "9.0 µs", "hosts", "CPU, µs", "0"]
        {
            assert!(texts.contains(&text), "{text}: {texts:?}");
        }
    }

    #[test]
    fn pictures_of_little_can_be_drawn() {
        let below_zero = Bar {
            value: Summary { median: -0.5, least: -1.0, most: 0.0 },
            ..bar("a", Group::Envoy, 0.0, None)
        };
        for picture in [
            bars("t", &FIGURES, &[]),
            bars("t", &FIGURES, &[below_zero]),
            curve("t", &FIGURES, "s", &[]),
            curve("t", &FIGURES, "s", &[(0, value(0.0))]),
            curve("t", &FIGURES, "s", &[(10, value(1.0))]),
        ] {
            let picture = picture.unwrap();
            assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"), "{picture}");
            assert_inside(&picture);
        }
    }
}
