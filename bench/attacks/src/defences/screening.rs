//! Screening for anomalies: a command is as suspicious as it is far from the nearest one of the
//! agent's own past.

use super::Defence;
use super::gate::split;

const FEATURES: usize = 8;

type Point = [f64; FEATURES];

/// The past, and how far from it a command may be.
pub struct Screening {
    past: Vec<Point>,
    scale: Point,
    limit: f64,
}

/// Of the past itself, this share is taken for ordinary.
const ORDINARY: f64 = 0.95;

impl Screening {
    /// Learns from commands that are taken to be good.
    pub fn learned(past: &[&str]) -> Self {
        let past: Vec<Point> = past.iter().map(|command| features(command)).collect();
        let mut scale = [1.0; FEATURES];
        for (i, scale) in scale.iter_mut().enumerate() {
            let mean = past.iter().map(|point| point[i]).sum::<f64>() / past.len() as f64;
            let square = past.iter().map(|point| (point[i] - mean).powi(2)).sum::<f64>();
            // A feature that the past never shows weighs as if it varied a little.
            *scale = (square / past.len() as f64).sqrt().max(0.2);
        }
        let mut screening = Self { past, scale, limit: f64::INFINITY };
        let mut own: Vec<f64> = (0..screening.past.len())
            .map(|i| screening.nearest(&screening.past[i], Some(i)))
            .collect();
        own.sort_by(f64::total_cmp);
        screening.limit = own[((own.len() - 1) as f64 * ORDINARY) as usize];
        screening
    }

    fn nearest(&self, point: &Point, but: Option<usize>) -> f64 {
        let others = self.past.iter().enumerate().filter(|(i, _)| Some(*i) != but);
        let distance = |other: &Point| {
            let parts = point.iter().zip(other).zip(&self.scale);
            parts.map(|((a, b), scale)| ((a - b) / scale).powi(2)).sum::<f64>().sqrt()
        };
        others.map(|(_, other)| distance(other)).fold(f64::INFINITY, f64::min)
    }
}

impl Defence for Screening {
    fn name(&self) -> &'static str {
        "anomaly screening"
    }

    fn admits(&self, command: &str) -> bool {
        self.nearest(&features(command), None) <= self.limit
    }
}

fn features(command: &str) -> Point {
    let count = |text: &str| command.matches(text).count() as f64;
    let words = split(command).unwrap_or_default();
    let longest = words.iter().map(String::len).max().unwrap_or(0) as f64;
    [
        (command.len() as f64).ln_1p(),
        (words.len() as f64).ln_1p(),
        longest.ln_1p(),
        count("://"),
        count("|") + count("&&") + count(";") + count("$("),
        count("'") + count("\"") + count("\\"),
        entropy(command),
        f64::from(
            ["curl", "wget", "sh", "bash"].iter().any(|name| words.iter().any(|w| w == name)),
        ),
    ]
}

/// Bits for each byte.
fn entropy(text: &str) -> f64 {
    let mut counts = [0_usize; 256];
    text.bytes().for_each(|byte| counts[usize::from(byte)] += 1);
    let share = counts.iter().filter(|count| **count > 0).map(|c| *c as f64 / text.len() as f64);
    -share.map(|share| share * share.log2()).sum::<f64>()
}
