//! The shipped machines against the model, on random traces.
//!
//! `recorded` replays what the model answered once, wherever Rust runs; `asked` asks the extracted
//! model itself, which `formal/run` builds, and is ignored without it.
#![allow(clippy::unwrap_used)]

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

use aegis_conformance::Shell;
use aegis_conformance::random::{Random, trace};

const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/recorded.txt");
/// Traces in the recording.
const FEW: u64 = 400;

/// What the machines answer to a trace, line by line.
fn answers(lines: &[String]) -> Vec<String> {
    let mut shell = Shell::default();
    lines.iter().map(|line| shell.step(line).join(";")).collect()
}

#[test]
fn the_machines_answer_as_the_model_recorded() {
    let text = fs::read_to_string(RECORDED).unwrap();
    let mut recorded = text.lines().skip_while(|line| line.starts_with('#'));
    let mut random = Random::new(1);
    for number in 0..FEW {
        let lines = trace(&mut random);
        let ours = answers(&lines);
        assert_eq!(recorded.next(), Some("reset"), "trace {number}");
        for (at, (line, answer)) in lines.iter().zip(&ours).enumerate() {
            let model = recorded.next().unwrap();
            assert_eq!(
                answer,
                model,
                "trace {number}, line {at}: {line}\n{}",
                lines[..at].join("\n")
            );
        }
    }
    assert_eq!(recorded.next(), None);
}

/// As many traces as `AEGIS_TRACES` says, from seed `AEGIS_SEED`. With `AEGIS_RECORD` the model's
/// answers to the first ones become the recording.
#[test]
#[ignore = "needs the extracted model; `formal/run` builds it and names it in AEGIS_ORACLE"]
fn the_machines_answer_as_the_model_does() {
    let number = |name, default| env::var(name).map_or(default, |text| text.parse().unwrap());
    let traces: u64 = number("AEGIS_TRACES", FEW);
    let mut oracle = Command::new(env::var_os("AEGIS_ORACLE").unwrap())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut questions = BufWriter::new(oracle.stdin.take().unwrap());
    let replies = BufReader::new(oracle.stdout.take().unwrap());
    let record = env::var_os("AEGIS_RECORD").is_some();
    let (told, tells) = mpsc::sync_channel::<(String, String)>(1 << 16);
    let compare = thread::spawn(move || {
        let (mut steps, mut recording) = (0_u64, String::from("# Answers of the model.\n"));
        for (reply, (line, ours)) in replies.lines().zip(tells) {
            let reply = reply.unwrap();
            assert_eq!(ours, reply, "step {steps}: {line}");
            if record {
                recording.push_str(&reply);
                recording.push('\n');
            }
            steps += 1;
        }
        (steps, recording)
    });
    let (mut random, mut asked) = (Random::new(number("AEGIS_SEED", 1)), 0);
    'ask: for _ in 0..traces {
        let lines = trace(&mut random);
        let resets = ("reset".to_owned(), "reset".to_owned());
        for (line, ours) in [resets].into_iter().chain(lines.iter().cloned().zip(answers(&lines))) {
            // Where an answer differed nobody listens any more; the assertion is told below.
            if writeln!(questions, "{line}").is_err() || told.send((line, ours)).is_err() {
                break 'ask;
            }
            asked += 1;
        }
    }
    drop((questions.into_inner(), told));
    let (steps, recording) = compare.join().expect("machines and model agree");
    assert_eq!(steps, asked);
    oracle.wait().unwrap();
    if record {
        fs::write(RECORDED, recording).unwrap();
    }
    println!("{steps} steps of {traces} traces agree with the model");
}
