//! Runs one verifier on one document as told on stdin, and answers with the processor time it took.
//!
//! A line is `ARM MILLISECONDS FILE`: the arm, the moment to judge at, the document. The answer is
//! `NANOSECONDS` of this thread's processor time, or `refused REASON`. The driver interleaves.

mod arms;
mod clock;

use std::io;
use std::io::BufRead;
use std::io::Write;
use std::process::ExitCode;

use arms::Arms;
use arms::Question;

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("verifiers: {error}");
            ExitCode::from(3)
        }
    }
}

fn serve() -> io::Result<()> {
    let mut arms = Arms::default();
    let mut output = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let line = line?;
        let answer = match line.splitn(3, ' ').collect::<Vec<_>>()[..] {
            [arm, at_ms, file] => match at_ms.parse() {
                Ok(at_ms) => measure(&mut arms, arm, at_ms, file),
                Err(_) => Err(format!("{at_ms} is no number of milliseconds")),
            },
            _ => Err("a line is: ARM MILLISECONDS FILE".into()),
        };
        match answer {
            Ok(nanoseconds) => writeln!(output, "{nanoseconds}")?,
            Err(reason) => writeln!(output, "refused {}", reason.replace('\n', " "))?,
        }
        output.flush()?;
    }
    Ok(())
}

fn measure(arms: &mut Arms, arm: &str, at_ms: u64, file: &str) -> Result<u128, String> {
    let document = arms.document(file)?;
    clock::set(at_ms);
    if !arm.starts_with("aegis") {
        let begun = clock::processor_time();
        arms::run_peer(arm, &document, at_ms)?;
        return Ok((clock::processor_time() - begun).as_nanos());
    }
    // What is not the verifier's: expectations are the relying party's, made before it asks.
    let question = Question::answered_by(&document, at_ms)?;
    let begun = clock::processor_time();
    arms.run(arm, &document, &question)?;
    Ok((clock::processor_time() - begun).as_nanos())
}
