//! Judges documents with the pure-Rust backend: a line is `SECONDS HEX`, the answer one line, the
//! verdict as `{:?}`. The question is the one of `tests/portable.rs`.

use std::io;
use std::io::BufRead;
use std::io::Write;

use aegis_verifier::UnixTime;

#[path = "../../tests/portable/verdict.rs"]
mod verdict;

fn main() -> io::Result<()> {
    let mut output = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let line = line?;
        let (seconds, digits) = line.split_once(' ').unwrap_or_default();
        let byte =
            |at: usize| digits.get(at..at + 2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        let document: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(byte).collect();
        let (Some(document), Ok(seconds)) = (document, seconds.parse()) else {
            return Err(io::Error::other("a line is SECONDS HEX"));
        };
        writeln!(output, "{}", verdict::verdict(&document, UnixTime::from_secs(seconds)))?;
        output.flush()?;
    }
    Ok(())
}
