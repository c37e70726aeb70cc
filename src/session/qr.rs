//! The QR code that links an account, for terminals, as PNG and as SVG.
//!
//! Each form has the light border of four modules that ISO/IEC 18004 asks for: a terminal's own
//! background is often dark, and scanners tell the corner marks from it only by that border.
//! Error correction is at its lowest level, which makes the modules largest; screens are not torn.
//!
//! The code is a secret while it is valid: whoever scans it has linked the account. It is never
//! logged, and the type does not print it.

use std::fmt;

use qrcode::types::QrError as EncodeError;
use qrcode::{Color, EcLevel, QrCode};

/// Light modules around the code.
const BORDER: usize = 4;

/// Pixels of a module's side, in PNG and SVG. In a PNG with one bit for a pixel, that is a byte.
const MODULE_PIXELS: u32 = 8;

/// Why there is no picture of a code.
#[derive(Debug, thiserror::Error)]
pub enum QrError {
    /// WhatsApp's codes have about 240 bytes; a QR code holds at most 2953.
    #[error("a linking code of {bytes} bytes does not fit into a QR code")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// What the encoder says.
        #[source]
        source: EncodeError,
    },
    /// Writing the PNG failed.
    #[error("the PNG cannot be encoded")]
    Png(#[from] png::EncodingError),
}

/// How a terminal shows the modules. In each, a character holds two of them, one above the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TerminalStyle {
    /// Black on white by escape sequences, whatever the terminal's colours. The 256-colour numbers
    /// are used, because themes change what the first 16 look like.
    Coloured,
    /// Without escape sequences, for terminals that write light on dark.
    PlainOnDark,
    /// Without escape sequences, for terminals that write dark on light.
    PlainOnLight,
}

/// A linking code, ready to be shown.
#[derive(Clone)]
pub struct LinkQr(QrCode);

impl LinkQr {
    /// Encodes the text that the session emits.
    pub fn new(code: &str) -> Result<Self, QrError> {
        QrCode::with_error_correction_level(code, EcLevel::L)
            .map(Self)
            .map_err(|source| QrError::TooLong {
                bytes: code.len(),
                source,
            })
    }

    /// Columns that the terminal forms take. Half as many lines, rounded up.
    pub fn columns(&self) -> usize {
        self.0.width() + 2 * BORDER
    }

    /// The code as lines of text, each ended by a newline.
    pub fn terminal(&self, style: TerminalStyle) -> String {
        let mut text = String::new();
        for top in (0..self.columns()).step_by(2) {
            if style == TerminalStyle::Coloured {
                text.push_str("\x1b[38;5;16;48;5;231m");
            }
            for x in 0..self.columns() {
                let (upper, lower) = (self.is_dark(x, top), self.is_dark(x, top + 1));
                // The block characters draw in the writing colour.
                text.push(match style {
                    TerminalStyle::PlainOnDark => block(!upper, !lower),
                    TerminalStyle::Coloured | TerminalStyle::PlainOnLight => block(upper, lower),
                });
            }
            if style == TerminalStyle::Coloured {
                text.push_str("\x1b[0m");
            }
            text.push('\n');
        }
        text
    }

    /// A black and white PNG, eight pixels a module.
    pub fn png(&self) -> Result<Vec<u8>, QrError> {
        let side = self.columns() as u32 * MODULE_PIXELS;
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, side, side);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::One);
        let mut writer = encoder.write_header()?;
        let mut pixels = Vec::new();
        for y in 0..self.columns() {
            let line: Vec<u8> = (0..self.columns())
                .map(|x| if self.is_dark(x, y) { 0x00 } else { 0xff })
                .collect();
            for _ in 0..MODULE_PIXELS {
                pixels.extend_from_slice(&line);
            }
        }
        writer.write_image_data(&pixels)?;
        writer.finish()?;
        Ok(file)
    }

    /// A black and white SVG document of the same size.
    pub fn svg(&self) -> String {
        self.0
            .render::<qrcode::render::svg::Color<'_>>()
            .quiet_zone(true)
            .module_dimensions(MODULE_PIXELS, MODULE_PIXELS)
            .build()
    }

    /// Whether a module is dark; coordinates count from the border's corner.
    fn is_dark(&self, x: usize, y: usize) -> bool {
        let inside = BORDER..BORDER + self.0.width();
        inside.contains(&x)
            && inside.contains(&y)
            && self.0[(x - BORDER, y - BORDER)] == Color::Dark
    }
}

impl fmt::Debug for LinkQr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkQr(…)")
    }
}

fn block(upper: bool, lower: bool) -> char {
    match (upper, lower) {
        (true, true) => '█',
        (true, false) => '▀',
        (false, true) => '▄',
        (false, false) => ' ',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As long as a real one: four parts of base64 and a reference.
    fn sample() -> (LinkQr, Vec<Vec<bool>>) {
        let code = format!(
            "2@{},{},{},{},1",
            "r".repeat(64),
            "n".repeat(44),
            "i".repeat(44),
            "s".repeat(44)
        );
        let qr = LinkQr::new(&code).expect("fits");
        let plain = QrCode::with_error_correction_level(&code, EcLevel::L).expect("fits");
        let (width, colours) = (plain.width(), plain.to_colors());
        let side = width + 8;
        let bordered = (0..side)
            .map(|y| {
                (0..side)
                    .map(|x| {
                        (4..4 + width).contains(&x)
                            && (4..4 + width).contains(&y)
                            && colours[(y - 4) * width + (x - 4)] == Color::Dark
                    })
                    .collect()
            })
            .collect();
        (qr, bordered)
    }

    fn read_blocks(text: &str, drawn_is_dark: bool) -> Vec<Vec<bool>> {
        let mut rows = Vec::new();
        for line in text.lines() {
            let halves: Vec<(bool, bool)> = line
                .chars()
                .map(|c| match c {
                    '█' => (true, true),
                    '▀' => (true, false),
                    '▄' => (false, true),
                    ' ' => (false, false),
                    other => panic!("{other:?} is no block"),
                })
                .collect();
            rows.push(halves.iter().map(|h| h.0 == drawn_is_dark).collect());
            rows.push(halves.iter().map(|h| h.1 == drawn_is_dark).collect());
        }
        rows
    }

    #[test]
    fn every_terminal_form_shows_the_same_modules() {
        let (qr, mut expected) = sample();
        assert!(qr.columns() <= 80, "{} columns", qr.columns());
        // An odd number of rows leaves a light one beneath.
        expected.push(vec![false; qr.columns()]);
        assert_eq!(
            read_blocks(&qr.terminal(TerminalStyle::PlainOnLight), true),
            expected
        );
        assert_eq!(
            read_blocks(&qr.terminal(TerminalStyle::PlainOnDark), false),
            expected
        );
        let coloured = qr.terminal(TerminalStyle::Coloured);
        let mut bare = String::new();
        for line in coloured.lines() {
            let inner = line
                .strip_prefix("\x1b[38;5;16;48;5;231m")
                .and_then(|l| l.strip_suffix("\x1b[0m"))
                .expect("colours are set and reset on each line");
            bare.push_str(inner);
            bare.push('\n');
        }
        assert_eq!(read_blocks(&bare, true), expected);
    }

    #[test]
    fn the_png_shows_the_same_modules() {
        let (qr, expected) = sample();
        let file = qr.png().expect("encoded");
        let mut decoder = png::Decoder::new(std::io::Cursor::new(&file));
        decoder.set_transformations(png::Transformations::EXPAND);
        let mut reader = decoder.read_info().expect("header");
        let mut pixels = vec![0; reader.output_buffer_size().expect("small")];
        let info = reader.next_frame(&mut pixels).expect("pixels");
        let side = qr.columns() * 8;
        assert_eq!((info.width as usize, info.height as usize), (side, side));
        for y in 0..side {
            for x in 0..side {
                let wanted = if expected[y / 8][x / 8] { 0 } else { 255 };
                assert_eq!(pixels[y * side + x], wanted, "pixel {x},{y}");
            }
        }
    }

    #[test]
    fn the_svg_has_a_square_for_each_dark_module() {
        let (qr, expected) = sample();
        let svg = qr.svg();
        let side = qr.columns() * 8;
        assert!(
            svg.contains(&format!("viewBox=\"0 0 {side} {side}\"")),
            "{svg}"
        );
        for (y, row) in expected.iter().enumerate() {
            for (x, dark) in row.iter().enumerate() {
                let (left, top) = (x * 8, y * 8);
                let square = format!("M{left} {top}h8v8H{left}V{top}");
                assert_eq!(svg.contains(&square), *dark, "module {x},{y}");
            }
        }
    }

    #[test]
    fn a_code_is_not_printed_and_an_endless_one_is_refused() {
        assert_eq!(format!("{:?}", sample().0), "LinkQr(…)");
        assert!(matches!(
            LinkQr::new(&"x".repeat(3000)),
            Err(QrError::TooLong { bytes: 3000, .. })
        ));
    }
}
