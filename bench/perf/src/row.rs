//! A named row of the table of bars.

use std::fmt;

/// What a row must reach.
#[derive(Clone, Copy, Debug)]
pub enum Bar {
    /// At least this.
    AtLeast(f64),
    /// At most this.
    AtMost(f64),
}

impl Bar {
    fn is_reached(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bar) => value >= bar,
            Self::AtMost(bar) => value <= bar,
        }
    }
}

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(bar) => write!(f, ">={bar}"),
            Self::AtMost(bar) => write!(f, "<={bar}"),
        }
    }
}

/// One named number with its bar.
#[derive(Clone, Debug)]
pub struct Row {
    /// The row's name in the design.
    pub name: &'static str,
    /// What was measured; or the name of what is missing to measure it.
    pub value: Result<f64, String>,
    /// The unit of value and bar.
    pub unit: &'static str,
    /// What it must reach.
    pub bar: Bar,
}

impl Row {
    /// Whether there is a value, good or bad.
    pub fn is_measured(&self) -> bool {
        self.value.is_ok()
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, value, unit, bar } = self;
        match value {
            Err(missing) => write!(f, "{name} - {unit} {bar} missing ({missing})"),
            Ok(value) => {
                let verdict = if bar.is_reached(*value) { "ok" } else { "short" };
                write!(f, "{name} {value:.2} {unit} {bar} {verdict}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_whether_it_reaches_its_bar() {
        let row = |value| Row { name: "speed", value, unit: "x", bar: Bar::AtLeast(2.0) };
        assert_eq!(row(Ok(2.0)).to_string(), "speed 2.00 x >=2 ok");
        assert_eq!(row(Ok(1.99)).to_string(), "speed 1.99 x >=2 short");
        let most = Row { bar: Bar::AtMost(1.5), ..row(Ok(1.5)) };
        assert_eq!(most.to_string(), "speed 1.50 x <=1.5 ok");
        assert!(Row { value: Ok(1.6), ..most }.to_string().ends_with("short"));
        let missing = row(Err("no peer".into()));
        assert_eq!(missing.to_string(), "speed - x >=2 missing (no peer)");
        assert!(!missing.is_measured());
    }
}
