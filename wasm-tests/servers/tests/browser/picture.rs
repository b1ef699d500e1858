//! Pictures of pages, small enough for a repository: these pages have few colours, so 256 are enough.

use std::collections::HashMap;

/// The most colours that a picture with a palette may have.
const COLOURS: usize = 256;

type Colour = [u8; 3];

/// The same picture with a palette: its most frequent colours, and the nearest of them for all others.
pub(crate) fn with_palette(picture: &[u8]) -> Vec<u8> {
    let mut reader = png::Decoder::new(std::io::Cursor::new(picture)).read_info().expect("a PNG");
    let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
    let frame = reader.next_frame(&mut pixels).expect("a whole PNG");
    let channels = frame.color_type.samples();
    let colours: Vec<Colour> = pixels[..frame.buffer_size()]
        .chunks_exact(channels)
        .map(|pixel| [pixel[0], pixel[1], pixel[2]])
        .collect();

    let mut counts: HashMap<Colour, usize> = HashMap::new();
    for colour in &colours {
        *counts.entry(*colour).or_default() += 1;
    }
    let mut palette: Vec<Colour> = counts.keys().copied().collect();
    palette.sort_by_key(|colour| (std::cmp::Reverse(counts[colour]), *colour));
    palette.truncate(COLOURS);
    let nearest = |colour: &Colour| {
        let distance = |known: &Colour| {
            known.iter().zip(colour).map(|(one, other)| u32::from(one.abs_diff(*other)).pow(2)).sum::<u32>()
        };
        let (index, _) =
            palette.iter().enumerate().min_by_key(|(_, known)| distance(known)).expect("a colour");
        u8::try_from(index).expect("256 colours")
    };
    let indices: HashMap<Colour, u8> = counts.keys().map(|colour| (*colour, nearest(colour))).collect();
    let image: Vec<u8> = colours.iter().map(|colour| indices[colour]).collect();

    let mut small = Vec::new();
    let mut encoder = png::Encoder::new(&mut small, frame.width, frame.height);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_palette(palette.concat());
    encoder.set_compression(png::Compression::High);
    encoder.set_filter(png::Filter::NoFilter);
    let mut writer = encoder.write_header().expect("a header");
    writer.write_image_data(&image).expect("an image");
    writer.finish().expect("an end");
    small
}
